"""Amounts and words in the console's pages of billing."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import template

from apps.core.money import Money

register = template.Library()


@register.filter
def roubles(amount: Any) -> str:
    """«1 290 ₽»."""
    return str(Money(Decimal(amount or 0)))


@register.filter
def of(words: Mapping[str, Any], code: str) -> Any:
    """The word for a code."""
    return words.get(code, code)
