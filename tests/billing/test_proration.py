"""The billing convention against the published cases of a peer, and the properties that it must have."""

import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.billing.proration import MONTHS, billed_cycles

CASES = json.loads((Path(__file__).parent / "data" / "proration-cases.json").read_text())["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['period']}-{case['start']}-{case['as_of']}")
def test_published_case(case: dict[str, Any]) -> None:
    end = case["end"] and date.fromisoformat(case["end"])
    billed = billed_cycles(
        period=case["period"],
        bill_cycle_day=case["bill_cycle_day"],
        start=date.fromisoformat(case["start"]),
        end=end,
        as_of=date.fromisoformat(case["as_of"]),
    )
    assert billed == Decimal(case["expected"])


@given(
    period=st.sampled_from(sorted(MONTHS)),
    cycle_day=st.integers(1, 31),
    start=st.dates(date(2020, 1, 1), date(2028, 12, 31)),
    length=st.integers(1, 900),
    run=st.integers(0, 900),
)
def test_a_later_run_never_bills_less_and_no_day_is_billed_twice(
    period: str, cycle_day: int, start: date, length: int, run: int
) -> None:
    end = start + timedelta(days=length)

    def billed(as_of: date, until: date | None = end) -> Decimal:
        return billed_cycles(period=period, bill_cycle_day=cycle_day, start=start, end=until, as_of=as_of)

    as_of = start + timedelta(days=run)
    assert billed(start - timedelta(days=1)) == 0
    assert 0 < billed(as_of) <= billed(as_of + timedelta(days=1)) <= billed(end)
    # Without an end, at least as much; and never more than the days could hold.
    assert billed(as_of) <= billed(as_of, None)
    assert billed(end) <= Decimal(length) / (MONTHS[period] * 28) + Decimal("0.1")
