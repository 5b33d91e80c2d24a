"""A partner that charges its own clients, and gives back, when we ask: signed requests out, an answer at once or later.

The protocol is ours (docs/integrator.md). Every request and every message back is signed the same way, over its time
and its bytes; a charge or a refund is known by its id, and asked for again it is the same one.
"""

import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
from django.utils.translation import gettext_lazy as _

from apps.connectors import http
from apps.connectors.base import (
    Connector,
    ConnectorError,
    ForgedMessage,
    Inbound,
    Kind,
    Received,
    setting,
)
from apps.connectors.models import Connection
from apps.core.money import Money
from apps.core.tenancy import current_partner

SIGNATURE = "X-Armor-Signature"
TOLERANCE_SECONDS = 300
"""How old a message back may be: an older one is a replay."""
CHARGED, REFUNDED, REFUSED, PENDING = "charged", "refunded", "refused", "pending"


@dataclass(frozen=True)
class Settings:
    """The partner's service."""

    url: str = setting(
        _("адрес сервиса"), help_text=_("Без косой черты на конце; к нему добавится /charges или /refunds")
    )
    secret: str = setting(_("ключ подписи"), secret=True)
    at_checkout: str = setting(
        _("название при оформлении"),
        default="",
        help_text=_("Клиент выберет его вместо карты, например «Счёт телефона»; пусто: не предлагается"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeOrder:
    """What the partner is to take from its client. Built from frozen columns only."""

    key: UUID
    reference: int
    """Number of our GatewayReference: it comes back in messages."""
    amount: Money
    invoice: str
    customer: str
    """The partner's own id of its client, or ours where it has none."""
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundOrder:
    """What the partner is to give back to its client of a charge. Built from frozen columns only."""

    key: UUID
    reference: int
    """Number of our GatewayReference: it comes back in messages."""
    charge: UUID
    """The charge that it is of, in full or in part: its key."""
    amount: Money
    customer: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeAnswer:
    """What the partner says of a charge or of a refund."""

    status: str
    reference: str = ""
    paid_date: date | None = None
    amount: Money | None = None
    reason: str = ""


class PartnerService(Connector):
    """A partner's billing, asked by us."""

    kind = Kind.PARTNER
    title = _("Списание системой партнёра")
    Config = Settings
    signed_by = (SIGNATURE.lower(),)

    def check(self) -> str:
        answer = self._call("GET", "/ping")
        if answer.status_code != 200:
            raise ConnectorError(f"HTTP {answer.status_code}")
        return str(_("Сервис партнёра отвечает"))

    def charge(self, order: ChargeOrder) -> ChargeAnswer:
        """Asks for a charge. The same key again is the same charge. Raises ConnectorError."""
        body = {
            "id": str(order.key),
            "reference": order.reference,
            "amount": f"{order.amount.amount:.2f}",
            "currency": order.amount.currency,
            "invoice": order.invoice,
            "customer": order.customer,
            "description": order.description,
        }
        return self._read(self._call("POST", "/charges", body), order.key, CHARGED, writing=True)

    def fetch(self, reference: ChargeOrder, /) -> ChargeAnswer | None:
        """What became of a charge; None where the partner never heard of it."""
        answer = self._call("GET", f"/charges/{reference.key}")
        return self._told(answer, reference.key, CHARGED)

    def refund(self, order: RefundOrder) -> ChargeAnswer:
        """Asks for money back. The same key again is the same refund. Raises ConnectorError."""
        body = {
            "id": str(order.key),
            "reference": order.reference,
            "charge": str(order.charge),
            "amount": f"{order.amount.amount:.2f}",
            "currency": order.amount.currency,
            "customer": order.customer,
            "reason": order.reason,
        }
        return self._read(self._call("POST", "/refunds", body), order.key, REFUNDED, writing=True)

    def fetch_refund(self, order: RefundOrder) -> ChargeAnswer | None:
        """What became of a refund; None where the partner never heard of it."""
        return self._told(self._call("GET", f"/refunds/{order.key}"), order.key, REFUNDED)

    def receive(self, message: Inbound) -> Received:
        now = message.received_at.timestamp() if message.received_at else time.time()
        given = message.headers.get(SIGNATURE.lower(), "")
        if not is_signed(self.config.secret, given, message.body, now):
            raise ForgedMessage(str(_("Подпись не сходится или устарела")))
        try:
            said = json.loads(message.body)
            return Received(reference=int(said["reference"]), type="answer")
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise ForgedMessage(str(_("Это не ответ о списании или возврате"))) from error

    def _call(self, method: str, path: str, body: Any = None) -> httpx.Response:
        content = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        headers = {SIGNATURE: signature(self.config.secret, content, int(time.time()))}
        if body is not None:
            headers |= {"Content-Type": "application/json", "Idempotency-Key": body["id"]}
        return http.request(
            self.connection,
            method,
            f"{self.config.url.rstrip('/')}{path}",
            content=content or None,
            headers=headers,
        )

    def _told(self, answer: httpx.Response, key: UUID, done: str) -> ChargeAnswer | None:
        return None if answer.status_code == 404 else self._read(answer, key, done, writing=False)

    def _read(self, answer: httpx.Response, key: UUID, done: str, *, writing: bool) -> ChargeAnswer:
        try:
            said = answer.json()
            status = said["status"]
            if (
                answer.status_code not in {200, 201, 202}
                or status not in {done, REFUSED, PENDING}
                or said["id"] != str(key)
            ):
                raise ValueError(status)
            return ChargeAnswer(
                status=status,
                reference=str(said.get("reference") or "")[:60],
                paid_date=date.fromisoformat(said["paid_date"]) if said.get("paid_date") else None,
                amount=Money(Decimal(str(said["amount"])), said["currency"]) if "amount" in said else None,
                reason=str(said.get("reason") or "")[:60],
            )
        except (ValueError, KeyError, TypeError, ArithmeticError) as error:
            told = str(_("Непонятный ответ партнёра (%d)") % answer.status_code)
            # 4xx is a refusal to talk, not to charge: nothing was done.
            is_refusal = 400 <= answer.status_code < 500
            raise ConnectorError(told, unknown=writing and not is_refusal, retry=not writing) from error


def service() -> Connection | None:
    """The current partner's own service that charges its clients."""
    partner = current_partner()
    mine = Connection.objects.filter(
        kind=Kind.PARTNER, partner=partner, is_enabled=True, is_test=partner.is_sandbox
    )
    return mine.order_by("pk").first()


def at_checkout() -> str:
    """What the partner's own way to pay is called where customers choose; empty where they are not offered it."""
    connection = service()
    return str(connection.config.get("at_checkout") or "") if connection is not None else ""


def signature(secret: str, body: bytes, at: int) -> str:
    """`t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>." and the body>`."""
    digest = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def is_signed(secret: str, given: str, body: bytes, now: float) -> bool:
    """Whether a message was signed with the secret within the tolerance."""
    at = given.partition(",")[0].removeprefix("t=")
    if not (at.isascii() and at.isdigit() and len(at) <= 12) or abs(now - int(at)) > TOLERANCE_SECONDS:
        return False
    # In bytes: a header with other than ASCII is no error, it is a wrong signature.
    return hmac.compare_digest(signature(secret, body, int(at)).encode(), given.encode())
