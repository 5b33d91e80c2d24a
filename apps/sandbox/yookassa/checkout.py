"""The payment page: card form, SBP, 3-D Secure, refusal; a payment paid once stays paid once."""

from aiohttp import web

from apps.sandbox import sbp
from apps.sandbox.access import Entry
from apps.sandbox.service import Service
from apps.sandbox.store import Doc
from apps.sandbox.till import Look, Typed, roubles, typed
from apps.sandbox.yookassa.api import CHECKOUT
from apps.sandbox.yookassa.cards import CARDS, Card
from apps.sandbox.yookassa.register import Register, bank_card, sbp_account

BIND = "/checkout/bind"
LOOK = Look("ЮKassa", "тестовый магазин", "#5b3df5")
REASONS = {
    "insufficient_funds": "На карте недостаточно денег.",
    "card_expired": "Срок действия карты истёк.",
    "3d_secure_failed": "Банк не подтвердил, что платите вы.",
    "invalid_csc": "Неверный код с обратной стороны карты.",
    "expired_on_confirmation": "Время на оплату вышло.",
}


class Checkout:
    """Pages at the confirmation_url of a payment."""

    def __init__(self, service: Service, register: Register) -> None:
        self._service, self._register = service, register

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get(CHECKOUT, self.show)
        router.add_post(CHECKOUT, self.submit)
        router.add_get(BIND, self.show_binding)
        router.add_post(BIND, self.submit_binding)
        router.add_get("/3ds/{id}", self.show_3ds)
        router.add_post("/3ds/{id}", self.submit_3ds)

    async def show(self, request: web.Request) -> web.Response:
        payment = self._payment(request.query.get("orderId"))
        if payment["status"] != "pending":
            return self._result(payment)
        if payment["_method"] != "sbp":
            return self._form(payment)
        return sbp.show(
            bank=LOOK.brand,
            address=str(request.url),
            amount=_amount(payment),
            description=payment.get("description", ""),
            saves=payment["_save"],
        )

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """Pay by the card or SBP of the form, or refuse to pay."""
        payment = self._payment(request.query.get("orderId"))
        if payment["status"] != "pending":
            return self._leave(payment)
        form = await request.post()
        action = str(form.get("action", "card"))
        if action == "cancel":
            return self._leave(self._register.cancel(payment["id"], "expired_on_confirmation"))
        if payment["_method"] == "sbp" and action == "fail":
            return await self._confirm(request, payment, sbp_account(), Card("СБП", "general_decline"))
        if action == "sbp" or payment["_method"] == "sbp":
            return await self._confirm(request, payment, sbp_account(), Card("СБП"))
        given = typed(form, CARDS)
        if given.problem:
            return self._form(payment, given)
        method = bank_card(given.number, given.month, f"20{given.year}")
        if CARDS[given.number].three_ds:
            self._service.store.put("three_ds", payment["id"], method)
            raise web.HTTPSeeOther(f"/3ds/{payment['id']}")
        return await self._confirm(request, payment, method, CARDS[given.number])

    async def show_binding(self, request: web.Request) -> web.Response:
        method = self._binding(request)
        if method["status"] != "pending":
            return _bound(method)
        if method["type"] != "sbp":
            return self._binding_form()
        description = "Привязка счёта"
        return sbp.show(
            bank=LOOK.brand, address=str(request.url), amount="", description=description, saves=True
        )

    async def submit_binding(self, request: web.Request) -> web.StreamResponse:
        """Save the card of the form, or the account behind the QR."""
        method, form = self._binding(request), await request.post()
        agreed, saved = form.get("action") != "fail", sbp_account()
        if method["type"] != "sbp":
            given = typed(form, CARDS)
            if given.problem:
                return self._binding_form(given)
            saved = bank_card(given.number, given.month, f"20{given.year}")
            agreed = not CARDS[given.number].reason
        facts = {"operation": "confirm_binding", "shop": method["_shop"], "object_id": method["id"]}

        def act(_entry: Entry) -> web.Response:
            return _bound(self._register.bind(method["id"], saved, agreed=agreed))

        return await self._service.serve(request, facts, act)

    def _binding(self, request: web.Request) -> Doc:
        method = self._service.store.get("methods", request.query.get("orderId", ""))
        if method is None or "_return_url" not in method:
            raise web.HTTPNotFound(text="Страница не найдена")
        return method

    def _binding_form(self, given: Typed | None = None) -> web.Response:
        return LOOK.binding(cards={number: card.title for number, card in CARDS.items()}, given=given)

    async def show_3ds(self, request: web.Request) -> web.Response:
        payment = self._payment(request.match_info["id"])
        method = self._service.store.get("three_ds", payment["id"])
        if payment["status"] != "pending" or method is None:
            return self._result(payment)
        return LOOK.three_ds(amount=_amount(payment), number=method["_number"])

    async def submit_3ds(self, request: web.Request) -> web.StreamResponse:
        payment = self._payment(request.match_info["id"])
        method = self._service.store.get("three_ds", payment["id"])
        if payment["status"] != "pending" or method is None:
            return self._leave(payment)
        card = CARDS[method["_number"]]
        if (await request.post()).get("action") == "fail":
            card = Card(card.title, "3d_secure_failed", three_ds=True)
        return await self._confirm(request, payment, method, card)

    async def _confirm(
        self, request: web.Request, payment: Doc, method: Doc, card: Card
    ) -> web.StreamResponse:
        facts = {
            "operation": "confirm_payment",
            "shop": payment["_shop"],
            "metadata": payment["metadata"],
            "payment_id": payment["id"],
            "object_id": payment["id"],
            "amount": payment["amount"]["value"],
        }

        def act(entry: Entry) -> web.Response:
            fresh = self._register.payments[payment["id"]]
            if fresh["status"] != "pending":
                return self._leave(fresh)
            decline = self._service.faults.take(["decline"], facts)
            declined = (decline.reason or "insufficient_funds") if decline else None
            return self._leave(
                self._register.confirm(payment["id"], method=method, card=card, declined=declined)
            )

        return await self._service.serve(request, facts, act)

    # -- pages ---------------------------------------------------------------------------------------

    def _payment(self, payment_id: str | None) -> Doc:
        payment = self._register.payments.get(payment_id or "")
        if payment is None:
            raise web.HTTPNotFound(text="Платёж не найден")
        return payment

    def _form(self, payment: Doc, given: Typed | None = None) -> web.Response:
        return LOOK.form(
            amount=_amount(payment),
            description=payment.get("description") or "",
            problem=given.problem if given else "",
            number=given.number if given else "",
            expiry=given.expiry if given else "",
            is_saved=payment["_save"],
            takes_cards=payment["_method"] != "sbp",
            takes_sbp=payment["_method"] != "bank_card",
            may_refuse=True,
            back=payment["_return_url"],
            cards={number: card.title for number, card in CARDS.items()},
        )

    def _leave(self, payment: Doc) -> web.Response:
        """Back to the shop; a refusal is told here first."""
        reason = (payment.get("cancellation_details") or {}).get("reason")
        if not payment["_return_url"] or (reason and reason != "expired_on_confirmation"):
            return self._result(payment)
        return web.Response(status=303, headers={"Location": payment["_return_url"]})

    def _result(self, payment: Doc) -> web.Response:
        reason = (payment.get("cancellation_details") or {}).get("reason")
        return LOOK.result(
            amount=_amount(payment),
            problem=REASONS.get(reason, "Банк отклонил платёж.") if reason else "",
            back=payment["_return_url"],
        )


def _bound(method: Doc) -> web.Response:
    is_good = method["status"] == "active"
    if is_good and method["_return_url"]:
        return web.Response(status=303, headers={"Location": method["_return_url"]})
    return LOOK.result(amount="", problem="" if is_good else "Банк отказал.", back=method["_return_url"])


def _amount(payment: Doc) -> str:
    return roubles(payment["amount"]["value"])
