"""What must hold of bank statements: money is on invoices once, and no more of it than came."""

from collections.abc import Iterator
from decimal import Decimal

from django.db.models import F, Q, Sum
from django.db.models.functions import Coalesce

from apps.billing.paperwork import OutsidePayment
from apps.core import audit
from apps.core.tenancy import current_partner
from apps.settlements import provider_audits, reconciliation_audits
from apps.settlements.models import Allocation, BankLine, LineState


@audit.rule("settlements.line-adds-up", scope="public", of=(BankLine,))
def line_adds_up() -> Iterator[str]:
    """Invoices took all of a line that is matched, and of no line more than came."""
    lines = BankLine.objects.annotate(taken=Coalesce(Sum("allocations__amount"), Decimal("0.00")))
    matched = Q(state=LineState.MATCHED)
    wrong = matched & ~Q(taken=F("amount")) | ~matched & Q(taken__gte=F("amount"))
    for line in lines.filter(wrong):
        yield f"Bank line {line.pk} of {line.amount}, {line.state}: invoices took {line.taken}"


@audit.rule(
    "settlements.allocation-is-received",
    of=(
        Allocation,
        audit.some(OutsidePayment, key__startswith="bank:"),
    ),
)
def allocation_is_received() -> Iterator[str]:
    """What a line paid of an invoice is a receipt there, of the same sum; and no receipt of a line is without it."""
    mine = {one.outside_payment_id: one for one in Allocation.objects.filter(partner=current_partner())}
    receipts = {
        one.pk: one for one in OutsidePayment.objects.filter(Q(pk__in=mine) | Q(key__startswith="bank:"))
    }
    for pk, one in mine.items():
        receipt = receipts.get(pk)
        told = (receipt.invoice_id, receipt.total.amount) if receipt else None
        if told != (one.invoice_id, one.amount):
            yield f"Allocation {one.pk} of {one.amount} to {one.invoice_id}: received {told}"
    for pk in receipts.keys() - mine.keys():
        yield f"Receipt {pk} says that it is of a bank line, which has not paid it"


__all__ = ["provider_audits", "reconciliation_audits"]
"""Rules of their own, registered when they are imported here."""
