"""What an invoice writes to the ledger at each step of its life."""

from dataclasses import replace
from decimal import Decimal

from apps.billing.models import Invoice, InvoiceLine
from apps.core import clock
from apps.core.money import rounded
from apps.ledger.ledger import Account, Owner, Posting, Sale, post

KIND = "invoice"


def issued(invoice: Invoice) -> None:
    """The customer owes: receivable from deferred income and VAT."""
    _post(invoice, [posting for line in _lines(invoice) for posting in _debt(invoice, line)])


def taken_back(invoice: Invoice, name: str) -> None:
    """The mirror of `issued`: the invoice was void or its money went back. `name` says which."""
    _post(
        invoice,
        [
            replace(
                posting,
                debit=posting.credit,
                credit=posting.debit,
                name=f"{name}-{posting.name}",
                kind=Sale.REFUND if name == "refund" else posting.kind,
            )
            for line in _lines(invoice)
            for posting in _debt(invoice, line)
        ],
    )


def paid(invoice: Invoice) -> None:
    """The partner has earned its share, by the contract in force when the thing was sold."""
    _post(
        invoice,
        [
            replace(
                _base(invoice, line),
                debit=Account.PARTNER_SHARE,
                credit=Account.PARTNER_PAYABLE,
                amount=share(line),
                name=f"share-{line.position}",
            )
            for line in _lines(invoice)
        ],
    )


def share_taken_back(invoice: Invoice) -> None:
    """The money went back to the customer, so the partner has not earned its share."""
    _post(
        invoice,
        [
            replace(
                _base(invoice, line),
                debit=Account.PARTNER_PAYABLE,
                credit=Account.PARTNER_SHARE,
                amount=share(line),
                name=f"refund-share-{line.position}",
                kind=Sale.REFUND,
            )
            for line in _lines(invoice)
        ],
    )


def recognised(invoice: Invoice, line: InvoiceLine) -> None:
    """The period is over: deferred income is revenue now."""
    posting = replace(
        _base(invoice, line),
        debit=Account.DEFERRED,
        credit=Account.REVENUE,
        amount=line.amount - line.vat,
        name=f"recognised-{line.position}",
    )
    _post(invoice, [posting])


def share(line: InvoiceLine) -> Decimal:
    """The partner's part of a line, in its currency."""
    base = line.amount if line.terms.get("share_base") == "gross" else line.amount - line.vat
    return rounded(base * Decimal(line.terms.get("share_percent") or 0) / 100)


def _debt(invoice: Invoice, line: InvoiceLine) -> list[Posting]:
    net = replace(_base(invoice, line), amount=line.amount - line.vat, name=f"net-{line.position}")
    vat = replace(net, credit=Account.VAT, amount=line.vat, name=f"vat-{line.position}")
    return [net, vat]


def _base(invoice: Invoice, line: InvoiceLine) -> Posting:
    return Posting(
        debit=Account.RECEIVABLE,
        credit=Account.DEFERRED,
        amount=Decimal(0),
        name="",
        currency=invoice.currency,
        owner=Owner(line.terms["owner"]),
        kind=Sale(invoice.purpose),
        seller_id=invoice.legal_entity_id,
        customer_id=invoice.customer_id,
        subscription_id=invoice.subscription_id,
        channel_id=invoice.channel_id,
        product_id=line.product_id,
        tariff_version_id=line.tariff_version_id,
        provider_id=line.terms["provider_id"],
        vat_rate=line.vat_rate,
    )


def _lines(invoice: Invoice) -> list[InvoiceLine]:
    return list(invoice.lines.all())


def _post(invoice: Invoice, postings: list[Posting]) -> None:
    post(KIND, invoice.pk, postings, occurred_at=clock.now(), business_date=clock.today())
