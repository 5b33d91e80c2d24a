"""Exchanges as people read them: JSON and XML laid out, those about one object together."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import parse_qsl
from uuid import UUID

from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from apps.core import links
from apps.journal.models import Exchange

SHOWN = 50


@dataclass(frozen=True)
class Told:
    """One exchange, ready to be shown."""

    row: Exchange
    request: str
    response: str
    url: str
    """Its own page; empty where this console has none."""

    @property
    def is_well(self) -> bool:
        """Whether the other side took it."""
        return self.row.status is not None and self.row.status < 400


def about(object_ids: Collection[UUID]) -> SafeString | str:
    """What was said about any of these, in its order, the latest of them; «—» where nothing was."""
    rows = list(Exchange.objects.filter(about__in=object_ids).order_by("-at", "-pk")[:SHOWN])
    if not rows:
        return "—"
    return page([told(row) for row in reversed(rows)])


def page(rows: list[Told], *, opened: bool = True) -> SafeString:
    """Exchanges one below another, each with its request and answer; the first is `opened`."""
    # The template escapes what came from outside.
    return mark_safe(render_to_string("journal/exchanges.html", {"exchanges": rows, "opened": opened}))


def told(row: Exchange) -> Told:
    """One exchange, its bodies laid out."""
    return Told(row, pretty(row.request), pretty(row.response), links.to("journal.Exchange", row.pk))


def pretty(text: str) -> str:
    """JSON, XML or a form laid out in lines; anything else as it is."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except ValueError:
        pass
    if text.startswith("<"):
        return text.replace("><", ">\n<")
    if "=" in text and not any(one in text for one in "\n <"):
        return (
            "\n".join(f"{name} = {value}" for name, value in parse_qsl(text, keep_blank_values=True)) or text
        )
    return text
