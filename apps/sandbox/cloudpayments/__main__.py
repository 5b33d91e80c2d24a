"""Run the CloudPayments simulator: `python -m apps.sandbox.cloudpayments --port 9107 --state var/sandbox`."""

import argparse
import asyncio
import base64
import hashlib
import hmac
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import unquote_plus, urlencode

from aiohttp import web

from apps.sandbox import fiscal
from apps.sandbox.access import Entry
from apps.sandbox.cloudpayments import listing, receipts
from apps.sandbox.cloudpayments.checkout import Checkout
from apps.sandbox.cloudpayments.receipts import WrongReceipt
from apps.sandbox.cloudpayments.register import Failed, Register
from apps.sandbox.fiscal import FiscalBook
from apps.sandbox.notices import Notices
from apps.sandbox.service import Service, json_body
from apps.sandbox.store import Doc


class Notifications(Notices):
    """Forms, signed twice: over the body, and over it decoded. Sent until the shop answers code 0."""

    def body(self, event: str, doc: Doc, altered: Doc) -> Doc:
        if event == "Receipt":
            fields = receipts.notification(doc)
            return {"fields": {**fields, **altered}, "signed": fields}
        fields = {
            "TransactionId": doc["id"],
            "Amount": doc["amount"],
            "Currency": doc["Currency"],
            "DateTime": doc["created"][:19].replace("T", " "),
            "InvoiceId": doc["InvoiceId"],
            "AccountId": doc["AccountId"],
            "Status": doc["Status"],
            "OperationType": "Refund" if doc["of"] else "Payment",
            "TestMode": "1",
        }
        if doc["of"]:
            fields["PaymentTransactionId"] = doc["of"]
        if doc.get("PaymentMethod"):
            fields["PaymentMethod"] = doc["PaymentMethod"]
        names = ("CardFirstSix", "CardLastFour", "CardType", "CardExpDate", "Token", "Reason", "ReasonCode")
        fields |= {name: str(doc[name]) for name in names if doc.get(name)}
        # A forger does not know the secret: what it alters is no longer signed.
        return {"fields": {**fields, **altered}, "signed": fields}

    def encoded(self, shop: str, body: Doc) -> tuple[bytes, dict[str, str]]:
        secret = (self._store.get("shops", shop) or {"secret": ""})["secret"].encode()
        signed = urlencode(body["signed"])

        def code(text: str) -> str:
            return base64.b64encode(hmac.digest(secret, text.encode(), hashlib.sha256)).decode()

        headers = {"Content-HMAC": code(signed), "X-Content-HMAC": code(unquote_plus(signed))}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return urlencode(body["fields"]).encode(), headers

    def is_taken(self, status: int, text: str) -> bool:
        return status == 200 and text.replace(" ", "") == '{"code":0}'


class CloudPayments(Service):
    """Terminals, API, order page, notifications and the control of them."""

    name = "cloudpayments"
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
        self.books = Register(self.store, self.clock, self.notices.happened)
        self.books.fiscal = FiscalBook(self.store, self.clock, self.faults, self._registered)
        for given in options.shop:
            terminal, _, secret = given.partition(":")
            self._put_shop(terminal, {"secret": secret, "webhook_url": options.webhook_url})

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--shop", action="append", default=[], metavar="PUBLIC_ID:SECRET")
        parser.add_argument("--webhook-url", help="where these terminals are notified")
        parser.add_argument("--public-url", help="address of the order page as a browser sees it")

    def add_routes(self, router: web.UrlDispatcher) -> None:
        for path in METHODS:
            router.add_post(f"/{path}", self.api)
        Checkout(self, self.books).add_routes(router)
        fiscal.add_control(router, self.books.fiscal)
        router.add_put("/_control/shops/{id}", self.put_shop)
        router.add_get("/_control/webhooks", self.show_webhooks)
        router.add_post("/_control/webhooks/resend", self.resend)
        router.add_post("/_control/payment_methods/{id}/revoke", self.revoke)
        router.add_post("/_control/settle/{id}", self.settle)
        router.add_post("/_control/refunds", self.cabinet_refund)

    def clock_moved(self) -> None:
        self.books.sweep()

    async def started(self) -> None:
        self.notices.start()
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep_forever())

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            self.books.sweep()

    def refusal(self, status: int) -> web.Response:
        return web.json_response({"Success": False, "Message": "error"}, status=status)

    def register(self, query: dict[str, str]) -> dict[str, Any]:
        shop = query.get("shop")
        rows = [doc for doc in self.books.transactions.values() if shop in (None, doc["_shop"])]
        payments = [_line(doc) for doc in rows if not doc["of"]]
        return {"payments": payments, "refunds": [_line(doc) for doc in rows if doc["of"]]}

    # -- API -----------------------------------------------------------------------------------------

    async def api(self, request: web.Request) -> web.Response:
        path, body = request.path.strip("/"), await json_body(request)
        login = _login(request)
        shop = self.store.get("shops", login[0])
        if shop is None or shop["secret"] != login[1]:
            return web.Response(status=401)
        facts = {"operation": path, "account": login[0], "shop": login[0], "body": body}
        facts["order"] = str(body.get("InvoiceId", ""))
        key = request.headers.get("X-Request-ID", "")

        def act(entry: Entry) -> web.Response:
            known = f"{login[0]}/{path}/{key}"
            earlier = self.store.get("requests", known) if key else None
            if earlier is not None:
                return web.json_response(earlier["answer"])
            with self.store.transaction():
                try:
                    answer = METHODS[path](self, request, login[0], body, facts)
                except (Failed, WrongReceipt) as failed:
                    answer = {"Success": False, "Message": str(failed), "Model": None}
                if key:
                    self.store.put("requests", known, {"answer": answer})
            entry.facts["answer"] = answer
            return web.json_response(answer)

        return await self.serve(request, facts, act)

    def test(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        return {"Success": True, "Message": "ok", "Model": None}

    def create_order(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        order = self.books.order(terminal, body)
        page = self.options.public_url or f"{request.scheme}://{request.host}"
        model = {"Id": order["id"], "Number": len(self.books.orders), "Amount": float(order["amount"])}
        model |= {"Url": f"{page}/d/{order['id']}", "Status": order["state"], "InvoiceId": order["invoice"]}
        return {"Success": True, "Message": None, "Model": model}

    def cancel_order(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        self.books.cancel_order(terminal, str(body.get("Id")))
        return {"Success": True, "Message": None}

    def charge(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        planned = {kind: self.faults.take([kind], facts) for kind in ("decline", "pending")}
        made = self.books.charge(terminal, body, planned)
        if fault := self.faults.take(["forge_webhook"], facts):
            self.notices.tell("Pay", made, altered={"Status": "Completed", **fault.altered})
        return {"Success": made["Status"] == "Completed", "Message": None, "Model": _model(made)}

    def auth(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        planned = {kind: self.faults.take([kind], facts) for kind in ("decline", "pending")}
        made = self.books.charge(terminal, body, planned, held=True)
        return {"Success": made["Status"] == "Authorized", "Message": None, "Model": _model(made)}

    def confirm(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        amount = Decimal(str(body["Amount"])).quantize(Decimal("0.01"))
        self.books.confirm(terminal, str(body["TransactionId"]), amount, receipts.inside(body))
        return {"Success": True, "Message": None}

    def void(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        self.books.void(terminal, str(body["TransactionId"]))
        return {"Success": True, "Message": None}

    def sbp_link(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        made = self.books.link(terminal, body)
        page = self.options.public_url or f"{request.scheme}://{request.host}"
        model = {"TransactionId": int(made["id"]), "QrUrl": f"{page}/qr/{made['id']}"}
        return {"Success": True, "Message": None, "Model": model}

    def find(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        found = self.books.of_invoice(terminal, str(body.get("InvoiceId")))
        if found is None:
            return {"Success": False, "Message": "Not found", "Model": None}
        return {"Success": found["Status"] == "Completed", "Message": None, "Model": _model(found)}

    def refund(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        if decline := self.faults.take(["decline"], facts):
            raise Failed(decline.reason or "Возврат отклонён")
        amount = Decimal(str(body["Amount"])).quantize(Decimal("0.01"))
        wait = self.faults.take(["pending"], facts)
        made = self.books.refund(
            terminal, str(body["TransactionId"]), amount, receipts.inside(body), wait=wait
        )
        return {"Success": True, "Message": None, "Model": {"TransactionId": int(made["id"])}}

    def get(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        found = self.books.transactions.get(str(body.get("TransactionId")))
        if found is None or found["_shop"] != terminal:
            raise Failed("Not found")
        return {"Success": found["Status"] == "Completed", "Message": None, "Model": _model(found)}

    def list_day(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        return listing.of_day(self._of(terminal), self.lies, body)

    def list_window(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        return listing.of_window(self._of(terminal), self.lies, body)

    def _of(self, terminal: str) -> list[Doc]:
        return [doc for doc in self.books.transactions.values() if doc["_shop"] == terminal]

    def kkt_receipt(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        made = self.books.receipt(terminal, body)
        return {"Success": True, "Message": "Queued", "Model": {"Id": made["id"], "ErrorCode": 0}}

    def kkt_status(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        made = self._receipt(terminal, body)
        return {"Success": True, "Message": made["reason"] or None, "Model": receipts.STATES[made["status"]]}

    def kkt_get(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        return {"Success": True, "Message": None, "Model": receipts.shown(self._receipt(terminal, body))}

    def _receipt(self, terminal: str, body: Doc) -> Doc:
        made: Doc | None = self.books.fiscal.receipts.get(str(body.get("Id")))
        if made is None or made["_shop"] != terminal:
            raise Failed("NotFound")
        return made

    def _registered(self, made: Doc) -> None:
        # It tells of receipts that are registered; what was refused is seen by asking.
        if made["status"] == "done":
            self.notices.happened("Receipt", {**made, "payment_id": made["payment"]})

    # -- control -------------------------------------------------------------------------------------

    def _put_shop(self, terminal: str, given: dict[str, Any]) -> None:
        old = self.store.get("shops", terminal) or {}
        new = {name: given.get(name) or old.get(name) for name in ("secret", "webhook_url")}
        if not new["secret"]:
            raise ValueError("secret is required")
        if new != old:
            self.store.put("shops", terminal, new)

    async def put_shop(self, request: web.Request) -> web.Response:
        self._put_shop(request.match_info["id"], await json_body(request))
        return web.json_response({"id": request.match_info["id"]})

    async def show_webhooks(self, request: web.Request) -> web.Response:
        rows = self.notices.as_json(request.query.get("payment_id"))
        for row in rows:
            content, headers = self.notices.encoded(row["shop"], row["body"])
            row |= {"content": content.decode(), "headers": headers}
        return web.json_response({"items": rows})

    async def resend(self, request: web.Request) -> web.Response:
        """The notification of a transaction's present state, `times` times."""
        body = await json_body(request)
        doc = self._transaction(str(body.get("payment_id")))
        event = "Fail" if doc["Status"] == "Declined" else "Pay"
        sent = [
            self.notices.tell(event, doc, altered=body.get("altered"))
            for _ in range(int(body.get("times", 1)))
        ]
        return web.json_response({"items": sent}, status=201)

    def _transaction(self, known: str) -> Doc:
        """By its own number, or by that of its order; an order that nobody has paid yet has an empty one."""
        doc = self.books.transactions.get(known)
        if doc is None:
            found = [one for one in self.books.transactions.values() if one.get("order") == known]
            order = self.books.orders.get(known)
            if found:
                return {**found[-1], "payment_id": known}
            if order is None:
                raise ValueError("no such payment")
            doc = {"id": "0", "amount": order["amount"], "Currency": "RUB", "created": "", "of": ""}
            doc |= {"InvoiceId": order["invoice"], "AccountId": order["account"], "Status": "Created"}
            doc |= {"_shop": order["_shop"], "payment_id": known}
        return dict(doc)

    async def revoke(self, request: web.Request) -> web.Response:
        self.books.revoke(request.match_info["id"])
        return web.json_response({"id": request.match_info["id"]})

    async def cabinet_refund(self, request: web.Request) -> web.Response:
        """By hand, in the cabinet."""
        body = await json_body(request)
        paid = self._transaction(str(body["payment_id"]))
        amount = Decimal(body["amount"]).quantize(Decimal("0.01"))
        try:
            return web.json_response(_line(self.books.refund(paid["_shop"], paid["id"], amount)), status=201)
        except Failed as failed:
            raise ValueError(str(failed)) from failed

    async def settle(self, request: web.Request) -> web.Response:
        reason = (await json_body(request)).get("reason")
        self.books.settle(request.match_info["id"], int(reason) if reason else None)
        return web.json_response({"id": request.match_info["id"]})


Method = Callable[[CloudPayments, web.Request, str, Doc, dict[str, Any]], Doc]
METHODS: dict[str, Method] = {
    "test": CloudPayments.test,
    "orders/create": CloudPayments.create_order,
    "orders/cancel": CloudPayments.cancel_order,
    "payments/tokens/charge": CloudPayments.charge,
    "payments/tokens/auth": CloudPayments.auth,
    "payments/confirm": CloudPayments.confirm,
    "payments/void": CloudPayments.void,
    "payments/qr/sbp/link": CloudPayments.sbp_link,
    "v2/payments/find": CloudPayments.find,
    "payments/refund": CloudPayments.refund,
    "payments/get": CloudPayments.get,
    "kkt/receipt": CloudPayments.kkt_receipt,
    "kkt/receipt/status/get": CloudPayments.kkt_status,
    "kkt/receipt/get": CloudPayments.kkt_get,
    "payments/list": CloudPayments.list_day,
    "v2/payments/list": CloudPayments.list_window,
}


def _login(request: web.Request) -> tuple[str, str]:
    try:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        name, _, secret = base64.b64decode(given).decode().partition(":")
    except ValueError:
        return "", ""
    return (name, secret) if scheme == "Basic" else ("", "")


def _model(doc: Doc) -> Doc:
    names = (
        "Currency",
        "InvoiceId",
        "AccountId",
        "Status",
        "Reason",
        "ReasonCode",
        "CardHolderMessage",
        "Token",
        "CardFirstSix",
        "CardLastFour",
        "CardExpDate",
        "CardType",
        "PaymentMethod",
    )
    model = {name: doc[name] for name in names if doc.get(name) not in (None, "")}
    model |= {"TransactionId": int(doc["id"]), "Amount": float(doc["amount"]), "TestMode": True}
    return model | {"TotalFee": float(doc.get("TotalFee", 0)), "Refunded": doc["refunded"] != "0"}


def _line(doc: Doc) -> dict[str, Any]:
    words = {"Completed": "succeeded", "Declined": "canceled", "Cancelled": "canceled"}
    line = {"id": doc["id"], "status": words.get(doc["Status"], "pending"), "amount": doc["amount"]}
    line |= {"order": doc["InvoiceId"], "shop": doc["_shop"], "reason": doc["ReasonCode"]}
    line |= {"at": doc["created"], "fee": doc.get("TotalFee", "0")}
    return line | {"payment_id": doc["of"], "currency": doc["Currency"], "page": doc.get("order", "")}


if __name__ == "__main__":
    CloudPayments.main()
