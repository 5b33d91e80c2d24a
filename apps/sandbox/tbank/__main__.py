"""Run the T-Bank simulator: `python -m apps.sandbox.tbank --port 9106 --state var/sandbox`."""

import argparse
import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from aiohttp import web

from apps.sandbox import fiscal
from apps.sandbox.access import Entry
from apps.sandbox.fiscal import FiscalBook
from apps.sandbox.notices import Notices
from apps.sandbox.service import Service, json_body
from apps.sandbox.store import Doc
from apps.sandbox.tbank import receipts
from apps.sandbox.tbank.cabinet import Cabinet, fee_of
from apps.sandbox.tbank.checkout import Checkout
from apps.sandbox.tbank.link_pages import LinkPages
from apps.sandbox.tbank.links import Links
from apps.sandbox.tbank.register import MESSAGES, Failed, Register, sign


class Notifications(Notices):
    """Signed, sent to the address of the payment or of its terminal until it answers OK."""

    def body(self, event: str, doc: Doc, altered: Doc) -> Doc:
        if event == "receipt":
            return self._signed(receipts.notification(doc), doc["_shop"], altered)
        body = (
            _link_notice(doc)
            if "OrderId" not in doc
            else {
                "TerminalKey": doc["_shop"],
                "OrderId": doc["OrderId"],
                "Success": doc["Status"] not in {"REJECTED", "AUTH_FAIL"},
                "Status": doc["Status"],
                "PaymentId": int(doc["id"]),
                "ErrorCode": doc["ErrorCode"],
                "Amount": doc["Amount"],
            }
        )
        number = str if "OrderId" not in doc else int
        body |= {name: number(doc[name]) for name in ("RebillId", "CardId") if doc.get(name)}
        body |= {name: doc[name] for name in ("Pan", "ExpDate") if doc.get(name)}
        return self._signed(body, doc["_shop"], altered)

    def _signed(self, body: Doc, shop: str, altered: Doc) -> Doc:
        body["Token"] = sign(body, self._store.get("shops", shop)["secret"])  # type: ignore[index]
        # A forger does not know the password: what it alters is no longer signed.
        return {**body, **altered}

    def address(self, shop: str, doc_id: str) -> str | None:
        own = (self._store.get("payments", doc_id) or {}).get("notification_url")
        return own or super().address(shop, doc_id)

    def is_taken(self, status: int, text: str) -> bool:
        return status == 200 and text == "OK"


class TBank(Service):
    """Terminals, API v2, payment page, notifications and the control of them."""

    name = "tbank"
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
        self.links = Links(self.store, self.books, self.notices.happened)
        for given in options.shop:
            terminal, _, password = given.partition(":")
            self._put_shop(terminal, {"secret": password, "webhook_url": options.webhook_url})

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--shop", action="append", default=[], metavar="TERMINAL:PASSWORD")
        parser.add_argument("--webhook-url", help="where these terminals are notified")
        parser.add_argument("--public-url", help="address of the payment page as a browser sees it")

    def add_routes(self, router: web.UrlDispatcher) -> None:
        for method in METHODS:
            router.add_post(f"/v2/{method}", self.api)
        router.add_post("/cashbox/SendClosingReceipt", self.api)
        fiscal.add_control(router, self.books.fiscal)
        Checkout(self, self.books).add_routes(router)
        Cabinet(self.store, self.lies).add_routes(router)
        LinkPages(self, self.books, self.links).add_routes(router)
        router.add_put("/_control/shops/{id}", self.put_shop)
        router.add_get("/_control/webhooks", self.show_webhooks)
        router.add_post("/_control/webhooks/resend", self.resend)
        router.add_post("/_control/payment_methods/{id}/revoke", self.revoke)
        router.add_post("/_control/settle/{id}", self.settle)
        router.add_post("/_control/refunds", self.refund)

    async def started(self) -> None:
        self.notices.start()
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep_forever())

    def clock_moved(self) -> None:
        self.books.sweep()

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            self.books.sweep()

    def refusal(self, status: int) -> web.Response:
        return web.json_response({"Success": False, "ErrorCode": "9999", "Message": "error"}, status=status)

    def register(self, query: dict[str, str]) -> dict[str, Any]:
        shop = query.get("shop")
        payments = [_line(doc) for doc in self.books.payments.values() if shop in (None, doc["_shop"])]
        refunds = [
            {
                "id": doc["request"] or doc["id"],
                "payment_id": doc["payment_id"],
                "amount": _roubles(doc["Amount"]),
                "status": doc.get("status", "succeeded"),
                "shop": doc["_shop"],
                "at": doc["created_at"],
            }
            for doc in self.books.refunds.values()
            if shop in (None, doc["_shop"])
        ]
        return {"payments": payments, "refunds": refunds}

    # -- API -----------------------------------------------------------------------------------------

    async def api(self, request: web.Request) -> web.Response:
        method, body = request.path.rsplit("/", 1)[1], await json_body(request)
        terminal = str(body.get("TerminalKey", ""))
        facts = {"operation": method, "account": terminal, "shop": terminal, "body": body}
        facts |= {"order": str(body.get("OrderId", "")), "payment_id": str(body.get("PaymentId", ""))}

        def act(entry: Entry) -> web.Response:
            try:
                self._check(terminal, body)
                answer = METHODS[method](self, request, terminal, body, facts)
            except Failed as failed:
                answer = {"Success": False, "ErrorCode": failed.code, "TerminalKey": terminal}
                answer |= {"Message": MESSAGES.get(failed.code, "Отказ"), "OrderId": "", **failed.fields}
            entry.facts["answer"] = answer
            return web.json_response(answer)

        return await self.serve(request, facts, act)

    def _check(self, terminal: str, body: Doc) -> None:
        shop = self.store.get("shops", terminal)
        if shop is None:
            raise Failed("501")
        if body.get("Token") != sign(body, shop["secret"]):
            raise Failed("204")

    def _taken(self, facts: dict[str, Any], *kinds: str) -> dict[str, Any]:
        return {kind: self.faults.take([kind], facts) for kind in kinds}

    def init(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        payment = self.books.init(terminal, body)
        return self._answer(payment) | {"PaymentURL": f"{self._page(request)}/pay/{payment['id']}"}

    def _page(self, request: web.Request) -> str:
        return self.options.public_url or f"{request.scheme}://{request.host}"

    def get_qr(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        payment = self.books.payment(terminal, body["PaymentId"])
        if payment["Status"] not in ("NEW", "FORM_SHOWED"):
            raise Failed("8")
        answer = {**_told(terminal), "OrderId": payment["OrderId"], "PaymentId": int(payment["id"])}
        answer["Data"] = f"{self._page(request)}/qr/{payment['id']}"
        if payment["_save"]:
            link = self.links.new_account(terminal, payment["description"], payment["id"])
            answer["RequestKey"] = int(link["id"])
        return answer

    def charge_qr(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        planned = self._taken(facts, "decline", "pending")
        payment = self.links.charge(terminal, body, planned)
        self._tell_lie(payment, facts)
        return self._answer(payment) | {"Currency": 643}

    def add_account_qr(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        made = self.links.new_account(terminal, body["Description"])
        return {
            **_told(terminal),
            "Data": f"{self._page(request)}/qr/{made['id']}",
            "RequestKey": int(made["id"]),
        }

    def account_state(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        found = self.links.account(terminal, body["RequestKey"])
        names = ("Status", "BankMemberId", "BankMemberName", "AccountToken")
        known = {name: found[name] for name in names if found.get(name)}
        return {**_told(terminal), **known, "RequestKey": int(found["id"])}

    def add_customer(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        return {**_told(terminal), "CustomerKey": body["CustomerKey"]}

    def add_card(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        made = self.links.new_binding(terminal, body["CustomerKey"])
        answer = {"PaymentId": made["PaymentId"], "RequestKey": made["id"]}
        answer["PaymentURL"] = f"{self._page(request)}/bind/{made['id']}"
        return {**_told(terminal), "CustomerKey": body["CustomerKey"], **answer}

    def card_state(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        found = self.links.binding(terminal, body["RequestKey"])
        names = ("Status", "CardId", "RebillId", "CustomerKey")
        return {
            **_told(terminal),
            **{name: found[name] for name in names if found.get(name)},
            "RequestKey": found["id"],
        }

    def charge(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        planned = self._taken(facts, "decline", "pending")
        payment = self.books.charge(terminal, body["PaymentId"], body["RebillId"], planned)
        self._tell_lie(payment, facts)
        return self._answer(payment)

    def get_state(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        return self._answer(self.books.payment(terminal, body["PaymentId"]))

    def confirm(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        return self._answer(self.books.finish(terminal, body))

    def check_order(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        found = self.books.of_order(terminal, body["OrderId"])
        if not found:
            raise Failed("255", Payments=[], OrderId=str(body["OrderId"]))
        rows = [
            {
                "PaymentId": doc["id"],
                "Amount": doc["Amount"],
                "Status": doc["Status"],
                "Success": "true" if doc["ErrorCode"] == "0" else "false",
                "ErrorCode": int(doc["ErrorCode"]),
                **({"SbpPaymentId": f"A{doc['id']}"} if doc["_sbp"] and doc.get("paid_at") else {}),
            }
            for doc in found
        ]
        told = {"Success": True, "ErrorCode": "0", "TerminalKey": terminal, "OrderId": str(body["OrderId"])}
        return told | {"Payments": rows}

    def cancel(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        payment, had = self.books.cancel(terminal, body, self._taken(facts, "decline", "pending"))
        left = payment["Amount"] - payment["refunded"]
        answer = self._answer(payment) | {"OriginalAmount": had, "NewAmount": left}
        if body.get("ExternalRequestId"):
            answer["ExternalRequestId"] = body["ExternalRequestId"]
        return {**answer, "PaymentId": int(payment["id"])}

    def qr_state(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        """What became of the last refund of a payment through SBP."""
        payment = self.books.payment(terminal, body["PaymentId"])
        answer = {**_told(terminal), "Message": "OK", "Status": payment["Status"]}
        answer["OrderId"] = payment["OrderId"]
        if known := self.books.refunds.get(payment.get("_refund", "")):
            answer["Amount"] = known["Amount"]
        if code := payment.get("_refund_code"):
            answer |= {"QrCancelCode": code, "QrCancelMessage": "Банк клиента не принял возврат"}
        return answer

    def get_card_list(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Any:
        names = ("CardId", "Pan", "Status", "RebillId", "CardType", "ExpDate")
        return [
            {name: card[name] for name in names}
            for card in self.books.cards.values()
            if (card["_shop"], card["CustomerKey"]) == (terminal, body["CustomerKey"])
        ]

    def remove_card(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        card = self.books.remove_card(terminal, str(body["CustomerKey"]), str(body["CardId"]))
        return _told(terminal) | {
            name: card[name] for name in ("Status", "CustomerKey", "CardId", "CardType")
        }

    def close_receipt(self, request: web.Request, terminal: str, body: Doc, facts: dict[str, Any]) -> Doc:
        self.books.close_receipt(terminal, body)
        return {"Success": True, "ErrorCode": "0"}

    def _registered(self, made: Doc) -> None:
        self.notices.happened("receipt", {**made, "payment_id": made["payment"]})

    def _answer(self, payment: Doc) -> Doc:
        code = payment["ErrorCode"]
        answer = {
            "Success": code == "0",
            "ErrorCode": code,
            "TerminalKey": payment["_shop"],
            "Status": payment["Status"],
            "PaymentId": payment["id"],
            "OrderId": payment["OrderId"],
            "Amount": payment["Amount"],
        }
        return answer if code == "0" else answer | {"Message": MESSAGES.get(code, "Отказ")}

    def _tell_lie(self, payment: Doc, facts: dict[str, Any]) -> None:
        if fault := self.faults.take(["forge_webhook"], facts):
            altered = {"Status": "CONFIRMED", "Success": True, **fault.altered}
            self.notices.tell("payment.CONFIRMED", payment, altered=altered)

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
        return web.json_response({"items": self.notices.as_json(request.query.get("payment_id"))})

    async def resend(self, request: web.Request) -> web.Response:
        """The notification of a payment's present state, `times` times."""
        body = await json_body(request)
        doc = self.books.payments.get(str(body.get("payment_id")))
        if doc is None:
            raise ValueError("no such payment")
        sent = [
            self.notices.tell(f"payment.{doc['Status']}", doc, altered=body.get("altered"))
            for _ in range(int(body.get("times", 1)))
        ]
        return web.json_response({"items": sent}, status=201)

    async def revoke(self, request: web.Request) -> web.Response:
        if not self.links.unlink(request.match_info["id"]):
            self.books.revoke(request.match_info["id"])
        return web.json_response({"id": request.match_info["id"]})

    async def settle(self, request: web.Request) -> web.Response:
        reason = (await json_body(request)).get("reason")
        self.books.settle(request.match_info["id"], reason)
        return web.json_response({"id": request.match_info["id"]})

    async def refund(self, request: web.Request) -> web.Response:
        body = await json_body(request)
        amount = int(Decimal(body["amount"]) * 100)
        return web.json_response(_line(self.books.cabinet_refund(body["payment_id"], amount)), status=201)


Method = Callable[[TBank, web.Request, str, Doc, dict[str, Any]], Any]
METHODS: dict[str, Method] = {
    "Init": TBank.init,
    "Charge": TBank.charge,
    "GetState": TBank.get_state,
    "CheckOrder": TBank.check_order,
    "Cancel": TBank.cancel,
    "Confirm": TBank.confirm,
    "GetCardList": TBank.get_card_list,
    "RemoveCard": TBank.remove_card,
    "SendClosingReceipt": TBank.close_receipt,
    "GetQr": TBank.get_qr,
    "ChargeQr": TBank.charge_qr,
    "AddAccountQr": TBank.add_account_qr,
    "GetAddAccountQrState": TBank.account_state,
    "GetQrState": TBank.qr_state,
    "AddCustomer": TBank.add_customer,
    "AddCard": TBank.add_card,
    "GetAddCardState": TBank.card_state,
}


def _told(terminal: str) -> Doc:
    return {"TerminalKey": terminal, "Success": True, "ErrorCode": "0"}


def _link_notice(doc: Doc) -> Doc:
    """Of a card or account that was linked: without an order."""
    body = {"TerminalKey": doc["_shop"], "RequestKey": doc["id"], "Status": doc["Status"]}
    if "CustomerKey" in doc:
        is_done = doc["Status"] == "COMPLETED"
        body |= {"CustomerKey": doc["CustomerKey"], "PaymentId": doc["PaymentId"]}
    else:
        is_done = doc["Status"] == "ACTIVE"
        names = ("AccountToken", "BankMemberId", "BankMemberName")
        body |= {"NotificationType": "LINKACCOUNT", **{name: doc[name] for name in names if doc.get(name)}}
    return {**body, "Success": is_done, "ErrorCode": doc.get("ErrorCode") or "0"}


def _line(doc: Doc) -> dict[str, Any]:
    status = "pending"
    if doc["Status"] in {"CONFIRMED", "PARTIAL_REFUNDED", "REFUNDED", "ASYNC_REFUNDING"}:
        status = "succeeded"
    elif doc["Status"] in {"REJECTED", "CANCELED", "DEADLINE_EXPIRED", "AUTH_FAIL", "REVERSED"}:
        status = "canceled"
    line = {name: doc[name] for name in ("id", "created_at", "description")}
    line |= {"status": status, "amount": _roubles(doc["Amount"]), "currency": "RUB", "shop": doc["_shop"]}
    line |= {"word": doc["Status"], "order": doc["OrderId"], "reason": doc["ErrorCode"]}
    return (
        line
        | {
            "refunded_amount": _roubles(doc["refunded"]),
            "paid_at": doc.get("paid_at"),
            "at": doc.get("paid_at"),
        }
        | {"fee": str(fee_of(doc["Amount"]))}
    )


def _roubles(kopecks: int) -> str:
    return f"{Decimal(kopecks) / 100:.2f}"


if __name__ == "__main__":
    TBank.main()
