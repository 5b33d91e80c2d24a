"""A customer's account for a period: documents, payments, running total, as the ledger has them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from apps.accounts.models import Customer
from apps.billing.models import CreditNote, Invoice, InvoicePayment
from apps.billing.outside_refund_models import OutsideRefund
from apps.billing.paperwork import OutsidePayment
from apps.core.money import Money
from apps.core.sheets import Sheet
from apps.core.tenancy import current_partner
from apps.ledger.models import Account, Transfer
from apps.payments.models import Payment, Purpose, Refund

ZERO = Decimal("0.00")
OURS = (Account.RECEIVABLE, Account.ADVANCES)
"""Accounts of what a customer owes us and we owe a customer: the statement is about both together."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One document on one day: `debit` is owed by the customer, `credit` settles it."""

    date: date
    title: str
    kind: str
    """The model whose page shows it (`billing.Invoice`)."""
    object_id: UUID
    debit: Decimal
    credit: Decimal
    balance: Decimal
    """What the customer owes after it; negative where we owe."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A customer's account in one currency, for business days `since` to `until`, both included."""

    customer: Customer
    since: date
    until: date
    currency: str
    opening: Decimal
    entries: list[Entry]
    on_balance: Decimal
    """Of the closing: what of ours the customer may spend on the next invoices."""

    @property
    def debit(self) -> Decimal:
        """All that was billed, and given back in money."""
        return sum((one.debit for one in self.entries), ZERO)

    @property
    def credit(self) -> Decimal:
        """All that was paid, and credited."""
        return sum((one.credit for one in self.entries), ZERO)

    @property
    def closing(self) -> Decimal:
        """What the customer owes at the end of the last day; negative where we owe."""
        return self.opening + self.debit - self.credit

    def money(self, amount: Decimal) -> Money:
        """With the statement's currency."""
        return Money(amount, self.currency)


def of(customer: Customer, *, since: date, until: date) -> list[Statement]:
    """The account of a customer, one for each currency; at least one, empty where nothing ever happened."""
    titles = _documents(customer)
    rows = Transfer.objects.filter(
        partner_id=current_partner().pk, document_id__in=list(titles), business_date__lte=until
    ).order_by("business_date", "id")
    moved: dict[str, list[Transfer]] = defaultdict(list)
    for row in rows:
        if row.debit in OURS or row.credit in OURS:
            moved[row.currency].append(row)
    return [
        _statement(customer, since, until, currency, moved[currency], titles)
        for currency in sorted(moved) or ["RUB"]
    ]


def _statement(
    customer: Customer,
    since: date,
    until: date,
    currency: str,
    rows: list[Transfer],
    titles: dict[UUID, tuple[str, str]],
) -> Statement:
    opening, on_balance = ZERO, ZERO
    sums: dict[tuple[date, UUID, str, str], list[Decimal]] = {}
    for row in rows:
        amount = _owed(row)
        on_balance += row.amount * ((row.credit == Account.ADVANCES) - (row.debit == Account.ADVANCES))
        if row.business_date < since:
            opening += amount
            continue
        key = (row.business_date, row.document_id, row.document_kind, _of_what(row))
        found = sums.setdefault(key, [ZERO, ZERO])
        # A refund that is credited, and the money that leaves, are two lines of one document.
        found[amount < 0] += abs(amount)
    entries, balance = [], opening
    for (day, document, _kind, what), (debit, credit) in sums.items():
        if debit == credit:
            continue
        balance += debit - credit
        kind, name = titles[document]
        title = _titled(what, name)
        entries.append(Entry(day, title, kind, document, debit, credit, balance))
    return Statement(customer, since, until, currency, opening, entries, on_balance)


def _owed(row: Transfer) -> Decimal:
    """By how much the customer owes more; nothing where the balance pays an invoice."""
    return row.amount * ((row.debit in OURS) - (row.credit in OURS))


def _of_what(row: Transfer) -> str:
    if row.document_kind == "invoice" and row.posting.startswith("void-"):
        return "void"
    return row.document_kind


def _titled(what: str, name: str) -> str:
    words = {
        "invoice": _("Счёт %s"),
        "void": _("Аннулирован счёт %s"),
        "payment": _("Оплата: %s"),
        "outside_payment": _("Поступление: %s"),
        "refund": _("Деньги возвращены: %s"),
        "outside_refund": _("Деньги возвращены: %s"),
        "credit": _("Возврат по счёту: %s"),
        "credit_note": _("Корректировка %s"),
    }
    return words[what] % name if what in words else f"{what}: {name}"


def _documents(customer: Customer) -> dict[UUID, tuple[str, str]]:
    """Every document of a customer that the ledger may know: its model and what it is called."""
    found: dict[UUID, tuple[str, str]] = {}
    for key, number in Invoice.objects.filter(customer=customer).values_list("pk", "number"):
        found[key] = "billing.Invoice", number
    for key, number in CreditNote.objects.filter(customer=customer).values_list("pk", "number"):
        found[key] = "billing.CreditNote", number
    payments = Payment.objects.filter(customer=customer).values_list("pk", "purpose")
    numbers = _numbers(key for key, _purpose in payments)
    for key, purpose in payments:
        name = _("привязка карты") if purpose == Purpose.BINDING else numbers.get(key, "—")
        found[key] = "payments.Payment", name
    refunds = Refund.objects.filter(payment__customer=customer).values_list("pk", "payment_id")
    for key, payment in refunds:
        # The refund of a credit note has the note's id: the note's own number tells more.
        if key in found:
            continue
        found[key] = "payments.Refund", found[payment][1]
    outside = OutsidePayment.objects.filter(invoice__customer=customer)
    for key, reference in outside.values_list("pk", "reference"):
        found[key] = "billing.OutsidePayment", reference
    back = OutsideRefund.objects.filter(customer=customer)
    for key, number in back.values_list("pk", "outside__invoice__number"):
        found[key] = "billing.OutsideRefund", number
    return found


def _numbers(payments: Iterable[UUID]) -> dict[UUID, str]:
    links = InvoicePayment.objects.filter(payment__in=list(payments))
    return dict(links.values_list("payment_id", "invoice__number"))


def sheet(statement: Statement) -> Sheet:
    """The statement as a table, for a file."""
    headings = [_("Дата"), _("Документ"), _("Начислено"), _("Оплачено, зачтено"), _("Долг клиента")]
    return Sheet(
        title=_("Взаиморасчёты"),
        above=above(statement),
        headings=headings,
        rows=[[one.date, one.title, one.debit, one.credit, one.balance] for one in statement.entries],
        totals=["", _("Обороты за период"), statement.debit, statement.credit, statement.closing],
        widths=(12, 48, 16, 20, 16),
    )


def above(statement: Statement) -> list[str]:
    """What stands above the table."""
    return [
        _("Взаиморасчёты с клиентом: %s") % statement.customer,
        _("Период: %(since)s – %(until)s")
        % {"since": f"{statement.since:%d.%m.%Y}", "until": f"{statement.until:%d.%m.%Y}"},
        _("На начало: %s") % words(statement, statement.opening),
        _("На конец: %s") % words(statement, statement.closing),
    ]


def words(statement: Statement, amount: Decimal) -> str:
    """Who owes whom."""
    if not amount:
        return _("расчётов нет")
    text = _("клиент должен %s") if amount > 0 else _("клиенту должны %s")
    return text % statement.money(abs(amount))


def as_data(statement: Statement) -> dict[str, Any]:
    """For the API."""
    return {
        "customer": statement.customer.pk,
        "since": statement.since,
        "until": statement.until,
        "currency": statement.currency,
        "opening": statement.opening,
        "debit": statement.debit,
        "credit": statement.credit,
        "closing": statement.closing,
        "on_balance": statement.on_balance,
        "entries": [
            {
                "date": one.date,
                "title": one.title,
                "kind": one.kind,
                "id": one.object_id,
                "debit": one.debit,
                "credit": one.credit,
                "balance": one.balance,
            }
            for one in statement.entries
        ],
    }
