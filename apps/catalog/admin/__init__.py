"""Console of the operator: products, tariffs with their versions, offers and their matrix, changes of prices."""

from apps.catalog.admin import offers, prices, products, tariffs

__all__ = ["offers", "prices", "products", "tariffs"]
