"""Console: who did what, and what was said to other systems."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps.core import console, links
from apps.journal import reading, words
from apps.journal.models import Entry, Exchange

BOTH = (console.operator_site, console.partner_site)


class ActionFilter(admin.SimpleListFilter):
    """By action, of those that are there."""

    title, parameter_name = _("действие"), "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        found = model_admin.get_queryset(request).order_by().values_list("action", flat=True).distinct()
        return sorted(((code, words.action(code)) for code in found), key=lambda choice: choice[1])

    def queryset(self, request: HttpRequest, queryset: QuerySet[Entry]) -> QuerySet[Entry]:
        return queryset.filter(action=self.value()) if self.value() else queryset


class ObjectFilter(admin.SimpleListFilter):
    """By what it was done to."""

    title, parameter_name = _("объект"), "object"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        kinds = model_admin.get_queryset(request).order_by().values_list("object_kind", flat=True).distinct()
        return sorted(((kind, links.title(kind)) for kind in kinds), key=lambda choice: choice[1])

    def queryset(self, request: HttpRequest, queryset: QuerySet[Entry]) -> QuerySet[Entry]:
        return queryset.filter(object_kind=self.value()) if self.value() else queryset


@console.register(Entry, sites=BOTH)
class EntryAdmin(console.ReadOnlyAdmin):
    """«Журнал действий»: the platform's on its console, a partner's on the partner's."""

    view_roles = ()
    list_display = ("at", "what", "subject", "actor")
    list_filter = (ActionFilter, ObjectFilter)
    search_fields = ("=object_id", "actor")
    fields = ("at", "actor", "what", "subject", "object_id", "data")
    readonly_fields = ("what", "subject")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        page = super().get_changelist_instance(request)
        page.result_list = list(page.result_list)
        _name(page.result_list)
        return page

    @display(description=_("действие"), ordering="action")
    def what(self, entry: Entry) -> str:
        return words.action(entry.action)

    @display(description=_("объект"), ordering="object_kind")
    def subject(self, entry: Entry) -> SafeString | str:
        if not hasattr(entry, "subject_name"):
            _name([entry])
        return links.linked(*entry.subject_name)  # type: ignore[attr-defined]


def _name(entries: Iterable[Any]) -> None:
    """Gives each entry the name and the page of its object, in a query per kind of object."""
    by_kind: defaultdict[str, list[Any]] = defaultdict(list)
    for entry in entries:
        by_kind[entry.object_kind].append(entry)
    for kind, some in by_kind.items():
        model = links.model_of(kind)
        named = {}
        # A model without a page here stands in another schema: there is nothing to read.
        if model is not None and links.list_of(model):
            found = model._default_manager.in_bulk({entry.object_id for entry in some if entry.object_id})
            named = {str(key): str(row) for key, row in found.items()}
        for entry in some:
            entry.subject_name = _subject(kind, entry.object_id, named.get(entry.object_id))


def _subject(kind: str, object_id: str, name: str | None) -> tuple[str, str]:
    title = links.title(kind)
    return (f"{title}: {name}", links.to(kind, object_id)) if name else (title, "")


@console.register(Exchange, sites=BOTH)
class ExchangeAdmin(console.ReadOnlyAdmin):
    """«Журнал обмена»: requests and answers without secrets."""

    view_roles = ("manager",)
    list_display = ("at", "method", "url", "outcome", "milliseconds")
    list_filter = ("method", "status")
    search_fields = ("url",)
    fields = (
        "at",
        "method",
        "url",
        "outcome",
        "error",
        "milliseconds",
        "laid_out_request",
        "laid_out_answer",
    )
    readonly_fields = ("outcome", "laid_out_request", "laid_out_answer")

    @display(description=_("запрос"))
    def laid_out_request(self, exchange: Exchange) -> SafeString:
        return _body(exchange.request)

    @display(description=_("тело ответа"))
    def laid_out_answer(self, exchange: Exchange) -> SafeString:
        return _body(exchange.response)

    @display(description=_("ответ"), label={"ok": "success", "bad": "danger"})
    def outcome(self, exchange: Exchange) -> tuple[str, Any]:
        well = exchange.status is not None and exchange.status < 400
        return console.Label("ok" if well else "bad", exchange.status or exchange.error or "—")


def _body(text: str) -> SafeString:
    return format_html('<pre class="armor-pre">{}</pre>', reading.pretty(text) or "—")
