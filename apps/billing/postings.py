"""What an invoice writes to the ledger when it is issued, void or paid, and when a balance is paid out.

What goes back of it stands in `crediting`, what is earned with its days in `earning`.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from apps.billing import economics
from apps.billing.given_back import Taken, taken_of
from apps.billing.models import Invoice, InvoiceLine
from apps.billing.payout_models import BalancePayout
from apps.billing.posting_parts import PAYOUT, base_of, fees_of, lines_of, moved, post
from apps.catalog.models import Trade
from apps.ledger.ledger import Account, Posting, Sale

if TYPE_CHECKING:
    from apps.billing.run import Bill


def issued(invoice: Invoice) -> None:
    """The customer owes: receivable from deferred income and VAT (or a principal), less what the balance pays."""
    post(invoice, _whole_debt(invoice))


def of_bill(bill: "Bill") -> Iterator[Posting]:
    """`issued` of an invoice that is yet to be written: net and VAT of each line, and what the balance pays."""
    subscription = bill.subscription
    for position, line in enumerate(bill.lines, start=1):
        is_agency = line.terms.get("trade") == Trade.AGENCY
        base = Posting(
            debit=Account.RECEIVABLE,
            credit=Account.AGENCY if is_agency else Account.DEFERRED,
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
            credit = Account.AGENCY if is_agency else Account.VAT
            yield replace(base, credit=credit, amount=line.vat, name=f"vat-{position}")
    if bill.credit_applied:
        yield replace(
            base,
            debit=Account.ADVANCES,
            credit=Account.RECEIVABLE,
            amount=bill.credit_applied,
            name="balance",
        )


def taken_back(invoice: Invoice) -> None:
    """The mirror of `issued`, less what notes have taken off the debt: the invoice is void."""
    post(
        invoice,
        [
            replace(posting, debit=posting.credit, credit=posting.debit, name=f"void-{posting.name}")
            for posting in _whole_debt(invoice, less_notes=True)
        ],
    )


def paid(invoice: Invoice) -> None:
    """Partner and provider have earned what is theirs with the payment, by the terms in force at the sale."""
    lines = lines_of(invoice)
    fees = fees_of(invoice, lines)
    post(
        invoice,
        [
            moved(invoice, line, move, f"{move.name}-{line.position}")
            for line in lines
            for move in economics.earned(line, fees[line.pk], line.amount - line.credited, economics.PAYMENT)
        ],
    )


def paid_out(payout: BalancePayout, invoice: Invoice) -> None:
    """So much of the balance is owed in money now: its refund, on its way, settles that."""
    base = replace(base_of(invoice, lines_of(invoice)[-1]), kind=Sale.REFUND, name="paid-out")
    post(
        invoice,
        [replace(base, debit=Account.ADVANCES, credit=Account.RECEIVABLE, amount=payout.amount)],
        kind=PAYOUT,
        document_id=payout.pk,
    )


def payout_returned(payout: BalancePayout, invoice: Invoice) -> None:
    """The mirror of `paid_out`: the gateway would not send it."""
    base = replace(base_of(invoice, lines_of(invoice)[-1]), kind=Sale.REFUND, name="returned")
    post(
        invoice,
        [replace(base, debit=Account.RECEIVABLE, credit=Account.ADVANCES, amount=payout.amount)],
        kind=PAYOUT,
        document_id=payout.pk,
    )


def _whole_debt(invoice: Invoice, *, less_notes: bool = False) -> list[Posting]:
    lines = lines_of(invoice)
    taken = taken_of(invoice, lines) if less_notes and invoice.debt_credited else {}
    debt = [posting for line in lines for posting in _debt(invoice, line, taken.get(line.pk, Taken()))]
    if invoice.credit_applied:
        base = replace(base_of(invoice, lines[-1]), debit=Account.ADVANCES, credit=Account.RECEIVABLE)
        debt.append(replace(base, amount=invoice.credit_applied, name="balance"))
    return debt


def _debt(invoice: Invoice, line: InvoiceLine, less: Taken) -> list[Posting]:
    base = replace(base_of(invoice, line), credit=economics.income(line))
    amount, tax = line.amount - less.gross, line.vat - less.vat
    net = replace(base, amount=amount - tax, name=f"net-{line.position}")
    vat = replace(base, credit=economics.tax(line), amount=tax, name=f"vat-{line.position}")
    return [net, vat]
