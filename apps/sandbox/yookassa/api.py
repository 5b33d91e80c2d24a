"""HTTP of API v3: authorisation, idempotence, and the routes."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from aiohttp import web

from apps.sandbox.access import Entry
from apps.sandbox.clock import moment, stamp
from apps.sandbox.faults import Fault
from apps.sandbox.service import Service, json_body
from apps.sandbox.store import Doc
from apps.sandbox.yookassa import receipts, rules
from apps.sandbox.yookassa.register import Register, public
from apps.sandbox.yookassa.rules import ApiError

KEY_KEPT = timedelta(hours=24)
CHECKOUT = "/checkout/payments/v2/contract"

Act = Callable[[str, Doc, str], Doc]


class Api:
    """Routes under /v3. Each request is served through the service's faults and log."""

    def __init__(
        self, service: Service, register: Register, tell_lie: Callable[[Doc, dict[str, Any]], None]
    ) -> None:
        self._service, self._register, self._tell_lie = service, register, tell_lie
        self._store = service.store

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/v3/payments", self.create_payment)
        router.add_get("/v3/payments", self.list_payments)
        router.add_get("/v3/payments/{id}", self.get_payment)
        router.add_post("/v3/payments/{id}/capture", self.capture_payment)
        router.add_post("/v3/payments/{id}/cancel", self.cancel_payment)
        router.add_post("/v3/refunds", self.create_refund)
        router.add_get("/v3/refunds", self.list_refunds)
        router.add_get("/v3/refunds/{id}", self.get_refund)
        router.add_post("/v3/payment_methods", self.create_method)
        router.add_get("/v3/payment_methods/{id}", self.get_method)
        router.add_post("/v3/receipts", self.create_receipt)
        router.add_get("/v3/receipts", self.list_receipts)
        router.add_get("/v3/receipts/{id}", self.get_receipt)
        router.add_get("/v3/me", self.me)

    # -- writing -------------------------------------------------------------------------------------

    async def create_payment(self, request: web.Request) -> web.StreamResponse:
        base = self._service.options.public_url or f"http://{request.host}"

        def act(shop: str, body: Doc, key: str) -> Doc:
            facts = self._facts("create_payment", shop, body)
            by_method = bool(body.get("payment_method_id"))
            faults = {kind: self._take(kind, facts) if by_method else None for kind in ("decline", "pending")}
            payment = self._register.create(shop, body, key, base + CHECKOUT, faults)
            self._tell_lie(payment, facts)
            return payment

        return await self._write(request, "create_payment", act)

    async def capture_payment(self, request: web.Request) -> web.StreamResponse:
        payment_id = request.match_info["id"]
        return await self._write(
            request, "capture_payment", lambda shop, body, key: self._register.capture(shop, payment_id, body)
        )

    async def cancel_payment(self, request: web.Request) -> web.StreamResponse:
        def act(shop: str, body: Doc, key: str) -> Doc:
            payment = self._register.payment(shop, request.match_info["id"])
            if payment["status"] != "waiting_for_capture":
                raise rules.wrong("Payment can not be canceled in this status", "payment_id")
            return self._register.cancel(payment["id"])

        return await self._write(request, "cancel_payment", act)

    async def create_method(self, request: web.Request) -> web.StreamResponse:
        base = self._service.options.public_url or f"http://{request.host}"

        def act(shop: str, body: Doc, key: str) -> Doc:
            return self._register.new_method(shop, body, f"{base}/checkout/bind")

        return await self._write(request, "create_payment_method", act)

    async def create_refund(self, request: web.Request) -> web.StreamResponse:
        def act(shop: str, body: Doc, key: str) -> Doc:
            facts = self._facts("create_refund", shop, body)
            # A decline without an operation is meant for payments; a refund must be named.
            faults = {kind: self._take(kind, facts, named=True) for kind in ("decline", "pending")}
            return self._register.refund(shop, body, key, faults)

        return await self._write(request, "create_refund", act)

    async def create_receipt(self, request: web.Request) -> web.StreamResponse:
        def act(shop: str, body: Doc, key: str) -> Doc:
            return receipts.public(receipts.create(self._store, self._register.fiscal, shop, body))

        return await self._write(request, "create_receipt", act)

    async def _write(self, request: web.Request, operation: str, act: Act) -> web.StreamResponse:
        try:
            shop = self._shop(request)
            try:
                body = await json_body(request)
            except ValueError:
                raise rules.wrong("Body is not valid JSON") from None
        except ApiError as error:
            refused = error.response()
            return await self._service.serve(request, {"operation": operation}, lambda entry: refused)
        facts = self._facts(operation, shop, body)
        key = request.headers.get("Idempotence-Key", "")
        facts["idempotence_key"] = key

        def answer(entry: Entry) -> web.Response:
            try:
                doc = self._once(shop, key, f"{request.method} {request.path}", body, act)
            except ApiError as error:
                return error.response()
            entry.facts["object_id"] = doc["id"]
            return web.json_response(doc)

        return await self._service.serve(request, facts, answer)

    def _once(self, shop: str, key: str, path: str, body: Doc, act: Act) -> Doc:
        """The first answer to this key again, for a day of our clock; its commit is one with the act's."""
        if not 1 <= len(key) <= 64:
            raise rules.wrong("Idempotence key is missing or too long", "Idempotence-Key")
        text = json.dumps([path, body], sort_keys=True)
        print_of_body = hashlib.sha256(text.encode()).hexdigest()
        now = self._service.clock.now()
        seen = self._store.get("keys", f"{shop}:{key}")
        if seen is not None and now - moment(seen["at"]) < KEY_KEPT:
            if seen["body"] != print_of_body:
                raise rules.wrong("Idempotence key duplicated", "Idempotence-Key")
            return seen["answer"]
        with self._store.transaction():
            doc = public(act(shop, body, key))
            seen = {"at": stamp(now), "body": print_of_body, "answer": doc}
            self._store.put("keys", f"{shop}:{key}", seen)
        return doc

    # -- reading -------------------------------------------------------------------------------------

    async def get_payment(self, request: web.Request) -> web.StreamResponse:
        payment = self._register.payments.get(request.match_info["id"])
        return await self._read(request, "get_payment", payment, lambda shop: self._one(shop, payment))

    async def get_refund(self, request: web.Request) -> web.StreamResponse:
        refund = self._register.refunds.get(request.match_info["id"])
        return await self._read(request, "get_refund", refund, lambda shop: self._one(shop, refund))

    async def get_method(self, request: web.Request) -> web.StreamResponse:
        method = self._store.get("methods", request.match_info["id"])

        def act(shop: str) -> Doc:
            status = "inactive" if method and method.get("_revoked") else "active"
            return {"status": status, "holder": {"account_id": shop}, **self._one(shop, method)}

        return await self._read(request, "get_payment_method", method, act)

    async def list_payments(self, request: web.Request) -> web.StreamResponse:
        return await self._list(request, "list_payments", self._register.payments)

    async def list_refunds(self, request: web.Request) -> web.StreamResponse:
        return await self._list(request, "list_refunds", self._register.refunds)

    async def get_receipt(self, request: web.Request) -> web.StreamResponse:
        made = self._register.fiscal.receipts.get(request.match_info["id"])

        def act(shop: str) -> Doc:
            self._one(shop, made)
            return receipts.public(made)

        return await self._read(request, "get_receipt", made, act)

    async def list_receipts(self, request: web.Request) -> web.StreamResponse:
        def act(shop: str) -> Doc:
            names = [name for name in ("payment_id", "refund_id") if name in request.query]
            if not names:
                raise rules.wrong("Required parameter is missing", "payment_id")

            def is_wanted(shown: Doc) -> bool:
                return all(shown.get(name) == request.query[name] for name in names)

            rows = [doc for doc in self._register.fiscal.of(shop) if is_wanted(receipts.public(doc))]
            return _paged(rows, request.query, receipts.public)

        return await self._read(request, "list_receipts", None, act)

    async def me(self, request: web.Request) -> web.StreamResponse:
        def act(shop: str) -> Doc:
            methods = ["bank_card", "sbp"]
            fiscal = {"enabled": True, "provider": "fiscal_test"}
            return {
                "account_id": shop,
                "status": "enabled",
                "test": True,
                "payment_methods": methods,
                "fiscalization": fiscal,
                "fiscalization_enabled": True,
            }

        return await self._read(request, "me", None, act)

    async def _list(self, request: web.Request, operation: str, table: Any) -> web.StreamResponse:
        def act(shop: str) -> Doc:
            rows = [doc for doc in table.values() if doc["_shop"] == shop and _wanted(doc, request.query)]
            if "status" in request.query:
                # Asked for what succeeded, it is a register, and may be told to lie.
                rows = self._service.lies.told(((doc["id"], doc) for doc in rows), _lying)
            return _paged(rows, request.query, public)

        return await self._read(request, operation, None, act)

    async def _read(
        self, request: web.Request, operation: str, thing: Doc | None, act: Callable[[str], Doc]
    ) -> web.StreamResponse:
        facts: dict[str, Any] = {"operation": operation, "metadata": (thing or {}).get("metadata")}
        if thing is not None:
            facts |= {"object_id": thing["id"], "shop": thing["_shop"]}

        def answer(entry: Entry) -> web.Response:
            try:
                return web.json_response(act(self._shop(request)))
            except ApiError as error:
                return error.response()

        return await self._service.serve(request, facts, answer)

    # -- parts ---------------------------------------------------------------------------------------

    def _shop(self, request: web.Request) -> str:
        """The shop id of Basic authorisation; 401 unless its secret fits."""
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        try:
            shop, _, secret = base64.b64decode(given).decode().partition(":")
        except ValueError:
            shop = secret = ""
        known = self._store.get("shops", shop)
        if kind.lower() != "basic" or known is None or known["secret"] != secret:
            raise ApiError(401, "invalid_credentials", "Incorrect shopId or secretKey")
        return shop

    def _one(self, shop: str, doc: Doc | None) -> Doc:
        if doc is None or doc["_shop"] != shop:
            raise rules.not_found("Object")
        return public(doc)

    def _take(self, kind: str, facts: dict[str, Any], *, named: bool = False) -> Fault | None:
        return self._service.faults.take([kind], facts, named=named)

    def _facts(self, operation: str, shop: str, body: Doc) -> dict[str, Any]:
        amount = body.get("amount")
        return {
            "operation": operation,
            "shop": shop,
            "metadata": body.get("metadata"),
            "payment_method_id": body.get("payment_method_id"),
            "payment_id": body.get("payment_id"),
            "amount": amount.get("value") if isinstance(amount, dict) else None,
        }


def _wanted(doc: Doc, query: Any) -> bool:
    same = {"status": doc["status"], "payment_id": doc.get("payment_id")}
    if any(query[name] != value for name, value in same.items() if name in query):
        return False
    checks = {
        "gte": lambda a, b: a >= b,
        "gt": lambda a, b: a > b,
        "lte": lambda a, b: a <= b,
        "lt": lambda a, b: a < b,
    }
    try:
        return all(
            bool(doc.get(field)) and check(moment(doc[field]), moment(query[f"{field}.{name}"]))
            for field in ("created_at", "captured_at")
            for name, check in checks.items()
            if f"{field}.{name}" in query
        )
    except ValueError:
        raise rules.wrong("Invalid moment", "created_at") from None


def _lying(doc: Doc, lie: Doc) -> Doc:
    if "amount" in lie:
        doc["amount"] = rules.roubles(Decimal(lie["amount"]))
    if "fee" in lie:
        doc["income_amount"] = rules.roubles(Decimal(doc["amount"]["value"]) - Decimal(lie["fee"]))
    return doc


def _paged(rows: list[Doc], query: Mapping[str, str], shown: Callable[[Doc], Doc]) -> Doc:
    """A page of them, newest first, from where the cursor says."""
    limit = query.get("limit", "10")
    if not limit.isdigit() or not 1 <= int(limit) <= 100:
        raise rules.wrong("Limit must be from 1 to 100", "limit")
    rows = sorted(rows, key=_place, reverse=True)
    if cursor := query.get("cursor"):
        place = _read_cursor(cursor)
        rows = [doc for doc in rows if _place(doc) < place]
    found: Doc = {"type": "list", "items": [shown(doc) for doc in rows[: int(limit)]]}
    if len(rows) > int(limit):
        found["next_cursor"] = _write_cursor(rows[int(limit) - 1])
    return found


def _place(doc: Doc) -> tuple[str, int]:
    # Receipts are numbered by their register.
    return doc["created_at"], doc["_seq"] if "_seq" in doc else doc["number"]


def _write_cursor(doc: Doc) -> str:
    return base64.urlsafe_b64encode(json.dumps(_place(doc)).encode()).decode()


def _read_cursor(cursor: str) -> tuple[str, int]:
    try:
        created_at, number = json.loads(base64.urlsafe_b64decode(cursor))
        return str(created_at), int(number)
    except (ValueError, TypeError):
        raise rules.wrong("Invalid cursor", "cursor") from None
