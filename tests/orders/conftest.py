"""A shop at the simulators."""

from tests.orders.fixtures import shop

__all__ = ["shop"]
