"""What a subscription is to be billed, as a pure function of its phases, discounts and what has been billed.

Nothing here reads or writes anything: a run, a preview and a repeat of either agree because all three are
`bill(...)` of the same facts. Days are the partner's, half-open; money is rounded once per charge, half-up.
The convention of stubs is that of `proration` (docs/billing.md).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from itertools import zip_longest
from uuid import UUID

from apps.billing.proration import add_months

MONTHS = {"month": 1, "quarter": 3, "year": 12}
DAYS = {"day": 1, "week": 7}
ONE = Decimal(1)
ZERO = Decimal("0.00")
_CENT = Decimal("0.01")
_PLACES = Decimal("0.000000001")


# Thousands of subscriptions share a few hundred bill dates.
_later = lru_cache(maxsize=1 << 16)(add_months)


@dataclass(frozen=True, slots=True)
class Cycle:
    """Bill dates `anchor`, `anchor` + period, …: months keep `day`, clamped to their length (31, 28, 31)."""

    anchor: date
    count: int
    unit: str
    day: int

    def bill_date(self, number: int) -> date:
        """The bill date `number` periods after the anchor (before it where negative)."""
        if self.unit in DAYS:
            return self.anchor + timedelta(days=number * self.count * DAYS[self.unit])
        return _later(self.anchor, number * self.count * MONTHS[self.unit], self.day)

    def number_on(self, day: date) -> int:
        """Of the period that contains `day`, counted from the anchor's as 0."""
        if self.unit in DAYS:
            return (day - self.anchor).days // (self.count * DAYS[self.unit])
        months = (day.year - self.anchor.year) * 12 + day.month - self.anchor.month
        number = months // (self.count * MONTHS[self.unit])
        # The clamped bill date of this very month may still be ahead, or the next one's be behind.
        while self.bill_date(number) > day:
            number -= 1
        while self.bill_date(number + 1) <= day:
            number += 1
        return number


@dataclass(frozen=True, slots=True)
class Phase:
    """Terms that hold from `start` until the next phase; a free one (trial, pause) is not billed.

    `price` is of one piece for one whole period.
    """

    id: UUID
    start: date
    cycle: Cycle
    price: Decimal
    quantity: int = 1
    is_free: bool = False


@dataclass(frozen=True, slots=True)
class Discount:
    """Takes `percent` per cent, or `amount` per whole period, off charges that start in [start, until)."""

    start: date
    until: date | None
    percent: Decimal = ZERO
    amount: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Charge:
    """One piece of a period under one phase: `amount` = `gross` - `discount`, never negative.

    `period` is the bill date of the whole period that the piece belongs to; `part` counts the lines that the
    piece has had before, void ones too.
    """

    phase: UUID
    period: date
    start: date
    end: date
    ratio: Decimal
    gross: Decimal
    discount: Decimal
    part: int = 0

    @property
    def amount(self) -> Decimal:
        """What is to be paid."""
        return self.gross - self.discount


@dataclass(frozen=True, slots=True)
class Billed:
    """A line of an invoice: what of it still counts, after earlier credits, and until which day.

    `given` of `amount` went back as a favour: it stays billed, and cannot be credited again. A void line counts
    for nothing (`stands` False), but its piece has had it.
    """

    line: UUID
    phase: UUID
    period: date
    start: date
    end: date
    amount: Decimal
    given: Decimal = ZERO
    stands: bool = True


@dataclass(frozen=True, slots=True)
class Credit:
    """Billed too much: `amount` of `line`, for the days from `start` on."""

    line: UUID
    start: date
    end: date
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Difference:
    """What a run bills: the charges of an invoice, and credits against earlier lines."""

    charges: list[Charge] = field(default_factory=list)
    credits: list[Credit] = field(default_factory=list)

    @property
    def total(self) -> Decimal:
        """Charges less credits; negative where the customer is owed."""
        return sum((one.amount for one in self.charges), ZERO) - sum(
            (one.amount for one in self.credits), ZERO
        )


def bill(
    *,
    phases: Sequence[Phase],
    discounts: Iterable[Discount] = (),
    billed: Iterable[Billed] = (),
    since: date,
    as_of: date,
    ends: date | None = None,
) -> Difference:
    """The difference between what should have been billed by `as_of` and what has been.

    `phases` in order of start. `since`: earlier periods are settled and left alone; `billed` are the lines of
    those that end after it. `ends`: the first day without the subscription, None for no end. What was billed
    ahead of `as_of` is not taken back for that alone.
    """
    billed = list(billed)
    horizon = max([as_of, *(line.start for line in billed)])
    should = charges(phases, discounts, since=since, as_of=horizon, ends=ends)
    had = {(line.phase, line.period) for line in billed}
    return difference([one for one in should if one.start <= as_of or (one.phase, one.period) in had], billed)


def settled_since(phases: Sequence[Phase], since: date, ends: date | None = None) -> date:
    """`since`, or the first day of the piece that it falls into: a piece is looked at as a whole."""
    for phase, stop in _spans(phases, ends):
        if not phase.is_free and phase.start < since and (stop is None or since < stop):
            return max(phase.start, phase.cycle.bill_date(phase.cycle.number_on(since)))
    return since


def charges(
    phases: Sequence[Phase],
    discounts: Iterable[Discount] = (),
    *,
    since: date,
    as_of: date,
    ends: date | None = None,
) -> list[Charge]:
    """What should have been billed in advance by `as_of`, for periods that end after `since`."""
    discounts = list(discounts)
    found: list[Charge] = []
    for phase, stop in _spans(phases, ends):
        if not phase.is_free and (stop is None or stop > max(phase.start, since)):
            found += _phase_charges(phase, stop, discounts, since, as_of)
    return found


def _spans(phases: Sequence[Phase], ends: date | None) -> Iterator[tuple[Phase, date | None]]:
    """Each phase with the first day on which it holds no more."""
    for phase, following in zip_longest(phases, phases[1:]):
        stop = following.start if following else None
        yield phase, ends if stop is None or (ends is not None and ends < stop) else stop


def difference(should: Iterable[Charge], billed: Iterable[Billed]) -> Difference:
    """Charges that are not billed yet, and credits for what should not have been, or only in part.

    A piece is known by its phase and period, so that one shortened and lengthened again stays the same piece.
    """
    pieces: dict[tuple[UUID, date], tuple[Charge | None, list[Billed]]] = {}
    for piece in should:
        pieces[piece.phase, piece.period] = (piece, [])
    for line in sorted(billed, key=lambda one: one.start):
        pieces.setdefault((line.phase, line.period), (None, []))[1].append(line)
    result = Difference()
    for (_phase, period), (charge, lines) in sorted(pieces.items(), key=lambda item: item[0][1]):
        has = sum((line.amount for line in lines), ZERO)
        owed = charge.amount if charge else ZERO
        if charge is not None and (owed > has or not any(line.stands for line in lines)):
            result.charges.append(_rest(charge, lines, has))
        result.credits.extend(_credits(charge.end if charge else period, lines, has - owed))
    return result


def _rest(charge: Charge, lines: list[Billed], has: Decimal) -> Charge:
    """What of a charge is not billed yet: all of it where nothing stands, else from the day up to which it is."""
    if not has:
        return replace(charge, part=len(lines)) if lines else charge
    until = max(line.end for line in lines if line.amount)
    start = until if charge.start < until < charge.end else charge.start
    return replace(charge, start=start, gross=charge.amount - has, discount=ZERO, part=len(lines))


def _credits(end: date, lines: list[Billed], over: Decimal) -> Iterator[Credit]:
    for line in reversed(lines):
        part = min(over, line.amount - line.given)
        if part > 0:
            yield Credit(line.line, max(line.start, end) if end < line.end else line.start, line.end, part)
            over -= part


def _phase_charges(
    phase: Phase, stop: date | None, discounts: list[Discount], since: date, as_of: date
) -> Iterator[Charge]:
    cycle = phase.cycle
    number = cycle.number_on(max(phase.start, since))
    while True:
        first, last = cycle.bill_date(number), cycle.bill_date(number + 1)
        start, end = max(first, phase.start), last if stop is None else min(last, stop)
        if start > as_of or start >= end:
            return
        yield _charge(phase, number, start, end, discounts)
        number += 1


def _charge(phase: Phase, number: int, start: date, end: date, discounts: list[Discount]) -> Charge:
    cycle, whole = phase.cycle, phase.price * phase.quantity
    first, last = cycle.bill_date(number), cycle.bill_date(number + 1)
    if (start, end) == (first, last):
        ratio, gross = ONE, _rounded(whole)
    else:
        ratio, gross = _ratio(cycle, number, start, end), _part(whole, cycle, number, start, end)
    off = ZERO
    for one in discounts:
        if one.start <= start and (one.until is None or start < one.until):
            off += _rounded(gross * one.percent / 100) + _rounded(one.amount * ratio)
    return Charge(phase.id, first, start, end, ratio, gross, min(off, gross))


def _part(whole: Decimal, cycle: Cycle, number: int, start: date, end: date) -> Decimal:
    """The money of [start, end), rounded so that the parts of a period add up to its price, those of a stub to it."""

    def upto(one: date, other: date) -> Decimal:
        return _rounded(whole * _ratio(cycle, number, one, other))

    if number < 0:
        last = cycle.bill_date(number + 1)
        return upto(start, last) - upto(end, last)
    first = cycle.bill_date(number)
    return upto(first, end) - upto(first, start)


def _ratio(cycle: Cycle, number: int, start: date, end: date) -> Decimal:
    first, last = cycle.bill_date(number), cycle.bill_date(number + 1)
    if number < 0 and cycle.unit in MONTHS:
        # A leading stub is measured against the same date one period earlier: 28 February against 28 January.
        first = add_months(last, -cycle.count * MONTHS[cycle.unit], last.day)
    return (Decimal((end - start).days) / Decimal((last - first).days)).quantize(_PLACES, ROUND_HALF_UP)


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, ROUND_HALF_UP)
