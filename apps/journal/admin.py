"""Console: who did what, and what was said to other systems."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps.core import console
from apps.journal.models import Entry, Exchange

BOTH = (console.operator_site, console.partner_site)


@console.register(Entry, sites=BOTH)
class EntryAdmin(console.ReadOnlyAdmin):
    """«Журнал действий»: the platform's on its console, a partner's on the partner's."""

    view_roles = ()
    list_display = ("at", "actor", "action", "object_kind", "object_id")
    list_filter = ("action", "object_kind")
    search_fields = ("=object_id", "actor")


@console.register(Exchange, sites=BOTH)
class ExchangeAdmin(console.ReadOnlyAdmin):
    """«Журнал обмена»: requests and answers without secrets."""

    view_roles = ("manager",)
    list_display = ("at", "method", "url", "outcome", "milliseconds")
    list_filter = ("method", "status")
    search_fields = ("url",)

    @display(description=_("ответ"), label={"ok": "success", "bad": "danger"})
    def outcome(self, exchange: Exchange) -> tuple[str, Any]:
        well = exchange.status is not None and exchange.status < 400
        return ("ok" if well else "bad"), exchange.status or exchange.error or "—"
