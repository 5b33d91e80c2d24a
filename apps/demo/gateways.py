"""The gateways of the demonstration: how each is connected to its simulator, and its test cards."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from apps.connectors.models import Connection


@dataclass(frozen=True)
class Till:
    """One gateway. `config` makes its settings of shop, secret and the simulator's address."""

    simulator: str
    connector: str
    name: str
    config: Callable[[str, str, str], dict[str, Any]]
    good: str
    declined: str
    declined_later: str
    """Pays once, is declined at renewals."""


TILLS = (
    Till(
        "yookassa",
        "apps.payments.yookassa.YooKassa",
        "ЮKassa",
        lambda shop, secret, url: {"shop_id": shop, "secret_key": secret, "base_url": f"{url}/v3"},
        good="5555555555554477",
        declined="5555555555554600",
        declined_later="4000000000000341",
    ),
    Till(
        "tbank",
        "apps.payments.tbank.TBank",
        "Т-Банк",
        lambda shop, secret, url: {"terminal_key": shop, "password": secret, "base_url": f"{url}/v2"},
        good="2200770239097761",
        declined="2201382000000831",
        declined_later="2201382000000112",
    ),
    Till(
        "cloudpayments",
        "apps.payments.cloudpayments.CloudPayments",
        "CloudPayments",
        lambda shop, secret, url: {"public_id": shop, "api_secret": secret, "base_url": url},
        good="2202000000003055",
        declined="4000056655665556",
        declined_later="4111111111111111",
    ),
    Till(
        "robokassa",
        "apps.payments.robokassa.Robokassa",
        "Robokassa",
        lambda shop, secret, url: {
            "login": shop,
            # The simulator's shop has one secret; its passwords are that with a number.
            **{f"password_{number}": f"{secret}{number}" for number in (1, 2, 3)},
            "is_test": True,
            "base_url": url,
            "services_url": url,
        },
        good="2200000000000053",
        declined="2200000000000061",
        declined_later="2200000000000079",
    ),
)
"""The first is everybody's who has no rule of their own."""


def till_of(connection: Connection) -> Till:
    """The gateway of a connection. Raises StopIteration for one that the demonstration does not know."""
    return next(one for one in TILLS if one.connector == connection.connector)
