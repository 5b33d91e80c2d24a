"""The payment page: card form, SBP, 3-D Secure, refusal; a payment paid once stays paid once."""

import re
from html import escape
from pathlib import Path

from aiohttp import web

from apps.sandbox.access import Entry
from apps.sandbox.service import Service, page
from apps.sandbox.store import Doc
from apps.sandbox.yookassa.api import CHECKOUT
from apps.sandbox.yookassa.cards import CARDS, Card
from apps.sandbox.yookassa.register import Register, bank_card, sbp_account

HERE = Path(__file__).parent
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
        router.add_get("/3ds/{id}", self.show_3ds)
        router.add_post("/3ds/{id}", self.submit_3ds)

    async def show(self, request: web.Request) -> web.Response:
        payment = self._payment(request.query.get("orderId"))
        return self._form(payment) if payment["status"] == "pending" else self._result(payment)

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """Pay by the card or SBP of the form, or refuse to pay."""
        payment = self._payment(request.query.get("orderId"))
        if payment["status"] != "pending":
            return self._leave(payment)
        form = await request.post()
        action = str(form.get("action", "card"))
        if action == "cancel":
            return self._leave(self._register.cancel(payment["id"], "expired_on_confirmation"))
        if action == "sbp":
            return await self._confirm(request, payment, sbp_account(), Card("СБП"))
        number = re.sub(r"\D", "", str(form.get("card_number", "")))
        expiry = re.fullmatch(r"\s*(\d\d)\s*/?\s*(?:20)?(\d\d)\s*", str(form.get("expiry", "")))
        problem = _problem(number, expiry, str(form.get("cvc", "")))
        if problem or expiry is None:
            return self._form(payment, problem, number, str(form.get("expiry", "")))
        method = bank_card(number, expiry[1], f"20{expiry[2]}")
        if CARDS[number].three_ds:
            self._service.store.put("three_ds", payment["id"], method)
            raise web.HTTPSeeOther(f"/3ds/{payment['id']}")
        return await self._confirm(request, payment, method, CARDS[number])

    async def show_3ds(self, request: web.Request) -> web.Response:
        payment = self._payment(request.match_info["id"])
        method = self._service.store.get("three_ds", payment["id"])
        if payment["status"] != "pending" or method is None:
            return self._result(payment)
        return page(HERE, "three_ds", amount=_amount(payment), title=escape(method["title"]))

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

    def _form(
        self, payment: Doc, problem: str | None = None, number: str = "", expiry: str = ""
    ) -> web.Response:
        cards = "".join(
            f'<li><button type="button" data-card="{number}">{_grouped(number)}</button> '
            f"<span>{escape(card.title)}</span></li>"
            for number, card in CARDS.items()
        )
        return page(
            HERE,
            "checkout",
            amount=_amount(payment),
            description=escape(payment.get("description") or "Оплата заказа"),
            problem=f'<p class="problem" role="alert">{escape(problem)}</p>' if problem else "",
            number=_grouped(number),
            expiry=escape(expiry),
            saving="Карта сохранится для следующих списаний." if payment["_save"] else "",
            card_display="none" if payment["_method"] == "sbp" else "block",
            sbp_display="none" if payment["_method"] == "bank_card" else "block",
            back=escape(payment["_return_url"] or "#"),
            cards=cards,
        )

    def _leave(self, payment: Doc) -> web.Response:
        """Back to the shop; a refusal is told here first."""
        reason = (payment.get("cancellation_details") or {}).get("reason")
        if not payment["_return_url"] or (reason and reason != "expired_on_confirmation"):
            return self._result(payment)
        return web.Response(status=303, headers={"Location": payment["_return_url"]})

    def _result(self, payment: Doc) -> web.Response:
        reason = (payment.get("cancellation_details") or {}).get("reason")
        title = "Не получилось оплатить" if reason else "Оплачено"
        text = REASONS.get(reason, "Банк отклонил платёж.") if reason else "Деньги поступили в магазин."
        return page(
            HERE,
            "result",
            title=title,
            mark="✕" if reason else "✓",
            tone="bad" if reason else "good",
            text=text,
            amount=_amount(payment),
            back=escape(payment["_return_url"] or "#"),
        )


def _problem(number: str, expiry: object, cvc: str) -> str | None:
    if number not in CARDS:
        return "Это тестовый магазин: введите номер одной из тестовых карт."
    if expiry is None:
        return "Введите срок действия карты: месяц и год."
    return None if re.fullmatch(r"\d{3}", cvc) else "Введите три цифры с обратной стороны карты."


def _amount(payment: Doc) -> str:
    whole, _, part = payment["amount"]["value"].partition(".")
    return f"{int(whole):,}".replace(",", "\u00a0") + f",{part}\u00a0₽"


def _grouped(number: str) -> str:
    return " ".join(number[place : place + 4] for place in range(0, len(number), 4))
