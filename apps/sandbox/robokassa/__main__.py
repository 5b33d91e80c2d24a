"""Run the Robokassa simulator: `python -m apps.sandbox.robokassa --port 9108 --state var/sandbox`."""

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from apps.sandbox import fiscal
from apps.sandbox.access import Entry
from apps.sandbox.fiscal import FiscalBook
from apps.sandbox.notices import Notices
from apps.sandbox.robokassa import receipts
from apps.sandbox.robokassa.cabinet import Cabinet, fee_of
from apps.sandbox.robokassa.checkout import Checkout
from apps.sandbox.robokassa.register import Register
from apps.sandbox.service import Service, json_body
from apps.sandbox.store import Doc

XML = (
    '<?xml version="1.0" encoding="utf-8"?><OperationStateResponse'
    ' xmlns="http://auth.robokassa.ru/Merchant/WebService/"><Result><Code>{code}</Code>'
    "<Description>{text}</Description></Result>{rest}</OperationStateResponse>"
)
REST = (
    "<State><Code>{state}</Code></State><Info><IncAccount>{account}</IncAccount>"
    "<OutSum>{amount}</OutSum><OpKey>{op_key}</OpKey></Info>"
)


def digest(*parts: str) -> str:
    """The signature of a shop that has chosen MD5."""
    return hashlib.md5(":".join(parts).encode(), usedforsecurity=False).hexdigest()


class ResultUrl(Notices):
    """A form signed with password 2, sent until the shop answers OK and the number."""

    def body(self, event: str, doc: Doc, altered: Doc) -> Doc:
        passwords = self._store.get("shops", doc["_shop"]) or {}
        # Six digits after the point, as the real one sends them: the signature is of that text.
        fields = {"OutSum": f"{Decimal(doc['amount']):.6f}", "InvId": doc["number"]}
        signature = digest(fields["OutSum"], fields["InvId"], f"{passwords.get('secret')}2")
        fields |= {"SignatureValue": signature.upper(), "PaymentMethod": "BankCard", "Fee": "0.00"}
        return {**fields, **altered}

    def encoded(self, shop: str, body: Doc) -> tuple[bytes, dict[str, str]]:
        return urlencode(body).encode(), {"Content-Type": "application/x-www-form-urlencoded"}

    def is_taken(self, status: int, text: str) -> bool:
        return status == 200 and text.startswith("OK")


class Robokassa(Service):
    """Shops, links, recurring charges, states, refunds, ResultURL and the control of them.

    A shop's passwords are its secret with 1, 2 and 3 after it.
    """

    name = "robokassa"
    fault_kinds = (
        "decline",
        "pending",
        "no_webhook",
        "duplicate_webhook",
        "late_webhook",
        *fiscal.KINDS,
    )

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self.notices = ResultUrl(self.store, self.faults)
        self.books = Register(self.store, self.clock, self.notices.happened)
        # Nobody is told of a receipt: it is asked about.
        self.books.fiscal = FiscalBook(self.store, self.clock, self.faults, lambda made: None)
        self.pages = Checkout(self, self.books)
        for given in options.shop:
            shop, _, secret = given.partition(":")
            self._put_shop(shop, {"secret": secret, "webhook_url": options.webhook_url})

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--shop", action="append", default=[], metavar="LOGIN:SECRET")
        parser.add_argument("--webhook-url", help="the ResultURL of these shops")
        parser.add_argument("--public-url", help="address of the payment page as a browser sees it")

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/Merchant/Index.aspx", self.page)
        router.add_post("/Merchant/Index.aspx", self.page)
        router.add_post("/Merchant/Recurring", self.recurring)
        router.add_get("/Merchant/WebService/Service.asmx/OpStateExt", self.state)
        router.add_post("/RefundService/Refund/Create", self.create_refund)
        router.add_get("/RefundService/Refund/GetState", self.refund_state)
        router.add_post("/RoboFiscal/Receipt/{verb}", self.robofiscal)
        fiscal.add_control(router, self.books.fiscal)
        self.pages.add_routes(router)
        Cabinet(self.store, self.lies).add_routes(router)
        router.add_put("/_control/shops/{id}", self.put_shop)
        router.add_get("/_control/webhooks", self.show_webhooks)
        router.add_post("/_control/webhooks/resend", self.resend)
        router.add_post("/_control/payment_methods/{id}/revoke", self.revoke)
        router.add_post("/_control/settle/{id}", self.settle)
        router.add_post("/_control/refunds", self.cabinet_refund)

    async def started(self) -> None:
        self.notices.start()
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep_forever())

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            self.books.sweep()

    def refusal(self, status: int) -> web.Response:
        return web.Response(status=status, text="error")

    def register(self, query: dict[str, str]) -> dict[str, Any]:
        shop = query.get("shop")
        payments = [_line(doc) for doc in self.books.operations.values() if shop in (None, doc["_shop"])]
        refunds = [
            {"id": doc["id"], "payment_id": doc["payment_id"], "amount": doc["amount"], "status": "succeeded"}
            | {"at": doc["created"]}
            for doc in self.books.refunds.values()
            if shop in (None, doc["_shop"])
        ]
        return {"payments": payments, "refunds": refunds}

    # -- what a shop and its customers see -----------------------------------------------------------

    async def page(self, request: web.Request) -> web.StreamResponse:
        """A signed link begins the operation, once; its form pays."""
        asked = dict(request.query)
        shop, number = asked.get("MerchantLogin", ""), asked.get("InvId", "")
        signed = [shop, asked.get("OutSum", ""), number]
        if asked.get("Receipt"):
            signed.append(asked["Receipt"])
        if asked.get("SuccessUrl2"):
            signed += [asked[n] for n in ("SuccessUrl2", "SuccessUrl2Method", "FailUrl2", "FailUrl2Method")]
        if asked.get("SignatureValue", "").lower() != digest(*signed, self._password(shop, 1)):
            return web.Response(status=400, text="Ошибка 29: неверный параметр SignatureValue")
        try:
            receipt = receipts.read(asked.get("Receipt", ""), asked["OutSum"])
        except ValueError as error:
            return web.Response(status=400, text=f"Ошибка 30: {error}")
        operation = self.books.operation(shop, number) or self.books.begin(
            shop,
            number,
            asked["OutSum"],
            description=asked.get("Description", ""),
            success_url=asked.get("SuccessUrl2", ""),
            fail_url=asked.get("FailUrl2", ""),
            recurring=asked.get("Recurring") == "true",
            receipt=receipt,
        )
        if request.method == "POST":
            return await self.pages.submit(request, operation)
        return self.pages.show(operation)

    async def recurring(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        shop, number = form.get("MerchantLogin", ""), form.get("InvoiceID", "")
        facts = {"operation": "Recurring", "account": shop, "shop": shop, "order": number, "body": form}

        def act(_entry: Entry) -> web.Response:
            signed = [
                shop,
                form.get("OutSum", ""),
                number,
                *([form["Receipt"]] if form.get("Receipt") else []),
            ]
            signature = digest(*signed, self._password(shop, 1))
            parent = self.books.operation(shop, form.get("PreviousInvoiceID", ""))
            if form.get("SignatureValue", "").lower() != signature:
                return web.Response(text="Error: wrong signature")
            if self.books.operation(shop, number) is not None:
                return web.Response(text="Error: this InvoiceID is there already")
            if parent is None or parent["state"] != 100 or not parent.get("recurring"):
                return web.Response(text="Error: no such parent operation")
            try:
                receipt = receipts.read(form.get("Receipt", ""), form["OutSum"])
            except ValueError as error:
                return web.Response(text=f"Error: {error}")
            planned = {kind: self.faults.take([kind], facts) for kind in ("decline", "pending")}
            self.books.recur(shop, parent, number, form["OutSum"], planned, receipt)
            return web.Response(text=f"OK{number}")

        return await self.serve(request, facts, act)

    async def state(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        shop, number = asked.get("MerchantLogin", ""), asked.get("InvoiceID", "")
        facts = {"operation": "OpStateExt", "account": shop, "shop": shop, "order": number}

        def act(_entry: Entry) -> web.Response:
            signed = digest(shop, number, self._password(shop, 2))
            if self.store.get("shops", shop) is None or asked.get("Signature", "").lower() != signed:
                return _xml("1", "Неверная цифровая подпись запроса")
            operation = self.books.operation(shop, number)
            if operation is None:
                return _xml("3", "Операция не найдена")
            account = f"******{operation['card'][-4:]}" if operation["card"] else ""
            facts = {name: operation[name] for name in ("state", "amount", "op_key")}
            return _xml("0", "", REST.format(account=account, **facts))

        return await self.serve(request, facts, act)

    async def create_refund(self, request: web.Request) -> web.Response:
        token = str(await request.json())
        claim = _claim(token)
        found = [one for one in self.books.operations.values() if one["op_key"] == claim.get("OpKey")]
        shop = found[0]["_shop"] if found else ""
        facts = {"operation": "Refund/Create", "account": shop, "shop": shop, "body": claim}

        def act(_entry: Entry) -> web.Response:
            if not found or not _is_signed(token, self._password(shop, 3)):
                return web.json_response({"success": False, "message": "Access denied"})
            if decline := self.faults.take(["decline"], facts):
                return web.json_response({"success": False, "message": decline.reason or "Отказ"})
            try:
                amount = Decimal(str(claim["RefundSum"])).quantize(Decimal("0.01"))
                operation = dict(self.books.operations[found[0]["id"]])
                made = self.books.refund(operation, amount, claim.get("InvoiceItems"))
            except ValueError as error:
                return web.json_response({"success": False, "message": str(error)})
            return web.json_response({"success": True, "requestId": made["id"], "message": None})

        return await self.serve(request, facts, act)

    async def refund_state(self, request: web.Request) -> web.Response:
        made = self.books.refunds.get(request.query.get("id", ""))
        facts = {"operation": "Refund/GetState", "shop": made["_shop"] if made else ""}

        def act(_entry: Entry) -> web.Response:
            if made is None:
                return web.json_response({"message": "not found"})
            said = {"requestId": made["id"], "amount": float(made["amount"]), "label": made["label"]}
            return web.json_response(said)

        return await self.serve(request, facts, act)

    async def robofiscal(self, request: web.Request) -> web.Response:
        """Attach and Status: signed by password 1."""
        verb, body = request.match_info["verb"], await request.text()
        asked = receipts.content_of(body)
        shop = str(asked.get("merchantId", ""))
        facts = {"operation": f"Receipt/{verb}", "account": shop, "shop": shop, "body": asked}

        def act(_entry: Entry) -> web.Response:
            try:
                receipts.opened(body, self._password(shop, 1))
            except ValueError as error:
                return web.json_response({"ResultCode": "1000", "ResultDescription": str(error)})
            if verb == "Status":
                return web.json_response(receipts.status(self.books.fiscal, asked))
            operation = self.books.operation(shop, str(asked.get("originId", "")))
            return web.json_response(receipts.attach(self.books.fiscal, operation, asked))

        return await self.serve(request, facts, act)

    # -- control -------------------------------------------------------------------------------------

    def _password(self, shop: str, number: int) -> str:
        return f"{(self.store.get('shops', shop) or {'secret': ''})['secret']}{number}"

    def _put_shop(self, shop: str, given: dict[str, Any]) -> None:
        old = self.store.get("shops", shop) or {}
        new = {name: given.get(name) or old.get(name) for name in ("secret", "webhook_url")}
        if not new["secret"]:
            raise ValueError("secret is required")
        if new != old:
            self.store.put("shops", shop, new)

    async def put_shop(self, request: web.Request) -> web.Response:
        self._put_shop(request.match_info["id"], await json_body(request))
        return web.json_response({"id": request.match_info["id"]})

    async def show_webhooks(self, request: web.Request) -> web.Response:
        known = request.query.get("payment_id")
        rows = [
            row
            for row in self.notices.as_json()
            if known in (None, row["payment_id"], row["payment_id"].rpartition("/")[2])
        ]
        for row in rows:
            content, headers = self.notices.encoded(row["shop"], row["body"])
            row |= {"content": content.decode(), "headers": headers}
        return web.json_response({"items": rows})

    def _by_number(self, number: str) -> Doc:
        found = [one for one in self.books.operations.values() if one["number"] == number]
        if not found:
            raise ValueError("no such operation")
        return dict(found[-1])

    async def resend(self, request: web.Request) -> web.Response:
        body = await json_body(request)
        doc = self._by_number(str(body.get("payment_id")))
        times, altered = int(body.get("times", 1)), body.get("altered")
        sent = [self.notices.tell("paid", doc, altered=altered) for _ in range(times)]
        return web.json_response({"items": sent}, status=201)

    async def revoke(self, request: web.Request) -> web.Response:
        self.books.revoke(request.match_info["id"])
        return web.json_response({"id": request.match_info["id"]})

    async def cabinet_refund(self, request: web.Request) -> web.Response:
        """By hand, in the cabinet."""
        body = await json_body(request)
        amount = Decimal(body["amount"]).quantize(Decimal("0.01"))
        made = self.books.refund(self._by_number(body["payment_id"]), amount)
        return web.json_response({"id": made["id"], "amount": made["amount"]}, status=201)

    async def settle(self, request: web.Request) -> web.Response:
        reason = (await json_body(request)).get("reason")
        self.books.settle(self._by_number(request.match_info["id"])["id"], pays=None if not reason else False)
        return web.json_response({"id": request.match_info["id"]})


def _xml(code: str, text: str, rest: str = "") -> web.Response:
    return web.Response(text=XML.format(code=code, text=text, rest=rest), content_type="text/xml")


def _claim(token: str) -> Doc:
    try:
        body = token.split(".")[1]
        found: Doc = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, IndexError):
        return {}
    return found


def _is_signed(token: str, secret: str) -> bool:
    signed, _, given = token.rpartition(".")
    ours = base64.urlsafe_b64encode(hmac.digest(secret.encode(), signed.encode(), hashlib.sha256))
    return ours.rstrip(b"=").decode() == given


def _line(doc: Doc) -> dict[str, Any]:
    words: dict[int, str] = {10: "canceled", 100: "succeeded"}
    line = {"id": doc["number"], "status": words.get(doc["state"], "pending"), "amount": doc["amount"]}
    line |= {"at": doc.get("paid_at"), "fee": str(fee_of(Decimal(doc["amount"])))}
    return line | {"order": doc["number"], "shop": doc["_shop"], "currency": "RUB", "parent": doc["parent"]}


if __name__ == "__main__":
    Robokassa.main()
