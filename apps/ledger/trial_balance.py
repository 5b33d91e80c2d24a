"""The trial balance: opening, turnovers and closing of each account for a period, in one pass over the ledger."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from django.db.models import Q, QuerySet, Sum

from apps.ledger.chart import CHART
from apps.ledger.models import Account, Transfer

ZERO = Decimal("0.00")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Whose books, for which business days, both included. `sandbox`: those of a sandbox partner, by itself."""

    since: date
    until: date
    partner_id: int | None = None
    seller_id: int | None = None
    sandbox: bool = False


@dataclass(slots=True)
class Row:
    """One account. Balances are positive where they are debits."""

    account: str
    opening: Decimal = ZERO
    debit: Decimal = ZERO
    credit: Decimal = ZERO

    @property
    def closing(self) -> Decimal:
        """What stands on it at the end of the last day."""
        return self.opening + self.debit - self.credit

    @property
    def title(self) -> str:
        """What finance calls it."""
        return str(Account(self.account).label)

    @property
    def number(self) -> str:
        """In the Russian chart of accounts."""
        return CHART[self.account].number

    def columns(self) -> tuple[Decimal, ...]:
        """Opening debit and credit, turnovers, closing debit and credit."""
        return (*_sides(self.opening), self.debit, self.credit, *_sides(self.closing))


@dataclass(slots=True)
class Balance:
    """The books in one currency: accounts that have something, and which was posted against which."""

    currency: str
    rows: list[Row]
    pairs: list[tuple[str, str, Decimal]] = field(default_factory=list)
    """(debit, credit, turnover) within the period, the greatest first."""

    @property
    def totals(self) -> tuple[Decimal, ...]:
        """The columns summed up: each debit equals its credit."""
        columns = zip(*(row.columns() for row in self.rows), strict=True)
        return tuple(sum(column, ZERO) for column in columns) or (ZERO,) * 6

    @property
    def named_pairs(self) -> list[tuple[str, str, Decimal]]:
        """`pairs` in the words of the chart of accounts."""
        return [(_named(debit), _named(credit), turnover) for debit, credit, turnover in self.pairs]

    @property
    def is_balanced(self) -> bool:
        """Whether all debits equal all credits; the auditor would say otherwise at once."""
        one = self.totals
        return one[0] == one[1] and one[2] == one[3] and one[4] == one[5]


def transfers(question: Question) -> QuerySet[Transfer]:
    """All up to the last day of the question."""
    found = Transfer.objects.filter(business_date__lte=question.until)
    if not question.sandbox:
        found = found.filter(is_sandbox=False)
    limits = {"partner_id": question.partner_id, "seller_id": question.seller_id}
    return found.filter(**{name: value for name, value in limits.items() if value is not None})


def answer(question: Question) -> list[Balance]:
    """The trial balance of each currency, by code."""
    before, within = Q(business_date__lt=question.since), Q(business_date__gte=question.since)
    sums = (
        transfers(question)
        .order_by()
        .values_list("currency", "debit", "credit")
        .annotate(
            before=Sum("amount", filter=before, default=ZERO),
            within=Sum("amount", filter=within, default=ZERO),
        )
    )
    return fold(sums)


def fold(sums: Iterable[tuple[str, str, str, Decimal, Decimal]]) -> list[Balance]:
    """Sums of (currency, debit, credit, before, within the period) as trial balances."""
    books: dict[str, dict[str, Row]] = {}
    pairs: dict[str, list[tuple[str, str, Decimal]]] = {}
    for currency, debit, credit, before, within in sums:
        rows = books.setdefault(currency, {})
        for account in (debit, credit):
            rows.setdefault(account, Row(account))
        rows[debit].opening += before
        rows[credit].opening -= before
        rows[debit].debit += within
        rows[credit].credit += within
        if within:
            pairs.setdefault(currency, []).append((debit, credit, within))
    return [
        Balance(
            currency,
            sorted(rows.values(), key=lambda row: row.number),
            sorted(pairs.get(currency, []), key=lambda pair: -pair[2]),
        )
        for currency, rows in sorted(books.items())
    ]


def _sides(balance: Decimal) -> tuple[Decimal, Decimal]:
    return (balance, ZERO) if balance >= 0 else (ZERO, -balance)


def _named(account: str) -> str:
    return f"{CHART[account].number} {Account(account).label}"
