"""The cash register behind a payment gateway's simulator: receipts of its shops, registered, refused or delayed."""

import hashlib
from collections.abc import Callable
from typing import Any

from aiohttp import web

from apps.sandbox.clock import Clock, stamp
from apps.sandbox.faults import Faults
from apps.sandbox.service import json_body
from apps.sandbox.store import Doc, Store

KINDS = ("refuse_receipt", "wait_receipt")
"""Faults: the register refuses a receipt (`reason`), or keeps it until it is settled by hand."""
PENDING, DONE, FAILED = "pending", "done", "fail"
Happened = Callable[[Doc], None]


class FiscalBook:
    """All receipts. Whatever a gateway calls their states, here they are pending, done or fail."""

    def __init__(self, store: Store, clock: Clock, faults: Faults, happened: Happened) -> None:
        self._store, self._clock, self._faults, self._happened = store, clock, faults, happened

    @property
    def receipts(self) -> Any:
        return self._store.table("receipts")

    def issue(
        self,
        shop: str,
        *,
        operation: str,
        total: str,
        receipt: Doc,
        payment: str,
        apart: bool = False,
        **more: Any,
    ) -> Doc:
        """A receipt of money that moved; `apart`: it came by a request of its own. In the caller's transaction."""
        number = len(self.receipts) + 1
        made: Doc = {"id": f"rt-{shop}-{number}", "number": number, "operation": operation, "total": total}
        made |= {"receipt": receipt, "payment": payment, "apart": apart, "_shop": shop, "reason": "", **more}
        made["created_at"] = stamp(self._clock.now())
        facts = {"operation": operation, "shop": shop, "payment": payment, "apart": apart}
        if self._faults.take(["wait_receipt"], facts):
            made["status"] = PENDING
            self._store.put("receipts", made["id"], made)
            return made
        refused = self._faults.take(["refuse_receipt"], facts)
        return self._end(made, (refused.reason or "ФН недоступен") if refused else "")

    def settle(self, shop: str, reason: str = "") -> int:
        """Ends all that wait; how many there were."""
        waiting = [
            dict(doc) for doc in self.receipts.values() if (doc["_shop"], doc["status"]) == (shop, PENDING)
        ]
        for doc in waiting:
            self._end(doc, reason)
        return len(waiting)

    def of(self, shop: str | None) -> list[Doc]:
        """What a test compares, oldest first."""
        return [dict(doc) for doc in self.receipts.values() if shop in (None, doc["_shop"])]

    def _end(self, made: Doc, reason: str) -> Doc:
        made |= {"status": FAILED if reason else DONE, "reason": reason}
        if not reason:
            sign = str(int(hashlib.sha256(made["id"].encode()).hexdigest()[:8], 16))
            made |= {"fn": "9999078902012345", "fd": str(made["number"]), "attribute": sign}
            made["registered_at"] = stamp(self._clock.now())
            made["url"] = f"https://ofd.example/{made['id']}"
        with self._store.transaction():
            self._store.put("receipts", made["id"], dict(made))
            self._happened(made)
        return made


def add_control(router: web.UrlDispatcher, book: FiscalBook) -> None:
    """What tests read and do: receipts of a shop; those that wait end now."""

    async def show(request: web.Request) -> web.Response:
        return web.json_response({"items": book.of(request.query.get("shop"))})

    async def settle(request: web.Request) -> web.Response:
        body = await json_body(request)
        count = book.settle(str(body["shop"]), str(body.get("reason") or ""))
        return web.json_response({"settled": count})

    router.add_get("/_control/receipts", show)
    router.add_post("/_control/receipts/settle", settle)
