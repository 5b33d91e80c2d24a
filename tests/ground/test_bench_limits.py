"""What the benches are held to: each has a limit of a figure that it tells, and what is over is named."""

import pytest

from bench import cases, limits
from bench.__main__ import COLUMNS


def test_every_bench_is_held_to_something() -> None:
    assert limits.LIMITS.keys() == cases.CASES.keys()
    own = {
        "order_intake": {"single_per_second"},
        "invoice_pdf": {"p95_seconds"},
        "entitlement": {"p95_seconds"},
    }
    for name, held in limits.LIMITS.items():
        assert {one.figure for one in held} <= {*COLUMNS, *own.get(name, ())}, name


@pytest.mark.parametrize(
    ("name", "figure", "found", "is_kept"),
    [
        ("charging_30", "ratio", 1.2504, True),
        ("charging_30", "ratio", 1.251, False),
        ("charging_200", "ratio", 2.6, False),
        ("invoice_pdf", "per_second", 19.9, False),
        ("invoice_pdf", "per_second", 20.0, True),
    ],
)
def test_what_is_over_is_named(name: str, figure: str, found: float, is_kept: bool) -> None:
    result = {one.figure: one.bound for one in limits.LIMITS[name]} | {figure: found}
    told = limits.exceeded({name: result})
    assert told == ([] if is_kept else [f"{name}: {_limit(name, figure)}, measured {found:.3f}"])


def _limit(name: str, figure: str) -> limits.Limit:
    [found] = [one for one in limits.LIMITS[name] if one.figure == figure]
    return found
