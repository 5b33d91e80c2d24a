"""The monthly invoice of a partner that pays for its clients: a count per tariff, and only what is not billed yet.

Counted are the periods that its clients' invoices of nought have: each that began in the month (`active`), or the
first of each subscription (`activated`), as the contract in force on the month's last day says. What was billed of
the month before is taken off: the same run again bills nothing, a late sale is billed, a sale that was void since is
credited.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Min
from django.utils.translation import gettext as _

from apps import journal
from apps.accounts.models import Customer
from apps.billing import credits, documents, invoices, paying, periods
from apps.billing.models import (
    Collection,
    CreditNote,
    CreditReason,
    Invoice,
    InvoiceLine,
    InvoicePurpose,
    InvoiceState,
)
from apps.core import clock, due
from apps.core.errors import Refused
from apps.core.money import vat_inside
from apps.core.tenancy import current_partner
from apps.ledger.ledger import Owner
from apps.partners.models import Counts, LegalEntity, Partner

MONTHLY = "billing.partner_invoice"
LATE = 3
"""Months that a run looks at: what came late to an earlier one is settled with its accountants."""


@dataclass(frozen=True, slots=True)
class Sort:
    """What is counted together: one tariff at one price of a piece and one rate of VAT."""

    tariff_version: int
    product: int
    price: Decimal
    vat_rate: Decimal | None
    name: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run wrote: an invoice of what was to be added, notes of what was too much; neither where nothing was."""

    invoice: Invoice | None
    notes: list[CreditNote]


def set_payer(customer: Customer, *, actor: str) -> None:
    """This company pays for the partner's clients from now on. Raises Refused `company_needed`."""
    if not customer.is_company:
        raise Refused("company_needed", _("Сначала укажите реквизиты организации"))
    with transaction.atomic():
        Partner.objects.filter(pk=current_partner().pk).update(payer_id=customer.pk)
        current_partner().payer_id = customer.pk
        due.schedule(MONTHLY, customer.pk, periods.midnight(_next_month(_first(clock.today()))))
        journal.record("partner.payer", "accounts.Customer", customer.pk, actor=actor)


def monthly(customer_id: UUID) -> None:
    """The first day of a month: the last months are billed, the next one is planned."""
    if current_partner().payer_id != customer_id:
        return
    this = _first(clock.today())
    with transaction.atomic():
        month = this
        for _back in range(LATE):
            month = _first(month - timedelta(days=1))
            bill(month)
        due.schedule(MONTHLY, customer_id, periods.midnight(_next_month(this)))


def counts(month: date) -> tuple[Counter[Sort], Counter[Sort]]:
    """How many pieces of each sort the partner owes for a month as the documents stand now, and was billed for."""
    key = current_partner().payer_id
    billed = _billed(Customer.objects.get(pk=key), _first(month)) if key else Counter[Sort]()
    return _wanted(_first(month)), billed


def bill(month: date, *, actor: str = "") -> Outcome:
    """Bills a month that is over, or what is new of it. Raises Refused: `no_payer`, `month_not_over`."""
    start = _first(month)
    if clock.today() < _next_month(start):
        raise Refused("month_not_over", _("Этот месяц ещё не закончился"), status=400)
    with transaction.atomic():
        payer = _payer()
        wanted, billed = _wanted(start), _billed(payer, start)
        # Credits first: what was billed too much is not billed once more.
        notes = _take_back(start, wanted, billed, actor=actor)
        more = {sort: count - billed[sort] for sort, count in wanted.items() if count > billed[sort]}
        invoice = _issue(payer, start, more) if more else None
        if invoice is not None:
            data = {"month": f"{start:%Y-%m}", "total": str(invoice.total)}
            journal.record("partner.billed", invoices.KIND, invoice.pk, actor=actor, data=data)
    return Outcome(invoice, notes)


def _payer() -> Customer:
    """Locked: two who bill the same month at once do it one after the other."""
    key = current_partner().payer_id
    if key is None:
        raise Refused("no_payer", _("Не указано, какая организация платит за клиентов партнёра"))
    return Customer.objects.select_for_update(no_key=True).get(pk=key)


def _wanted(start: date) -> Counter[Sort]:
    found: Counter[Sort] = Counter()
    for line in _lines_of_clients(start):
        price = (line.amount + line.discount) / line.quantity
        sort = Sort(line.tariff_version_id, line.product_id, price, line.vat_rate, line.description)
        found[sort] += line.quantity
    return found


def _lines_of_clients(start: date) -> Iterator[InvoiceLine]:
    lines = InvoiceLine.objects.filter(
        invoice__collection=Collection.PARTNER_PAYS,
        invoice__state=InvoiceState.PAID,
        period_start__gte=start,
        period_start__lt=_next_month(start),
        phase__is_free=False,
    )
    terms = current_partner().terms_on(_next_month(start) - timedelta(days=1))
    if terms is None or terms.counts == Counts.ACTIVE:
        return lines.order_by("pk").iterator()
    firsts = (
        InvoiceLine.objects.filter(
            subscription__in=lines.values("subscription"),
            phase__is_free=False,
            invoice__state=InvoiceState.PAID,
        )
        .values("subscription")
        .annotate(first=Min("period_start"))
        .values_list("subscription", "first")
    )
    began = dict(firsts)
    return (
        line
        for line in lines.order_by("pk")
        if line.subscription_id and began.get(line.subscription_id) == line.period_start
    )


def _billed_lines(payer: Customer, start: date) -> list[InvoiceLine]:
    return list(
        InvoiceLine.objects.filter(
            invoice__purpose=InvoicePurpose.PARTNER, invoice__customer=payer, period_start=start
        )
        .exclude(invoice__state__in=[InvoiceState.DRAFT, InvoiceState.VOID, InvoiceState.REFUNDED])
        .select_related("invoice")
        .order_by("pk")
    )


def _sort_of(line: InvoiceLine) -> Sort:
    price = Decimal(line.terms["unit_price"])
    return Sort(line.tariff_version_id, line.product_id, price, line.vat_rate, line.terms["name"])


def _billed(payer: Customer, start: date) -> Counter[Sort]:
    """Pieces billed of the month so far, less those that were credited."""
    found: Counter[Sort] = Counter()
    for line in _billed_lines(payer, start):
        sort = _sort_of(line)
        found[sort] += int((line.amount - line.credited) / sort.price) if sort.price else line.quantity
    return found


def _take_back(start: date, wanted: Counter[Sort], billed: Counter[Sort], *, actor: str) -> list[CreditNote]:
    """Notes of pieces that were billed and are not owed, on the invoices that have them."""
    too_many = {sort: count - wanted[sort] for sort, count in billed.items() if count > wanted[sort]}
    notes = []
    by_invoice: dict[UUID, list[credits.Part]] = {}
    for line in _billed_lines(_payer(), start):
        sort = _sort_of(line)
        if not too_many.get(sort) or not sort.price:
            continue
        pieces = min(too_many[sort], int((line.amount - line.credited) / sort.price))
        if pieces:
            part = credits.Part(line.pk, sort.price * pieces, line.period_start, line.period_end)
            by_invoice.setdefault(line.invoice_id, []).append(part)
            too_many[sort] -= pieces
    for key, parts in by_invoice.items():
        invoice = invoices.locked(key)
        if (
            invoice.state == InvoiceState.OPEN
            and sum(one.amount for one in parts) == invoice.due_money.amount
        ):
            invoices.void(invoice)
            continue
        credited = invoice.lines.aggregate(credited=Min("credited"))["credited"]
        note = credits.issue(
            invoice=invoice,
            parts=parts,
            reason=CreditReason.CORRECTION,
            key=f"partner:{key}:{credited}:{invoice.credit_notes.count()}",
            actor=actor,
        )
        notes.append(note)
    return notes


def _issue(payer: Customer, start: date, more: dict[Sort, int]) -> Invoice:
    today, end = clock.today(), _next_month(start)
    lines = [
        InvoiceLine(
            position=position,
            product_id=sort.product,
            tariff_version_id=sort.tariff_version,
            description=f"{sort.name}, {sort.price} × {count}"[:300],
            quantity=count,
            period_start=start,
            period_end=end,
            amount=sort.price * count,
            vat_rate=sort.vat_rate,
            vat=vat_inside(sort.price * count, sort.vat_rate),
            terms={
                "owner": Owner.OPERATOR,
                "provider_id": None,
                "contract": "",
                "share_percent": "0",
                "share_base": "",
                "unit_price": str(sort.price),
                "name": sort.name,
            },
        )
        for position, (sort, count) in enumerate(
            sorted(more.items(), key=lambda pair: (pair[0].name, pair[0].price)), start=1
        )
    ]
    invoice = Invoice.objects.create(
        customer=payer,
        legal_entity_id=_seller().pk,
        purpose=InvoicePurpose.PARTNER,
        total=sum((line.amount for line in lines), Decimal("0.00")),
        vat=sum((line.vat for line in lines), Decimal("0.00")),
        collection=Collection.INVOICE,
        business_date=today,
        due_date=today + timedelta(days=paying.days_of(payer.pk)),
    )
    for line in lines:
        line.invoice = invoice
        line.save(force_insert=True)
    invoices.issue(invoice)
    documents.issue_act(invoice, end)
    return invoice


def _seller() -> LegalEntity:
    """The platform sells to the partner, whoever sells to its clients."""
    own: LegalEntity = current_partner().legal_entity
    if own.is_operator:
        return own
    return LegalEntity.objects.filter(is_operator=True).order_by("pk").first() or own


def _first(day: date) -> date:
    return day.replace(day=1)


def _next_month(start: date) -> date:
    return (start + timedelta(days=32)).replace(day=1)
