"""The channel that something was sold through, by its name; its code stands where the channel is gone."""

from typing import Any

from django.apps import apps
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

BY_KEY = "api:"
"""How what a system did with a key of a channel is signed; the channel's code follows."""


def known() -> dict[str, str]:
    """Names of the partner's channels, by code."""
    return dict(_channels().order_by("code").values_list("code", "name"))


def of_actor(actor: str, names: dict[str, str]) -> str:
    """Who did it: the channel's name for a system that signed with its code."""
    return names.get(actor.removeprefix(BY_KEY), actor) if actor.startswith(BY_KEY) else actor


def named(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Rows with a `channel_code`, each with its `channel_name`: of those that are shown, with no query more."""
    name = _channels().filter(code=OuterRef("channel_code")).values("name")
    return rows.annotate(channel_name=Coalesce(Subquery(name), F("channel_code")))


def _channels() -> QuerySet[Any]:
    found: QuerySet[Any] = apps.get_model("channels.Channel").objects.all()
    return found
