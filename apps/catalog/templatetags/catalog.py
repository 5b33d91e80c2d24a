"""Amounts in the console's pages of the catalogue."""

from decimal import Decimal
from typing import Any

from django import template

from apps.core.money import Money

register = template.Library()


@register.filter
def money(amount: Any) -> str:
    """«1 290 ₽»."""
    return str(Money(Decimal(amount or 0)))
