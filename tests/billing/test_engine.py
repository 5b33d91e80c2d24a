"""The engine without a database: a peer's published cases, and what must hold of any life of a subscription."""

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import Phase as Step
from hypothesis import strategies as st

from apps.billing.engine import (
    MONTHS,
    ZERO,
    Billed,
    Cycle,
    Difference,
    Discount,
    Phase,
    bill,
    charges,
    settled_since,
)
from apps.billing.proration import billed_cycles, first_bill_date

CASES = json.loads((Path(__file__).parent / "data" / "proration-cases.json").read_text())["cases"]
FIRST_DAY = date(2024, 1, 1)
PIECES = [UUID(int=number) for number in range(1, 9)]
thoroughly = settings(
    max_examples=int(os.environ.get("LIVES", "1000")),
    deadline=None,
    database=None,
    phases=[Step.explicit, Step.generate],
    suppress_health_check=list(HealthCheck),
)


def lives(test: Callable[[int], None]) -> Callable[[], None]:
    """A thousand lives (ten thousand by `make soak`), each drawn from one seed, which a failure names."""
    return thoroughly(given(seed=st.integers(0, 2**64))(test))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['period']}-{case['start']}-{case['as_of']}")
def test_published_case(case: dict[str, Any]) -> None:
    """The engine and the public function give the same as the peer."""
    start, as_of = date.fromisoformat(case["start"]), date.fromisoformat(case["as_of"])
    end = date.fromisoformat(case["end"]) if case["end"] else None
    period, day = case["period"], case["bill_cycle_day"]
    anchor = first_bill_date(start, day, MONTHS[period])
    one = Phase(PIECES[0], start, Cycle(anchor, 1, period, day), Decimal("100.00"))
    pieces = charges([one], since=start, as_of=as_of, ends=end) if end is None or end > start else []
    expected = Decimal(case["expected"])
    assert sum((piece.ratio for piece in pieces), Decimal(0)) == expected
    assert billed_cycles(period=period, bill_cycle_day=day, start=start, end=end, as_of=as_of) == expected


def a_day(draw: Random, after: date = FIRST_DAY, within: int = 400) -> date:
    return after + timedelta(days=draw.randrange(within))


def a_price(draw: Random) -> Decimal:
    return Decimal(draw.choice([0, 1, 99, 14_900, 9_999, draw.randrange(200_000)])) / 100


def a_cycle(draw: Random, start: date) -> Cycle:
    unit = draw.choice(["month", "month", "month", "year", "week", "day"])
    count = draw.choice({"month": [1, 1, 1, 3, 6], "year": [1, 2], "week": [2, 3], "day": [10, 30]}[unit])
    if unit in ("week", "day"):
        return Cycle(start, count, unit, start.day)
    if draw.random() < 0.5:
        return Cycle(start, count, unit, start.day)
    day = draw.randrange(1, 32)
    return Cycle(first_bill_date(start, day, count * MONTHS[unit]), count, unit, day)


def some_phases(draw: Random) -> list[Phase]:
    """A trial perhaps, then terms after terms, some on the same bill dates, some a pause."""
    start, found = a_day(draw), list[Phase]()
    cycle = a_cycle(draw, start)
    for identity in PIECES[: draw.randrange(1, 5)]:
        free = draw.random() < 0.2
        found.append(Phase(identity, start, cycle, a_price(draw), draw.choice([1, 1, 2, 7]), is_free=free))
        start = start + timedelta(days=draw.randrange(1, 70))
        if draw.random() < 0.3:
            cycle = a_cycle(draw, start)
    return found


def some_discounts(draw: Random) -> list[Discount]:
    found = []
    for _number in range(draw.choice([0, 0, 1, 2])):
        start = a_day(draw)
        until = None if draw.random() < 0.3 else start + timedelta(days=draw.randrange(1, 200))
        percent = Decimal(draw.choice([5, 33, 50, 100]))
        off = (
            Discount(start, until, percent)
            if draw.random() < 0.7
            else Discount(start, until, amount=a_price(draw))
        )
        found.append(off)
    return found


@dataclass
class Books:
    """What has been billed and credited so far, as the database would hold it."""

    lines: list[Billed] = field(default_factory=list)
    was: dict[UUID, Decimal] = field(default_factory=dict)
    billed_until: date = date.min

    def since(self, start: date) -> list[Billed]:
        return [line for line in self.lines if line.end > start]

    def enter(self, what: Difference) -> None:
        for credit in what.credits:
            place = next(n for n, line in enumerate(self.lines) if line.line == credit.line)
            line = self.lines[place]
            assert ZERO < credit.amount <= line.amount - line.given
            assert line.start <= credit.start < credit.end <= line.end
            end = credit.start if credit.start > line.start else line.end
            self.lines[place] = replace(line, amount=line.amount - credit.amount, end=end)
        for one in what.charges:
            key = uuid4()
            self.lines.append(Billed(key, one.phase, one.period, one.start, one.end, one.amount))
            self.was[key] = one.amount
            self.billed_until = max(self.billed_until, one.end)

    def net(self) -> dict[tuple[UUID, date], Decimal]:
        found: dict[tuple[UUID, date], Decimal] = defaultdict(lambda: ZERO)
        for line in self.lines:
            found[line.phase, line.period] += line.amount
        return {piece: amount for piece, amount in found.items() if amount}


def owed(phases: list[Phase], discounts: list[Discount], as_of: date, ends: date | None) -> Iterator[Any]:
    for one in charges(phases, discounts, since=date.min, as_of=as_of, ends=ends):
        if one.amount:
            yield (one.phase, one.period), one.amount


@lives
def test_no_charge_is_negative_and_a_later_day_owes_no_less(seed: int) -> None:
    draw = Random(seed)
    phases, discounts = some_phases(draw), some_discounts(draw)
    ends = a_day(draw, within=700) if draw.random() < 0.4 else None
    earlier = a_day(draw, within=700)
    later = earlier + timedelta(days=draw.randrange(1, 90))
    few, many = (charges(phases, discounts, since=date.min, as_of=day, ends=ends) for day in (earlier, later))
    assert few == many[: len(few)]
    days = list[tuple[date, date]]()
    for one in many:
        assert ZERO <= one.discount <= one.gross
        assert one.start <= later
        assert 0 < one.ratio <= 1
        days.append((one.start, one.end))
    assert all(one[0] < one[1] for one in days)
    assert all(one[1] <= two[0] for one, two in pairwise(days))


@lives
def test_the_parts_of_a_period_add_up_to_the_whole(seed: int) -> None:
    """Terms that follow terms of the same price cost, over a period, what it costs: to the kopeck."""
    draw = Random(seed)
    start = a_day(draw)
    cycle = a_cycle(draw, start)
    number = draw.randrange(0, 4)
    first, last = cycle.bill_date(number), cycle.bill_date(number + 1)
    price, quantity = a_price(draw), draw.choice([1, 3])
    cuts = sorted({first, *(a_day(draw, first, (last - first).days) for _cut in range(draw.randrange(4)))})
    parts = [Phase(key, cut, cycle, price, quantity) for key, cut in zip(PIECES, cuts, strict=False)]
    pieces = charges(parts, since=first, as_of=last - timedelta(days=1))
    assert sum((one.amount for one in pieces), ZERO) == price * quantity
    assert abs(sum((one.ratio for one in pieces), Decimal(0)) - 1) <= Decimal("0.000000003")
    # Two spans make the one that they cover, in periods, but for the ninth place.
    if cycle.unit in MONTHS and cycle.count == 1:
        middle, end = (
            start + timedelta(days=draw.randrange(1, 200)),
            start + timedelta(days=draw.randrange(200, 400)),
        )

        def cycles(one: date, other: date) -> Decimal:
            day = cycle.day
            return billed_cycles(period=cycle.unit, bill_cycle_day=day, start=one, end=other, as_of=end)

        whole, halves = cycles(cycle.anchor, end), cycles(cycle.anchor, max(middle, cycle.anchor))
        assert halves <= whole


@lives
def test_a_run_in_any_steps_bills_what_one_late_run_bills(seed: int) -> None:
    """Repeated, late, overlapping, on an earlier day than the one before: nothing changes."""
    draw = Random(seed)
    phases, discounts = some_phases(draw), some_discounts(draw)
    ends = a_day(draw, within=700) if draw.random() < 0.4 else None
    last, books = FIRST_DAY, Books()
    for _run in range(draw.randrange(1, 6)):
        as_of = a_day(draw, within=600)
        last = max(last, as_of)
        # A plain run looks back to what is billed; one after a change looks further back.
        since = books.billed_until if draw.random() < 0.7 else a_day(draw, FIRST_DAY, 300)
        since = settled_since(phases, min(since, books.billed_until), ends)
        given_lines = books.since(since)
        made = bill(
            phases=phases, discounts=discounts, billed=given_lines, since=since, as_of=as_of, ends=ends
        )
        assert not made.credits
        books.enter(made)
    assert books.net() == dict(owed(phases, discounts, last, ends))
    assert all(line.amount == books.was[line.line] for line in books.lines)


@lives
def test_after_any_changes_what_is_billed_is_what_is_owed(seed: int) -> None:
    """Terms cut, taken back, ended and gone on with: per phase and period, billed less credited is the price."""
    draw = Random(seed)
    phases, discounts = some_phases(draw), some_discounts(draw)
    today, ends, books = phases[0].start, None, Books()
    for _step in range(draw.randrange(1, 6)):
        today += timedelta(days=draw.randrange(0, 60))
        change = draw.randrange(5)
        if change == 0 and len(phases) < len(PIECES):
            start = today + timedelta(days=draw.randrange(0, 40))
            cycle = phases[-1].cycle if draw.random() < 0.6 else a_cycle(draw, start)
            key = next(one for one in PIECES if one not in {phase.id for phase in phases})
            phases.append(Phase(key, start, cycle, a_price(draw), is_free=draw.random() < 0.3))
            phases.sort(key=lambda one: one.start)
        elif change == 1 and len(phases) > 1:
            phases.pop()
        elif change == 2:
            ends = None if ends else today + timedelta(days=draw.randrange(0, 40))
        elif change == 3:
            discounts = some_discounts(draw)
        made = bill(
            phases=phases, discounts=discounts, billed=books.lines, since=date.min, as_of=today, ends=ends
        )
        books.enter(made)
        net, should = books.net(), dict(owed(phases, discounts, today, ends))
        ahead = {piece for piece in net if piece not in should}
        assert all(net[piece] == amount for piece, amount in should.items())
        # What was billed ahead of today and is still to come is left alone.
        if ahead:
            last = max(line.start for line in books.lines)
            assert ahead <= {piece for piece, _amount in owed(phases, discounts, last, ends)}
    again = bill(
        phases=phases, discounts=discounts, billed=books.lines, since=date.min, as_of=today, ends=ends
    )
    assert (again.charges, again.credits) == ([], [])


def a_month(price: str = "300.00", start: date = date(2026, 4, 1)) -> Phase:
    return Phase(PIECES[0], start, Cycle(start, 1, "month", start.day), Decimal(price))


def billed(one: Phase, amount: str, **changed: Any) -> Billed:
    end = one.cycle.bill_date(1)
    return replace(Billed(uuid4(), one.id, one.start, one.start, end, Decimal(amount)), **changed)


def test_what_was_given_as_a_favour_is_neither_billed_again_nor_credited_twice() -> None:
    one = a_month()
    line = billed(one, "300.00", given=Decimal("200.00"))
    told = {"phases": [one], "billed": [line], "since": one.start, "as_of": one.start}
    assert bill(**told).total == 0
    stopped = bill(**told, ends=one.start + timedelta(days=3))
    assert [credit.amount for credit in stopped.credits] == [Decimal("100.00")]


def test_a_void_line_is_billed_again_as_another_part_of_its_piece() -> None:
    one = a_month()
    void = billed(one, "0.00", stands=False)
    [again] = bill(phases=[one], billed=[void], since=one.start, as_of=one.start).charges
    assert (again.amount, again.part, again.start) == (Decimal("300.00"), 1, one.start)
    free = Discount(one.start, None, Decimal(100))
    [nothing] = bill(phases=[one], discounts=[free], billed=[void], since=one.start, as_of=one.start).charges
    assert (nothing.amount, nothing.part) == (0, 1)
    stands = replace(void, stands=True)
    assert not bill(phases=[one], discounts=[free], billed=[stands], since=one.start, as_of=one.start).charges


def test_a_piece_cut_short_and_gone_on_with_adds_up() -> None:
    one, cut = a_month("100.00"), date(2026, 4, 11)
    short = bill(phases=[one], since=one.start, as_of=one.start, ends=cut)
    assert short.total == Decimal("33.33")
    line = billed(one, "33.33", end=cut)
    since = settled_since([one], cut)
    assert since == one.start
    [rest] = bill(phases=[one], billed=[line], since=since, as_of=cut).charges
    assert (rest.start, rest.amount, rest.part) == (cut, Decimal("66.67"), 1)


def test_a_price_that_has_no_half_is_not_paid_twice_over() -> None:
    one = a_month("149.99")
    other = replace(one, id=PIECES[1], start=date(2026, 4, 16))
    pieces = charges([one, other], since=one.start, as_of=other.start)
    assert [piece.amount for piece in pieces] == [Decimal("75.00"), Decimal("74.99")]
