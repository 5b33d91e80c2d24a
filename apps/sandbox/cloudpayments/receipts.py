"""Receipts of CloudPayments' terminals (CloudKassir): checks, kkt/receipt, and what is notified and read of them."""

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any

from apps.sandbox.fiscal import FiscalBook
from apps.sandbox.store import Doc

VATS = {None, 0, 5, 7, 10, 20, 22, 105, 107, 110, 120, 122}
TYPES = {"sell": "Income", "sell_refund": "IncomeReturn"}
STATES = {"pending": "Queued", "done": "Processed", "fail": "Error"}


class WrongReceipt(Exception):
    """Why CloudKassir does not take it."""


def inside(body: Doc) -> Doc | None:
    """The receipt of JsonData, where there is one."""
    try:
        data = json.loads(body.get("JsonData") or "{}")
    except (ValueError, TypeError):
        raise WrongReceipt("Некорректный JsonData") from None
    found: Doc | None = (data.get("cloudpayments") or {}).get("CustomerReceipt")
    return found


def check(receipt: Any, amount: Decimal) -> None:
    """Raises WrongReceipt where its lines, sums or fields are not as they must be."""
    items = receipt.get("Items") if isinstance(receipt, dict) else None
    if not isinstance(items, list) or not items:
        raise WrongReceipt("Не заполнены позиции чека")
    if receipt.get("taxationSystem") not in {0, 1, 2, 3, 4, 5}:
        raise WrongReceipt("Неизвестная система налогообложения")
    email, phone = str(receipt.get("email") or ""), str(receipt.get("phone") or "")
    if "@" not in email and not re.fullmatch(r"\+?\d{11,15}", phone):
        raise WrongReceipt("Не указан email или телефон покупателя")
    try:
        total = sum((_checked(item) for item in items), Decimal(0))
        amounts = sum((Decimal(str(one)) for one in receipt["amounts"].values()), Decimal(0))
    except (InvalidOperation, KeyError, AttributeError, TypeError):
        raise WrongReceipt("Некорректная сумма позиции") from None
    if total != amount or amounts != amount:
        raise WrongReceipt("Сумма чека не совпадает с суммой операции")


def _checked(item: Doc) -> Decimal:
    price, quantity, amount = (Decimal(str(item[name])) for name in ("price", "quantity", "amount"))
    if not 1 <= len(str(item.get("label") or "")) <= 128:
        raise WrongReceipt("Наименование позиции: от 1 до 128 знаков")
    if item.get("vat", "?") not in VATS:
        raise WrongReceipt("Неизвестная ставка НДС")
    if item.get("method") not in range(8) or item.get("object") not in range(1, 34):
        raise WrongReceipt("Неизвестный признак способа или предмета расчёта")
    if "agentSign" in item and not (item.get("purveyorData") or {}).get("inn"):
        raise WrongReceipt("Не указаны данные поставщика")
    if price * quantity != amount:
        raise WrongReceipt("Сумма позиции не равна цене, умноженной на количество")
    return amount


def total_of(receipt: Any) -> Decimal:
    """What its lines come to."""
    try:
        return sum((Decimal(str(item["amount"])) for item in receipt["Items"]), Decimal(0))
    except (InvalidOperation, KeyError, TypeError):
        raise WrongReceipt("Не заполнены позиции чека") from None


def issue(book: FiscalBook, paid: Doc, receipt: Doc, *, operation: str, apart: bool = False) -> Doc:
    """The money of a transaction has moved, or a receipt has come by kkt/receipt."""
    return book.issue(
        paid["_shop"],
        operation=operation,
        total=f"{total_of(receipt):.2f}",
        receipt=receipt,
        payment=paid.get("order") or paid["id"],
        invoice=paid["InvoiceId"],
        transaction=paid["id"],
        apart=apart,
    )


def notification(made: Doc) -> Doc:
    """The fields of the Receipt notification."""
    return {
        "Id": made["id"],
        "DocumentNumber": made["fd"],
        "SessionNumber": "1",
        "Number": str(made["number"]),
        "FiscalSign": made["attribute"],
        "RegNumber": "0000000400054952",
        "FiscalNumber": made["fn"],
        "Type": TYPES[made["operation"]],
        "Ofd": "ОФД песочницы",
        "Url": made["url"],
        "QrCodeUrl": made["url"],
        "TransactionId": made["transaction"],
        "Amount": made["total"],
        "DateTime": made["registered_at"][:19].replace("T", " "),
        "InvoiceId": made["invoice"],
        "Receipt": json.dumps(made["receipt"], ensure_ascii=False),
    }


def shown(made: Doc) -> Doc:
    """`Model` of kkt/receipt/get."""
    more = {"Id": made["id"], "Amount": float(made["total"]), "DateTime": made["registered_at"][:19]}
    more |= {"DocumentNumber": made["fd"], "FiscalNumber": made["fn"], "FiscalSign": made["attribute"]}
    more |= {"OfdReceiptUrl": made["url"], "Type": TYPES[made["operation"]], "InvoiceId": made["invoice"]}
    return {**made["receipt"], "AdditionalData": more}
