"""What a payment was for, as its fiscal receipt says it: the lines of its invoice, their VAT, on whose behalf."""

from collections.abc import Sequence

from apps.billing import economics
from apps.billing.models import InvoiceLine, InvoicePayment
from apps.payments import receipt_lines
from apps.payments.cash_register import Agent
from apps.payments.models import Payment
from apps.payments.receipt_lines import Sold
from apps.providers.models import Provider


@receipt_lines.composer
def of_payment(payment: Payment) -> Sequence[Sold]:
    """The lines of the invoice that a payment pays; nothing for a payment of no invoice."""
    link = InvoicePayment.objects.select_related("invoice").filter(payment=payment).first()
    if link is None:
        return []
    return [_sold(line) for line in link.invoice.lines.all()]


def _sold(line: InvoiceLine) -> Sold:
    return Sold(
        name=line.description,
        quantity=line.quantity,
        amount=line.amount - line.credited,
        vat_rate=line.vat_rate,
        agent=_agent(line),
        is_ahead=line.subscription_id is not None,
    )


def _agent(line: InvoiceLine) -> Agent | None:
    if not economics.is_agency(line):
        return None
    supplier = Provider.objects.get(pk=line.terms["provider_id"])
    return Agent(
        kind="agent",
        supplier_name=supplier.legal_name or supplier.name,
        supplier_inn=supplier.inn,
        supplier_phone=supplier.phone,
    )
