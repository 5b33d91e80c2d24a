"""Hands on a simulator: plan faults, read its register and log, act as the customer on its payment page."""

from datetime import datetime
from typing import Any

import httpx

GOOD_CARD = "5555555555554477"


class Control:
    """The control API of one simulator. httpx.HTTPError when it does not answer or refuses."""

    def __init__(self, base_url: str, *, timeout: float = 60.0) -> None:
        self.base_url = base_url.rstrip("/")
        # Simulators speak plain HTTP: a list of authorities would only take long to read.
        self._client = httpx.Client(base_url=self.base_url, timeout=timeout, trust_env=False, verify=False)

    def close(self) -> None:
        """Lets its connections go."""
        self._client.close()

    # -- every simulator -----------------------------------------------------------------------------

    def health(self, *, account: str = "") -> dict[str, Any]:
        """Its name, clock, and whether it is on (for an account)."""
        return self._call("GET", "/_control/health", params={"account": account} if account else None)

    def fault(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Plan a fault. Fields: times, match, seconds, reason, committed, before, copies, altered, every."""
        return self._call("POST", "/_control/faults", {"kind": kind, **fields})

    def faults(self) -> list[dict[str, Any]]:
        """Faults planned and not used up yet; `met`: by how many requests."""
        return self._call("GET", "/_control/faults")["items"]

    def clear(self) -> None:
        """Forget planned faults, let go of held answers, switch on again."""
        self._call("DELETE", "/_control/faults")
        self.release()
        self.switch(on=True)

    def release(self) -> int:
        """Let go of held answers; how many there were."""
        return self._call("POST", "/_control/release")["released"]

    def log(self, **facts: Any) -> list[dict[str, Any]]:
        """Requests, oldest first; by operation, state, held, shop, …; `since` an id, `limit` the last ones."""
        return self._call("GET", "/_control/log", params=facts)["items"]

    def clear_log(self) -> None:
        self._call("DELETE", "/_control/log")

    def register(self, **query: str) -> dict[str, Any]:
        """What really happened there."""
        return self._call("GET", "/_control/register", params=query)

    def misreport(self, about: str, **lie: Any) -> None:
        """Its day's register lies about a payment or refund: `hidden`, `copies`, `amount`, `fee`; nothing: no more."""
        self._call("PUT", f"/_control/register/{about}", lie)

    def switch(self, *, on: bool, account: str = "") -> None:
        """Off: 503 for every API call, or for those of one account (a provider's token)."""
        self._call("PUT", "/_control/switch", {"on": on, "account": account})

    def set_clock(self, now: datetime | None) -> None:
        """Move its clock; None returns to the wall clock."""
        self._call("PUT", "/_control/clock", {"now": now.isoformat() if now else None})

    # -- YooKassa ------------------------------------------------------------------------------------

    def add_shop(self, shop_id: str, secret: str, webhook_url: str | None = None) -> None:
        self._call("PUT", f"/_control/shops/{shop_id}", {"secret": secret, "webhook_url": webhook_url})

    def add_register(self, group: str, *, inn: str, login: str = "", password: str = "secret") -> None:
        """ATOL: a group of cash registers of a company."""
        given = {"login": login or group, "password": password, "inn": inn}
        self._call("PUT", f"/_control/shops/{group}", given)

    def resend_webhook(self, payment_id: str | None = None, **fields: Any) -> list[str]:
        """Send a webhook again: of a payment, or the last. Fields: times, event, altered. Ids of the new ones."""
        wanted = {"payment_id": payment_id} if payment_id else {"last": True}
        return self._call("POST", "/_control/webhooks/resend", {**wanted, **fields})["items"]

    def webhooks(self, **query: str) -> list[dict[str, Any]]:
        """Webhooks made so far with their state: waiting, delivered, suppressed."""
        return self._call("GET", "/_control/webhooks", params=query)["items"]

    def revoke_method(self, payment_method_id: str, reason: str = "permission_revoked") -> None:
        """From now on charges by this saved method are canceled with this reason."""
        self._call("POST", f"/_control/payment_methods/{payment_method_id}/revoke", {"reason": reason})

    def settle(self, payment_id: str, reason: str | None = None) -> None:
        """End a charge or refund that a `pending` fault left open: success, or canceled with this reason."""
        self._call("POST", f"/_control/settle/{payment_id}", {"reason": reason})

    def receipts(self, shop: str) -> list[dict[str, Any]]:
        """Receipts of a shop at its gateway's register, oldest first, with their status: pending, done, fail."""
        return self._call("GET", "/_control/receipts", params={"shop": shop})["items"]

    def settle_receipts(self, shop: str, reason: str = "") -> int:
        """Ends the receipts that a `wait_receipt` fault left waiting: registered, or refused for this reason."""
        return self._call("POST", "/_control/receipts/settle", {"shop": shop, "reason": reason})["settled"]

    def cabinet_refund(self, payment_id: str, amount: str) -> dict[str, Any]:
        """A refund made by hand in the gateway's cabinet: nobody called the API."""
        return self._call("POST", "/_control/refunds", {"payment_id": payment_id, "amount": amount})

    def pay(
        self, confirmation_url: str, *, card: str = GOOD_CARD, expiry: str = "12/35", cvc: str = "123"
    ) -> httpx.Response:
        """Fill in the payment page as a customer would, 3-D Secure included.

        The answer is a redirect to the shop (`.headers["location"]`), or a page that says why not.
        """
        form = {"card_number": card, "expiry": expiry, "cvc": cvc}
        answer = self._client.post(confirmation_url, data=form)
        if answer.status_code == 303 and "/3ds/" in answer.headers["location"]:
            address = httpx.URL(confirmation_url).join(answer.headers["location"])
            answer = self._client.post(address, data={"action": "confirm"})
        return answer

    def charge_back(self, payment_id: str, *, amount: str = "", reason: str = "fraud") -> dict[str, Any]:
        """The payer's bank takes money of a payment back; the register of what really happened has it."""
        wanted = {"payment_id": payment_id, "amount": amount, "reason": reason}
        return self._call("POST", "/_control/chargebacks", wanted)

    def pay_sbp(self, confirmation_url: str, *, agree: bool = True) -> httpx.Response:
        """Pays, or links, behind a QR as the payer's bank would; without `agree` the payer declines there."""
        return self._client.post(confirmation_url, data={"action": "confirm" if agree else "fail"})

    # -- providers -----------------------------------------------------------------------------------

    def mode(self, account: str, name: str = "synchronous", **options: Any) -> dict[str, Any]:
        """How the provider behaves towards an account from now on. Options: those of the mode, `callback_url`."""
        return self._call("PUT", "/_control/modes", {"account": account, "mode": name, **options})

    def told(self, account: str) -> list[dict[str, Any]]:
        """Callbacks that were sent to an account, with what it answered."""
        return self._call("GET", "/_control/modes", params={"account": account})["told"]

    # -- SMS Aero and mailbox ------------------------------------------------------------------------

    def messages(self, **query: str) -> list[dict[str, Any]]:
        """SMS, oldest first (number=); letters, oldest first (to=)."""
        return self._call("GET", "/_control/messages", params=query)["items"]

    def clear_messages(self) -> None:
        self._call("DELETE", "/_control/messages")

    def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        params: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        answer = self._client.request(method, path, json=body, params=params)
        answer.raise_for_status()
        return answer.json()
