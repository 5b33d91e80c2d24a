"""Receipts of Robokassa's shops: checks of the signed form's Receipt, RoboFiscal, and the lines of a refund."""

import base64
import hashlib
import json
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import unquote

from apps.sandbox.fiscal import FiscalBook
from apps.sandbox.store import Doc

SNO = {"osn", "usn_income", "usn_income_outcome", "esn", "patent"}
TAXES = {"none", *(f"vat{rate}" for rate in (0, 5, 7, 10, 20, 22, 105, 107, 110, 120, 122))}
METHODS = {
    "full_prepayment",
    "prepayment",
    "advance",
    "full_payment",
    "partial_payment",
    "credit",
    "credit_payment",
}
CODES = {"pending": "1", "done": "2", "fail": "3"}


def read(text: str, amount: str) -> Doc | None:
    """The receipt of a form, as it came there once decoded; ValueError where it is wrong."""
    if not text:
        return None
    receipt = json.loads(unquote(text))
    check(receipt, Decimal(amount))
    found: Doc = receipt
    return found


def check(receipt: Any, amount: Decimal) -> None:
    """ValueError where lines, sums or fields are not as they must be."""
    items = receipt.get("items") if isinstance(receipt, dict) else None
    if receipt.get("sno") not in SNO or not isinstance(items, list) or not 1 <= len(items) <= 100:
        raise ValueError("Receipt: sno, items")
    try:
        total = sum((Decimal(str(item["sum"])) for item in items), Decimal(0))
    except (KeyError, InvalidOperation) as error:
        raise ValueError("Receipt: sum") from error
    for item in items:
        if not 1 <= len(str(item.get("name") or "")) <= 128 or not item.get("quantity"):
            raise ValueError("Receipt: name, quantity")
        if item.get("tax") not in TAXES or item.get("payment_method") not in METHODS:
            raise ValueError("Receipt: tax, payment_method")
        if not item.get("payment_object"):
            raise ValueError("Receipt: payment_object")
    if total != amount:
        raise ValueError("Receipt: sum of items is not OutSum")


def of_refund(items: Any, amount: Decimal, sno: str) -> Doc | None:
    """The receipt of a refund by its InvoiceItems; ValueError where they are wrong."""
    if items is None:
        return None
    lines = [
        {
            "name": item.get("Name"),
            "quantity": item.get("Quantity"),
            "sum": float(Decimal(str(item.get("Cost"))) * Decimal(str(item.get("Quantity")))),
            "tax": item.get("Tax"),
            "payment_method": item.get("PaymentMethod"),
            "payment_object": item.get("PaymentObject"),
        }
        for item in items
    ]
    receipt = {"sno": sno, "items": lines}
    check(receipt, amount)
    return receipt


def issue(
    book: FiscalBook, operation: Doc, receipt: Doc | None, *, number: str, amount: str, way: str
) -> None:
    """The money of an operation has moved."""
    if receipt:
        book.issue(
            operation["_shop"],
            operation=way,
            total=amount,
            receipt=receipt,
            payment=operation["number"],
            asked=number,
        )


def opened(body: str, password: str) -> Doc:
    """A request to RoboFiscal; ValueError where it is not signed by the password."""
    content, _, signature = body.partition(".")
    digest = hashlib.md5(f"{content}{password}".encode(), usedforsecurity=False).hexdigest()
    if _decoded(signature).decode() != digest:
        raise ValueError("wrong signature")
    found: Doc = json.loads(_decoded(content))
    return found


def content_of(body: str) -> Doc:
    """What is asked, not believed yet."""
    found: Doc = json.loads(_decoded(body.partition(".")[0]))
    return found


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def attach(book: FiscalBook, operation: Doc | None, asked: Doc) -> Doc:
    """The second receipt of an operation whose first one said that it is a prepayment."""
    shop, number = str(asked["merchantId"]), str(asked["id"])
    if find(book, shop, number) is not None:
        return {"ResultCode": "2", "ResultDescription": "Чек с таким номером уже есть"}
    first = (operation or {}).get("receipt")
    if operation is None or not first:
        return {"ResultCode": "3", "ResultDescription": "Нет первого чека этой операции"}
    if not any(
        item["payment_method"] in {"full_prepayment", "prepayment", "advance"} for item in first["items"]
    ):
        return {"ResultCode": "3", "ResultDescription": "Первый чек — не предоплата"}
    total = Decimal(str(asked["total"]))
    paid = sum((Decimal(str(one["sum"])) for one in asked["payments"]), Decimal(0))
    try:
        check(asked, total)
        if paid != total or not (asked["client"].get("email") or asked["client"].get("phone")):
            raise ValueError("payments, client")
    except ValueError as error:
        return {"ResultCode": "1", "ResultDescription": str(error)}
    book.issue(
        shop,
        operation="sell",
        total=f"{total:.2f}",
        receipt={name: asked[name] for name in ("sno", "items", "payments", "vats", "client")},
        payment=operation["number"],
        asked=number,
        apart=True,
    )
    return {"ResultCode": "0", "ResultDescription": "ok"}


def find(book: FiscalBook, shop: str, number: str) -> Doc | None:
    """A receipt by the number that it is asked about by."""
    found = [one for one in book.of(shop) if one.get("asked") == number]
    return found[-1] if found else None


def status(book: FiscalBook, asked: Doc) -> Doc:
    """What became of it."""
    made = find(book, str(asked["merchantId"]), str(asked["id"]))
    if made is None:
        return {"Code": "1000", "Description": "Чек не найден"}
    said = {"Code": CODES[made["status"]], "Description": made["reason"] or "ok"}
    if made["status"] != "done":
        return said
    said |= {"FnNumber": made["fn"], "FiscalDocumentNumber": made["fd"], "OfdUrl": made["url"]}
    return {**said, "FiscalDocumentAttribute": made["attribute"], "FiscalDate": made["registered_at"]}
