"""Signed links «оплатить или сменить карту»: they open without a sign-in, for a time, at one partner only.

A link holds what it is about, its last day and a signature, 46 characters in all, so that it fits into an SMS. It
says nothing of the customer, and gives no right but to pay, to bind a card and to take one back.
"""

import base64
import binascii
import hmac
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from django.utils.crypto import salted_hmac

from apps.billing.models import Invoice, Subscription
from apps.core import clock
from apps.core.tenancy import current_partner, current_partner_id

DAYS = 30
"""For which a link opens, the day of its making not counted."""
_EPOCH = date(2020, 1, 1)
_INVOICE, _SUBSCRIPTION = b"i", b"s"
_SIGNATURE = 15
"""Bytes: 120 bits of a HMAC, which nobody guesses through a web server."""
_LENGTH = 1 + 16 + 2 + _SIGNATURE


class Forged(Exception):
    """Not a link of ours, or of another partner, or shortened on its way."""


class Expired(Exception):
    """It was ours; its days are over."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a link is about, and its last day in the partner's zone."""

    invoice_id: UUID | None
    subscription_id: UUID | None
    last_date: date


def to_pay(invoice: Invoice) -> str:
    """The address at which an invoice is paid."""
    return _url(_INVOICE, invoice.pk)


def to_card(subscription: Subscription) -> str:
    """The address at which the card of a subscription is looked at, changed or taken back."""
    return _url(_SUBSCRIPTION, subscription.pk)


def token_of(invoice: Invoice, *, last_date: date | None = None) -> str:
    """The signed part of `to_pay`."""
    return _token(_INVOICE, invoice.pk, last_date)


def read(token: str) -> Link:
    """What a token says. Raises Forged, and Expired after its last day."""
    try:
        raw = base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
    except (ValueError, binascii.Error) as error:
        raise Forged from error
    # Decoding is lenient; what is ours reads back to itself.
    if len(raw) != _LENGTH or _text(raw) != token:
        raise Forged
    body, signature = raw[:-_SIGNATURE], raw[-_SIGNATURE:]
    kind, key = body[:1], UUID(bytes=body[1:17])
    if not hmac.compare_digest(_sign(body), signature) or kind not in {_INVOICE, _SUBSCRIPTION}:
        raise Forged
    last_date = _EPOCH + timedelta(days=int.from_bytes(body[17:]))
    if clock.today() > last_date:
        raise Expired
    is_invoice = kind == _INVOICE
    return Link(key if is_invoice else None, None if is_invoice else key, last_date)


def _url(kind: bytes, key: UUID) -> str:
    return current_partner().url(f"/p/{_token(kind, key)}/")


def _token(kind: bytes, key: UUID, last_date: date | None = None) -> str:
    last_date = last_date or clock.today() + timedelta(days=DAYS)
    body = kind + key.bytes + max(0, (last_date - _EPOCH).days).to_bytes(2)
    return _text(body + _sign(body))


def _sign(body: bytes) -> bytes:
    salt = f"billing.pay-link:{current_partner_id()}"
    return salted_hmac(salt, body, algorithm="sha256").digest()[:_SIGNATURE]


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
