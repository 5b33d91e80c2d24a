"""A shop at the simulators, and staff."""

from tests.orders.fixtures import shop
from tests.payments.conftest import till_for
from tests.staff import staff

__all__ = ["shop", "staff", "till_for"]
