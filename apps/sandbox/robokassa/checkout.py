"""The payment page behind a signed link: card form, 3-D Secure; a payment paid once stays paid once."""

from aiohttp import web

from apps.sandbox.access import Entry
from apps.sandbox.robokassa.cards import CARDS
from apps.sandbox.robokassa.register import BEGUN, DONE, Register
from apps.sandbox.service import Service
from apps.sandbox.store import Doc
from apps.sandbox.till import Look, Typed, roubles, typed

LOOK = Look("Robokassa", "тестовый магазин", "#1f6f54")


class Checkout:
    """Pages of an operation that has begun."""

    def __init__(self, service: Service, register: Register) -> None:
        self._service, self._register = service, register

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/3ds/{shop}/{number}", self.show_3ds)
        router.add_post("/3ds/{shop}/{number}", self.submit_3ds)

    def show(self, operation: Doc) -> web.Response:
        return self._form(operation) if operation["state"] == BEGUN else self._result(operation)

    async def submit(self, request: web.Request, operation: Doc) -> web.StreamResponse:
        """Pay by the card of the form."""
        form = await request.post()
        if operation["state"] != BEGUN:
            return self._leave(operation)
        filled = typed(form, CARDS)
        if filled.problem:
            return self._form(operation, filled)
        number = filled.number
        if CARDS[number].three_ds:
            self._service.store.put("three_ds", operation["id"], {"number": number})
            raise web.HTTPSeeOther(f"/3ds/{operation['id']}")
        return await self._confirm(request, operation, number, pays=CARDS[number].pays)

    async def show_3ds(self, request: web.Request) -> web.Response:
        operation, number = self._operation(request)
        if operation["state"] != BEGUN or not number:
            return self._result(operation)
        return LOOK.three_ds(amount=_amount(operation), number=number)

    async def submit_3ds(self, request: web.Request) -> web.StreamResponse:
        operation, number = self._operation(request)
        if operation["state"] != BEGUN or not number:
            return self._leave(operation)
        is_refused = (await request.post()).get("action") == "fail"
        return await self._confirm(request, operation, number, pays=CARDS[number].pays and not is_refused)

    async def _confirm(
        self, request: web.Request, operation: Doc, number: str, *, pays: bool
    ) -> web.StreamResponse:
        facts = {"operation": "confirm_payment", "shop": operation["_shop"], "order": operation["number"]}

        def act(_entry: Entry) -> web.Response:
            declined = self._service.faults.take(["decline"], facts) is not None
            return self._leave(self._register.pay(operation["id"], number, pays=pays and not declined))

        return await self._service.serve(request, facts, act)

    def _operation(self, request: web.Request) -> tuple[Doc, str]:
        operation = self._register.operation(request.match_info["shop"], request.match_info["number"])
        if operation is None:
            raise web.HTTPNotFound(text="Операция не найдена")
        return operation, (self._service.store.get("three_ds", operation["id"]) or {}).get("number", "")

    def _form(self, operation: Doc, given: Typed | None = None) -> web.Response:
        return LOOK.form(
            amount=_amount(operation),
            description=operation.get("description") or "",
            problem=given.problem if given else "",
            number=given.number if given else "",
            expiry=given.expiry if given else "",
            is_saved=bool(operation.get("recurring")),
            back=operation.get("fail_url") or "",
            cards={number: card.title for number, card in CARDS.items()},
        )

    def _leave(self, operation: Doc) -> web.Response:
        """Back to the shop; a refusal is told here first."""
        if operation["state"] != DONE or not operation.get("success_url"):
            return self._result(operation)
        return web.Response(status=303, headers={"Location": operation["success_url"]})

    def _result(self, operation: Doc) -> web.Response:
        is_bad = operation["state"] != DONE
        problem = "Банк отклонил платёж." if is_bad else ""
        back = operation.get("fail_url" if is_bad else "success_url") or ""
        return LOOK.result(amount=_amount(operation), problem=problem, back=back)


def _amount(operation: Doc) -> str:
    return roubles(operation["amount"])
