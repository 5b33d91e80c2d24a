"""What stays linked at T-Bank: accounts of SBP by QR, and cards bound without a payment."""

import hashlib
import uuid
from typing import Any

from apps.sandbox.faults import Fault
from apps.sandbox.sbp import BANK_ID, BANK_NAME
from apps.sandbox.store import Doc, Store
from apps.sandbox.tbank.register import OPEN, Failed, Happened, Register

LEFT_OPEN = ("3013", "3015", "3037", "3040", "3041")
"""`ErrorCode` of ChargeQr that says so and leaves the session as it was."""


class Links:
    """Commits before it returns, as the register does."""

    def __init__(self, store: Store, books: Register, happened: Happened) -> None:
        self._store, self._books, self._happened = store, books, happened

    @property
    def accounts(self) -> Any:
        return self._store.table("accounts")

    @property
    def bindings(self) -> Any:
        return self._store.table("bindings")

    # -- accounts ------------------------------------------------------------------------------------

    def account(self, terminal: str, key: Any) -> Doc:
        doc = self.accounts.get(str(key))
        if doc is None or doc["_shop"] != terminal:
            raise Failed("3001")
        return dict(doc)

    def new_account(self, terminal: str, description: str, payment: str = "") -> Doc:
        """A request to link; one of a payment is made once."""
        found = [one for one in self.accounts.values() if payment and one["payment"] == payment]
        if found:
            return dict(found[0])
        number = str(9_000_000_000 + len(self.accounts) + 1)
        made = {"id": number, "Status": "NEW", "AccountToken": "", "description": description}
        made |= {"payment": payment, "_shop": terminal}
        self._store.put("accounts", number, made)
        return made

    def link(self, key: str, *, agreed: bool) -> Doc:
        """The payer has agreed in the bank, or has not; what is decided stays so."""
        doc = dict(self.accounts[key])
        if doc["Status"] not in ("NEW", "PROCESSING"):
            return doc
        return self._account_is(doc, "ACTIVE" if agreed else "INACTIVE")

    def unlink(self, token: str) -> bool:
        """The payer takes the consent back in the bank."""
        found = [one for one in self.accounts.values() if one["AccountToken"] == token]
        for one in found:
            self._account_is(dict(one), "INACTIVE")
        return bool(found)

    def _account_is(self, doc: Doc, status: str) -> Doc:
        doc["Status"] = status
        if status == "ACTIVE":
            doc["AccountToken"] = hashlib.md5(doc["id"].encode(), usedforsecurity=False).hexdigest()
            doc |= {"BankMemberId": BANK_ID, "BankMemberName": BANK_NAME}
        with self._store.transaction():
            self._store.put("accounts", doc["id"], doc)
            self._happened("LINKACCOUNT", doc)
        return doc

    def pay(self, payment_id: str, error: str) -> Doc:
        """The payer has paid behind the QR, and agreed to link where that was asked for."""
        payment: Doc = self._books.payments[payment_id]
        if payment["Status"] not in OPEN:
            return payment
        of_it = [one for one in self.accounts.values() if one["payment"] == payment_id]
        with self._store.transaction():
            paid = self._books.confirm_sbp(payment_id, error)
            for one in of_it:
                self.link(one["id"], agreed=not error)
        return paid

    def charge(self, terminal: str, body: Doc, faults: dict[str, Fault | None]) -> Doc:
        """By a linked account: once, of a session that nobody has paid yet."""
        payment = self._books.payment(terminal, body["PaymentId"])
        if payment["Status"] != "NEW" or not payment["_sbp"]:
            raise Failed("3037" if payment["_sbp"] else "3013")
        decline = faults.get("decline")
        error = (decline.reason or "1051") if decline else ""
        token = str(body.get("AccountToken"))
        known = [
            one for one in self.accounts.values() if (one["_shop"], one["AccountToken"]) == (terminal, token)
        ]
        if not known or known[0]["Status"] != "ACTIVE":
            error = "3015"
        if error in LEFT_OPEN:
            raise Failed(error)
        return self._books.charge_sbp(payment, error, faults.get("pending"))

    # -- cards without a payment ---------------------------------------------------------------------

    def new_binding(self, terminal: str, customer: str) -> Doc:
        made: Doc = {"id": str(uuid.uuid4()), "CustomerKey": customer, "Status": "NEW", "_shop": terminal}
        made |= {"PaymentId": 8_000_000_000 + len(self.bindings) + 1}
        self._store.put("bindings", made["id"], made)
        return made

    def binding(self, terminal: str, key: str) -> Doc:
        doc = self.bindings.get(key)
        if doc is None or doc["_shop"] != terminal:
            raise Failed("3001")
        return dict(doc)

    def bind(self, key: str, number: str, expiry: str, error: str) -> Doc:
        """The customer has typed a card in; what is decided stays so."""
        doc = dict(self.bindings[key])
        if doc["Status"] != "NEW":
            return doc
        doc |= {"Status": "REJECTED" if error else "COMPLETED", "ErrorCode": error or "0"}
        doc |= {"Pan": f"{number[:6]}******{number[-4:]}", "ExpDate": expiry}
        with self._store.transaction():
            if not error:
                doc |= self._books.save_card({**doc, "id": str(doc["PaymentId"])}, number)
            self._store.put("bindings", key, doc)
            self._happened("ADDCARD", doc)
        return doc
