"""What a refund and a credit note write to the ledger: income, VAT and what others had earned go back."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from apps.billing import economics, recognition
from apps.billing.earning import gone_of, own_of, recognised_lines, recognised_parts, unearned
from apps.billing.economics import Move
from apps.billing.given_back import Taken, spread, taken_of
from apps.billing.models import CreditNote, Invoice, InvoiceLine, InvoiceState
from apps.billing.posting_parts import (
    CREDIT,
    NOTE,
    base_of,
    fees_of,
    lines_of,
    moved,
    paid_on,
    post,
    transfers,
)
from apps.core import clock
from apps.ledger import ledger
from apps.ledger.ledger import Account, Posting, Sale
from apps.payments.models import Refund


def credited(invoice: Invoice, amount: Decimal, *, document_id: UUID) -> None:
    """So much of a paid invoice is owed no more, nor earned by anybody: `amount` of it went back.

    `document_id` is the refund's: it credits once. It is spread over what is left of the lines, so that the parts
    of an invoice that went back piece by piece add up to the whole of it to the last kopeck.
    """
    lines = lines_of(invoice)
    fees, taken, done = fees_of(invoice, lines), taken_of(invoice, lines), recognised_lines(invoice)
    known, went = recognised_parts(invoice), gone_of(lines, taken)
    postings = []
    for line, gross in spread(amount, lines, taken):
        was, is_earned = taken[line.pk], line.position in done
        tax = was.rest_of_vat(line, gross)
        base = replace(base_of(invoice, line), credit=Account.RECEIVABLE, kind=Sale.REFUND)
        sides = _sides_of_credit(line, is_earned=is_earned)
        postings += [
            replace(base, debit=sides[0], amount=gross - tax, name=f"credit-net-{line.position}"),
            replace(base, debit=sides[1], amount=tax, name=f"credit-vat-{line.position}"),
        ]
        for move in _back(invoice, line, fees[line.pk], was.gross, was.gross + gross, is_earned=is_earned):
            posting = moved(invoice, line, move, f"credit-{move.name}-{line.position}")
            postings.append(replace(posting, kind=Sale.REFUND))
        if not is_earned:
            own = own_of(line, fees[line.pk], Taken(was.gross + gross, was.vat + tax))
            gone = [*went[line.pk], recognition.Gone(gross)]
            back = unearned(line, own, gone, known[line.position].amount)
            postings.append(_reversed(base, back, f"credit-unearned-{line.position}"))
    post(invoice, postings, kind=CREDIT, document_id=document_id)


def note(credit: CreditNote) -> None:
    """A credit note: income and VAT go back, to the debt, the balance or the payer; what others earned with it.

    Its lines are written, and counted in what is credited of the invoice's.
    """
    parts = list(credit.lines.select_related("invoice_line__invoice").order_by("pk"))
    invoice = parts[0].invoice_line.invoice
    lines = {one.invoice_line_id: one.invoice_line for one in parts}
    fees, done = fees_of(invoice, lines_of(invoice)), recognised_lines(invoice)
    taken, known = taken_of(invoice, lines.values()), recognised_parts(invoice)
    went, last = gone_of(lines.values(), taken), {one.invoice_line_id: one for one in parts}
    gone = {key: one.gross for key, one in taken.items()}
    for one in parts:
        gone[one.invoice_line_id] -= one.amount
    postings = []
    for position, one in enumerate(parts, start=1):
        line, was = lines[one.invoice_line_id], gone[one.invoice_line_id]
        is_earned = line.position in done
        base = replace(base_of(invoice, line), credit=Account.RECEIVABLE, kind=Sale.REFUND)
        sides = _sides_of_credit(line, is_earned=is_earned)
        postings += [
            replace(base, debit=sides[0], amount=one.amount - one.vat, name=f"net-{position}"),
            replace(base, debit=sides[1], amount=one.vat, name=f"vat-{position}"),
        ]
        gone[one.invoice_line_id] = becomes = was + one.amount
        if credit.invoice.state == InvoiceState.PAID:
            for move in _back(invoice, line, fees[line.pk], was, becomes, is_earned=is_earned):
                posting = moved(invoice, line, move, f"{move.name}-{position}")
                postings.append(replace(posting, kind=Sale.REFUND))
        # Several parts of one line are counted together, with the last of them.
        if not is_earned and last[line.pk] is one:
            own = own_of(line, fees[line.pk], taken[line.pk])
            back = unearned(line, own, went[line.pk], known[line.position].amount)
            postings.append(_reversed(base, back, f"unearned-{position}"))
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
    ledger.post(NOTE, credit.pk, postings, occurred_at=clock.now(), business_date=clock.today())


def note_returned(credit: CreditNote) -> None:
    """What a credit note was to send back could not be sent: it stands on the balance, beside what it put there."""
    last = credit.lines.select_related("invoice_line__invoice").order_by("pk").reverse()[0]
    invoice = last.invoice_line.invoice
    base = replace(base_of(invoice, last.invoice_line), kind=Sale.REFUND, name="returned")
    post(
        invoice,
        [replace(base, debit=Account.RECEIVABLE, credit=Account.ADVANCES, amount=credit.to_refund)],
        kind=NOTE,
        document_id=credit.pk,
    )


def is_note_returned(credit: CreditNote) -> bool:
    """Whether what a credit note was to send back stands on the balance instead."""
    return transfers().filter(document_kind=NOTE, document_id=credit.pk, posting="returned").exists()


def _reversed(base: Posting, amount: Decimal, name: str) -> Posting:
    """Revenue of days that were recognised goes back to what is yet to be earned, and from there to the customer."""
    return replace(base, debit=Account.REVENUE, credit=Account.DEFERRED, amount=amount, name=name)


def is_credited(refund: Refund) -> bool:
    """Whether a refund has been taken off its invoice already."""
    return transfers().filter(document_kind=CREDIT, document_id=refund.pk).exists()


def _sides_of_credit(line: InvoiceLine, *, is_earned: bool) -> tuple[str, str]:
    """What is debited for the net and for the VAT of a line that is owed no more."""
    income = economics.income(line)
    return Account.REVENUE if is_earned and income == Account.DEFERRED else income, economics.tax(line)


def _back(
    invoice: Invoice, line: InvoiceLine, fee: Decimal, was: Decimal, becomes: Decimal, *, is_earned: bool
) -> Iterator[Move]:
    """What others had earned of a paid line and earn no more; a commission that was revenue is taken out of it."""
    moments = (economics.PAYMENT, economics.SERVICE) if is_earned else (economics.PAYMENT,)
    last = economics.window_ends(line, paid_on(invoice))
    is_late = last is not None and clock.today() > last
    for move in economics.taken_back(line, fee, was, becomes, moments=moments, is_late=is_late):
        if is_earned and move.name == "commission":
            yield replace(move, debit=Account.REVENUE)
        else:
            yield move
