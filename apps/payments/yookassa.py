"""YooKassa, API v3: amounts are strings in roubles, a POST is known for a day by its Idempotence-Key."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import uuid5

import httpx
from django.utils.translation import gettext_lazy as _

from apps.connectors import http
from apps.connectors.base import ConnectorError, ForgedMessage, Inbound, Received, setting
from apps.core.money import Money
from apps.payments.gateway import (
    EntryKind,
    Gateway,
    GatewayPayment,
    GatewayRefund,
    Instrument,
    PaymentRequest,
    RefundRequest,
    RegisterEntry,
    Status,
    nobody_paid,
)
from apps.payments.yookassa_receipts import YooKassaReceipts, receipt_of
from apps.policies.dunning import DeclineClass

TIMEOUT_SECONDS = 20.0
STATUSES = {
    "pending": Status.PENDING,
    "waiting_for_capture": Status.AUTHORIZED,
    "succeeded": Status.SUCCEEDED,
    "canceled": Status.CANCELED,
}
BINDINGS = {"pending": Status.PENDING, "active": Status.SUCCEEDED, "inactive": Status.CANCELED}
DECLINES = {
    "insufficient_funds": DeclineClass.FUNDS,
    "payment_method_limit_exceeded": DeclineClass.FUNDS,
    "issuer_unavailable": DeclineClass.TECHNICAL,
    "internal_timeout": DeclineClass.TECHNICAL,
    "rejected_by_timeout": DeclineClass.TECHNICAL,
    "expired_on_capture": DeclineClass.TECHNICAL,
    "card_expired": DeclineClass.CARD,
    "invalid_card_number": DeclineClass.CARD,
    "invalid_csc": DeclineClass.CARD,
    "payment_method_restricted": DeclineClass.CARD,
    "country_forbidden": DeclineClass.CARD,
    "3d_secure_failed": DeclineClass.CARD,
    "identification_required": DeclineClass.CARD,
    "unsupported_mobile_operator": DeclineClass.CARD,
    "fraud_suspected": DeclineClass.FRAUD,
}
"""`cancellation_details.reason` (reference/payments.md, 1.1); general_decline and call_issuer tell nothing."""


@dataclass(frozen=True)
class Settings:
    """A shop at YooKassa."""

    shop_id: str = setting(_("номер магазина (shopId)"))
    secret_key: str = setting(_("секретный ключ"), secret=True)
    base_url: str = setting(_("адрес API"), default="https://api.yookassa.ru/v3")
    binds_free: bool = setting(
        _("привязывать без платежа"),
        default=False,
        help_text=_("Включает менеджер ЮKassa. Без этого карта привязывается рублём, который сразу вернётся"),
    )
    sbp: bool = setting(
        _("СБП подключена"),
        default=True,
        help_text=_("Есть ли СБП в договоре со шлюзом: без неё клиенту она не предлагается"),
    )


class YooKassa(YooKassaReceipts, Gateway):
    """One shop. Webhooks carry no signature: what they say is only a reason to read the object again."""

    title = _("ЮKassa")
    Config = Settings
    decline_classes = DECLINES
    instruments = frozenset({Instrument.BANK_CARD, Instrument.SBP})
    holds = frozenset({Instrument.BANK_CARD})

    def check(self) -> str:
        """Asks who we are there."""
        me = self._call("GET", "me")
        is_on = me.get("status") in {None, "enabled"}
        told = _("Магазин %s отвечает") if is_on else _("Магазин %s отключён у ЮKassa")
        return str(told) % me["account_id"]

    def create_payment(self, request: PaymentRequest) -> GatewayPayment:
        return _payment(self._call("POST", "payments", _body(request), key=str(request.key)))

    def charge(self, request: PaymentRequest) -> GatewayPayment:
        return self.create_payment(request)

    def capture(self, request: PaymentRequest, amount: Money) -> GatewayPayment:
        body: dict[str, Any] = {"amount": _amount(amount)}
        if request.receipt:
            body["receipt"] = receipt_of(request.receipt)
        return self._second_stage(request, "capture", body)

    def release(self, request: PaymentRequest) -> GatewayPayment:
        return self._second_stage(request, "cancel", {})

    def _second_stage(self, request: PaymentRequest, verb: str, body: Any) -> GatewayPayment:
        path, key = f"payments/{request.gateway_id}/{verb}", str(uuid5(request.key, verb))
        return _payment(self._call("POST", path, body, key=key))

    def binds(self, instrument: str) -> bool:
        return self.config.binds_free and instrument in self.instruments

    def bind(self, request: PaymentRequest) -> GatewayPayment:
        body = {
            "type": request.instrument or Instrument.BANK_CARD,
            "confirmation": {"type": "redirect", "return_url": request.return_url},
        }
        return _binding(request, self._call("POST", "payment_methods", body, key=str(request.key)))

    def give_up(self, request: PaymentRequest) -> GatewayPayment:
        """Payments end by themselves; a page that saves a method does not, and nothing is taken by it."""
        seen = self.fetch(request)
        ended = request.only_binds and seen.status == Status.PENDING
        return nobody_paid(request) if ended else seen

    def _fetch_binding(self, request: PaymentRequest) -> GatewayPayment:
        known = request.gateway_id or self.bind(request).gateway_id
        return _binding(request, self._call("GET", f"payment_methods/{known}"))

    def fetch(self, reference: PaymentRequest, /) -> GatewayPayment:
        if reference.only_binds:
            return self._fetch_binding(reference)
        # A key gives the first answer again, however long ago: what has become of it is read after that.
        known = reference.gateway_id or self.create_payment(reference).gateway_id
        return _payment(self._call("GET", f"payments/{known}"))

    def find(self, request: PaymentRequest, *, since: datetime | None) -> GatewayPayment | None:
        if request.only_binds:
            # They are not listed, and a page that nobody was shown saves nothing.
            return None
        window = {"created_at.gte": since.isoformat()} if since else {}
        for item in self._pages("payments", window):
            if (item.get("metadata") or {}).get("payment") == str(request.key):
                return _payment(item)
        return None

    def refund(self, request: RefundRequest) -> GatewayRefund:
        body = {
            "payment_id": request.payment_gateway_id,
            "amount": _amount(request.amount),
            "description": request.description[:128],
            "metadata": {"refund": str(request.key)},
        }
        if request.receipt:
            body["receipt"] = receipt_of(request.receipt)
        return _refund(self._call("POST", "refunds", body, key=str(request.key)))

    def fetch_refund(self, request: RefundRequest) -> GatewayRefund:
        return _refund(self._call("GET", f"refunds/{request.gateway_id}"))

    def refunds_of(self, payment_gateway_id: str) -> list[GatewayRefund]:
        return [_refund(item) for item in self._pages("refunds", {"payment_id": payment_gateway_id})]

    def register(self, since: datetime, until: datetime) -> list[RegisterEntry]:
        window = {"status": "succeeded"}
        captured = {"captured_at.gte": since.isoformat(), "captured_at.lt": until.isoformat()}
        created = {"created_at.gte": since.isoformat(), "created_at.lt": until.isoformat()}
        payments = [_entry(item) for item in self._pages("payments", window | captured)]
        return payments + [_refund_entry(item) for item in self._pages("refunds", window | created)]

    def receive(self, message: Inbound) -> Received:
        """Whom a notification is about. Nothing in it is believed, so it names an object and no more."""
        try:
            notice = json.loads(message.body)
            event, thing = str(notice["event"]), notice["object"]
            payment_id = str(thing["payment_id"] if event.startswith("refund.") else thing["id"])
            number = str((thing.get("metadata") or {}).get("reference", ""))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ForgedMessage(_("Не похоже на уведомление ЮKassa: %r") % error) from error
        # Digits in other scripts are digits for str, and a number longer than a bigint is no number of ours.
        known = number.isascii() and number.isdigit() and len(number) < 19
        return Received(
            reference=int(number) if known else None, gateway_id=payment_id[:100], type=event[:60]
        )

    def _pages(self, path: str, params: dict[str, str]) -> Iterator[dict[str, Any]]:
        page: dict[str, Any] = {"next_cursor": None}
        while "next_cursor" in page:
            cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else {}
            page = self._call("GET", path, params={**params, **cursor, "limit": "100"})
            yield from page["items"]

    def _call(
        self, method: str, path: str, body: Any = None, *, key: str = "", params: dict[str, str] | None = None
    ) -> dict[str, Any]:
        answer = http.request(
            self.connection,
            method,
            f"{self.config.base_url.rstrip('/')}/{path}",
            json=body,
            params=params,
            headers={"Idempotence-Key": key} if key else None,
            auth=(self.config.shop_id, self.config.secret_key),
            timeout=TIMEOUT_SECONDS,
        )
        return _read(answer, writing=method == "POST")


def _read(answer: httpx.Response, *, writing: bool) -> dict[str, Any]:
    try:
        content = answer.json()
    except ValueError:
        content = None
    if answer.status_code == 200 and isinstance(content, dict):
        return content
    if answer.status_code in {200, 202} or not isinstance(content, dict) or "code" not in content:
        # Accepted and not finished, or not YooKassa's own words: it may have been done.
        raise ConnectorError(f"HTTP {answer.status_code}", unknown=writing, retry=not writing)
    text = f"{content['code']}: {content.get('description', '')} {content.get('parameter', '')}".strip()
    raise ConnectorError(text, code=str(content["code"]))


def _body(request: PaymentRequest) -> dict[str, Any]:
    metadata = {
        "reference": str(request.reference),
        "payment": str(request.key),
        "partner": str(request.partner_id),
    }
    body = {
        "amount": _amount(request.amount),
        "capture": not request.two_stage,
        "description": request.description,
        "metadata": metadata,
    }
    if request.receipt:
        body["receipt"] = receipt_of(request.receipt)
    if request.method_token:
        return body | {"payment_method_id": request.method_token}
    if request.instrument:
        body["payment_method_data"] = {"type": request.instrument}
    return body | {
        "confirmation": {"type": "redirect", "return_url": request.return_url},
        "save_payment_method": request.save_method,
    }


def _amount(money: Money) -> dict[str, str]:
    return {"value": f"{money.amount:.2f}", "currency": money.currency}


def _money(found: dict[str, Any]) -> Money:
    return Money(Decimal(found["value"]), found["currency"])


def _payment(found: dict[str, Any]) -> GatewayPayment:
    try:
        metadata, method = found.get("metadata") or {}, found.get("payment_method") or {}
        amount, status = _money(found["amount"]), STATUSES[found["status"]]
        income = found.get("income_amount") if status == Status.SUCCEEDED else None
        return GatewayPayment(
            gateway_id=found["id"],
            status=status,
            amount=amount,
            reference=str(metadata.get("reference", "")),
            key=str(metadata.get("payment", "")),
            partner_id=str(metadata.get("partner", "")),
            reason=_reason(found),
            confirmation_url=(found.get("confirmation") or {}).get("confirmation_url", ""),
            method_token=method["id"] if method.get("saved") else "",
            method_title=_title(method),
            method_fingerprint=_fingerprint(method),
            instrument=str(method.get("type") or "")[:20],
            fee=amount.amount - _money(income).amount if income else Decimal("0.00"),
        )
    except (KeyError, ValueError, TypeError, InvalidOperation) as error:
        raise ConnectorError(_("Непонятный ответ: %r") % error, unknown=True) from error


def _binding(request: PaymentRequest, found: dict[str, Any]) -> GatewayPayment:
    """A saved method as a payment of nothing: asked for by our own key, it is ours."""
    try:
        saved, number = bool(found["saved"]), str(found["id"])
        status = BINDINGS[found["status"]]
    except (KeyError, TypeError) as error:
        raise ConnectorError(_("Непонятный ответ: %r") % error, unknown=True) from error
    return GatewayPayment(
        gateway_id=number,
        status=status,
        amount=request.amount,
        reference=str(request.reference),
        key=str(request.key),
        partner_id=str(request.partner_id),
        reason="not_bound" if status == Status.CANCELED else "",
        confirmation_url=(found.get("confirmation") or {}).get("confirmation_url", ""),
        method_token=number if saved else "",
        method_title=_title(found),
        method_fingerprint=_fingerprint(found),
        instrument=str(found.get("type") or "")[:20],
    )


def _entry(found: dict[str, Any]) -> RegisterEntry:
    seen = _payment(found)
    return RegisterEntry(
        kind=EntryKind.PAYMENT,
        gateway_id=seen.gateway_id,
        payment_gateway_id=seen.gateway_id,
        amount=seen.amount,
        fee=seen.fee if "income_amount" in found else None,
        at=datetime.fromisoformat(found["captured_at"]) if found.get("captured_at") else None,
    )


def _refund_entry(found: dict[str, Any]) -> RegisterEntry:
    seen = _refund(found)
    return RegisterEntry(
        kind=EntryKind.REFUND,
        gateway_id=seen.gateway_id,
        payment_gateway_id=seen.payment_gateway_id,
        amount=seen.amount,
        at=datetime.fromisoformat(found["created_at"]) if found.get("created_at") else None,
    )


def _refund(found: dict[str, Any]) -> GatewayRefund:
    try:
        return GatewayRefund(
            gateway_id=found["id"],
            payment_gateway_id=found["payment_id"],
            status=STATUSES[found["status"]],
            amount=_money(found["amount"]),
            key=str((found.get("metadata") or {}).get("refund", "")),
            reason=_reason(found),
        )
    except (KeyError, ValueError, TypeError, InvalidOperation) as error:
        raise ConnectorError(_("Непонятный ответ: %r") % error, unknown=True) from error


def _reason(found: dict[str, Any]) -> str:
    return str((found.get("cancellation_details") or {}).get("reason", ""))[:60]


def _fingerprint(method: dict[str, Any]) -> str:
    """The gateway tells no number: first six and last four digits with the expiry are the nearest to it."""
    card = method.get("card") or {}
    parts = [str(card.get(name, "")) for name in ("first6", "last4", "expiry_month", "expiry_year")]
    return "/".join(parts) if all(parts) else ""


def _title(method: dict[str, Any]) -> str:
    last = (method.get("card") or {}).get("last4")
    return f"•• {last}" if last else str(method.get("title") or method.get("type") or "")[:100]
