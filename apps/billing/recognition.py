"""How much of a line's income is earned by a day: day by day, at each month's end, the rest when its days are over."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from apps.core.money import rounded

ZERO = Decimal("0.00")
_NINE = 10**9


@dataclass(frozen=True, slots=True)
class Span:
    """The days [start, end) of a line."""

    start: date
    end: date

    def part(self, day: date) -> Fraction:
        """How much of them is over when `day` begins."""
        over = (min(max(day, self.start), self.end) - self.start).days
        return Fraction(over, max((self.end - self.start).days, 1))


@dataclass(frozen=True, slots=True)
class Gone:
    """So much of a line, VAT included, is owed no more: of these days, or (None) of all of them alike."""

    gross: Decimal
    span: Span | None = None


def ratio(amount: Decimal, span: Span, gone: Iterable[Gone], day: date) -> Decimal:
    """What part of what is left of a line is earned when `day` begins: 0 to 1, to 9 places, half up."""
    gone = list(gone)
    left = Fraction(amount) - sum((Fraction(one.gross) for one in gone), Fraction(0))
    if left <= 0:
        return Decimal(0)
    served = Fraction(amount) * span.part(day)
    served -= sum((Fraction(one.gross) * (one.span or span).part(day) for one in gone), Fraction(0))
    found = min(max(served / left, Fraction(0)), Fraction(1))
    return Decimal(int(found * _NINE + Fraction(1, 2))) / _NINE


def earned(own: Decimal, amount: Decimal, span: Span, gone: Iterable[Gone], day: date) -> Decimal:
    """So much of `own`, what is left of a line's income, is earned when `day` begins."""
    return rounded(own * ratio(amount, span, gone, day))


def month_ends(span: Span, until: date) -> Iterator[date]:
    """The first days of months within a span, not after `until`: what the month before has earned is known."""
    day = first_of_next(span.start)
    while day < span.end and day <= until:
        yield day
        day = first_of_next(day)


def next_day(spans: Iterable[Span], after: date) -> date | None:
    """The first day after `after` on which something is earned: a month is over, or a line is."""
    found = [
        min(one.end, max(first_of_next(after), first_of_next(one.start))) for one in spans if one.end > after
    ]
    return min(found, default=None)


def known_on(span: Span, today: date) -> date:
    """The day by which what is earned stands in the books today: the last month's end, or the end of the line."""
    return span.end if span.end <= today else today.replace(day=1)


def first_of_next(day: date) -> date:
    """The first day of the month after that of `day`."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
