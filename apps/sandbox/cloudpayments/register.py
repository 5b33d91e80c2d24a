"""CloudPayments' books: orders, transactions, tokens and refunds of all terminals, and how they change."""

import hashlib
import re
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from apps.sandbox.clock import Clock, moment, stamp
from apps.sandbox.cloudpayments import receipts
from apps.sandbox.cloudpayments.cards import CARDS, REASONS, SAID, Card
from apps.sandbox.faults import Fault
from apps.sandbox.fiscal import FiscalBook
from apps.sandbox.store import Doc, Store

FEE = Decimal("0.039")
SBP_LEAST = Decimal(10)
SBP_REFUND_SECONDS = 0.3
CONFIRM_WITHIN = timedelta(days=7)
Happened = Callable[[str, Doc], None]


class Failed(Exception):
    """A request that was not done: Success false, without a Model."""


class Register:
    """Every method that changes something commits before it returns, and notifies where CloudPayments does."""

    fiscal: FiscalBook

    def __init__(self, store: Store, clock: Clock, happened: Happened) -> None:
        self._store, self._clock, self._happened = store, clock, happened

    @property
    def orders(self) -> Any:
        return self._store.table("orders")

    @property
    def transactions(self) -> Any:
        return self._store.table("transactions")

    def order(self, terminal: str, body: Doc) -> Doc:
        """A page to pay on."""
        receipt = self._inside(body)
        order = {
            "id": hashlib.sha256(f"{terminal}{len(self.orders)}".encode()).hexdigest()[:16],
            "amount": _money(body["Amount"]),
            "currency": body.get("Currency", "RUB"),
            "invoice": str(body.get("InvoiceId", "")),
            "account": str(body.get("AccountId", "")),
            "description": str(body.get("Description", "")),
            "success_url": body.get("SuccessRedirectUrl", ""),
            "fail_url": body.get("FailRedirectUrl", ""),
            "two_stage": bool(body.get("RequireConfirmation")),
            "state": "Created",
            "_receipt": receipt,
            "_shop": terminal,
        }
        self._store.put("orders", order["id"], order)
        return order

    def cancel_order(self, terminal: str, order_id: str) -> None:
        order = self.orders.get(order_id)
        if order is None or order["_shop"] != terminal:
            raise Failed("Заказ не найден")
        if order["state"] == "Created":
            self._store.put("orders", order_id, {**order, "state": "Cancelled"})

    def pay(self, order_id: str, number: str, expiry: str, code: int) -> Doc:
        """The customer has paid on the page; the first success ends the order."""
        order = dict(self.orders[order_id])
        made = self._blank(order["_shop"], order["amount"], order["currency"], order["invoice"])
        made |= {"AccountId": order["account"], "Description": order["description"], "order": order_id}
        made |= _card(number, expiry)
        made["_receipt"] = order.get("_receipt")
        with self._store.transaction():
            if not code:
                self._store.put("orders", order_id, {**order, "state": "Paid"})
            return self._decide(made, code, number=number, held=order["two_stage"])

    def link(self, terminal: str, body: Doc) -> Doc:
        """A payment behind a QR of SBP: it waits."""
        amount = _money(body["Amount"])
        if Decimal(amount) < SBP_LEAST:
            raise Failed("Сумма меньше допустимой для СБП")
        made = self._blank(terminal, amount, body.get("Currency", "RUB"), str(body["InvoiceId"]))
        made |= {"AccountId": str(body.get("AccountId", "")), "Description": str(body.get("Description", ""))}
        made |= {
            "Status": "AwaitingAuthentication",
            "PaymentMethod": "Sbp",
            "saves": bool(body.get("SaveCard")),
        }
        made |= {"success_url": body.get("SuccessRedirectUrl") or "", "_receipt": self._inside(body)}
        self._store.put("transactions", made["id"], made)
        return made

    def pay_sbp(self, transaction_id: str, code: int) -> Doc:
        """The payer has paid in the bank, or declined; what is decided stays so."""
        doc = dict(self.transactions[transaction_id])
        return self._decide(doc, code, number="") if doc["Status"] == "AwaitingAuthentication" else doc

    def confirm(self, terminal: str, transaction_id: str, amount: Decimal, receipt: Doc | None = None) -> Doc:
        """Takes what is held, or a part of it."""
        held = self._held(terminal, transaction_id)
        if not 0 < amount <= Decimal(held["amount"]):
            raise Failed("Сумма больше удержанной")
        held |= {"Status": "Completed", "amount": str(amount), "TotalFee": _fee(str(amount))}
        held["confirmed"] = stamp(self._clock.now())
        held["_receipt"] = receipt or held.get("_receipt")
        if held["_receipt"]:
            receipts.check(held["_receipt"], amount)
        with self._store.transaction():
            self._store.put("transactions", held["id"], held)
            self._happened("Confirm", held)
            if held["_receipt"]:
                receipts.issue(self.fiscal, held, held["_receipt"], operation="sell")
        return held

    def void(self, terminal: str, transaction_id: str) -> Doc:
        """Lets go of what is held."""
        held = {**self._held(terminal, transaction_id), "Status": "Cancelled"}
        with self._store.transaction():
            self._store.put("transactions", held["id"], held)
            self._happened("Cancel", held)
        return held

    def _held(self, terminal: str, transaction_id: str) -> Doc:
        doc = self.transactions.get(transaction_id)
        if doc is None or doc["_shop"] != terminal or doc["Status"] != "Authorized":
            raise Failed("Транзакция не найдена или не удержана")
        return dict(doc)

    def charge(self, terminal: str, body: Doc, faults: dict[str, Fault | None], *, held: bool = False) -> Doc:
        """By a token, of the terminal and account that it was given to."""
        saved = self._store.get("tokens", str(body.get("Token", "")))
        if saved is None or saved["_shop"] != terminal or saved["account"] != str(body.get("AccountId")):
            raise Failed("Токен не найден")
        made = self._blank(
            terminal, _money(body["Amount"]), body.get("Currency", "RUB"), str(body["InvoiceId"])
        )
        made |= {"AccountId": saved["account"], "Description": str(body.get("Description", ""))}
        made |= _card(saved["number"], saved["expiry"]) if saved["number"] else {"PaymentMethod": "Sbp"}
        made["_receipt"] = self._inside(body)
        card = CARDS.get(saved["number"], Card(""))
        code = 6010 if saved.get("revoked") else card.code or card.renewal_code
        if decline := faults.get("decline"):
            code = int(decline.reason or 5051)
        if wait := faults.get("pending"):
            made |= {"Status": "AwaitingAuthentication", "_code": code, "_number": saved["number"]}
            made["_settle_at"] = time.time() + wait.seconds if wait.seconds is not None else None
            self._store.put("transactions", made["id"], made)
            return made
        return self._decide(made, code, number=saved["number"], token=saved["id"], held=held)

    def _inside(self, body: Doc) -> Doc | None:
        receipt = receipts.inside(body)
        if receipt is not None:
            receipts.check(receipt, Decimal(_money(body["Amount"])))
        return receipt

    def receipt(self, terminal: str, body: Doc) -> Doc:
        """A receipt by a request of its own, of an invoice that was paid."""
        paid = self.of_invoice(terminal, str(body.get("InvoiceId")))
        receipt = body.get("CustomerReceipt")
        if not re.fullmatch(r"\d{10}|\d{12}", str(body.get("Inn") or "")):
            raise Failed("Не указан ИНН")
        if body.get("Type") not in receipts.TYPES.values():
            raise Failed("Неизвестный признак расчёта")
        if paid is None or paid["Status"] != "Completed":
            raise Failed("Счёт не оплачен")
        receipts.check(receipt, receipts.total_of(receipt))
        operation = next(name for name, word in receipts.TYPES.items() if word == body["Type"])
        assert receipt is not None
        return receipts.issue(self.fiscal, paid, receipt, operation=operation, apart=True)

    def refund(
        self,
        terminal: str,
        transaction_id: str,
        amount: Decimal,
        receipt: Doc | None = None,
        *,
        wait: Fault | None = None,
    ) -> Doc:
        """A transaction of its own, beside the one that paid; through SBP it waits for the payer's bank."""
        paid = self.transactions.get(transaction_id)
        if paid is None or paid["_shop"] != terminal or paid["Status"] != "Completed" or paid["of"]:
            raise Failed("Транзакция не найдена")
        if not 0 < amount <= Decimal(paid["amount"]) - Decimal(paid["refunded"]):
            raise Failed("Сумма возврата больше остатка")
        if receipt is not None:
            receipts.check(receipt, amount)
        made = self._blank(terminal, str(amount), paid["Currency"], paid["InvoiceId"])
        made |= {
            "of": transaction_id,
            "AccountId": paid["AccountId"],
            "Status": "Pending",
            "_receipt": receipt,
        }
        made |= {"PaymentMethod": paid["PaymentMethod"]} if paid.get("PaymentMethod") else {}
        with self._store.transaction():
            back = str(Decimal(paid["refunded"]) + amount)
            self._store.put("transactions", transaction_id, {**paid, "refunded": back})
            if wait is None and made.get("PaymentMethod") != "Sbp":
                return self._refunded(made, 0)
            seconds = wait.seconds if wait else SBP_REFUND_SECONDS
            made["_settle_at"] = time.time() + seconds if seconds is not None else None
            self._store.put("transactions", made["id"], made)
        return made

    def _refunded(self, made: Doc, code: int) -> Doc:
        """It has gone back, or the payer's bank has not taken it."""
        paid = dict(self.transactions[made["of"]])
        made |= {"Status": "Declined" if code else "Completed", "ReasonCode": code}
        with self._store.transaction():
            self._store.put("transactions", made["id"], made)
            if code:
                back = str(Decimal(paid["refunded"]) - Decimal(made["amount"]))
                self._store.put("transactions", paid["id"], {**paid, "refunded": back})
                return made
            self._happened("Refund", {**made, "payment_id": paid["id"]})
            if made.get("_receipt"):
                about = {**paid, "id": made["id"]}
                receipts.issue(self.fiscal, about, made["_receipt"], operation="sell_refund")
        return made

    def of_invoice(self, terminal: str, invoice: str) -> Doc | None:
        """The last payment of an invoice, a successful one before all others."""
        found = [
            doc
            for doc in self.transactions.values()
            if (doc["_shop"], doc["InvoiceId"]) == (terminal, invoice) and not doc["of"]
        ]
        done = [doc for doc in found if doc["Status"] in ("Completed", "Authorized")]
        return (done or found or [None])[-1]

    def sweep(self) -> None:
        for doc in list(self.transactions.values()):
            if doc.get("_settle_at") is not None and doc["_settle_at"] <= time.time():
                self.settle(doc["id"])
            elif (
                doc["Status"] == "Authorized" and self._clock.now() - moment(doc["created"]) > CONFIRM_WITHIN
            ):
                self.void(doc["_shop"], doc["id"])

    def settle(self, transaction_id: str, code: int | None = None) -> None:
        """Ends a charge or refund that is under way."""
        doc = dict(self.transactions[transaction_id])
        if "_settle_at" in doc:
            del doc["_settle_at"]
            if doc["of"]:
                self._refunded(doc, code or 0)
                return
            planned, number = doc.pop("_code"), doc.pop("_number")
            self._decide(doc, planned if code is None else code, number=number)

    def revoke(self, token: str) -> None:
        """The customer has taken the consent back at the bank."""
        self._store.put("tokens", token, {**self._store.table("tokens")[token], "revoked": True})

    def _blank(self, terminal: str, amount: str, currency: str, invoice: str) -> Doc:
        return {
            "id": str(700_000_000 + len(self.transactions) + 1),
            "amount": amount,
            "refunded": "0",
            "Currency": currency,
            "InvoiceId": invoice,
            "created": stamp(self._clock.now()),
            "of": "",
            "Token": "",
            "ReasonCode": 0,
            "_shop": terminal,
        }

    def _decide(self, made: Doc, code: int, *, number: str, token: str = "", held: bool = False) -> Doc:
        made |= {"ReasonCode": code, "Reason": REASONS.get(code, "Unknown")}
        if code:
            made |= {"Status": "Declined", "CardHolderMessage": SAID.get(code, "Свяжитесь с банком")}
        else:
            made |= {"Status": "Authorized" if held else "Completed", "TotalFee": _fee(made["amount"])}
            if number or token or made.get("saves"):
                made["Token"] = token or self._token(made, number)
        with self._store.transaction():
            self._store.put("transactions", made["id"], dict(made))
            self._happened("Fail" if code else "Pay", made)
            if made["Status"] == "Completed" and made.get("_receipt"):
                receipts.issue(self.fiscal, made, made["_receipt"], operation="sell")
        return made

    def _token(self, made: Doc, number: str) -> str:
        token = hashlib.sha256(f"{made['_shop']}{made['AccountId']}{number}".encode()).hexdigest().upper()
        saved = {"id": token, "_shop": made["_shop"], "account": made["AccountId"], "number": number}
        self._store.put("tokens", token, {**saved, "expiry": made.get("CardExpDate", "")})
        return token


def _fee(amount: str) -> str:
    return str((Decimal(amount) * FEE).quantize(Decimal("0.01")))


def _card(number: str, expiry: str) -> Doc:
    return {
        "CardFirstSix": number[:6],
        "CardLastFour": number[-4:],
        "CardType": {"2": "MIR", "4": "Visa", "5": "MasterCard"}.get(number[0], "Unknown"),
        "CardExpDate": expiry,
    }


def _money(value: Any) -> str:
    amount = Decimal(str(value)).quantize(Decimal("0.01"))
    if amount <= 0:
        raise Failed("Сумма должна быть больше нуля")
    return str(amount)
