"""What of an invoice may still be given back, and what of its payment went onto the balance instead.

Both sides that give, refunds and credit notes, hold the payment's row: what one has given, the other sees.
"""

from collections.abc import Iterable
from decimal import Decimal
from uuid import UUID

from django.db.models import Exists, OuterRef, Sum

from apps.billing.models import CreditNote, Invoice, InvoicePayment, InvoiceState
from apps.billing.payout_models import BalancePayout
from apps.payments import elsewhere
from apps.payments.models import Payment, Purpose, Refund, RefundState

ZERO = Decimal("0.00")
GIVEN_BACK_OF = (InvoiceState.PAID, InvoiceState.REFUNDED)


def lock(invoices: Iterable[UUID]) -> None:
    """Locks the payments of invoices, as a refund locks them; in the order of their ids, before any number."""
    links = InvoicePayment.objects.filter(invoice__in=list(invoices), failed=False)
    keys = list(links.values_list("payment_id", flat=True))
    list(Payment.objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk").values_list("pk"))


def left(invoice: Invoice) -> Decimal:
    """What notes and refunds have not taken of an invoice, refunds on their way counted too.

    Acted on under the locks of the invoice and of its payment.
    """
    noted = CreditNote.objects.filter(invoice=invoice).aggregate(total=Sum("total"))["total"] or ZERO
    mine = InvoicePayment.objects.filter(invoice=invoice, failed=False)
    return invoice.total - noted - _refunded(mine.values_list("payment_id", flat=True))


def _refunded(payments: Iterable[UUID]) -> Decimal:
    """By refunds of their own, made or on their way: those of notes and of payouts are counted with these."""
    rows = Refund.objects.filter(payment__in=payments).exclude(state=RefundState.FAILED)
    rows = rows.exclude(payment__purpose=Purpose.BINDING).filter(
        ~Exists(CreditNote.objects.filter(pk=OuterRef("pk")))
    )
    sums = rows.aggregate(total=Sum("amount"))["total"] or ZERO
    paid_out = BalancePayout.objects.filter(pk__in=rows.values("pk")).aggregate(total=Sum("amount"))["total"]
    return sums - (paid_out or ZERO)


@elsewhere.teller
def on_balance(payment: Payment) -> Decimal:
    """Of a payment: what credit notes of its invoice put onto the balance, and no payout has sent back since.

    What the notes took of an invoice is taken, as far as it goes, from what the balance had paid of it.
    """
    if payment.purpose == Purpose.BINDING:
        return ZERO
    link = InvoicePayment.objects.select_related("invoice").filter(payment=payment, failed=False).first()
    if link is None or link.invoice.state not in GIVEN_BACK_OF:
        return ZERO
    return max(payment.at_gateway() - max(left(link.invoice), ZERO), ZERO)
