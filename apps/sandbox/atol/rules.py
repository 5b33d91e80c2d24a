"""What a register takes: the fields of a receipt of ATOL Online v5, and that its sums add up."""

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from apps.sandbox.store import Doc

OPERATIONS = (
    "sell",
    "sell_refund",
    "sell_correction",
    "sell_refund_correction",
)
TAXATION = {"osn", "usn_income", "usn_income_outcome", "esn", "patent"}
METHODS = {
    "full_prepayment",
    "prepayment",
    "advance",
    "full_payment",
    "partial_payment",
    "credit",
    "credit_payment",
}
AGENTS = {
    "bank_paying_agent",
    "bank_paying_subagent",
    "paying_agent",
    "paying_subagent",
    "attorney",
    "commission_agent",
    "another",
}
RATES = {
    "none": None,
    "vat0": (0, 100),
    "vat5": (5, 105),
    "vat7": (7, 107),
    "vat10": (10, 110),
    "vat20": (20, 120),
    "vat22": (22, 122),
    "vat105": (5, 105),
    "vat107": (7, 107),
    "vat110": (10, 110),
    "vat120": (20, 120),
    "vat122": (22, 122),
}


def problem(body: Doc, *, inn: str, is_correction: bool) -> str:
    """What is wrong with the body of an operation; empty where nothing is."""
    if not isinstance(body.get("external_id"), str) or not 1 <= len(body["external_id"]) <= 128:
        return "external_id: 1..128"
    if not re.fullmatch(r"\d\d\.\d\d\.\d{4} \d\d:\d\d:\d\d", str(body.get("timestamp"))):
        return "timestamp: dd.mm.yyyy HH:MM:SS"
    receipt = body.get("correction" if is_correction else "receipt")
    if not isinstance(receipt, dict):
        return "receipt"
    company = receipt.get("company") or {}
    if company.get("inn") != inn or company.get("sno") not in TAXATION or not company.get("payment_address"):
        return "company"
    if is_correction and not _is_told(receipt.get("correction_info")):
        return "correction_info: type, base_date dd.mm.yyyy"
    client = receipt.get("client") or {}
    if not is_correction and not (client.get("email") or client.get("phone")):
        return "client: email or phone"
    return _sums(receipt)


def _is_told(info: Any) -> bool:
    """Whether a correction says of whose accord it is, and of what day; by order it names the order too."""
    if not isinstance(info, dict) or info.get("type") not in {"self", "instruction"}:
        return False
    is_named = info["type"] == "self" or bool(info.get("base_number"))
    return is_named and bool(re.fullmatch(r"\d\d\.\d\d\.\d{4}", str(info.get("base_date"))))


def _sums(receipt: Doc) -> str:
    items, payments = receipt.get("items") or [], receipt.get("payments") or []
    if not 1 <= len(items) <= 100 or not payments:
        return "items: 1..100; payments"
    try:
        for item in items:
            if told := _item(item):
                return told
        total = _money(receipt["total"])
        if sum(_money(item["sum"]) for item in items) != total:
            return "total: not the sum of items"
        if sum(_money(one["sum"]) for one in payments) != total:
            return "payments: not the total"
        if any(one.get("type") not in {0, 1, 2, 3, 4} for one in payments):
            return "payments: type"
    except (KeyError, TypeError, InvalidOperation):
        return "a sum is missing, or is none"
    return ""


def _item(item: Doc) -> str:
    name = item.get("name")
    if not isinstance(name, str) or not 1 <= len(name) <= 128:
        return "name: 1..128"
    price, quantity, amount = _money(item["price"]), Decimal(str(item["quantity"])), _money(item["sum"])
    if abs((price * quantity).quantize(Decimal("0.01")) - amount) > Decimal("0.01"):
        return "sum: not price × quantity"
    if item.get("payment_method") not in METHODS or not isinstance(item.get("payment_object"), int):
        return "payment_method, payment_object"
    if (item.get("vat") or {}).get("type") not in RATES:
        return "vat"
    if agent := item.get("agent_info"):
        supplier = item.get("supplier_info") or {}
        # Ten digits are a company's, and it has one: «none» is twelve zeros.
        inn = str(supplier.get("inn"))
        is_known = re.fullmatch(r"\d{10}|\d{12}", inn) and inn != "0" * 10
        if agent.get("type") not in AGENTS or not is_known:
            return "agent_info, supplier_info"
    return ""


def _money(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(value)
    found = Decimal(str(value))
    if found != found.quantize(Decimal("0.01")) or found < 0:
        raise InvalidOperation
    return found
