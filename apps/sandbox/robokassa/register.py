"""Robokassa's books: operations by shop and InvId, refunds, and how they change."""

import hashlib
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from apps.sandbox.clock import Clock, stamp
from apps.sandbox.faults import Fault
from apps.sandbox.fiscal import FiscalBook
from apps.sandbox.robokassa import receipts
from apps.sandbox.robokassa.cards import CARDS, Card
from apps.sandbox.store import Doc, Store

BEGUN, CANCELLED, DONE = 5, 10, 100
Happened = Callable[[str, Doc], None]


class Register:
    """Every method that changes something commits before it returns, and tells the shop of money that came."""

    fiscal: FiscalBook

    def __init__(self, store: Store, clock: Clock, happened: Happened) -> None:
        self._store, self._clock, self._happened = store, clock, happened

    @property
    def operations(self) -> Any:
        return self._store.table("operations")

    @property
    def refunds(self) -> Any:
        return self._store.table("refunds")

    def operation(self, shop: str, number: str) -> Doc | None:
        doc: Doc | None = self.operations.get(f"{shop}/{number}")
        return doc

    def begin(self, shop: str, number: str, amount: str, **fields: Any) -> Doc:
        """An operation, the first time its number is seen."""
        made = {
            "id": f"{shop}/{number}",
            "number": number,
            "amount": str(Decimal(amount).quantize(Decimal("0.01"))),
            "state": BEGUN,
            "created": stamp(self._clock.now()),
            "refunded": "0",
            "op_key": hashlib.sha256(f"{shop}/{number}".encode()).hexdigest()[:32].upper(),
            "card": "",
            "parent": "",
            "_shop": shop,
            **fields,
        }
        self._store.put("operations", made["id"], made)
        return made

    def pay(self, key: str, number: str, *, pays: bool) -> Doc:
        """The customer has paid on the page; what is over stays as it is."""
        operation = dict(self.operations[key])
        if operation["state"] != BEGUN:
            return operation
        return self._end({**operation, "card": number}, pays=pays)

    def recur(
        self,
        shop: str,
        parent: Doc,
        number: str,
        amount: str,
        faults: dict[str, Fault | None],
        receipt: Doc | None = None,
    ) -> Doc:
        """A charge by the number of a payment that was confirmed."""
        known = {"parent": parent["number"], "card": parent["card"], "receipt": receipt}
        made = self.begin(shop, number, amount, **known)
        pays = CARDS.get(parent["card"], Card("")).renews and not parent.get("revoked")
        if faults.get("decline"):
            pays = False
        if wait := faults.get("pending"):
            made |= {"_pays": pays}
            made["_settle_at"] = time.time() + wait.seconds if wait.seconds is not None else None
            self._store.put("operations", made["id"], made)
            return made
        return self._end(made, pays=pays)

    def settle(self, key: str, *, pays: bool | None = None) -> None:
        """Ends a charge that is under way."""
        operation = dict(self.operations[key])
        if operation["state"] == BEGUN and "_settle_at" in operation:
            del operation["_settle_at"]
            planned = operation.pop("_pays")
            self._end(operation, pays=planned if pays is None else pays)

    def sweep(self) -> None:
        for operation in list(self.operations.values()):
            if operation.get("_settle_at") is not None and operation["_settle_at"] <= time.time():
                self.settle(operation["id"])

    def refund(self, operation: Doc, amount: Decimal, items: Any = None) -> Doc:
        """Money back; ValueError where it is more than is left."""
        left = Decimal(operation["amount"]) - Decimal(operation["refunded"])
        if operation["state"] != DONE or not 0 < amount <= left:
            raise ValueError("RefundSum is more than the rest")
        sno = (operation.get("receipt") or {}).get("sno", "")
        receipt = receipts.of_refund(items, amount, sno)
        made = {"id": f"r{len(self.refunds) + 1}-{operation['op_key'][:8]}", "amount": str(amount)}
        made |= {"payment_id": operation["number"], "label": "finished", "_shop": operation["_shop"]}
        made["created"] = stamp(self._clock.now())
        with self._store.transaction():
            self._store.put("refunds", made["id"], made)
            back = str(Decimal(operation["refunded"]) + amount)
            self._store.put("operations", operation["id"], {**operation, "refunded": back})
            receipts.issue(
                self.fiscal, operation, receipt, number=made["id"], amount=str(amount), way="sell_refund"
            )
        return made

    def revoke(self, number: str) -> None:
        """The customer lets the shop charge no more."""
        for key, operation in list(self.operations.items()):
            if operation["number"] == number:
                self._store.put("operations", key, {**operation, "revoked": True})

    def _end(self, operation: Doc, *, pays: bool) -> Doc:
        operation["state"] = DONE if pays else CANCELLED
        operation["paid_at"] = stamp(self._clock.now())
        with self._store.transaction():
            self._store.put("operations", operation["id"], dict(operation))
            if pays:
                self._happened("paid", operation)
                first = {"number": operation["number"], "amount": operation["amount"], "way": "sell"}
                receipts.issue(self.fiscal, operation, operation.get("receipt"), **first)
        return operation
