"""An add-on is cancelled while the next bill of its subscription is unpaid: nobody pays for days it will not have."""

from collections.abc import Iterable

from apps.billing import credits
from apps.billing.models import (
    Collection,
    CreditReason,
    Invoice,
    InvoiceLine,
    InvoicePurpose,
    InvoiceState,
    Subscription,
    SubscriptionState,
)
from apps.core.errors import Refused

_LOWERED = (Collection.CHARGE.value, Collection.INVOICE.value)
"""Collections whose open invoices may come to less: a partner was told another sum already."""
_NOT_YET = {"payment_under_way", "void_instead"}


def is_over(line: InvoiceLine) -> bool:
    """Whether a line is of days that begin when its cancelled add-on has ended."""
    addon = line.subscription
    if addon is None or not addon.parent_id or not line.period_start or not addon.current_period_end:
        return False
    goes = addon.cancel_at_period_end or addon.state == SubscriptionState.ENDED
    return bool(goes and line.period_start >= addon.current_period_end)


def take_off(addon: Subscription, *, actor: str = "") -> None:
    """What a locked add-on, cancelled with its period, would have cost comes off the open bill of its locked parent.

    While a charge of all of it is under way, or where nothing would be left, it stays: paid, it is given back.
    """
    if addon.parent_id is None or addon.collection not in _LOWERED:
        return
    for invoice in Invoice.objects.filter(
        subscription=addon.parent_id, state=InvoiceState.OPEN, purpose=InvoicePurpose.RENEWAL
    ).order_by("pk"):
        try:
            _credit(invoice, invoice.lines.filter(subscription=addon), key=f"off:{addon.pk}", actor=actor)
        except Refused as refused:
            if refused.code not in _NOT_YET:
                raise


def give_back(invoice: Invoice) -> None:
    """A locked invoice has been paid all the same: the money of such lines goes back as it came."""
    if invoice.subscription_id is not None and invoice.purpose == InvoicePurpose.RENEWAL:
        others = invoice.lines.exclude(subscription=invoice.subscription_id)
        _credit(invoice, others, key="off:paid", to_card=True)


def _credit(
    invoice: Invoice, lines: Iterable[InvoiceLine], *, key: str, actor: str = "", to_card: bool = False
) -> None:
    parts = [
        credits.Part(line.pk, line.amount - line.credited, line.period_start, line.period_end)
        for line in lines
        if is_over(line) and line.amount > line.credited
    ]
    if parts:
        credits.issue(
            invoice=invoice,
            parts=parts,
            reason=CreditReason.CANCELLATION,
            key=f"{key}:{invoice.pk}",
            to_card=to_card,
            actor=actor,
        )
