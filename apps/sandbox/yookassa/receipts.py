"""Receipts of YooKassa's shops: those inside payments and refunds, and POST /receipts."""

from decimal import Decimal
from typing import Any

from apps.sandbox.fiscal import FiscalBook
from apps.sandbox.store import Doc, Store
from apps.sandbox.yookassa import rules

WORDS = {"pending": "pending", "done": "succeeded", "fail": "canceled"}
SETTLEMENTS = {"cashless", "prepayment", "postpayment", "consideration"}


def issue(book: FiscalBook, doc: Doc) -> None:
    """The money of a payment or refund has moved: its receipt goes to the register."""
    if not doc.get("_receipt"):
        return
    is_refund = "payment_id" in doc
    made = book.issue(
        doc["_shop"],
        operation="sell_refund" if is_refund else "sell",
        total=doc["amount"]["value"],
        receipt=doc["_receipt"],
        payment=doc["payment_id"] if is_refund else doc["id"],
        refund=doc["id"] if is_refund else "",
    )
    doc["receipt_registration"] = WORDS[made["status"]]


def registered(store: Store, made: Doc) -> None:
    """Its payment or refund shows what became of a receipt."""
    table, key = ("refunds", made["refund"]) if made["refund"] else ("payments", made["payment"])
    doc = store.get(table, key)
    if doc is not None and not made["apart"] and doc["status"] == "succeeded":
        store.put(table, key, {**doc, "receipt_registration": WORDS[made["status"]]})


def create(store: Store, book: FiscalBook, shop: str, body: Doc) -> Doc:
    """POST /receipts: of a payment or refund that has succeeded."""
    kind = body.get("type")
    if kind not in ("payment", "refund"):
        raise rules.wrong("Receipt type is not supported", "type")
    doc = store.get(f"{kind}s", str(body.get(f"{kind}_id") or ""))
    if doc is None or doc["_shop"] != shop or doc["status"] != "succeeded":
        raise rules.wrong("Payment or refund doesn't exist or is not succeeded", f"{kind}_id")
    if body.get("send") is not True:
        raise rules.wrong("Required parameter is missing", "send")
    settlements = body.get("settlements")
    if not isinstance(settlements, list) or not settlements:
        raise rules.wrong("Required parameter is missing", "settlements")
    if any(one.get("type") not in SETTLEMENTS for one in settlements):
        raise rules.wrong("Settlement type is not supported", "settlements.type")
    total = sum((rules.money(one.get("amount"), "settlements.amount") for one in settlements), Decimal(0))
    if total > Decimal(doc["amount"]["value"]):
        raise rules.wrong("Settlements are more than the payment", "settlements")
    rules.check_receipt(body, total, with_agents=True)
    return book.issue(
        shop,
        operation="sell_refund" if kind == "refund" else "sell",
        total=f"{total:.2f}",
        receipt={name: body[name] for name in ("customer", "items", "settlements", "tax_system_code")},
        payment=doc.get("payment_id") or doc["id"],
        refund=doc["id"] if kind == "refund" else "",
        apart=True,
    )


def public(made: Doc) -> Doc:
    """A receipt as the API shows it."""
    kind = "refund" if made["refund"] else "payment"
    shown: dict[str, Any] = {"id": made["id"], "type": kind, f"{kind}_id": made[kind]}
    shown |= {"status": WORDS[made["status"]], "items": made["receipt"]["items"]}
    shown |= {"settlements": made["receipt"].get("settlements", []), "created_at": made["created_at"]}
    if made["status"] == "done":
        shown |= {"fiscal_document_number": made["fd"], "fiscal_storage_number": made["fn"]}
        shown |= {"fiscal_attribute": made["attribute"], "registered_at": made["registered_at"]}
    return shown
