"""The payment page: card form, 3-D Secure, refusal; a payment paid once stays paid once."""

from aiohttp import web

from apps.sandbox import sbp
from apps.sandbox.access import Entry
from apps.sandbox.cloudpayments.cards import CARDS, SAID
from apps.sandbox.cloudpayments.register import Register
from apps.sandbox.service import Service
from apps.sandbox.store import Doc
from apps.sandbox.till import Look, Typed, roubles, typed

LOOK = Look("CloudPayments", "тестовый терминал", "#2f71eb")


class Checkout:
    """Pages at the Url of an order."""

    def __init__(self, service: Service, register: Register) -> None:
        self._service, self._register = service, register

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/d/{id}", self.show)
        router.add_post("/d/{id}", self.submit)
        router.add_get("/qr/{id}", self.show_qr)
        router.add_post("/qr/{id}", self.submit_qr)
        router.add_get("/3ds/{id}", self.show_3ds)
        router.add_post("/3ds/{id}", self.submit_3ds)

    async def show(self, request: web.Request) -> web.Response:
        payment = self._payment(request)
        return self._form(payment) if payment["state"] == "Created" else self._result(payment)

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """Pay by the card of the form, or go back."""
        payment, form = self._payment(request), await request.post()
        if payment["state"] != "Created":
            return self._leave(payment)
        filled = typed(form, CARDS)
        if filled.problem:
            return self._form(payment, filled)
        number, given = filled.number, {"number": filled.number, "expiry": f"{filled.month}/{filled.year}"}
        if CARDS[number].three_ds:
            self._service.store.put("three_ds", payment["id"], given)
            raise web.HTTPSeeOther(f"/3ds/{payment['id']}")
        return await self._confirm(request, payment, given, CARDS[number].code)

    async def show_qr(self, request: web.Request) -> web.Response:
        doc = self._of_qr(request)
        if doc["Status"] != "AwaitingAuthentication":
            return self._after_qr(doc)
        return sbp.show(
            bank="CloudPayments",
            address=str(request.url),
            amount=_amount(doc),
            description=doc["Description"],
            saves=doc["saves"],
        )

    async def submit_qr(self, request: web.Request) -> web.StreamResponse:
        doc, agreed = self._of_qr(request), (await request.post()).get("action") != "fail"
        facts = {"operation": "confirm_payment", "shop": doc["_shop"], "order": doc["InvoiceId"]}

        def act(_entry: Entry) -> web.Response:
            decline = self._service.faults.take(["decline"], facts)
            code = int(decline.reason or 5051) if decline else 0 if agreed else 6001
            return self._after_qr(self._register.pay_sbp(doc["id"], code))

        return await self._service.serve(request, facts, act)

    def _of_qr(self, request: web.Request) -> Doc:
        doc: Doc | None = self._register.transactions.get(request.match_info["id"])
        if doc is None or "saves" not in doc:
            raise web.HTTPNotFound(text="QR-код не найден")
        return doc

    def _after_qr(self, doc: Doc) -> web.Response:
        is_paid = doc["Status"] == "Completed"
        order = {"state": "Paid" if is_paid else "Cancelled", "amount": doc["amount"]}
        return self._leave({**order, "success_url": doc["success_url"], "fail_url": ""}, doc["ReasonCode"])

    async def show_3ds(self, request: web.Request) -> web.Response:
        payment = self._payment(request)
        given = self._service.store.get("three_ds", payment["id"])
        if payment["state"] != "Created" or given is None:
            return self._result(payment)
        return LOOK.three_ds(amount=_amount(payment), number=given["number"])

    async def submit_3ds(self, request: web.Request) -> web.StreamResponse:
        payment = self._payment(request)
        given = self._service.store.get("three_ds", payment["id"])
        if payment["state"] != "Created" or given is None:
            return self._leave(payment)
        is_refused = (await request.post()).get("action") == "fail"
        error = 5206 if is_refused else CARDS[given["number"]].code
        return await self._confirm(request, payment, given, error)

    async def _confirm(
        self, request: web.Request, payment: Doc, given: Doc, error: int
    ) -> web.StreamResponse:
        facts = {"operation": "confirm_payment", "shop": payment["_shop"], "order": payment["invoice"]}
        facts |= {"payment_id": payment["id"]}

        def act(_entry: Entry) -> web.Response:
            decline = self._service.faults.take(["decline"], facts)
            refused = int(decline.reason or 5051) if decline else error
            if self._register.orders[payment["id"]]["state"] != "Created":
                return self._leave(self._register.orders[payment["id"]])
            self._register.pay(payment["id"], given["number"], given["expiry"], refused)
            return self._leave(self._register.orders[payment["id"]], refused)

        return await self._service.serve(request, facts, act)

    def _payment(self, request: web.Request) -> Doc:
        payment: Doc | None = self._register.orders.get(request.match_info["id"])
        if payment is None:
            raise web.HTTPNotFound(text="Платёж не найден")
        return payment

    def _form(self, payment: Doc, given: Typed | None = None) -> web.Response:
        return LOOK.form(
            amount=_amount(payment),
            description=payment["description"],
            problem=given.problem if given else "",
            number=given.number if given else "",
            expiry=given.expiry if given else "",
            is_saved=True,
            back=payment["fail_url"],
            cards={number: card.title for number, card in CARDS.items()},
        )

    def _leave(self, order: Doc, code: int = 0) -> web.Response:
        """Back to the shop; a refusal is told here first."""
        if code or order["state"] != "Paid" or not order["success_url"]:
            return self._result(order, code)
        return web.Response(status=303, headers={"Location": order["success_url"]})

    def _result(self, order: Doc, code: int = 0) -> web.Response:
        is_bad = code != 0 or order["state"] != "Paid"
        problem = SAID.get(code, "Банк отклонил платёж.") if is_bad else ""
        back = order["fail_url" if is_bad else "success_url"]
        return LOOK.result(amount=_amount(order), problem=problem, back=back)


def _amount(order: Doc) -> str:
    return roubles(order["amount"])
