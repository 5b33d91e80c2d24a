"""What the console's pages of money share: states in colours, sums, deadlines, and who may move money."""

from datetime import datetime
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import display

from apps.core import clock, console

COLOURS = {
    "created": "info",
    "requested": "warning",
    "sending": "info",
    "authorized": "warning",
    "pending": "info",
    "unknown": "warning",
    "succeeded": "success",
    "failed": "danger",
    "refunded": "warning",
    "needs_response": "danger",
    "under_review": "info",
    "won": "success",
    "lost": "danger",
    "accepted": "warning",
    "waiting": "warning",
    "ready": "info",
    "exported": "info",
    "paid": "success",
    "cancelled": "danger",
}
MONEY_ROLES = ("finance",)
EXCHANGE_ROLES = ("manager", "finance", "support")
"""Who sees what was said to a gateway: it holds no secrets, and support is asked why a payment failed."""


class MoneyAdmin(console.ReadOnlyAdmin):
    """Money documents change only by what the gateway says."""

    @display(description=_("состояние"), label=COLOURS)
    def shown_state(self, row: Any) -> tuple[str, Any]:
        return console.Label(row.state, row.get_state_display())

    @display(description=_("сумма"))
    def shown_amount(self, row: Any) -> str:
        return str(row.money)

    def has_money_permission(self, request: Any, object_id: Any = None) -> bool:
        """Who may move money: finance, and administrators."""
        return bool(request.rights.may(*MONEY_ROLES))


def days_left(until: datetime | None) -> SafeString | str:
    """«осталось 3 дня», «сегодня», «просрочено на 2 дня» in red; a dash where there is no deadline."""
    if until is None:
        return "—"
    left = (clock.local(until).date() - clock.today()).days
    day = f"{clock.local(until):%d.%m.%Y}"
    if left < 0:
        late = ngettext("просрочено на %d день", "просрочено на %d дней", -left) % -left
        return format_html('<strong class="text-red-700 dark:text-red-400">{} · {}</strong>', late, day)
    if left == 0:
        return format_html(
            '<strong class="text-red-700 dark:text-red-400">{} · {}</strong>', _("последний день"), day
        )
    told = ngettext("остался %d день", "осталось %d дней", left) % left
    return format_html("{} · {}", told, day)
