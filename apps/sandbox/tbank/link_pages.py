"""Pages of SBP (a QR that pays, links, or both) and of a card that is bound without a payment."""

from collections.abc import Callable

from aiohttp import web

from apps.sandbox import sbp
from apps.sandbox.access import Entry
from apps.sandbox.service import Service
from apps.sandbox.store import Doc
from apps.sandbox.tbank.cards import CARDS
from apps.sandbox.tbank.checkout import LOOK, result, shown_amount
from apps.sandbox.tbank.links import Links
from apps.sandbox.tbank.register import OPEN, Register
from apps.sandbox.till import Typed, typed


class LinkPages:
    """Pages at Data of GetQr and AddAccountQr, and at PaymentURL of AddCard."""

    def __init__(self, service: Service, books: Register, links: Links) -> None:
        self._service, self._books, self._links = service, books, links

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/qr/{id}", self.show_qr)
        router.add_post("/qr/{id}", self.submit_qr)
        router.add_get("/bind/{id}", self.show_card)
        router.add_post("/bind/{id}", self.submit_card)

    async def show_qr(self, request: web.Request) -> web.Response:
        payment, link = self._of_qr(request)
        if payment is not None:
            if payment["Status"] not in OPEN:
                return result(payment)
            amount, description, saves = shown_amount(payment), payment["description"], payment["_save"]
        else:
            if link["Status"] not in ("NEW", "PROCESSING"):
                return _over(is_bad=link["Status"] != "ACTIVE")
            amount, description, saves = "", link["description"], True
        address = str(request.url)
        return sbp.show(bank="Т-Банк", address=address, amount=amount, description=description, saves=saves)

    async def submit_qr(self, request: web.Request) -> web.StreamResponse:
        payment, link = self._of_qr(request)
        agreed = (await request.post()).get("action") != "fail"
        if payment is None:
            return await self._commit(
                request,
                {"operation": "confirm_link", "shop": link["_shop"]},
                lambda: _over(is_bad=self._links.link(link["id"], agreed=agreed)["Status"] != "ACTIVE"),
            )
        facts = {"operation": "confirm_payment", "shop": payment["_shop"], "order": payment["OrderId"]}
        facts |= {"payment_id": payment["id"]}

        def pay() -> web.Response:
            decline = self._service.faults.take(["decline"], facts)
            error = (decline.reason or "1051") if decline else "" if agreed else "3099"
            return result(self._links.pay(payment["id"], error), leave=True)

        return await self._commit(request, facts, pay)

    async def show_card(self, request: web.Request) -> web.Response:
        doc = self._binding(request)
        return _card_page() if doc["Status"] == "NEW" else _over(is_bad=doc["Status"] != "COMPLETED")

    async def submit_card(self, request: web.Request) -> web.StreamResponse:
        doc = self._binding(request)
        given = typed(await request.post(), CARDS)
        if given.problem:
            return _card_page(given)
        facts = {"operation": "confirm_binding", "shop": doc["_shop"]}

        def bind() -> web.Response:
            decline = self._service.faults.take(["decline"], facts)
            error = (decline.reason or "116") if decline else CARDS[given.number].error
            done = self._links.bind(doc["id"], given.number, given.month + given.year, error)
            return _over(is_bad=done["Status"] != "COMPLETED")

        return await self._commit(request, facts, bind)

    async def _commit(
        self, request: web.Request, facts: dict[str, str], act: Callable[[], web.Response]
    ) -> web.StreamResponse:
        def once(_entry: Entry) -> web.Response:
            return act()

        return await self._service.serve(request, facts, once)

    def _of_qr(self, request: web.Request) -> tuple[Doc | None, Doc]:
        key = request.match_info["id"]
        payment: Doc | None = self._books.payments.get(key)
        link: Doc | None = self._links.accounts.get(key)
        if payment is None and link is None:
            raise web.HTTPNotFound(text="QR-код не найден")
        return payment, link or {}

    def _binding(self, request: web.Request) -> Doc:
        doc: Doc | None = self._links.bindings.get(request.match_info["id"])
        if doc is None:
            raise web.HTTPNotFound(text="Страница не найдена")
        return doc


def _card_page(given: Typed | None = None) -> web.Response:
    return LOOK.binding(cards={number: card.title for number, card in CARDS.items()}, given=given)


def _over(*, is_bad: bool) -> web.Response:
    return LOOK.result(amount="", problem="Банк отказал." if is_bad else "", back="")
