"""Money: exact decimals of two places with a currency."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

KOPECK = Decimal("0.01")


def rounded(amount: Decimal) -> Decimal:
    """`amount` in whole kopecks, half up (away from zero)."""
    return amount.quantize(KOPECK, ROUND_HALF_UP)


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An amount in a currency (ISO 4217). Raises ValueError for parts of a kopeck and for mixed currencies."""

    amount: Decimal
    currency: str = "RUB"

    def __post_init__(self) -> None:
        if self.amount != rounded(self.amount):
            raise ValueError(f"{self.amount} is not a whole number of kopecks")

    def __add__(self, other: "Money") -> "Money":
        self._same(other)
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        self._same(other)
        return Money(self.amount - other.amount, self.currency)

    def _same(self, other: "Money") -> None:
        if self.currency != other.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not add up")

    def split(self, weights: Sequence[int]) -> list["Money"]:
        """Parts in proportion to `weights` that add up to the whole; the first ones get what is left over."""
        total = sum(weights)
        if total <= 0 or min(weights) < 0:
            raise ValueError("Weights must be non-negative and not all zero")
        kopecks = int(self.amount * 100)
        sign, kopecks = (1, kopecks) if kopecks >= 0 else (-1, -kopecks)
        parts = [kopecks * weight // total for weight in weights]
        rest = kopecks - sum(parts)
        for index, weight in enumerate(weights):
            if rest and weight:
                parts[index], rest = parts[index] + 1, rest - 1
        return [Money(Decimal(sign * part) / 100, self.currency) for part in parts]

    def __str__(self) -> str:
        sign = {"RUB": "₽"}.get(self.currency, self.currency)
        whole, part = f"{self.amount:,.2f}".replace(",", "\N{NO-BREAK SPACE}").split(".")
        return f"{whole}{'' if part == '00' else ',' + part}\N{NO-BREAK SPACE}{sign}"


def vat_inside(gross: Decimal, rate: Decimal | None) -> Decimal:
    """The VAT within a gross amount at `rate` per cent; None is «без НДС»."""
    return rounded(gross * rate / (100 + rate)) if rate else Decimal("0.00")


def amount_field(verbose_name: Any, **options: Any) -> models.DecimalField:
    """A column for an amount: numeric(14,2)."""
    return models.DecimalField(verbose_name, max_digits=14, decimal_places=2, **options)


def currency_field() -> models.CharField:
    """A column for the currency of the amounts beside it: char(3)."""
    return models.CharField(_("валюта"), max_length=3, default="RUB")
