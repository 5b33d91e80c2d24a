"""The operations of a shop as its cabinet gives them: XLSX or CSV of a range of days."""

import base64
import csv
import io
from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import openpyxl
from aiohttp import web

from apps.sandbox.clock import moment
from apps.sandbox.lies import Lies
from apps.sandbox.store import Doc, Store

RATE = Decimal("0.039")
MOSCOW = timezone(timedelta(hours=3))
DONE = 100
HEADING = ("InvId", "Дата и время", "Операция", "Сумма", "Комиссия", "Статус", "Описание")


class Cabinet:
    """`GET /cabinet/{shop}/operations.xlsx?from=2026-11-01&to=2026-11-30` (or .csv), by the shop and password 1."""

    def __init__(self, store: Store, lies: Lies) -> None:
        self._store, self._lies = store, lies

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/cabinet/{shop}/operations.{form:xlsx|csv}", self.operations)

    async def operations(self, request: web.Request) -> web.Response:
        shop = request.match_info["shop"]
        secret = (self._store.get("shops", shop) or {}).get("secret")
        wanted = base64.b64encode(f"{shop}:{secret}1".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {wanted}":
            return web.Response(status=401)
        first, last = (date.fromisoformat(request.query[name]) for name in ("from", "to"))
        rows = [row for row in self._rows(shop) if first <= row[1].date() <= last]
        rows.sort(key=lambda row: row[1])
        if request.match_info["form"] == "csv":
            return web.Response(body=_csv(rows), content_type="text/csv", charset="utf-8")
        kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
        return web.Response(body=_xlsx(rows), content_type=kind)

    def _rows(self, shop: str) -> list[list[Any]]:
        known = self._store.table("operations")
        mine = [doc for doc in known.values() if doc["_shop"] == shop]
        back = [
            (doc["id"], {**doc, "kind": "Возврат", "number": doc["payment_id"], "word": "Возвращён"})
            for doc in self._store.table("refunds").values()
            if doc["_shop"] == shop
        ]
        taken = [
            (
                doc["id"],
                {
                    "number": doc["payment_id"],
                    "kind": "Чарджбэк",
                    "word": "Исполнен",
                    "created": doc["at"],
                    **doc,
                },
            )
            for doc in self._store.table("chargebacks").values()
            if doc["shop"] == shop
        ]
        words = {DONE: "Исполнен", 10: "Отменён"}
        paid = [
            (doc["number"], {**doc, "kind": "Оплата", "word": words.get(doc["state"], "Не завершён")})
            for doc in mine
        ]
        return [_row(doc) for doc in self._lies.told([*paid, *back, *taken], _lying)]


def fee_of(amount: Decimal) -> Decimal:
    """What the shop pays for a payment."""
    return (amount * RATE).quantize(Decimal("0.01"), ROUND_HALF_UP)


def _lying(doc: Doc, lie: Doc) -> Doc:
    return {**doc, **{name: lie[name] for name in ("amount", "fee") if name in lie}}


def _row(doc: Doc) -> list[Any]:
    amount = Decimal(doc["amount"])
    fee = Decimal(doc["fee"]) if doc.get("fee") else fee_of(amount)
    at = moment(doc.get("paid_at") or doc["created"]).astimezone(MOSCOW).replace(tzinfo=None)
    is_refund = doc["kind"] != "Оплата"
    return [
        doc["number"],
        at,
        doc["kind"],
        amount,
        Decimal(0) if is_refund else fee,
        doc["word"],
        doc.get("description", ""),
    ]


def _csv(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADING)
    for number, at, *rest in rows:
        moment_of: datetime = at
        writer.writerow([number, f"{moment_of:%Y-%m-%d %H:%M:%S}", *rest])
    return text.getvalue().encode("utf-8-sig")


def _xlsx(rows: Sequence[Sequence[Any]]) -> bytes:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Операции")
    sheet.append(["Операции магазина"])
    sheet.append(HEADING)
    for number, *rest in rows:
        sheet.append([int(number), *rest])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()
