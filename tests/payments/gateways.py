"""The gateways that one contract test holds: how each is connected, its cards, its words, and what it calls things."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.policies.dunning import DeclineClass
from apps.sandbox.control import Control


@dataclass(frozen=True)
class GatewayKind:
    """One gateway. `create`, `charges` and `refund` are the names of its calls, as its simulator logs them."""

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
    charges: tuple[str, ...]
    """All that a charge takes, the one that moves the money last."""
    refund: str
    funds: str
    """Its word for «not enough money»."""
    funds_class: str = DeclineClass.FUNDS
    acknowledged: str = "OK"
    """How the answer begins that it takes for «received»."""
    ends_pages: bool = True
    """Whether a page that nobody pays ends by itself."""
    knows_cards: bool = True
    """Whether the same card saved again can be known again."""
    refunds_are_found: bool = True
    """Whether a refund whose answer was lost can be asked about."""
    binds: tuple[str, ...] = ()
    """What it saves without a payment, where its connection is set so."""
    capture: str = ""
    """Its call that takes what is held; empty where it holds nothing."""
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
    charges=("create_payment",),
    refund="create_refund",
    funds="insufficient_funds",
    binds=("bank_card", "sbp"),
    capture="capture_payment",
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
    charges=("Init", "Charge"),
    refund="Cancel",
    funds="116",
    binds=("bank_card", "sbp"),
    capture="Confirm",
    in_register=lambda row: ("reference", row["order"]),
)
CLOUDPAYMENTS = GatewayKind(
    name="cloudpayments",
    path="apps.payments.cloudpayments.CloudPayments",
    config=lambda shop, control: {
        "public_id": shop,
        "api_secret": "secret",
        "base_url": control.base_url,
    },
    good="2202000000003055",
    three_ds="4242424242424242",
    poor="4000056655665556",
    poor_later="4111111111111111",
    create="orders/create",
    charges=("payments/tokens/charge",),
    refund="payments/refund",
    funds="5051",
    capture="payments/confirm",
    acknowledged='{"code":0}',
    ends_pages=False,
    in_register=lambda row: ("reference", row["order"]),
)
ROBOKASSA = GatewayKind(
    name="robokassa",
    path="apps.payments.robokassa.Robokassa",
    config=lambda shop, control: {
        "login": shop,
        "password_1": "secret1",
        "password_2": "secret2",
        "password_3": "secret3",
        "is_test": True,
        "base_url": control.base_url,
        "services_url": control.base_url,
        "fiscal_url": control.base_url,
    },
    good="2200000000000053",
    three_ds="4111111111111111",
    poor="2200000000000061",
    poor_later="2200000000000079",
    create="",
    charges=("Recurring",),
    refund="Refund/Create",
    funds="state_10",
    funds_class=DeclineClass.UNKNOWN,
    ends_pages=False,
    knows_cards=False,
    refunds_are_found=False,
    in_register=lambda row: ("reference", row["order"]),
)
GATEWAYS = [YOOKASSA, TBANK, CLOUDPAYMENTS, ROBOKASSA]
