"""What an invoice writes to the ledger at each step of its life."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import QuerySet, Sum

from apps.billing.models import CreditNote, Invoice, InvoiceLine, InvoicePurpose, InvoiceState
from apps.core import clock
from apps.core.money import rounded
from apps.core.tenancy import current_partner
from apps.ledger.ledger import Account, Owner, Posting, Sale, post
from apps.ledger.models import Transfer
from apps.payments.models import Refund

if TYPE_CHECKING:
    from apps.billing.run import Bill

KIND, CREDIT = "invoice", "credit"


def issued(invoice: Invoice) -> None:
    """The customer owes: receivable from deferred income and VAT, less what the balance pays."""
    _post(invoice, _whole_debt(invoice))


def of_bill(bill: "Bill") -> Iterator[Posting]:
    """`issued` of an invoice that is yet to be written: net and VAT of each line, and what the balance pays."""
    subscription = bill.subscription
    for position, line in enumerate(bill.lines, start=1):
        base = Posting(
            debit=Account.RECEIVABLE,
            credit=Account.DEFERRED,
            amount=line.charge.amount - line.vat,
            name=f"net-{position}",
            currency=subscription.currency,
            owner=line.terms["owner"],
            kind=Sale.RENEWAL,
            seller_id=subscription.legal_entity_id,
            customer_id=subscription.customer_id,
            subscription_id=line.facts.subscription.pk,
            channel_id=subscription.channel_id,
            product_id=line.facts.subscription.product_id,
            tariff_version_id=line.facts.term(line.charge.phase).tariff_version_id,
            provider_id=line.terms["provider_id"],
            vat_rate=line.vat_rate,
        )
        yield base
        if line.vat:
            yield replace(base, credit=Account.VAT, amount=line.vat, name=f"vat-{position}")
    if bill.credit_applied:
        yield replace(
            base,
            debit=Account.ADVANCES,
            credit=Account.RECEIVABLE,
            amount=bill.credit_applied,
            name="balance",
        )


def taken_back(invoice: Invoice) -> None:
    """The mirror of `issued`: the invoice is void."""
    _post(
        invoice,
        [
            replace(posting, debit=posting.credit, credit=posting.debit, name=f"void-{posting.name}")
            for posting in _whole_debt(invoice)
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


def credited(invoice: Invoice, amount: Decimal, *, document_id: UUID) -> None:
    """So much of a paid invoice is owed no more, nor earned by anybody: `amount` of it went back.

    `document_id` is the refund's: it credits once. Parts are counted from the running total, so that the parts of
    an invoice that went back piece by piece add up to the whole of it to the last kopeck.
    """
    before = credited_so_far(invoice)
    done = _recognised_lines(invoice)
    _post(
        invoice,
        [
            posting
            for line, was, becomes in _parts(invoice, before, before + amount)
            for posting in _credit(invoice, line, was, becomes, is_earned=line.position in done)
        ],
        kind=CREDIT,
        document_id=document_id,
    )


def note(credit: CreditNote) -> None:
    """A credit note: income and VAT go back, to the debt, the balance or the payer; the partner's share with it."""
    postings = []
    parts = credit.lines.select_related("invoice_line__invoice").order_by("pk")
    for position, part in enumerate(parts, start=1):
        line, invoice = part.invoice_line, part.invoice_line.invoice
        base = replace(_base(invoice, line), credit=Account.RECEIVABLE, kind=Sale.REFUND)
        income = Account.REVENUE if line.position in _recognised_lines(invoice) else Account.DEFERRED
        postings += [
            replace(base, debit=income, amount=part.amount - part.vat, name=f"net-{position}"),
            replace(base, debit=Account.VAT, amount=part.vat, name=f"vat-{position}"),
        ]
        if credit.invoice.state == InvoiceState.PAID:
            postings.append(
                replace(
                    base,
                    debit=Account.PARTNER_PAYABLE,
                    credit=Account.PARTNER_SHARE,
                    amount=_part(share(line), line, line.credited)
                    - _part(share(line), line, line.credited - part.amount),
                    name=f"share-{position}",
                )
            )
    if credit.to_balance:
        postings.append(
            replace(
                base,
                debit=Account.RECEIVABLE,
                credit=Account.ADVANCES,
                amount=credit.to_balance,
                name="balance",
            )
        )
    post("credit_note", credit.pk, postings, occurred_at=clock.now(), business_date=clock.today())


def is_credited(refund: Refund) -> bool:
    """Whether a refund has been taken off its invoice already."""
    return _mine().filter(document_kind=CREDIT, document_id=refund.pk).exists()


def credited_so_far(invoice: Invoice) -> Decimal:
    """What stands in the ledger as given back of an invoice."""
    refunds = Refund.objects.filter(payment__invoice_payment__invoice=invoice).values_list("pk", flat=True)
    found = _mine().filter(document_kind=CREDIT, document_id__in=list(refunds), credit=Account.RECEIVABLE)
    return found.aggregate(total=Sum("amount"))["total"] or Decimal("0.00")


def _credit(
    invoice: Invoice, line: InvoiceLine, was: Decimal, becomes: Decimal, *, is_earned: bool
) -> list[Posting]:
    vat = _part(line.vat, line, becomes) - _part(line.vat, line, was)
    base = replace(_base(invoice, line), credit=Account.RECEIVABLE, kind=Sale.REFUND)
    income = Account.REVENUE if is_earned else Account.DEFERRED
    return [
        replace(base, debit=income, amount=becomes - was - vat, name=f"credit-net-{line.position}"),
        replace(base, debit=Account.VAT, amount=vat, name=f"credit-vat-{line.position}"),
        replace(
            base,
            debit=Account.PARTNER_PAYABLE,
            credit=Account.PARTNER_SHARE,
            amount=_part(share(line), line, becomes) - _part(share(line), line, was),
            name=f"credit-share-{line.position}",
        ),
    ]


def _parts(
    invoice: Invoice, before: Decimal, after: Decimal
) -> Iterator[tuple[InvoiceLine, Decimal, Decimal]]:
    """Each line with what is credited of it at either total of the invoice."""
    below = Decimal(0)
    for line in _lines(invoice):
        above = below + line.amount
        was, becomes = (
            rounded(above * total / invoice.total) - rounded(below * total / invoice.total)
            for total in (before, after)
        )
        yield line, was, becomes
        below = above


def _part(whole: Decimal, line: InvoiceLine, credited: Decimal) -> Decimal:
    return rounded(whole * credited / line.amount) if line.amount else Decimal(0)


def _recognised_lines(invoice: Invoice) -> set[int]:
    names = _mine().filter(document_id=invoice.pk, posting__startswith="recognised-")
    return {int(name.rpartition("-")[2]) for name in names.values_list("posting", flat=True)}


def _mine() -> QuerySet[Transfer]:
    return Transfer.objects.filter(partner_id=current_partner().pk)


def recognised(invoice: Invoice, line: InvoiceLine) -> None:
    """The period is over: deferred income is revenue now, what was given back or credited of it aside."""
    so_far = credited_so_far(invoice)
    [back] = [was for found, was, _same in _parts(invoice, so_far, so_far) if found.pk == line.pk]
    noted = sum((one.amount - one.vat for one in line.credits.all()), Decimal(0))
    posting = replace(
        _base(invoice, line),
        debit=Account.DEFERRED,
        credit=Account.REVENUE,
        amount=line.amount - line.vat - (back - _part(line.vat, line, back)) - noted,
        name=f"recognised-{line.position}",
    )
    _post(invoice, [posting])


def share(line: InvoiceLine) -> Decimal:
    """The partner's part of a line, in its currency."""
    base = line.amount if line.terms.get("share_base") == "gross" else line.amount - line.vat
    return rounded(base * Decimal(line.terms.get("share_percent") or 0) / 100)


def _whole_debt(invoice: Invoice) -> list[Posting]:
    lines = _lines(invoice)
    debt = [posting for line in lines for posting in _debt(invoice, line)]
    if invoice.credit_applied:
        base = replace(_base(invoice, lines[-1]), debit=Account.ADVANCES, credit=Account.RECEIVABLE)
        debt.append(replace(base, amount=invoice.credit_applied, name="balance"))
    return debt


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


def _lines(invoice: Invoice) -> list[InvoiceLine]:
    return list(invoice.lines.all())


def _post(
    invoice: Invoice, postings: list[Posting], *, kind: str = KIND, document_id: UUID | None = None
) -> None:
    document_id = document_id or invoice.pk
    post(kind, document_id, postings, occurred_at=clock.now(), business_date=clock.today())
