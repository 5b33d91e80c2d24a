"""Run the YooKassa simulator: `python -m apps.sandbox.yookassa --port 9101 --state var/sandbox`."""

import argparse
import asyncio
from html import escape
from pathlib import Path
from typing import Any

from aiohttp import web

from apps.sandbox import fiscal
from apps.sandbox.fiscal import FiscalBook
from apps.sandbox.service import Service, json_body, page
from apps.sandbox.store import Doc
from apps.sandbox.yookassa.api import Api
from apps.sandbox.yookassa.checkout import Checkout
from apps.sandbox.yookassa.notices import Notifications
from apps.sandbox.yookassa.receipts import registered
from apps.sandbox.yookassa.register import Register
from apps.sandbox.yookassa.rules import ApiError

ERRORS = {
    429: ("too_many_requests", "Too many requests"),
    500: ("internal_server_error", "Internal server error"),
    503: ("internal_server_error", "Service unavailable"),
}
STATUSES = {
    "pending": "ждёт оплаты",
    "waiting_for_capture": "деньги удержаны",
    "succeeded": "оплачен",
    "canceled": "отменён",
}


class YooKassa(Service):
    """Shops, API, payment page, webhooks and the control of them."""

    name = "yookassa"
    fault_kinds = (
        "decline",
        "pending",
        "forge_webhook",
        "no_webhook",
        "duplicate_webhook",
        "late_webhook",
        *fiscal.KINDS,
    )

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self.notices = Notifications(self.store, self.faults)
        self.fiscal = FiscalBook(
            self.store, self.clock, self.faults, lambda made: registered(self.store, made)
        )
        self.books = Register(self.store, self.clock, self.notices.happened, self.fiscal)
        for given in options.shop:
            shop, _, secret = given.partition(":")
            self._put_shop(shop, {"secret": secret, "webhook_url": options.webhook_url})

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--shop", action="append", default=[], metavar="ID:SECRET")
        parser.add_argument("--webhook-url", help="where these shops receive webhooks")
        parser.add_argument("--public-url", help="address of the payment page as a browser sees it")

    def add_routes(self, router: web.UrlDispatcher) -> None:
        Api(self, self.books, self._tell_lie).add_routes(router)
        Checkout(self, self.books).add_routes(router)
        router.add_get("/", self.cabinet)
        router.add_get("/_control/shops", self.show_shops)
        router.add_put("/_control/shops/{id}", self.put_shop)
        router.add_get("/_control/webhooks", self.show_webhooks)
        router.add_post("/_control/webhooks/resend", self.resend)
        router.add_post("/_control/payment_methods/{id}/revoke", self.revoke)
        router.add_post("/_control/settle/{id}", self.settle)
        router.add_post("/_control/refunds", self.refund)
        fiscal.add_control(router, self.fiscal)

    async def started(self) -> None:
        self.notices.start()
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep_forever())

    def clock_moved(self) -> None:
        self.books.sweep()

    def refusal(self, status: int) -> web.Response:
        if status == 202:
            text = "Request accepted but not processed yet, repeat it with the same key"
            body = {"type": "processing", "description": text, "retry_after": 1800}
            return web.json_response(body, status=202)
        return ApiError(status, *ERRORS[status]).response()

    def register(self, query: dict[str, str]) -> dict[str, Any]:
        shop = query.get("shop")
        payments = [_line(doc) for doc in self.books.payments.values() if shop in (None, doc["_shop"])]
        refunds = [_line(doc) for doc in self.books.refunds.values() if shop in (None, doc["_shop"])]
        return {"payments": payments, "refunds": refunds}

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            self.books.sweep()

    def _tell_lie(self, payment: Doc, facts: dict[str, Any]) -> None:
        """A planned forged webhook says that this payment, whatever became of it, is paid."""
        if fault := self.faults.take(["forge_webhook"], facts):
            altered = {"status": "succeeded", "paid": True, **fault.altered}
            self.notices.tell("payment.succeeded", payment, altered=altered)

    # -- control -------------------------------------------------------------------------------------

    def _put_shop(self, shop: str, given: dict[str, Any]) -> None:
        old = self.store.get("shops", shop) or {}
        new = {name: given.get(name) or old.get(name) for name in ("secret", "webhook_url")}
        if not new["secret"]:
            raise ValueError("secret is required")
        if new != old:
            self.store.put("shops", shop, new)

    async def show_shops(self, request: web.Request) -> web.Response:
        rows = [
            {"id": key, "webhook_url": doc["webhook_url"]} for key, doc in self.store.table("shops").items()
        ]
        return web.json_response({"items": rows})

    async def put_shop(self, request: web.Request) -> web.Response:
        self._put_shop(request.match_info["id"], await json_body(request))
        return web.json_response({"id": request.match_info["id"]})

    async def show_webhooks(self, request: web.Request) -> web.Response:
        return web.json_response({"items": self.notices.as_json(request.query.get("payment_id"))})

    async def resend(self, request: web.Request) -> web.Response:
        """The webhook of a payment's present state, or of `event`, or the last sent, `times` times."""
        body = await json_body(request)
        event, doc = self._subject(body)
        times, altered = int(body.get("times", 1)), body.get("altered")
        sent = [self.notices.tell(event, doc, altered=altered) for _ in range(times)]
        return web.json_response({"items": sent}, status=201)

    def _subject(self, body: dict[str, Any]) -> tuple[str, Doc]:
        if payment_id := body.get("payment_id"):
            doc = self.books.payments.get(payment_id) or self.books.refunds.get(payment_id)
            if doc is None:
                raise ValueError("no such payment or refund")
            kind = "refund" if "payment_id" in doc else "payment"
            return body.get("event") or f"{kind}.{doc['status']}", doc
        notices = list(self.notices.all().values())
        if not notices:
            raise ValueError("no webhook was sent yet")
        last = notices[-1]
        return body.get("event") or last["event"], {**last["body"]["object"], "_shop": last["shop"]}

    async def revoke(self, request: web.Request) -> web.Response:
        reason = (await json_body(request)).get("reason") or "permission_revoked"
        self.books.revoke(request.match_info["id"], reason)
        return web.json_response({"id": request.match_info["id"], "reason": reason})

    async def settle(self, request: web.Request) -> web.Response:
        self.books.settle(request.match_info["id"], (await json_body(request)).get("reason"))
        return web.json_response({"id": request.match_info["id"]})

    async def refund(self, request: web.Request) -> web.Response:
        body = await json_body(request)
        payment = self.books.payments[body["payment_id"]]
        wanted = {"payment_id": payment["id"], "amount": {"value": body["amount"], "currency": "RUB"}}
        try:
            return web.json_response(_line(self.books.refund(payment["_shop"], wanted, "", {})), status=201)
        except ApiError as error:
            return error.response()

    async def cabinet(self, request: web.Request) -> web.Response:
        """The latest payments for a human."""
        latest = list(self.books.payments.values())[-100:]
        rows = (
            "".join(_row(doc) for doc in reversed(latest))
            or '<tr><td colspan="5">Платежей пока нет.</td></tr>'
        )
        return page(Path(__file__).parent, "cabinet", rows=rows)


def _line(doc: Doc) -> dict[str, Any]:
    names = (
        "id",
        "payment_id",
        "status",
        "amount",
        "refunded_amount",
        "metadata",
        "created_at",
        "description",
    )
    line = {name: doc[name] for name in names if name in doc}
    line |= {"shop": doc["_shop"], "idempotence_key": doc["_key"], "paid_at": doc.get("_paid_at")}
    line |= {"at": doc.get("captured_at"), "income": (doc.get("income_amount") or {}).get("value")}
    line["reason"] = (doc.get("cancellation_details") or {}).get("reason")
    line["payment_method_id"] = (doc.get("payment_method") or {}).get("id")
    return line | {"amount": doc["amount"]["value"], "currency": doc["amount"]["currency"]}


def _row(doc: Doc) -> str:
    cells = [doc["created_at"][:19].replace("T", " "), doc["_shop"], doc.get("description", "")]
    cells += [f"{doc['amount']['value']} ₽", STATUSES[doc["status"]]]
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


if __name__ == "__main__":
    YooKassa.main()
