"""Money adds up to the kopeck."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.money import Money, rounded, vat_inside

amounts = st.integers(-(10**9), 10**9).map(lambda kopecks: Decimal(kopecks) / 100)


@given(amounts, st.lists(st.integers(0, 1000), min_size=1, max_size=20).filter(any))
def test_parts_add_up_to_the_whole(amount: Decimal, weights: list[int]) -> None:
    parts = Money(amount).split(weights)
    assert sum(part.amount for part in parts) == amount
    assert all(part.amount == 0 for part, weight in zip(parts, weights, strict=True) if weight == 0)


def test_half_a_kopeck_goes_up() -> None:
    assert rounded(Decimal("0.005")) == Decimal("0.01")
    assert rounded(Decimal("-0.005")) == Decimal("-0.01")


def test_no_parts_of_a_kopeck_and_no_mixed_currencies() -> None:
    with pytest.raises(ValueError, match="kopecks"):
        Money(Decimal("0.001"))
    with pytest.raises(ValueError, match="do not add up"):
        Money(Decimal(1)) + Money(Decimal(1), "USD")


def test_vat_is_inside_the_price() -> None:
    assert vat_inside(Decimal("122.00"), Decimal(22)) == Decimal("22.00")
    assert vat_inside(Decimal("299.00"), None) == 0


def test_money_reads_as_russians_write_it() -> None:
    assert str(Money(Decimal("1290.50"))) == "1\xa0290,50\xa0₽"
    assert str(Money(Decimal("299.00"))) == "299\xa0₽"
