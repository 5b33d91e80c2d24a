"""T-Bank's books: orders, payments, saved cards and refunds of all terminals, and how they change."""

import hashlib
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from apps.sandbox.clock import Clock, moment, stamp
from apps.sandbox.faults import Fault
from apps.sandbox.fiscal import FiscalBook
from apps.sandbox.store import Doc, Store
from apps.sandbox.tbank import receipts
from apps.sandbox.tbank.cards import CARDS, MESSAGES, Card

PAY_WITHIN = timedelta(hours=24)
CONFIRM_WITHIN = timedelta(days=7)
SBP_LEAST = 1000
SBP_REFUND_SECONDS = 0.3
OPEN = ("NEW", "FORM_SHOWED", "AUTHORIZING", "3DS_CHECKING")
PAID = ("CONFIRMED", "PARTIAL_REFUNDED", "REFUNDED")
Happened = Callable[[str, Doc], None]


class Failed(Exception):
    """The method's answer with Success false."""

    def __init__(self, code: str, **fields: Any) -> None:
        super().__init__(code)
        self.code, self.fields = code, fields


class Register:
    """Every method that changes something commits before it returns, and tells the shop where T-Bank does."""

    fiscal: FiscalBook

    def __init__(self, store: Store, clock: Clock, happened: Happened) -> None:
        self._store, self._clock, self._happened = store, clock, happened

    @property
    def payments(self) -> Any:
        return self._store.table("payments")

    @property
    def cards(self) -> Any:
        return self._store.table("cards")

    @property
    def refunds(self) -> Any:
        return self._store.table("refunds")

    def payment(self, terminal: str, payment_id: Any) -> Doc:
        doc = self.payments.get(str(payment_id))
        if doc is None or doc["_shop"] != terminal:
            raise Failed("255")
        return dict(doc)

    def of_order(self, terminal: str, order: str) -> list[Doc]:
        return [
            doc for doc in self.payments.values() if (doc["_shop"], doc["OrderId"]) == (terminal, str(order))
        ]

    def init(self, terminal: str, body: Doc) -> Doc:
        """A payment session: takes no money."""
        amount = body.get("Amount")
        if not isinstance(amount, int) or isinstance(amount, bool) or amount <= 0:
            raise Failed("251")
        if body.get("Recurrent") == "Y" and not body.get("CustomerKey"):
            raise Failed("9", Details="CustomerKey")
        if self.of_order(terminal, body["OrderId"]):
            raise Failed("20")
        if body.get("Receipt") is not None:
            receipts.check(body["Receipt"], amount, _wrong_receipt)
        payment = {
            "id": str(3_000_000_000 + len(self.payments) + 1),
            "OrderId": str(body["OrderId"]),
            "Amount": amount,
            "Status": "NEW",
            "ErrorCode": "0",
            "created_at": stamp(self._clock.now()),
            "CustomerKey": body.get("CustomerKey", ""),
            "description": body.get("Description", ""),
            "success_url": body.get("SuccessURL", ""),
            "fail_url": body.get("FailURL", ""),
            "notification_url": body.get("NotificationURL", ""),
            "refunded": 0,
            "initiator": (body.get("DATA") or {}).get("OperationInitiatorType", ""),
            "_shop": terminal,
            "_two_stage": body.get("PayType") == "T",
            "_save": body.get("Recurrent") == "Y",
            "_receipt": body.get("Receipt"),
            "_sbp": (body.get("DATA") or {}).get("QR") == "true",
        }
        if payment["_sbp"] and amount < SBP_LEAST:
            raise Failed("251", Details="SBP")
        self._put(payment)
        return payment

    def confirm_card(self, payment_id: str, number: str, expiry: str, error: str) -> Doc:
        """The customer has paid on the page. A payment that is over stays as it is."""
        payment = dict(self.payments[payment_id])
        if payment["Status"] not in OPEN:
            return payment
        payment |= {"Pan": f"{number[:6]}******{number[-4:]}", "ExpDate": expiry}
        with self._store.transaction():
            if payment["_save"] and not error:
                payment |= self.save_card(payment, number)
            return self._decide(payment, error)

    def confirm_sbp(self, payment_id: str, error: str) -> Doc:
        """The payer has paid in the bank, or declined."""
        return self._decide(dict(self.payments[payment_id]), error)

    def charge_sbp(self, payment: Doc, error: str, wait: Fault | None) -> Doc:
        """By a linked account that may be charged."""
        if not wait:
            return self._decide(payment, error)
        payment |= {"Status": "FORM_SHOWED", "_error": error}
        payment["_settle_at"] = time.time() + wait.seconds if wait.seconds is not None else None
        self._put(payment)
        return payment

    def charge(self, terminal: str, payment_id: Any, rebill: str, faults: dict[str, Fault | None]) -> Doc:
        """By a saved card: once, of a session that nobody has paid yet."""
        payment = self.payment(terminal, payment_id)
        if payment["Status"] != "NEW":
            raise Failed("8", **_shown(payment))
        saved = next(
            (
                one
                for one in self.cards.values()
                if one["_shop"] == terminal and one["RebillId"] == str(rebill)
            ),
            None,
        )
        if saved is None:
            raise Failed("10", **_shown(payment))
        card = CARDS.get(saved["_number"], Card(""))
        payment |= {name: saved[name] for name in ("Pan", "ExpDate", "RebillId", "CardId")}
        error = "104" if saved["Status"] != "A" else card.error or card.renewal_error
        if decline := faults.get("decline"):
            error = decline.reason or "116"
        if wait := faults.get("pending"):
            payment |= {"Status": "AUTHORIZING", "_error": error}
            payment["_settle_at"] = time.time() + wait.seconds if wait.seconds is not None else None
            self._put(payment)
            return payment
        return self._decide(payment, error)

    def cancel(self, terminal: str, body: Doc, faults: dict[str, Fault | None]) -> tuple[Doc, int]:
        """Ends a session, or gives money back: the payment, and what it had before."""
        payment = self.payment(terminal, body["PaymentId"])
        had = payment["Amount"] - payment["refunded"]
        request = str(body.get("ExternalRequestId") or "")
        earlier = self.refunds.get(f"{payment['id']}/{request}") if request else None
        # Of what was paid through SBP it does not look at it: asked for twice, it goes back twice.
        if earlier and not payment["_sbp"]:
            return payment, had + earlier["Amount"]
        if payment["Status"] in OPEN:
            payment["Status"] = "CANCELED"
            self._put(payment, tell=True)
            return payment, had
        amount = body.get("Amount", had)
        if payment["Status"] == "AUTHORIZED":
            payment |= {"Status": "REVERSED", "refunded": amount}
            self._put(payment, tell=True)
            return payment, had
        if payment["Status"] not in PAID or not 0 < amount <= had:
            raise Failed("8" if payment["Status"] not in PAID else "251", **_unmoved(payment, had))
        if decline := faults.get("decline"):
            raise Failed(decline.reason or "99", **_unmoved(payment, had))
        receipt = body.get("Receipt")
        if receipt is not None:
            receipts.check(receipt, amount, _wrong_receipt)
        elif payment.get("_receipt") and amount != payment["Amount"]:
            raise _wrong_receipt("Receipt")
        wait = faults.get("pending")
        seconds = wait.seconds if wait else SBP_REFUND_SECONDS if payment["_sbp"] else 0.0
        self._give_back(payment, amount, request, receipt or payment.get("_receipt"), after=seconds)
        return payment, had

    def _give_back(
        self,
        payment: Doc,
        amount: int,
        request: str,
        receipt: Doc | None = None,
        *,
        after: float | None = 0.0,
    ) -> None:
        key = request or f"cabinet-{len(self.refunds)}"
        if f"{payment['id']}/{key}" in self.refunds:
            key = f"{key}-{len(self.refunds)}"
        refund = {"id": f"{payment['id']}/{key}", "payment_id": payment["id"], "Amount": amount}
        refund |= {"request": request, "_shop": payment["_shop"], "created_at": stamp(self._clock.now())}
        refund |= {"status": "pending", "_receipt": receipt}
        payment |= {"refunded": payment["refunded"] + amount, "_refund": refund["id"], "_refund_code": ""}
        if after == 0.0:
            self._gone_back(payment, refund)
            return
        # Through SBP the money goes back when the payer's bank has taken it.
        payment["_before"], payment["Status"] = payment["Status"], "ASYNC_REFUNDING"
        payment["_refund_at"] = time.time() + after if after is not None else None
        with self._store.transaction():
            self._store.put("refunds", refund["id"], refund)
            self._put(payment, tell=True)

    def _gone_back(self, payment: Doc, refund: Doc) -> None:
        payment["Status"] = _refunded(payment)
        with self._store.transaction():
            self._store.put("refunds", refund["id"], {**refund, "status": "succeeded"})
            self._put(payment, tell=True)
            if refund["_receipt"]:
                receipts.issue(self.fiscal, payment, refund["_receipt"], operation="sell_refund")

    def _not_taken(self, payment: Doc, refund: Doc, code: str) -> None:
        """The payer's bank has refused a refund: the payment is as it was before it."""
        payment |= {"Status": payment["_before"], "_refund_code": code}
        payment["refunded"] -= refund["Amount"]
        with self._store.transaction():
            self._store.put("refunds", refund["id"], {**refund, "status": "canceled"})
            self._put(payment, tell=True)

    def finish(self, terminal: str, body: Doc) -> Doc:
        """The second stage: the money that was held is taken."""
        payment = self.payment(terminal, body["PaymentId"])
        if payment["Status"] != "AUTHORIZED":
            raise Failed("8", **_shown(payment))
        amount: int = body.get("Amount") or payment["Amount"]
        if not 0 < amount <= payment["Amount"]:
            raise Failed("251", **_shown(payment))
        payment |= {"Status": "CONFIRMED", "Amount": amount, "captured_at": stamp(self._clock.now())}
        payment["_receipt"] = body.get("Receipt") or payment.get("_receipt")
        if payment["_receipt"]:
            receipts.check(payment["_receipt"], payment["Amount"], _wrong_receipt)
        with self._store.transaction():
            self._put(payment, tell=True)
            self._issue(payment)
        return payment

    def close_receipt(self, terminal: str, body: Doc) -> None:
        """The closing receipt of a session that was confirmed with a receipt of a prepayment."""
        payment, receipt = self.payment(terminal, body["PaymentId"]), body.get("Receipt") or {}
        if payment["Status"] not in PAID or not receipts.is_prepayment(payment.get("_receipt")):
            raise _wrong_receipt("PaymentId")
        receipts.check(receipt, sum(item["Amount"] for item in receipt.get("Items") or []), _wrong_receipt)
        with self._store.transaction():
            receipts.issue(self.fiscal, payment, receipt, operation="sell", apart=True)

    def _issue(self, payment: Doc) -> None:
        if payment.get("_receipt"):
            receipts.issue(self.fiscal, payment, payment["_receipt"], operation="sell")

    def sweep(self) -> None:
        """Settles what a fault left open, and ends what nobody paid in time."""
        for payment in list(self.payments.values()):
            if payment["Status"] == "ASYNC_REFUNDING":
                if payment["_refund_at"] is not None and payment["_refund_at"] <= time.time():
                    self.settle(payment["id"])
                continue
            if payment["Status"] == "AUTHORIZED" and payment["_two_stage"]:
                if self._clock.now() - moment(payment["paid_at"]) > CONFIRM_WITHIN:
                    self._put({**payment, "Status": "REVERSED"}, tell=True)
                continue
            if payment["Status"] not in OPEN:
                continue
            if "_settle_at" in payment:
                if payment["_settle_at"] is not None and payment["_settle_at"] <= time.time():
                    self.settle(payment["id"])
            elif self._clock.now() - moment(payment["created_at"]) > PAY_WITHIN:
                self._put({**payment, "Status": "DEADLINE_EXPIRED"}, tell=True)

    def settle(self, payment_id: str, error: str | None = None) -> None:
        """Ends a charge or refund that is under way."""
        payment = dict(self.payments[payment_id])
        if payment["Status"] == "ASYNC_REFUNDING":
            refund = self.refunds[payment["_refund"]]
            if error:
                self._not_taken(payment, refund, error)
            else:
                self._gone_back(payment, refund)
            return
        if payment["Status"] in OPEN and "_settle_at" in payment:
            del payment["_settle_at"]
            self._decide(payment, error if error is not None else payment.pop("_error", ""))

    def revoke(self, rebill: str) -> None:
        """The customer's bank lets the card be charged no more."""
        card = next(one for one in self.cards.values() if one["RebillId"] == rebill)
        self._store.put("cards", card["CardId"], {**card, "Status": "D"})

    def remove_card(self, terminal: str, customer: str, number: str) -> Doc:
        """The shop lets go of a card of its customer; a second time there is none."""
        card = self.cards.get(number)
        if card is None or (card["_shop"], card["CustomerKey"], card["Status"]) != (terminal, customer, "A"):
            raise Failed("6", CustomerKey=customer, CardId=number, CardType=0, Status="D")
        self.revoke(card["RebillId"])
        return dict(self.cards[number])

    def cabinet_refund(self, payment_id: str, amount: int) -> Doc:
        """By hand, in the cabinet."""
        payment = dict(self.payments[payment_id])
        if payment["Status"] not in PAID or not 0 < amount <= payment["Amount"] - payment["refunded"]:
            raise ValueError("nothing to give back")
        self._give_back(payment, amount, "")
        return payment

    def save_card(self, payment: Doc, number: str) -> Doc:
        # The same card saved again has another RebillId, under the customer of this payment.
        rebill = str(int(hashlib.sha256(f"{payment['id']}{number}".encode()).hexdigest()[:12], 16))
        saved: Doc = {"CardId": f"8{payment['id']}", "RebillId": rebill, "CardType": 0, "Status": "A"}
        saved |= {name: payment[name] for name in ("Pan", "ExpDate", "CustomerKey", "_shop")}
        self._store.put("cards", saved["CardId"], {**saved, "_number": number})
        return {"RebillId": rebill, "CardId": saved["CardId"]}

    def _decide(self, payment: Doc, error: str) -> Doc:
        if error:
            payment |= {"Status": "REJECTED", "ErrorCode": error}
            self._put(payment, tell=True)
            return payment
        payment["Status"] = "AUTHORIZED"
        payment["paid_at"] = stamp(self._clock.now())
        with self._store.transaction():
            # One stage tells twice: held, and taken. An account is never held.
            if not payment["_sbp"]:
                self._put(payment, tell=True)
            if not payment["_two_stage"]:
                payment["Status"] = "CONFIRMED"
                self._put(payment, tell=True)
                self._issue(payment)
        return payment

    def _put(self, payment: Doc, *, tell: bool = False) -> None:
        with self._store.transaction():
            self._store.put("payments", payment["id"], dict(payment))
            if tell:
                self._happened(f"payment.{payment['Status']}", payment)


def _wrong_receipt(field: str) -> Failed:
    return Failed("309", Details=f"Неверный формат чека: {field}")


def _refunded(payment: Doc) -> str:
    return "REFUNDED" if payment["refunded"] == payment["Amount"] else "PARTIAL_REFUNDED"


def _unmoved(payment: Doc, had: int) -> Doc:
    """A payment of which nothing went back, as Cancel tells it."""
    return {**_shown(payment), "PaymentId": int(payment["id"]), "OriginalAmount": had, "NewAmount": had}


def _shown(payment: Doc) -> Doc:
    names = ("OrderId", "Amount", "Status")
    return {**{name: payment[name] for name in names}, "PaymentId": payment["id"]}


def sign(fields: Doc, password: str) -> str:
    """T-Bank's Token: values of root scalars and the password, joined in the order of names, SHA-256."""
    values = {name: value for name, value in fields.items() if not isinstance(value, list | dict)}
    values.pop("Token", None)
    values["Password"] = password
    words = [
        {True: "true", False: "false"}[value] if isinstance(value, bool) else f"{value}"
        for _name, value in sorted(values.items())
    ]
    return hashlib.sha256("".join(words).encode("utf-8")).hexdigest()


__all__ = ["MESSAGES", "Failed", "Register", "sign"]
