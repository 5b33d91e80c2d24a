"""`/payments/list` and `/v2/payments/list`: a day's transactions, and a window's by pages, as the API has them."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from apps.sandbox.clock import moment
from apps.sandbox.lies import Lies
from apps.sandbox.store import Doc

PAGE = 100


def of_day(rows: Iterable[Doc], lies: Lies, body: Doc) -> Doc:
    """All that was made on a day of a time zone."""
    zone = ZoneInfo(str(body.get("TimeZone") or "UTC"))
    start = datetime.fromisoformat(str(body["Date"])).replace(tzinfo=zone)
    return _answer(_between(rows, start, start + timedelta(days=1)), lies)


def of_window(rows: Iterable[Doc], lies: Lies, body: Doc) -> Doc:
    """One page of what was made between two moments; empty after the last one."""
    since, until = (_moment(str(body[name])) for name in ("CreatedDateGte", "CreatedDateLte"))
    number = int(body["PageNumber"])
    found = sorted(_between(rows, since, until), key=lambda doc: int(doc["id"]))
    if wanted := body.get("Statuses"):
        found = [doc for doc in found if doc["Status"] in wanted]
    return _answer(found[(number - 1) * PAGE : number * PAGE], lies)


def _between(rows: Iterable[Doc], since: datetime, until: datetime) -> list[Doc]:
    return [doc for doc in rows if since <= moment(doc["created"]) <= until]


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _answer(found: Iterable[Doc], lies: Lies) -> Doc:
    model = lies.told(((doc["id"], _model(doc)) for doc in found), _lying)
    return {"Success": True, "Message": None, "Model": model}


def _lying(row: Doc, lie: Doc) -> Doc:
    changed = {"amount": "Amount", "fee": "TotalFee"}
    return row | {changed[name]: float(lie[name]) for name in changed if name in lie}


def _model(doc: Doc) -> dict[str, Any]:
    names = ("Currency", "InvoiceId", "AccountId", "Status", "CardFirstSix", "CardLastFour", "CardType")
    model = {name: doc[name] for name in names if doc.get(name)}
    model |= {"TransactionId": int(doc["id"]), "Amount": float(doc["amount"]), "TestMode": True}
    model |= {"Type": 1 if doc["of"] else 0, "OperationType": "Refund" if doc["of"] else "Payment"}
    model |= {"CreatedDateIso": doc["created"][:19], "Refunded": doc["refunded"] != "0"}
    if doc["of"]:
        return model | {"PaymentTransactionId": int(doc["of"])}
    if doc["Status"] == "Completed":
        model["ConfirmDateIso"] = (doc.get("confirmed") or doc["created"])[:19]
    return model | {"TotalFee": float(doc.get("TotalFee", 0))}
