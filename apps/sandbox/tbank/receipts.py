"""Receipts of T-Bank's terminals: checks of `Receipt`, what of them comes with money, and their notifications."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from apps.sandbox.clock import moment
from apps.sandbox.fiscal import FiscalBook
from apps.sandbox.store import Doc

TAXES = {"none", *(f"vat{rate}" for rate in (0, 5, 7, 10, 20, 22, 105, 107, 110, 120, 122))}
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
AHEAD = {"full_prepayment", "prepayment", "advance"}
TYPES = {"sell": "Income", "sell_refund": "IncomeReturn"}
Refuse = Callable[[str], Exception]


def check(receipt: Any, amount: int, refuse: Refuse) -> None:
    """Raises what `refuse` makes of the name of the field that is wrong."""
    if not isinstance(receipt, dict) or not isinstance(receipt.get("Items"), list) or not receipt["Items"]:
        raise refuse("Receipt.Items")
    if receipt.get("Taxation") not in TAXATION:
        raise refuse("Receipt.Taxation")
    email, phone = str(receipt.get("Email") or ""), str(receipt.get("Phone") or "")
    if not (0 < len(email) <= 64 and "@" in email) and not re.fullmatch(r"\+\d{10,18}", phone):
        raise refuse("Receipt.Email")
    for item in receipt["Items"]:
        _check_item(item, refuse, is_new=receipt.get("FfdVersion") == "1.2")
    if sum(item["Amount"] for item in receipt["Items"]) != amount:
        raise refuse("Receipt.Items.Amount")
    paid = receipt.get("Payments")
    if paid is not None and ("Electronic" not in paid or sum(paid.values()) != amount):
        raise refuse("Receipt.Payments")


def _check_item(item: Doc, refuse: Refuse, *, is_new: bool) -> None:
    supplier = item.get("SupplierInfo") or {}
    fine = {
        "Name": 1 <= len(str(item.get("Name") or "")) <= 128,
        "Price": isinstance(item.get("Price"), int),
        "Amount": isinstance(item.get("Amount"), int) and item["Amount"] > 0,
        "Tax": item.get("Tax") in TAXES,
        "PaymentMethod": item.get("PaymentMethod", "full_payment") in METHODS,
        "MeasurementUnit": not is_new or bool(item.get("MeasurementUnit")),
        "SupplierInfo": "AgentData" not in item or 10 <= len(str(supplier.get("Inn", ""))) <= 12,
    }
    for name, holds in fine.items():
        if not holds:
            raise refuse(f"Receipt.Items.{name}")
    if item["Price"] * item["Quantity"] != item["Amount"]:
        raise refuse("Receipt.Items.Amount")


def is_prepayment(receipt: Any) -> bool:
    """Whether a closing receipt may follow it."""
    return bool(receipt) and any(item.get("PaymentMethod") in AHEAD for item in receipt["Items"])


def issue(book: FiscalBook, payment: Doc, receipt: Doc, *, operation: str, apart: bool = False) -> None:
    """The money of a session has moved, or a closing receipt has come."""
    total = sum(item["Amount"] for item in receipt["Items"])
    book.issue(
        payment["_shop"],
        operation=operation,
        total=f"{total / 100:.2f}",
        receipt=receipt,
        payment=payment["id"],
        order=payment["OrderId"],
        apart=apart,
    )


def notification(made: Doc) -> Doc:
    """What a terminal is told of a receipt; the Token comes after."""
    body: Doc = {
        "TerminalKey": made["_shop"],
        "OrderId": made["order"],
        "Success": made["status"] == "done",
        "Status": "RECEIPT",
        "PaymentId": int(made["payment"]),
        "ErrorCode": "0" if made["status"] == "done" else "3",
        "Amount": sum(item["Amount"] for item in made["receipt"]["Items"]),
        "Receipt": _told(made["receipt"]),
        "Type": TYPES[made["operation"]],
    }
    if made["status"] != "done":
        return {**body, "ErrorMessage": made["reason"]}
    at = moment(made["registered_at"]) + timedelta(hours=3)
    return {
        **body,
        "FiscalNumber": made["number"],
        "ShiftNumber": 1,
        "ReceiptDatetime": f"{at:%Y-%m-%dT%H:%M:%S}+03:00",
        "FnNumber": made["fn"],
        "EcrRegNumber": "0000000400054952",
        "FiscalDocumentNumber": int(made["fd"]),
        "FiscalDocumentAttribute": int(made["attribute"]),
        "Ofd": "ОФД песочницы",
        "Url": made["url"],
        "QrCodeUrl": made["url"],
    }


def _told(receipt: Doc) -> Doc:
    # What is one object in a request is a list in a notification.
    return {**receipt, "Payments": [receipt["Payments"]]} if receipt.get("Payments") else receipt
