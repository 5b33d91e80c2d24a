"""What every posting of an invoice has: its dimensions, its lines, and what its gateway kept."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db.models import QuerySet

from apps.billing.economics import Move
from apps.billing.models import Invoice, InvoiceLine, InvoicePayment, InvoicePurpose
from apps.core import clock
from apps.core.money import rounded
from apps.core.tenancy import current_partner
from apps.ledger import ledger
from apps.ledger.ledger import Account, Owner, Posting, Sale
from apps.ledger.models import Transfer
from apps.partners.models import ShareBase

KIND, CREDIT, NOTE, PAYOUT = "invoice", "credit", "credit_note", "payout"
ZERO = Decimal("0.00")


def base_of(invoice: Invoice, line: InvoiceLine) -> Posting:
    """A posting of a line, of nothing yet."""
    return Posting(
        debit=Account.RECEIVABLE,
        credit=Account.DEFERRED,
        amount=Decimal(0),
        name="",
        currency=invoice.currency,
        owner=Owner(line.terms["owner"]),
        kind=Sale.NEW if invoice.purpose == InvoicePurpose.NEW else Sale.RENEWAL,
        seller_id=invoice.legal_entity_id,
        customer_id=invoice.customer_id,
        subscription_id=line.subscription_id or invoice.subscription_id,
        channel_id=invoice.channel_id,
        product_id=line.product_id,
        tariff_version_id=line.tariff_version_id,
        provider_id=line.terms["provider_id"],
        vat_rate=line.vat_rate,
    )


def lines_of(invoice: Invoice) -> list[InvoiceLine]:
    """Its lines, in their order."""
    return list(invoice.lines.all())


def post(
    invoice: Invoice,
    postings: list[Posting],
    *,
    kind: str = KIND,
    document_id: UUID | None = None,
    day: date | None = None,
) -> None:
    """Writes postings about an invoice, or about a document of it."""
    document_id = document_id or invoice.pk
    ledger.post(kind, document_id, postings, occurred_at=clock.now(), business_date=day or clock.today())


def moved(invoice: Invoice, line: InvoiceLine, move: Move, name: str) -> Posting:
    """A move of money of a line as a posting."""
    return replace(
        base_of(invoice, line), debit=move.debit, credit=move.credit, amount=move.amount, name=name
    )


def fees_of(invoice: Invoice, lines: list[InvoiceLine]) -> dict[UUID, Decimal]:
    """Each line's part of what the gateway kept of the invoice's payment; looked up only where terms ask for it."""
    fees = dict.fromkeys((line.pk for line in lines), Decimal("0.00"))
    asked = (line.terms.get(f"{name}_base") for line in lines for name in ("share", "cost"))
    if ShareBase.FEE not in asked or not invoice.total:
        return fees
    link = InvoicePayment.objects.select_related("payment").filter(invoice=invoice, failed=False).first()
    # A partner's own gateway charges the partner.
    fee = link.payment.fee if link and lines[0].terms["owner"] == Owner.OPERATOR else Decimal(0)
    below = Decimal(0)
    for line in lines:
        above = below + line.amount
        fees[line.pk] = rounded(fee * above / invoice.total) - rounded(fee * below / invoice.total)
        below = above
    return fees


def transfers() -> QuerySet[Transfer]:
    """The partner's postings."""
    return Transfer.objects.filter(partner_id=current_partner().pk)


def paid_on(invoice: Invoice) -> date | None:
    """The day on which it was paid, by the partner's clock."""
    return clock.local(invoice.paid_at).date() if invoice.paid_at else None
