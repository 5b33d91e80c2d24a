"""The gateways that one contract test holds: how each is connected, its cards, its words, and what it calls things."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.sandbox.control import Control


@dataclass(frozen=True)
class GatewayKind:
    """One gateway. `create`, `charge` and `refund` are the names of its calls, as its simulator logs them."""

    name: str
    path: str
    config: Callable[[str, Control], Mapping[str, Any]]
    good: str
    three_ds: str
    poor: str
    """Declined at once for want of money."""
    poor_later: str
    """Saved, and declined at the renewal for want of money."""
    create: str
    charge: str
    refund: str
    funds: str
    """Its word for «not enough money»."""
    in_register: Callable[[dict[str, Any]], tuple[str, str]] = field(
        default=lambda row: ("key", row["metadata"]["payment"])
    )
    """By what of ours a payment is known in its register: ("key", our id) or ("reference", our number)."""


YOOKASSA = GatewayKind(
    name="yookassa",
    path="apps.payments.yookassa.YooKassa",
    config=lambda shop, control: {
        "shop_id": shop,
        "secret_key": "secret",
        "base_url": f"{control.base_url}/v3",
    },
    good="5555555555554477",
    three_ds="5555555555554444",
    poor="5555555555554600",
    poor_later="4000000000000341",
    create="create_payment",
    charge="create_payment",
    refund="create_refund",
    funds="insufficient_funds",
)
TBANK = GatewayKind(
    name="tbank",
    path="apps.payments.tbank.TBank",
    config=lambda shop, control: {
        "terminal_key": shop,
        "password": "secret",
        "base_url": f"{control.base_url}/v2",
    },
    good="2200770239097761",
    three_ds="2201382000000047",
    poor="2201382000000831",
    poor_later="2201382000000112",
    create="Init",
    charge="Charge",
    refund="Cancel",
    funds="116",
    in_register=lambda row: ("reference", row["order"]),
)
GATEWAYS = [YOOKASSA, TBANK]
