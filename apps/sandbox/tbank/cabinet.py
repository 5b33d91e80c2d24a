"""The register of a terminal as its cabinet gives it: CSV of a range of days, as Excel in Russia opens it."""

import base64
import csv
import io
from datetime import date, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal

from aiohttp import web

from apps.sandbox.clock import moment
from apps.sandbox.lies import Lies
from apps.sandbox.store import Doc, Store

RATE = Decimal("0.0279")
MOSCOW = timezone(timedelta(hours=3))
TAKEN = ("CONFIRMED", "REFUNDING", "ASYNC_REFUNDING", "PARTIAL_REFUNDED", "REFUNDED")
HEADING = (
    "Дата и время операции",
    "Идентификатор платежа",
    "Номер заказа",
    "Тип операции",
    "Сумма операции",
    "Комиссия",
    "К перечислению",
)


class Cabinet:
    """`GET /cabinet/{terminal}/registry.csv?from=2026-11-01&to=2026-11-30`, by the terminal and its password."""

    def __init__(self, store: Store, lies: Lies) -> None:
        self._store, self._lies = store, lies

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/cabinet/{terminal}/registry.csv", self.registry)

    async def registry(self, request: web.Request) -> web.Response:
        terminal = request.match_info["terminal"]
        shop = self._store.get("shops", terminal) or {}
        wanted = base64.b64encode(f"{terminal}:{shop.get('secret')}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {wanted}":
            return web.Response(status=401)
        first, last = (date.fromisoformat(request.query[name]) for name in ("from", "to"))
        rows = [row for row in self._rows(terminal) if first <= row[0].date() <= last]
        text = io.StringIO()
        writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
        writer.writerow(HEADING)
        for at, *cells in sorted(rows, key=lambda row: row[0]):
            writer.writerow([f"{at:%d.%m.%Y %H:%M:%S}", *cells])
        content = text.getvalue().encode("cp1251")
        return web.Response(body=content, content_type="text/csv", charset="windows-1251")

    def _rows(self, terminal: str) -> list[tuple[datetime, str, str, str, str, str, str]]:
        payments, refunds = self._store.table("payments"), self._store.table("refunds")
        taken = [
            (doc["id"], {**doc, "kind": "Оплата", "when": doc.get("captured_at") or doc["paid_at"]})
            for doc in payments.values()
            if doc["_shop"] == terminal and doc["Status"] in TAKEN and doc.get("paid_at")
        ]
        back = []
        for doc in refunds.values():
            if doc["_shop"] == terminal and doc.get("status") != "canceled":
                told = {"Amount": -doc["Amount"], "kind": "Возврат", "when": doc["created_at"]}
                back.append((doc["id"], {**payments[doc["payment_id"]], **told}))
        for doc in self._store.table("chargebacks").values():
            if doc["shop"] == terminal:
                told = {"Amount": -int(Decimal(doc["amount"]) * 100), "kind": "Чарджбэк", "when": doc["at"]}
                back.append((doc["id"], {**payments[doc["payment_id"]], **told}))
        return [_row(doc) for doc in self._lies.told([*taken, *back], _lying)]


def fee_of(amount: int) -> Decimal:
    """Roubles of a payment's kopecks; nothing of a refund's."""
    return (max(amount, 0) * RATE / 100).quantize(Decimal("0.01"), ROUND_HALF_UP)


def _lying(doc: Doc, lie: Doc) -> Doc:
    if "amount" in lie:
        doc["Amount"] = int(Decimal(lie["amount"]) * 100) * (-1 if doc["Amount"] < 0 else 1)
    return {**doc, "fee": lie.get("fee")}


def _row(doc: Doc) -> tuple[datetime, str, str, str, str, str, str]:
    amount = Decimal(doc["Amount"]) / 100
    fee = Decimal(doc["fee"]) if doc.get("fee") else fee_of(doc["Amount"])
    at = moment(doc["when"]).astimezone(MOSCOW)
    return (
        at,
        doc["id"],
        doc["OrderId"],
        doc["kind"],
        _comma(amount),
        _comma(fee),
        _comma(amount - fee),
    )


def _comma(amount: Decimal) -> str:
    return f"{amount:.2f}".replace(".", ",")
