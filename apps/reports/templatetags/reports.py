"""How the report's cells are shown."""

from datetime import date
from decimal import Decimal
from typing import Any

from django import template

from apps.core.money import Money

register = template.Library()


@register.filter
def shown(value: Any) -> str:
    """A day as 27.11.2026, anything else as it is."""
    return f"{value:%d.%m.%Y}" if isinstance(value, date) else str(value)


@register.filter
def amount(value: Any, currency: str) -> str:
    """A sum as «2 990 ₽», a count as it is."""
    return str(Money(value, currency)) if isinstance(value, Decimal) else str(value)
