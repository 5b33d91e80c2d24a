"""What YooKassa accepts: checks of a request's body, each failing with the API's own error."""

import re
import uuid
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from aiohttp import web

SBP_LEAST = Decimal(10)
KOPECK = Decimal("0.01")
SUBJECTS = {"commodity", "job", "service", "payment", "intellectual_activity", "agent_commission", "another"}
METHOD_TYPES = {"bank_card", "sbp", "sberbank", "tinkoff_bank", "yoo_money"}


class ApiError(Exception):
    """A refusal in the API's form."""

    def __init__(self, status: int, code: str, description: str, parameter: str | None = None) -> None:
        super().__init__(description)
        self.status, self.code, self.description, self.parameter = status, code, description, parameter

    def response(self) -> web.Response:
        body = {"type": "error", "id": str(uuid.uuid4()), "code": self.code, "description": self.description}
        if self.parameter:
            body["parameter"] = self.parameter
        return web.json_response(body, status=self.status)


def wrong(description: str, parameter: str | None = None) -> ApiError:
    return ApiError(400, "invalid_request", description, parameter)


def not_found(what: str) -> ApiError:
    return ApiError(404, "not_found", f"{what} doesn't exist or is not available")


def money(body: Any, parameter: str = "amount") -> Decimal:
    """A positive amount in roubles with at most two decimals."""
    if not isinstance(body, dict):
        raise wrong("Required parameter is missing", parameter)
    if body.get("currency") != "RUB":
        raise wrong("Currency is not supported", f"{parameter}.currency")
    try:
        value = Decimal(body["value"]) if isinstance(body.get("value"), str) else None
    except InvalidOperation:
        value = None
    if value is None or not value.is_finite() or value != value.quantize(KOPECK) or not 0 < value < 10**9:
        raise wrong("Invalid amount", f"{parameter}.value")
    return value.quantize(KOPECK)


def roubles(value: Decimal) -> dict[str, str]:
    return {"value": str(value.quantize(KOPECK, ROUND_HALF_UP)), "currency": "RUB"}


def check_payment(body: dict[str, Any]) -> None:
    """All of a payment's body that can be checked without the shop's data."""
    amount = money(body.get("amount"))
    _check_texts(body)
    if body.get("receipt") is not None:
        check_receipt(body["receipt"], amount)
    if body.get("payment_method_id"):
        if body.get("save_payment_method"):
            raise wrong("Payment method is already saved", "save_payment_method")
        if body.get("payment_method_data"):
            raise wrong("Only one source of payment is allowed", "payment_method_data")
        return
    data = body.get("payment_method_data")
    if data is not None and data.get("type") not in METHOD_TYPES:
        raise wrong("Payment method is not available", "payment_method_data.type")
    if data is not None and data["type"] == "sbp":
        if amount < SBP_LEAST:
            raise wrong("Amount is too small for this payment method", "amount.value")
        if body.get("capture") is not True:
            raise wrong("This payment method has no two stages", "capture")
    check_confirmation(body.get("confirmation"))


def check_method(body: dict[str, Any]) -> None:
    """A method that is to be saved without a payment."""
    if body.get("type") not in ("bank_card", "sbp"):
        raise wrong("Payment method can not be saved", "type")
    check_confirmation(body.get("confirmation"))


def check_confirmation(confirmation: Any) -> None:
    if not isinstance(confirmation, dict):
        raise wrong("Required parameter is missing", "confirmation")
    if confirmation.get("type") not in ("redirect", "qr", "embedded", "external", "mobile_application"):
        raise wrong("Confirmation type is not supported", "confirmation.type")
    address = confirmation.get("return_url")
    if confirmation["type"] == "redirect" and not address:
        raise wrong("Required parameter is missing", "confirmation.return_url")
    if address and (not str(address).startswith(("http://", "https://")) or len(address) > 2048):
        raise wrong("Invalid URL", "confirmation.return_url")


def check_receipt(receipt: Any, amount: Decimal, *, with_agents: bool = False) -> None:
    """Customer, lines, VAT codes, and that the lines add up to the amount; agents only apart from the money."""
    customer = receipt.get("customer") if isinstance(receipt, dict) else None
    if not customer or not (customer.get("email") or customer.get("phone")):
        raise wrong("Receipt is missing or illegal", "receipt.customer")
    items = receipt.get("items")
    if not isinstance(items, list) or not 1 <= len(items) <= 100:
        raise wrong("Receipt is missing or illegal", "receipt.items")
    if not re.fullmatch(r"|\d{11,15}", str(customer.get("phone") or "")):
        raise wrong("Receipt is missing or illegal", "receipt.customer.phone")
    if receipt.get("tax_system_code") not in range(1, 7):
        raise wrong("Receipt is missing or illegal", "receipt.tax_system_code")
    total = Decimal(0)
    for number, item in enumerate(items):
        path = f"receipt.items[{number}]"
        _check_item(item, path, with_agents=with_agents)
        try:
            quantity = Decimal(str(item.get("quantity")))
        except InvalidOperation:
            raise wrong("Receipt is missing or illegal", f"{path}.quantity") from None
        total += money(item.get("amount"), f"{path}.amount") * quantity
    if total.quantize(KOPECK, ROUND_HALF_UP) != amount:
        raise wrong("Receipt total doesn't match the amount", "receipt.items")


def _check_item(item: dict[str, Any], path: str, *, with_agents: bool) -> None:
    has_agent = "agent_type" in item
    fine = {
        "description": 1 <= len(str(item.get("description") or "")) <= 128,
        "payment_mode": item.get("payment_mode") in ("full_payment", "full_prepayment"),
        "payment_subject": item.get("payment_subject") in SUBJECTS,
        "vat_code": item.get("vat_code") in range(1, 13),
        "agent_type": with_agents or not (has_agent or "supplier" in item),
        "supplier": not has_agent or bool((item.get("supplier") or {}).get("name")),
    }
    for name, holds in fine.items():
        if not holds:
            raise wrong("Receipt is missing or illegal", f"{path}.{name}")


def _check_texts(body: dict[str, Any]) -> None:
    if len(str(body.get("description") or "")) > 128:
        raise wrong("Description is too long", "description")
    metadata = body.get("metadata")
    if metadata is None:
        return
    if not isinstance(metadata, dict) or len(metadata) > 16:
        raise wrong("Metadata is invalid", "metadata")
    for key, value in metadata.items():
        if len(key) > 32 or not isinstance(value, str) or len(value) > 512:
            raise wrong("Metadata is invalid", f"metadata.{key}"[:64])
