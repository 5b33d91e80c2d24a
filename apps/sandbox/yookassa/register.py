"""The gateway's books: payments, saved methods and refunds of all shops, and how they change."""

import time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from apps.sandbox.clock import Clock, moment, stamp
from apps.sandbox.faults import Fault
from apps.sandbox.fiscal import FiscalBook
from apps.sandbox.store import Doc, Store
from apps.sandbox.yookassa import receipts, rules
from apps.sandbox.yookassa.cards import CARDS, Card, card_type

CONFIRM_WITHIN = timedelta(hours=1)
CAPTURE_WITHIN = timedelta(days=7)
FEE = Decimal("0.035")
SBP_REFUND_SECONDS = 0.3
PARTIES = {
    "canceled_by_merchant": "merchant",
    "permission_revoked": "yoo_money",
    "fraud_suspected": "yoo_money",
}

Happened = Callable[[str, Doc], None]


def public(doc: Doc) -> Doc:
    """The object as the API shows it: our own fields begin with an underscore."""
    return {name: value for name, value in doc.items() if not name.startswith("_")}


class Register:
    """Every method that changes something commits before it returns and reports the event of a webhook."""

    def __init__(self, store: Store, clock: Clock, happened: Happened, fiscal: FiscalBook) -> None:
        self._store, self._clock, self._happened, self.fiscal = store, clock, happened, fiscal
        self._open = {key for key, doc in self.payments.items() if doc["status"] in OPEN}
        self._open |= {key for key, doc in self.refunds.items() if doc["status"] == "pending"}

    @property
    def payments(self) -> Any:
        return self._store.table("payments")

    @property
    def refunds(self) -> Any:
        return self._store.table("refunds")

    def payment(self, shop: str, payment_id: str) -> Doc:
        doc = self.payments.get(payment_id)
        if doc is None or doc["_shop"] != shop:
            raise rules.not_found("Payment")
        return doc

    # -- payments ------------------------------------------------------------------------------------

    def create(self, shop: str, body: Doc, key: str, page_url: str, faults: dict[str, Fault | None]) -> Doc:
        """A payment: by a saved method it is decided at once, otherwise it waits on the payment page."""
        rules.check_payment(body)
        saved = self._saved_method(shop, body["payment_method_id"]) if body.get("payment_method_id") else None
        payment = self._blank(shop, body, key)
        if saved is not None:
            payment["payment_method"] = public(saved)
            return self._charge(payment, saved, faults)
        payment["confirmation"] = _confirmation(body["confirmation"], f"{page_url}?orderId={payment['id']}")
        self._save(payment)
        return payment

    def confirm(self, payment_id: str, *, method: Doc, card: Card, declined: str | None = None) -> Doc:
        """The customer has paid on the page. A payment no longer pending stays as it is."""
        payment = dict(self.payments[payment_id])
        if payment["status"] != "pending":
            return payment
        reason = declined or card.reason
        method = {**method, "id": payment["id"], "saved": payment["_save"] and not reason}
        payment["payment_method"] = public(method)
        payment.pop("confirmation", None)
        details = {"rrn": _digits(12), "auth_code": _digits(6), "three_d_secure": {"applied": card.three_ds}}
        payment["authorization_details"] = details
        with self._store.transaction():
            if method["saved"]:
                self._store.put("methods", method["id"], {**method, "_shop": payment["_shop"]})
            return self._decide(payment, reason)

    def new_method(self, shop: str, body: Doc, page_url: str) -> Doc:
        """A method to be saved on a page of its own, without a payment."""
        rules.check_method(body)
        number = str(uuid.uuid4())
        made = {"id": number, "type": body["type"], "saved": False, "status": "pending"}
        made |= {"holder": {"account_id": shop, "gateway_id": shop}, "_shop": shop}
        made["confirmation"] = _confirmation(body["confirmation"], f"{page_url}?orderId={number}")
        made["_return_url"] = body["confirmation"].get("return_url")
        self._store.put("methods", number, made)
        return made

    def bind(self, method_id: str, given: Doc, *, agreed: bool) -> Doc:
        """The customer has saved it on the page, or has not; what is decided stays so."""
        method = dict(self._store.table("methods")[method_id])
        if method.get("status") != "pending":
            return method
        method.pop("confirmation")
        method |= {**given, "status": "active" if agreed else "inactive", "saved": agreed}
        with self._store.transaction():
            self._store.put("methods", method_id, method)
            if agreed:
                self._happened("payment_method.active", method)
        return method

    def capture(self, shop: str, payment_id: str, body: Doc) -> Doc:
        payment = dict(self.payment(shop, payment_id))
        if payment["status"] != "waiting_for_capture":
            raise rules.wrong("Payment is not waiting for capture", "payment_id")
        if body.get("amount"):
            amount = rules.money(body["amount"])
            if amount > Decimal(payment["amount"]["value"]):
                raise rules.wrong("Amount is more than authorized", "amount.value")
            payment["amount"] = rules.roubles(amount)
        if body.get("receipt") is not None:
            payment["_receipt"] = body["receipt"]
        if payment.get("_receipt"):
            # A part that is taken needs a receipt of that part.
            rules.check_receipt(payment["_receipt"], Decimal(payment["amount"]["value"]))
        return self._succeed(payment)

    def cancel(self, payment_id: str, reason: str = "canceled_by_merchant") -> Doc:
        """Without a charge: by the merchant, by time, or by the customer on the page."""
        payment = dict(self.payments[payment_id])
        if payment["status"] not in OPEN:
            raise rules.wrong("Payment can not be canceled in this status", "payment_id")
        return self._decline(payment, reason)

    # -- refunds -------------------------------------------------------------------------------------

    def refund(self, shop: str, body: Doc, key: str, faults: dict[str, Fault | None]) -> Doc:
        """Give back all or a part. Refunds that are not canceled never exceed the payment."""
        amount = rules.money(body.get("amount"))
        payment = self.payments.get(body.get("payment_id") or "")
        if payment is None or payment["_shop"] != shop:
            raise rules.wrong("Payment doesn't exist", "payment_id")
        if payment["status"] != "succeeded":
            raise rules.wrong("Payment is not succeeded", "payment_id")
        if amount > self._refundable(payment):
            raise rules.wrong("Refund amount is more than the payment's rest", "amount.value")
        if body.get("receipt") is not None:
            rules.check_receipt(body["receipt"], amount)
        refund = {
            "id": str(uuid.uuid4()),
            "payment_id": payment["id"],
            "status": "pending",
            "created_at": stamp(self._clock.now()),
            "amount": rules.roubles(amount),
            **{name: body[name] for name in ("description", "metadata") if body.get(name)},
            **({"receipt_registration": "pending"} if body.get("receipt") else {}),
            "_receipt": body.get("receipt"),
            "_shop": shop,
            "_key": key,
            "_seq": len(self.refunds),
        }
        return self._settle_or_wait(refund, faults)

    def _refundable(self, payment: Doc) -> Decimal:
        pending = (
            Decimal(doc["amount"]["value"])
            for key in self._open
            if (doc := self.refunds.get(key)) and doc["payment_id"] == payment["id"]
        )
        paid, back = payment["amount"]["value"], payment["refunded_amount"]["value"]
        return Decimal(paid) - Decimal(back) - sum(pending, Decimal(0))

    # -- what time and hands do ----------------------------------------------------------------------

    def sweep(self) -> None:
        """Settle what a fault left pending and cancel what nobody confirmed or captured in time."""
        now, wall = self._clock.now(), time.time()
        for key in list(self._open):
            doc = self.payments.get(key) or self.refunds.get(key)
            if doc is None:
                continue
            if "_settle_at" in doc:
                if doc["_settle_at"] is not None and doc["_settle_at"] <= wall:
                    self.settle(key)
            elif doc["status"] == "pending" and "payment_id" not in doc:
                if now - moment(doc["created_at"]) > CONFIRM_WITHIN:
                    self.cancel(key, "expired_on_confirmation")
            elif doc["status"] == "waiting_for_capture" and now > moment(doc["expires_at"]):
                self.cancel(key, "expired_on_capture")

    def settle(self, key: str, reason: str | None = None) -> None:
        """End a pending charge or refund; one that has ended already stays as it is."""
        doc = dict(self.refunds.get(key) or self.payments[key])
        if doc["status"] != "pending":
            return
        doc.pop("_settle_at", None)
        reason = reason or doc.pop("_reason", None)
        if "payment_id" in doc:
            self._finish_refund(doc, reason)
        else:
            self._decide(doc, reason)

    def revoke(self, method_id: str, reason: str) -> None:
        method = self._store.table("methods")[method_id]
        self._store.put("methods", method_id, {**method, "_revoked": reason})

    # -- steps ---------------------------------------------------------------------------------------

    def _blank(self, shop: str, body: Doc, key: str) -> Doc:
        now = stamp(self._clock.now())
        return {
            "id": str(uuid.uuid4()),
            "status": "pending",
            "amount": rules.roubles(rules.money(body["amount"])),
            **({"description": body["description"]} if body.get("description") else {}),
            "recipient": {"account_id": shop, "gateway_id": shop},
            "created_at": now,
            "test": True,
            "paid": False,
            "refundable": False,
            "metadata": body.get("metadata") or {},
            **{n: body[n] for n in ("merchant_customer_id",) if body.get(n)},
            **({"receipt_registration": "pending"} if body.get("receipt") else {}),
            "_shop": shop,
            "_key": key,
            "_seq": len(self.payments),
            "_capture": body.get("capture") is True,
            "_save": body.get("save_payment_method") is True,
            "_method": (body.get("payment_method_data") or {}).get("type"),
            "_receipt": body.get("receipt"),
            "_return_url": (body.get("confirmation") or {}).get("return_url"),
        }

    def _saved_method(self, shop: str, method_id: str) -> Doc:
        method = self._store.get("methods", method_id)
        if method is None or method["_shop"] != shop or not method["saved"]:
            raise rules.wrong("Payment method doesn't exist or is not saved", "payment_method_id")
        return method

    def _charge(self, payment: Doc, saved: Doc, faults: dict[str, Fault | None]) -> Doc:
        card = CARDS.get(saved.get("_number", ""), Card("сохранённый способ"))
        expired = "card_expired" if _is_expired(saved.get("card"), self._clock.now()) else None
        payment["_reason"] = saved.get("_revoked") or expired or card.reason or card.renewal_reason
        return self._settle_or_wait(payment, faults)

    def _settle_or_wait(self, doc: Doc, faults: dict[str, Fault | None]) -> Doc:
        decline, wait = faults.get("decline"), faults.get("pending")
        if wait is None and self._goes_back_by_sbp(doc):
            wait = Fault("pending", seconds=SBP_REFUND_SECONDS)
        reason = doc.pop("_reason", None)
        if decline is not None:
            reason = decline.reason or "insufficient_funds"
        if wait is not None:
            doc["_reason"] = reason
            doc["_settle_at"] = time.time() + wait.seconds if wait.seconds is not None else None
            self._save(doc)
            return doc
        return self._finish_refund(doc, reason) if "payment_id" in doc else self._decide(doc, reason)

    def _goes_back_by_sbp(self, doc: Doc) -> bool:
        """Such a refund is done when the payer's bank has taken it."""
        paid = self.payments.get(doc.get("payment_id", "")) or {}
        return (paid.get("payment_method") or {}).get("type") == "sbp"

    def _decide(self, payment: Doc, reason: str | None) -> Doc:
        if reason:
            return self._decline(payment, reason)
        if payment["_capture"]:
            return self._succeed(payment)
        payment.update(status="waiting_for_capture", paid=True, _paid_at=stamp(self._clock.now()))
        payment["expires_at"] = stamp(self._clock.now() + CAPTURE_WITHIN)
        self._save(payment, "payment.waiting_for_capture")
        return payment

    def _succeed(self, payment: Doc) -> Doc:
        amount = Decimal(payment["amount"]["value"])
        now = stamp(self._clock.now())
        payment.update(status="succeeded", paid=True, refundable=True, captured_at=now)
        payment.setdefault("_paid_at", now)
        payment.pop("expires_at", None)
        payment["income_amount"] = rules.roubles(amount - amount * FEE)
        payment["refunded_amount"] = rules.roubles(Decimal(0))
        with self._store.transaction():
            receipts.issue(self.fiscal, payment)
            self._save(payment, "payment.succeeded")
        return payment

    def _decline(self, payment: Doc, reason: str) -> Doc:
        party = PARTIES.get(reason, "yoo_money" if reason.startswith("expired_on") else "payment_network")
        payment.update(status="canceled", paid=False, cancellation_details={"party": party, "reason": reason})
        for name in ("confirmation", "expires_at", "_paid_at"):
            payment.pop(name, None)
        if "receipt_registration" in payment:
            payment["receipt_registration"] = "canceled"
        self._save(payment, "payment.canceled")
        return payment

    def _finish_refund(self, refund: Doc, reason: str | None) -> Doc:
        if reason:
            refund.update(
                status="canceled", cancellation_details={"party": "refund_network", "reason": reason}
            )
            self._save(refund)
            return refund
        payment = dict(self.payments[refund["payment_id"]])
        back = Decimal(payment["refunded_amount"]["value"]) + Decimal(refund["amount"]["value"])
        payment["refunded_amount"] = rules.roubles(back)
        payment["refundable"] = back < Decimal(payment["amount"]["value"])
        refund["status"] = "succeeded"
        with self._store.transaction():
            receipts.issue(self.fiscal, refund)
            self._save(payment)
            self._save(refund, "refund.succeeded")
        return refund

    def _save(self, doc: Doc, event: str | None = None) -> None:
        table = "refunds" if "payment_id" in doc else "payments"
        with self._store.transaction():
            self._store.put(table, doc["id"], dict(doc))
            if event:
                self._happened(event, doc)
        if doc["status"] in OPEN:
            self._open.add(doc["id"])
        else:
            self._open.discard(doc["id"])


OPEN = ("pending", "waiting_for_capture")


def bank_card(number: str, month: str, year: str) -> Doc:
    """A payment method as the API shows it; the number itself stays with us."""
    card = {"first6": number[:6], "last4": number[-4:], "expiry_month": month, "expiry_year": year}
    card |= {"card_type": card_type(number), "issuer_country": "RU"}
    return {"type": "bank_card", "title": f"Bank card *{number[-4:]}", "card": card, "_number": number}


def sbp_account() -> Doc:
    return {"type": "sbp", "title": "СБП", "payer_bank_details": {"bank_id": "100000000111"}}


def _is_expired(card: Doc | None, now: datetime) -> bool:
    return card is not None and (int(card["expiry_year"]), int(card["expiry_month"])) < (now.year, now.month)


def _confirmation(asked: Doc, address: str) -> Doc:
    kind = asked["type"]
    if kind == "embedded":
        return {"type": kind, "confirmation_token": address.rsplit("=", 1)[1]}
    if kind == "qr":
        return {"type": kind, "confirmation_data": address}
    kept = {name: asked[name] for name in ("return_url", "enforce") if asked.get(name) is not None}
    return {"type": kind, **kept, "confirmation_url": address}


def _digits(count: int) -> str:
    return str(uuid.uuid4().int)[-count:]
