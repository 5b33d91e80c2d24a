"""Prices, periods and pictures in the storefront's templates."""

from decimal import Decimal
from typing import Any

from django import template

from apps.catalog import periods
from apps.catalog.models import Product
from apps.storefronts import words

register = template.Library()
register.filter("per_period", words.per_period)
register.filter("every_period", words.every_period)


@register.filter
def money(amount: Decimal, currency: str = "RUB") -> str:
    """«1 290 ₽»."""
    return words.money(amount, currency)


@register.filter
def days(count: int) -> str:
    """«3 дня»."""
    return periods.in_words(count, "day")


@register.inclusion_tag("storefronts/art.html")
def art(product: Product) -> dict[str, Any]:
    """A product's picture, or the illustration of its category."""
    motif = words.motif(product.category)
    return {"motif": motif, "file": f"storefronts/art/{motif}.svg", "product": product}
