"""Console: the column, the line and the filter of the channel that something was sold through."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps.billing import channel_names


class Named:
    """Of an admin or an inline: `shown_channel` is the channel's name, in lists and on the page."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return channel_names.named(super().get_queryset(request))  # type: ignore[misc]

    @display(description=_("канал"), ordering="channel_code")
    def shown_channel(self, row: Any) -> str:
        return str(row.channel_name) or "—"


class ChannelFilter(admin.SimpleListFilter):
    """By the partner's channels: to ask the rows which there are would read all of them."""

    title, parameter_name = _("канал"), "channel_code"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(channel_names.known().items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(channel_code=self.value()) if self.value() else queryset
