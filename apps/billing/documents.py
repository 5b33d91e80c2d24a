"""Acts and receipts: issued once for what was done and paid, numbered, frozen."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import prefetch_related_objects
from django.utils.translation import gettext as _

from apps.accounts import companies
from apps.accounts.models import ActSchedule
from apps.billing import invoices, mailing, parties, periods
from apps.billing.models import (
    Collection,
    CreditNoteLine,
    Invoice,
    InvoiceLine,
    InvoicePayment,
    InvoiceState,
)
from apps.billing.paperwork import Document, DocumentKind
from apps.core import bulk, clock, due, gather, search
from apps.core.money import Money, rounded, vat_inside
from apps.core.tenancy import current_partner
from apps.partners import books
from apps.payments import receipts
from apps.payments.models import Payment, Purpose, Refund
from apps.policies import numbering

KIND = "billing.Document"
ACT = "billing.act"
ZERO = Decimal("0.00")


def invoices_paid(invoice_ids: Iterable[UUID]) -> None:
    """Of each paid invoice a receipt of its payment, or the plan of its acts where a company pays by bank.

    What it was paid for is settled by a fiscal receipt in time. In the caller's transaction.
    """
    paid = invoices.locked_many(invoice_ids)
    prefetch_related_objects(list(paid.values()), "lines")
    found = InvoicePayment.objects.filter(invoice__in=bulk.these("uuid", paid), failed=False)
    links = {one.invoice_id: one for one in found.select_related("payment__method")}
    keys = [_key_of(link.payment) for link in links.values()]
    known = set(Document.objects.filter(key__in=keys).values_list("key", flat=True))
    for invoice in paid.values():
        link = links.get(invoice.pk)
        if invoice.collection == Collection.INVOICE:
            plan_act(invoice)
        elif link is None or link.payment.purpose == Purpose.BINDING or not invoice.due_money.amount:
            continue
        elif _key_of(link.payment) not in known:
            receipt(invoice, link.payment)
    ends = {
        key: [line.period_end for line in one.lines.all() if line.period_end] for key, one in paid.items()
    }
    receipts.earned_many({link.payment_id: max(ends[key]) for key, link in links.items() if ends[key]})


def _key_of(payment: Payment) -> str:
    return f"receipt:{payment.pk}"


def receipt(invoice: Invoice, payment: Payment) -> Document:
    """What was paid for an invoice by one payment, not documented yet. Its VAT is what the lines have in it."""
    lines = [_line(line, line.amount, line.vat) for line in invoice.lines.all()]
    less = invoice.credit_applied + invoice.debt_credited
    if less:
        share = [Money(less, invoice.currency)] if len(lines) == 1 else _spread(less, invoice)
        lines = [
            _line(line, line.amount - part.amount, None)
            for line, part in zip(invoice.lines.all(), share, strict=True)
        ]
    method = payment.method.title if payment.method else ""
    return _issue_new(
        DocumentKind.RECEIPT,
        invoice,
        lines,
        key=_key_of(payment),
        details=_("Оплачено {day} {method}").format(
            day=f"{clock.local(invoice.paid_at or clock.now()):%d.%m.%Y}", method=method
        ),
    )


def refunded(refund_id: UUID) -> None:
    """Money of a payment went back to the customer: a receipt of it, at the rates of the sale."""
    with transaction.atomic():
        refund = Refund.objects.select_related("payment__method").get(pk=refund_id)
        found = Invoice.objects.filter(payments__payment=refund.payment_id, payments__failed=False).first()
        if found is None or refund.payment.purpose == Purpose.BINDING:
            return
        given_back(invoices.locked(found.pk), refund.amount, key=f"refund:{refund.pk}")


def given_back(invoice: Invoice, amount: Decimal, *, key: str) -> None:
    """A receipt of money of an invoice that went back to the customer, once per key."""
    if not invoice.total or not invoice.number:
        return
    parts = _spread(amount, invoice)
    lines = [
        _line(line, part.amount, None)
        for line, part in zip(invoice.lines.all(), parts, strict=True)
        if part.amount
    ]
    _issue(
        DocumentKind.REFUND,
        invoice,
        lines,
        key=key,
        details=_("Возвращено {day}").format(day=f"{clock.today():%d.%m.%Y}"),
    )


def plan_act(invoice: Invoice, *, after: date | None = None) -> None:
    """Writes down the next day on which an act of a paid invoice is due; cancels it where all is acted.

    `after` is a day that has been looked at: where there was nothing to act, it is not looked at again and again.
    """
    day = _next_act(invoice, after)
    if day is None:
        due.cancel(ACT, invoice.pk)
    else:
        due.schedule(ACT, invoice.pk, periods.midnight(day))


def act_due(invoice_id: UUID) -> None:
    """The day of an act: what was given of a paid invoice up to today and has not been acted yet."""
    with transaction.atomic():
        invoice = invoices.locked(invoice_id)
        if invoice.state in {InvoiceState.PAID, InvoiceState.REFUNDED}:
            issue_act(invoice, clock.today())
            plan_act(invoice, after=clock.today())


def issue_act(invoice: Invoice, until: date) -> Document | None:
    """An act of the days before `until` of a locked invoice: the difference of what was given and what is acted.

    So a repeated or late act covers nothing twice. What a credit note took off before is not acted; None where there
    is nothing to act.
    """
    acted, back = _acted(invoice), _credited(invoice)
    lines, starts = [], []
    for line in invoice.lines.all():
        given, tax = _given(line, until, *back[line.pk])
        before, tax_before = acted[str(line.pk)]
        if given - before <= 0 or line.period_start is None or line.period_end is None:
            continue
        end = min(until, line.period_end)
        start = max(line.period_start, _acted_until(invoice, line) or line.period_start)
        starts.append(start)
        lines.append(_line(line, given - before, max(tax - tax_before, ZERO), start=start, end=end))
    if not lines:
        return None
    return _issue(
        DocumentKind.ACT,
        invoice,
        lines,
        key=f"act:{invoice.pk}:{until}",
        day=until - timedelta(days=1),
        start=min(starts),
        end=max(date.fromisoformat(one["period_end"]) for one in lines),
    )


def _next_act(invoice: Invoice, after: date | None) -> date | None:
    """The first day, of those after `after`, on which something of the invoice is to be acted."""
    ends = [line.period_end for line in invoice.lines.all() if line.period_end]
    acted = max(filter(None, (_acted_until_all(invoice), after)), default=None)
    left = sorted(end for end in ends if acted is None or end > acted)
    if not left:
        return None
    company = companies.of(invoice.customer_id)
    if company is None or company.acts != ActSchedule.MONTH:
        return left[0]
    start = min(line.period_start for line in invoice.lines.all() if line.period_start)
    base = max(acted or start, start)
    month_end = (base.replace(day=1) + timedelta(days=32)).replace(day=1)
    return min(month_end, left[-1])


def _given(line: InvoiceLine, until: date, gross_back: Decimal, vat_back: Decimal) -> tuple[Decimal, Decimal]:
    """What was given of a line before a day, day by day, and the VAT in it; all of it once its days are over."""
    amount, tax = line.amount - gross_back, line.vat - vat_back
    if line.period_start is None or line.period_end is None or until <= line.period_start:
        return ZERO, ZERO
    if until >= line.period_end:
        return amount, tax
    days, all_days = (until - line.period_start).days, (line.period_end - line.period_start).days
    return rounded(amount * days / all_days), rounded(tax * days / all_days)


def _acted(invoice: Invoice) -> dict[str, tuple[Decimal, Decimal]]:
    """By line: amount and VAT of the acts so far."""
    found: dict[str, tuple[Decimal, Decimal]] = defaultdict(lambda: (ZERO, ZERO))
    for act in invoice.documents.filter(kind=DocumentKind.ACT):
        for one in act.lines:
            amount, tax = found[one["line"]]
            found[one["line"]] = amount + Decimal(one["amount"]), tax + Decimal(one["vat"])
    return found


def _acted_until(invoice: Invoice, line: InvoiceLine) -> date | None:
    ends = [
        date.fromisoformat(one["period_end"])
        for act in invoice.documents.filter(kind=DocumentKind.ACT)
        for one in act.lines
        if one["line"] == str(line.pk)
    ]
    return max(ends, default=None)


def _acted_until_all(invoice: Invoice) -> date | None:
    last = invoice.documents.filter(kind=DocumentKind.ACT).order_by("-period_end").first()
    return last.period_end if last else None


def _credited(invoice: Invoice) -> dict[UUID, tuple[Decimal, Decimal]]:
    """By line: amount and VAT of its credit notes."""
    found: dict[UUID, tuple[Decimal, Decimal]] = defaultdict(lambda: (ZERO, ZERO))
    rows = CreditNoteLine.objects.filter(invoice_line__invoice=invoice)
    for key, amount, tax in rows.values_list("invoice_line_id", "amount", "vat"):
        gross, vat = found[key]
        found[key] = gross + amount, vat + tax
    return found


def _spread(amount: Decimal, invoice: Invoice) -> list[Money]:
    """Parts of an amount in proportion to the lines, in kopecks, that add up to it."""
    weights = [int(line.amount * 100) for line in invoice.lines.all()]
    return Money(amount, invoice.currency).split(weights)


def _line(
    line: InvoiceLine,
    amount: Decimal,
    tax: Decimal | None,
    *,
    start: date | None = None,
    end: date | None = None,
) -> dict[str, Any]:
    """A line as it is frozen; without `tax` its VAT is the part within the amount, at the line's own rate."""
    start, end = start or line.period_start, end or line.period_end
    within = vat_inside(amount, line.vat_rate) if tax is None else tax
    return {
        "line": str(line.pk),
        "description": line.description,
        "quantity": line.quantity,
        "period_start": str(start) if start else "",
        "period_end": str(end) if end else "",
        "amount": str(amount),
        "vat_rate": None if line.vat_rate is None else str(line.vat_rate),
        "vat": str(within),
    }


def _issue(
    kind: DocumentKind,
    invoice: Invoice,
    lines: Sequence[dict[str, Any]],
    *,
    key: str,
    details: str = "",
    day: date | None = None,
    start: date | None = None,
    end: date | None = None,
) -> Document:
    earlier = Document.objects.filter(key=key).first()
    return earlier or _issue_new(
        kind, invoice, lines, key=key, details=details, day=day, start=start, end=end
    )


def _issue_new(
    kind: DocumentKind,
    invoice: Invoice,
    lines: Sequence[dict[str, Any]],
    *,
    key: str,
    details: str = "",
    day: date | None = None,
    start: date | None = None,
    end: date | None = None,
) -> Document:
    """One of a batch gets its number when that is written."""
    day = day or clock.today()
    made = Document(
        kind=kind,
        customer_id=invoice.customer_id,
        legal_entity_id=invoice.legal_entity_id,
        invoice=invoice,
        business_date=gather.once(
            ("documents.day", invoice.legal_entity_id, day),
            lambda: books.open_day(invoice.legal_entity_id, day),
        ),
        period_start=start,
        period_end=end,
        total=_sum(one["amount"] for one in lines),
        vat=_sum(one["vat"] for one in lines),
        currency=invoice.currency,
        lines=list(lines),
        parties=parties.of(invoice.customer_id, invoice.legal_entity_id, invoice.collection),
        details=details.strip()[:200],
        issued_at=clock.now(),
        key=key,
    )
    gather.at_end(_write, [made])
    return made


def _write(made: Sequence[Document]) -> None:
    """Numbers documents in their order, and writes them."""
    alike: dict[tuple[str, int, int], list[Document]] = defaultdict(list)
    for one in made:
        alike[one.kind, one.legal_entity_id, one.business_date.year].append(one)
    for (kind, legal_entity_id, year), same in sorted(alike.items()):
        numbers = numbering.allot(
            str(kind),
            legal_entity_id=legal_entity_id,
            partner_id=current_partner().pk,
            year=year,
            count=len(same),
        )
        for one, number in zip(same, numbers, strict=True):
            one.number = number
    bulk.copy_objects(Document, made)
    for one in made:
        one._state.adding = False
    search.index_many(KIND, [(one.pk, one.number) for one in made])
    mailing.plan_many(made)


def _sum(amounts: Iterable[str]) -> Decimal:
    return sum((Decimal(one) for one in amounts), ZERO)
