"""Console of the operator: products, tariffs with their versions, offers and their matrix, changes of prices."""

from apps.catalog.admin import costs, offers, prices, products, stops, tariffs

__all__ = ["costs", "offers", "prices", "products", "stops", "tariffs"]
