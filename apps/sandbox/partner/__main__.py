"""Run the partner's billing: `python -m apps.sandbox.partner --port 9110 --state var/sandbox`."""

import argparse
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from aiohttp import web

from apps.sandbox.access import Entry
from apps.sandbox.notices import Notices
from apps.sandbox.service import Service, json_body
from apps.sandbox.store import Doc

HEADER = "X-Armor-Signature"


def signature(secret: str, body: bytes, at: int) -> str:
    return f"t={at},v1={hmac.new(secret.encode(), f'{at}.'.encode() + body, hashlib.sha256).hexdigest()}"


class Callbacks(Notices):
    """What became of a charge or a refund, signed as requests are."""

    def body(self, event: str, doc: Doc, altered: Doc) -> Doc:
        return {**public(doc), "reference": doc["_number"], **altered}

    def encoded(self, shop: str, body: Doc) -> tuple[bytes, dict[str, str]]:
        content = json.dumps(body).encode()
        secret = (self._store.get("shops", shop) or {}).get("secret", "")
        headers = {"Content-Type": "application/json", HEADER: signature(secret, content, int(time.time()))}
        return content, headers


class Partner(Service):
    """Clients' accounts, charged and given back to by id: asked twice, done once."""

    name = "partner"
    fault_kinds = ("pending", "refuse", "less", "no_webhook", "duplicate_webhook", "late_webhook")

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self.callbacks = Callbacks(self.store, self.faults)

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        pass

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get(
            "/{shop}/ping", self._endpoint("ping", lambda _shop, _body: web.json_response({"ok": True}))
        )
        router.add_post("/{shop}/charges", self._endpoint("charge", self._charge))
        router.add_get("/{shop}/charges/{id}", self._endpoint("get_charge", self._get("charges")))
        router.add_post("/{shop}/refunds", self._endpoint("refund", self._refund))
        router.add_get("/{shop}/refunds/{id}", self._endpoint("get_refund", self._get("refunds")))
        router.add_put("/_control/shops/{id}", self.put_shop)
        router.add_get("/_control/webhooks", self.show_webhooks)
        router.add_post("/_control/webhooks/resend", self.resend)
        router.add_post("/_control/settle/{id}", self.settle)

    async def started(self) -> None:
        self.callbacks.start()

    def register(self, query: dict[str, str]) -> dict[str, Any]:
        shop = query.get("shop")
        return {
            table: [public(doc) for doc in self.store.table(table).values() if shop in (None, doc["_shop"])]
            for table in ("charges", "refunds")
        }

    def _endpoint(self, operation: str, act: Callable[[str, Doc], web.Response]) -> Callable[..., Any]:
        async def endpoint(request: web.Request) -> web.StreamResponse:
            shop, content = request.match_info["shop"], await request.read()
            body = json.loads(content) if content else dict(request.match_info)
            facts = {"operation": operation, "account": shop, "shop": shop, "id": body.get("id")}

            def answer(_entry: Entry) -> web.Response:
                given = request.headers.get(HEADER, "")
                at = given.partition(",")[0].removeprefix("t=")
                secret = (self.store.get("shops", shop) or {}).get("secret")
                if not secret or not at.isdigit() or given != signature(secret, content, int(at)):
                    return web.json_response({"error": "signature"}, status=401)
                if abs(time.time() - int(at)) > 300:
                    return web.json_response({"error": "too old"}, status=401)
                return act(shop, body | {"_facts": facts})

            return await self.serve(request, facts, answer)

        return endpoint

    def _charge(self, shop: str, body: Doc) -> web.Response:
        facts = body.pop("_facts")
        asked: Doc = {
            name: body.get(name) for name in ("id", "reference", "amount", "currency", "customer", "invoice")
        }
        try:
            if Decimal(str(asked["amount"])) <= 0 or not all(asked.values()):
                raise ValueError
        except (InvalidOperation, ValueError):
            return web.json_response({"error": "bad request"}, status=400)
        known = self.store.get("charges", asked["id"])
        if known is not None:
            if known["_asked"] != asked:
                return web.json_response({"error": "another charge has this id"}, status=409)
            return self._said(known)
        planned = self.faults.take(["pending", "refuse", "less"], facts)
        doc = {
            "id": asked["id"],
            "status": {"pending": "pending", "refuse": "refused"}.get(
                planned.kind if planned else "", "charged"
            ),
            "amount": str(Decimal(asked["amount"]) - 1)
            if planned and planned.kind == "less"
            else asked["amount"],
            "currency": asked["currency"],
            "reason": (planned.reason or "no_funds") if planned and planned.kind == "refuse" else "",
            "reference": f"TX-{len(self.store.table('charges')) + 1}",
            "paid_date": f"{self.clock.now():%Y-%m-%d}",
            "_asked": asked,
            "_number": asked["reference"],
            "_shop": shop,
        }
        self.store.put("charges", doc["id"], doc)
        return self._said(doc)

    def _refund(self, shop: str, body: Doc) -> web.Response:
        facts = body.pop("_facts")
        asked: Doc = {
            name: body.get(name) for name in ("id", "reference", "charge", "amount", "currency", "customer")
        }
        try:
            amount = Decimal(str(asked["amount"]))
            if amount <= 0 or not all(asked.values()):
                raise ValueError
        except (InvalidOperation, ValueError):
            return web.json_response({"error": "bad request"}, status=400)
        known = self.store.get("refunds", asked["id"])
        if known is not None:
            if known["_asked"] != asked:
                return web.json_response({"error": "another refund has this id"}, status=409)
            return self._said(known)
        planned = self.faults.take(["pending", "refuse", "less"], facts)
        reason = (planned.reason or "account_closed") if planned and planned.kind == "refuse" else ""
        reason = reason or self._why_not(shop, asked, amount)
        status = "refused" if reason else "pending" if planned and planned.kind == "pending" else "refunded"
        doc = {
            "id": asked["id"],
            "status": status,
            "amount": str(amount - 1) if planned and planned.kind == "less" else asked["amount"],
            "currency": asked["currency"],
            "reason": reason,
            "reference": f"RX-{len(self.store.table('refunds')) + 1}",
            "charge": asked["charge"],
            "_asked": asked,
            "_number": asked["reference"],
            "_shop": shop,
        }
        self.store.put("refunds", doc["id"], doc)
        return self._said(doc)

    def _why_not(self, shop: str, asked: Doc, amount: Decimal) -> str:
        """Why a client's account is not given that much back of a charge; empty where it is."""
        charge = self.store.get("charges", asked["charge"])
        if charge is None or charge["_shop"] != shop or charge["status"] != "charged":
            return "no_charge"
        if (charge["currency"], charge["_asked"]["customer"]) != (asked["currency"], asked["customer"]):
            return "no_charge"
        back = sum(
            Decimal(doc["_asked"]["amount"])
            for doc in self.store.table("refunds").values()
            if doc["charge"] == asked["charge"] and doc["status"] != "refused"
        )
        return "too_much" if back + amount > Decimal(charge["amount"]) else ""

    def _get(self, table: str) -> Callable[[str, Doc], web.Response]:
        def get(shop: str, body: Doc) -> web.Response:
            doc = self.store.get(table, body["id"])
            if doc is None or doc["_shop"] != shop:
                return web.json_response({"error": "not found"}, status=404)
            return self._said(doc)

        return get

    def _said(self, doc: Doc) -> web.Response:
        return web.json_response(public(doc), status=202 if doc["status"] == "pending" else 200)

    # -- control -------------------------------------------------------------------------------------

    async def put_shop(self, request: web.Request) -> web.Response:
        given = await json_body(request)
        new = {"secret": given["secret"], "webhook_url": given.get("webhook_url")}
        if self.store.get("shops", request.match_info["id"]) != new:
            self.store.put("shops", request.match_info["id"], new)
        return web.json_response({"id": request.match_info["id"]})

    async def show_webhooks(self, request: web.Request) -> web.Response:
        rows = self.callbacks.as_json()
        for row in rows:
            content, headers = self.callbacks.encoded(row["shop"], row["body"])
            row |= {"content": content.decode(), "headers": headers}
        return web.json_response({"items": rows})

    async def resend(self, request: web.Request) -> web.Response:
        body = await json_body(request)
        table, doc = self._found(str(body.get("payment_id")))
        event, altered = table.removesuffix("s"), body.get("altered")
        sent = [self.callbacks.tell(event, doc, altered=altered) for _ in range(int(body.get("times", 1)))]
        return web.json_response({"items": sent}, status=201)

    async def settle(self, request: web.Request) -> web.Response:
        """End a pending charge or refund: {"reason"} refuses it."""
        table, doc = self._found(request.match_info["id"])
        reason = (await json_body(request)).get("reason")
        done = {"charges": "charged", "refunds": "refunded"}[table]
        doc |= {"status": "refused", "reason": reason} if reason else {"status": done}
        with self.store.transaction():
            self.store.put(table, doc["id"], doc)
            self.callbacks.happened(table.removesuffix("s"), doc)
        return web.json_response({"id": doc["id"]})

    def _found(self, key: str) -> tuple[str, Doc]:
        """A copy of a charge or a refund, and where it is kept."""
        table = "charges" if self.store.get("charges", key) else "refunds"
        return table, dict(self.store.table(table)[key])


def public(doc: Doc) -> Doc:
    """What the asker sees; a charge or refund that was not made has no sum and no number."""
    hidden = (
        () if doc["status"] in {"charged", "refunded"} else ("amount", "currency", "reference", "paid_date")
    )
    return {k: v for k, v in doc.items() if not k.startswith("_") and k not in hidden}


if __name__ == "__main__":
    Partner.main()
