"""How many periods a span of days costs, whole ones and stubs by the convention of README.md.

Nothing but the standard library, so that any other system can check itself against it.
"""

import calendar
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

MONTHS = {"month": 1, "quarter": 3, "year": 12}
_PLACES = Decimal("0.000000001")


def billed_cycles(*, period: str, bill_cycle_day: int, start: date, end: date | None, as_of: date) -> Decimal:
    """The periods billed in advance for [start, end) by a run on `as_of`; 0 before the start, 9 places.

    `period` is month, quarter or year (KeyError otherwise); `end` None means without end.
    """
    months = MONTHS[period]
    if as_of < start or (end is not None and end <= start):
        return Decimal(0)
    first = first_bill_date(start, bill_cycle_day, months)
    total = Decimal(0)
    if first > start:
        stub_end = first if end is None else min(first, end)
        total += _ratio(stub_end - start, first - add_months(first, -months, first.day))
    step, bill_date = 0, first
    while bill_date <= as_of and (end is None or bill_date < end):
        step += 1
        following = add_months(first, step * months, bill_cycle_day)
        paid_until = following if end is None else min(following, end)
        total += _ratio(paid_until - bill_date, following - bill_date)
        bill_date = following
    return total


def first_bill_date(start: date, cycle_day: int, months: int) -> date:
    """The cycle day in the starting month where that is not before the start, else a whole period later."""
    candidate = add_months(start, 0, cycle_day)
    return candidate if candidate >= start else add_months(start, months, cycle_day)


def add_months(day: date, months: int, cycle_day: int) -> date:
    """`cycle_day` (1–31) of the month that is `months` after the month of `day`, clamped to its length."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(cycle_day, calendar.monthrange(year, month + 1)[1]))


def _ratio(part: timedelta, whole: timedelta) -> Decimal:
    return (Decimal(part.days) / Decimal(whole.days)).quantize(_PLACES, ROUND_HALF_UP)
