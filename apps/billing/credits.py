"""Credit notes: less owed on an issued invoice, onto the customer's balance or back to where it came from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from apps.billing import balances, crediting, given_back, invoices, mailing, money_in, returnable
from apps.billing.models import (
    CreditNote,
    CreditNoteLine,
    Invoice,
    InvoiceLine,
    InvoicePayment,
    InvoiceState,
)
from apps.core import clock, events, search
from apps.core.errors import Refused
from apps.core.money import Money
from apps.core.tenancy import current_partner
from apps.partners import books
from apps.payments import payments
from apps.policies import numbering

KIND = "billing.CreditNote"


@dataclass(frozen=True, slots=True)
class Part:
    """So much of an invoice line, for the days [start, end) (None: of no days in particular)."""

    line: UUID
    amount: Decimal
    start: date | None = None
    end: date | None = None


def issue(
    *,
    invoice: Invoice,
    parts: Sequence[Part],
    reason: str,
    key: str,
    to_card: bool = False,
    actor: str = "",
) -> CreditNote:
    """A numbered note about lines of one issued invoice, in the caller's transaction.

    What is unpaid lowers the debt; of what is paid, `to_card` goes back by the payment it came with (as far as
    that has it), the rest onto the balance. The VAT is at the line's own rate. With the same `key` it is the
    same note. Raises Refused: `credit_too_much` where refunds and notes have left less; `invoice_closed`; of an
    unpaid invoice `payment_under_way`, `void_instead` where nothing would be left to pay.
    """
    if earlier := CreditNote.objects.filter(key=key).first():
        return earlier
    [invoice] = lock([invoice.pk])
    if earlier := CreditNote.objects.filter(key=key).first():
        return earlier
    invoices.catch_up(invoice)
    lines = {line.pk: line for line in invoice.lines.select_for_update(no_key=True).order_by("pk")}
    note = _write(invoice, lines, parts, reason=reason, key=key, actor=actor)
    _give(note, invoice, to_card=to_card)
    crediting.note(note)
    [note.number] = numbering.allot(
        "credit_note",
        legal_entity_id=note.legal_entity_id,
        partner_id=current_partner().pk,
        year=note.business_date.year,
    )
    note.save(update_fields=["number"])
    search.index(KIND, note.pk, [note.number])
    mailing.plan(note)
    return note


def lock(invoice_ids: Iterable[UUID]) -> list[Invoice]:
    """Invoices that are to be credited, locked with all that a credit goes by, in everybody's order.

    The invoices, the customers' balances, the payments (which refunds lock); numbers come after all of them.
    """
    found = [invoices.locked(key) for key in sorted(invoice_ids)]
    for customer_id, currency in sorted({(one.customer_id, one.currency) for one in found}):
        balances.lock(customer_id, currency)
    returnable.lock([invoice.pk for invoice in found])
    return found


def _write(
    invoice: Invoice,
    lines: dict[UUID, InvoiceLine],
    parts: Sequence[Part],
    **given: str,
) -> CreditNote:
    if invoice.state not in {InvoiceState.OPEN, InvoiceState.PAID}:
        raise Refused("invoice_closed", _("Этот счёт уже аннулирован или возвращён"))
    total = sum((part.amount for part in parts), Decimal(0))
    if invoice.state == InvoiceState.OPEN:
        _check_debt(invoice, total)
    _check_lines(invoice, lines, parts)
    taken = given_back.taken_of(invoice, lines.values())
    taxes = [taken[part.line].take(lines[part.line], part.amount) for part in parts]
    note = CreditNote.objects.create(
        invoice=invoice,
        customer_id=invoice.customer_id,
        legal_entity_id=invoice.legal_entity_id,
        number=given["key"][:40],
        total=total,
        vat=sum(taxes, Decimal(0)),
        to_balance=total,
        currency=invoice.currency,
        business_date=books.open_day(invoice.legal_entity_id, clock.today()),
        issued_at=clock.now(),
        **given,
    )
    for part, tax in zip(parts, taxes, strict=True):
        line = lines[part.line]
        CreditNoteLine.objects.create(
            credit_note=note,
            invoice_line=line,
            period_start=part.start,
            period_end=part.end,
            amount=part.amount,
            vat=tax,
        )
        line.credited += part.amount
        line.save(update_fields=["credited"])
    return note


def _check_lines(invoice: Invoice, lines: dict[UUID, InvoiceLine], parts: Sequence[Part]) -> None:
    """What refunds took of a line is gone as well; those on their way are not of any line yet."""
    left = given_back.left_of_lines(invoice, lines.values())
    for part in parts:
        if part.amount > left[part.line]:
            raise Refused("credit_too_much", _("По этой строке счёта столько уже не вернуть"))
        left[part.line] -= part.amount
    if sum((part.amount for part in parts), Decimal(0)) > returnable.left(invoice):
        raise Refused("credit_too_much", _("Столько по этому счёту уже не вернуть: часть денег вернулась"))


def _check_debt(invoice: Invoice, total: Decimal) -> None:
    """A charge under way is of the sum that was owed when it began; and something must be left to pay."""
    if InvoicePayment.objects.filter(invoice=invoice, failed=False).exists():
        raise Refused("payment_under_way", _("Оплата этого счёта уже идёт: дождитесь её итога"))
    if total >= money_in.left(invoice).amount:
        raise Refused("void_instead", _("От счёта ничего не останется: аннулируйте его"))


def _give(note: CreditNote, invoice: Invoice, *, to_card: bool) -> None:
    link = InvoicePayment.objects.filter(invoice=invoice, failed=False).first() if to_card else None
    if invoice.state == InvoiceState.OPEN:
        note.to_debt, note.to_balance = note.total, Decimal(0)
        invoice.debt_credited += note.total
        invoice.save(update_fields=["debt_credited"])
    elif link is not None:
        note.to_refund = min(note.total, link.payment.at_gateway())
        note.to_balance = note.total - note.to_refund
    note.save(update_fields=["to_debt", "to_balance", "to_refund"])
    if link is not None and note.to_refund:
        payments.refund(
            payment=link.payment,
            amount=Money(note.to_refund, note.currency),
            reason=str(note.get_reason_display()),
            actor=note.actor,
            key=note.pk,
            is_counted=True,
        )
    if note.to_balance:
        balances.add(note.customer_id, Money(note.to_balance, note.currency))
    events.publish("billing.CreditNoteIssued", note.pk, invoice_id=invoice.pk)
