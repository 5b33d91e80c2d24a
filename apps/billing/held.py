"""A first invoice whose money is only held: the product is given on that, and the hold goes with the sale."""

from django.db.models import Q

from apps.billing import invoices
from apps.billing.models import Invoice, InvoicePayment, InvoicePurpose, InvoiceState, Subscription
from apps.core.errors import Refused
from apps.payments import payments
from apps.payments.models import PaymentState

ON_HOLD = Q(
    invoice__state=InvoiceState.OPEN,
    invoice__purpose=InvoicePurpose.NEW,
    invoice__payments__failed=False,
    invoice__payments__payment__state=PaymentState.AUTHORIZED,
)
"""Lines of invoices whose periods began with a hold, for who reads what is paid for."""


def let_go(subscription: Subscription, *, actor: str = "") -> None:
    """A locked subscription is over before its first money was taken: the invoice is void, the hold is released.

    What was decided to be taken already, and comes, is given back in full as all that comes for a void invoice.
    """
    link = (
        InvoicePayment.objects.filter(
            invoice__subscription=subscription,
            invoice__purpose=InvoicePurpose.NEW,
            failed=False,
            payment__state=PaymentState.AUTHORIZED,
        )
        .order_by("pk")
        .first()
    )
    if link is None:
        return
    invoice: Invoice = invoices.locked(link.invoice_id)
    if invoice.state != InvoiceState.OPEN:
        return
    try:
        payments.release(link.payment_id, actor=actor)
    except Refused:
        # It is being taken, or the gateway has let go of it.
        pass
    invoices.void(invoice)
