"""The payment page: card form, 3-D Secure, refusal; a payment paid once stays paid once."""

from aiohttp import web

from apps.sandbox.access import Entry
from apps.sandbox.service import Service
from apps.sandbox.store import Doc
from apps.sandbox.tbank.cards import CARDS, MESSAGES
from apps.sandbox.tbank.register import OPEN, Register
from apps.sandbox.till import Look, Typed, roubles, typed

LOOK = Look("Т-Банк", "тестовый терминал", "#ffdd2d", on="#1b1b26")


class Checkout:
    """Pages at the PaymentURL of a payment."""

    def __init__(self, service: Service, register: Register) -> None:
        self._service, self._register = service, register

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/pay/{id}", self.show)
        router.add_post("/pay/{id}", self.submit)
        router.add_get("/3ds/{id}", self.show_3ds)
        router.add_post("/3ds/{id}", self.submit_3ds)

    async def show(self, request: web.Request) -> web.Response:
        payment = self._payment(request)
        return self._form(payment) if payment["Status"] in OPEN else self._result(payment)

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """Pay by the card of the form, or go back."""
        payment, form = self._payment(request), await request.post()
        if payment["Status"] not in OPEN:
            return self._leave(payment)
        filled = typed(form, CARDS)
        if filled.problem:
            return self._form(payment, filled)
        number, given = filled.number, {"number": filled.number, "expiry": filled.month + filled.year}
        if CARDS[number].three_ds:
            self._service.store.put("three_ds", payment["id"], given)
            raise web.HTTPSeeOther(f"/3ds/{payment['id']}")
        return await self._confirm(request, payment, given, CARDS[number].error)

    async def show_3ds(self, request: web.Request) -> web.Response:
        payment = self._payment(request)
        given = self._service.store.get("three_ds", payment["id"])
        if payment["Status"] not in OPEN or given is None:
            return self._result(payment)
        return LOOK.three_ds(amount=shown_amount(payment), number=given["number"])

    async def submit_3ds(self, request: web.Request) -> web.StreamResponse:
        payment = self._payment(request)
        given = self._service.store.get("three_ds", payment["id"])
        if payment["Status"] not in OPEN or given is None:
            return self._leave(payment)
        is_refused = (await request.post()).get("action") == "fail"
        error = "101" if is_refused else CARDS[given["number"]].error
        return await self._confirm(request, payment, given, error)

    async def _confirm(
        self, request: web.Request, payment: Doc, given: Doc, error: str
    ) -> web.StreamResponse:
        facts = {"operation": "confirm_payment", "shop": payment["_shop"], "order": payment["OrderId"]}
        facts |= {"payment_id": payment["id"]}

        def act(_entry: Entry) -> web.Response:
            decline = self._service.faults.take(["decline"], facts)
            refused = (decline.reason or "116") if decline else error
            return self._leave(
                self._register.confirm_card(payment["id"], given["number"], given["expiry"], refused)
            )

        return await self._service.serve(request, facts, act)

    def _payment(self, request: web.Request) -> Doc:
        payment: Doc | None = self._register.payments.get(request.match_info["id"])
        if payment is None:
            raise web.HTTPNotFound(text="Платёж не найден")
        return payment

    def _form(self, payment: Doc, given: Typed | None = None) -> web.Response:
        return LOOK.form(
            amount=shown_amount(payment),
            description=payment["description"],
            problem=given.problem if given else "",
            number=given.number if given else "",
            expiry=given.expiry if given else "",
            is_saved=payment["_save"],
            back=payment["fail_url"],
            cards={number: card.title for number, card in CARDS.items()},
        )

    def _leave(self, payment: Doc) -> web.Response:
        """Back to the shop; a refusal is told here first."""
        return result(payment, leave=True)

    def _result(self, payment: Doc) -> web.Response:
        return result(payment)


def result(payment: Doc, *, leave: bool = False) -> web.Response:
    """How it ended; with `leave` one who has paid goes back to the shop at once."""
    is_paid = payment["Status"] in {"CONFIRMED", "AUTHORIZED", "PARTIAL_REFUNDED", "REFUNDED"}
    if leave and is_paid and payment["success_url"]:
        return web.Response(status=303, headers={"Location": payment["success_url"]})
    is_bad = payment["ErrorCode"] != "0" or payment["Status"] in {"CANCELED", "DEADLINE_EXPIRED"}
    problem = MESSAGES.get(payment["ErrorCode"], "Время на оплату вышло.") if is_bad else ""
    back = payment["fail_url" if is_bad else "success_url"]
    return LOOK.result(amount=shown_amount(payment), problem=problem, back=back)


def shown_amount(payment: Doc) -> str:
    return roubles(f"{payment['Amount'] // 100}.{payment['Amount'] % 100:02d}")
