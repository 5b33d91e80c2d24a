"""CloudPayments: roubles as numbers, a request is known for an hour by its X-Request-ID, an invoice for good.

A first payment is an order with a page of its own; a charge is one by token. Both are found by InvoiceId, which is the
number of our reference. `Success` false with a Model is a transaction that the bank declined.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl, unquote_plus
from uuid import uuid5

from django.utils.translation import gettext_lazy as _

from apps.connectors import http
from apps.connectors.base import ConnectorError, ForgedMessage, Inbound, Received, setting
from apps.core.money import Money
from apps.payments import cloudpayments_list, cloudpayments_receipts
from apps.payments.cloudpayments_receipts import CloudPaymentsReceipts
from apps.payments.gateway import (
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
from apps.policies.dunning import DeclineClass, RetryRules

TIMEOUT_SECONDS = 60.0
"""The bank may take long; theirs is five minutes."""
STATUSES = {
    "AwaitingAuthentication": Status.PENDING,
    "Pending": Status.PENDING,
    "Authorized": Status.AUTHORIZED,
    "Completed": Status.SUCCEEDED,
    "Cancelled": Status.CANCELED,
    "Declined": Status.CANCELED,
}
SBP = "Sbp"
"""`PaymentMethod` of what was paid through SBP."""
DECLINES = {
    **dict.fromkeys(("5051", "5061", "5065"), DeclineClass.FUNDS),
    **dict.fromkeys(("5091", "5092", "5096", "5300"), DeclineClass.TECHNICAL),
    **dict.fromkeys(
        ("5014", "5033", "5054", "5055", "5057", "5062", "5063", "5082", "5206"), DeclineClass.CARD
    ),
    **dict.fromkeys(("5034", "5041", "5043", "5303"), DeclineClass.FRAUD),
    **dict.fromkeys(("6010", "6011"), DeclineClass.REVOKED),
    # «Unconditionally negative»: the gateway wants no more charges by this token.
    **dict.fromkeys(("5001", "5003", "5005", "5012", "5017"), DeclineClass.CARD),
}
"""`ReasonCode` (reference/payments.md, 1.2)."""
RULES = RetryRules(
    name=_("CloudPayments"),
    never=frozenset({DeclineClass.CARD, DeclineClass.FRAUD, DeclineClass.REVOKED}),
    most=15,
    least_gap_days=1,
)


@dataclass(frozen=True)
class Settings:
    """A terminal at CloudPayments."""

    public_id: str = setting(_("идентификатор терминала (Public ID)"))
    api_secret: str = setting(_("пароль для API"), secret=True)
    base_url: str = setting(_("адрес API"), default="https://api.cloudpayments.ru")
    vat_22: int = setting(_("число ставки НДС 22 % в чеке"), default=22)
    vat_122: int = setting(_("число ставки НДС 22/122 в чеке"), default=122)
    sbp: bool = setting(
        _("СБП подключена"),
        default=True,
        help_text=_("Есть ли СБП в договоре со шлюзом: без неё клиенту она не предлагается"),
    )


class CloudPayments(CloudPaymentsReceipts, Gateway):
    """One terminal. Notifications are signed, and still only a reason to ask."""

    title = _("CloudPayments")
    Config = Settings
    decline_classes = DECLINES
    retry_rules = RULES
    instruments = frozenset({Instrument.BANK_CARD, Instrument.SBP})
    holds = frozenset({Instrument.BANK_CARD})
    key_kept = timedelta(minutes=50)
    lists_refunds = False
    signed_by = ("content-hmac", "x-content-hmac", "content-type")

    def check(self) -> str:
        """Asks its method for exactly this."""
        answer = self._call("test", {})
        if not answer.get("Success"):
            raise ConnectorError(str(answer.get("Message")), code="invalid_credentials")
        return str(_("Терминал %s отвечает")) % self.config.public_id

    def create_payment(self, request: PaymentRequest) -> GatewayPayment:
        if request.instrument == Instrument.SBP:
            return self._sbp_page(request)
        body = {
            **_body(request),
            **self.inside(request.receipt),
            # Asked for by name: the token that it is saved under can be charged with this name only.
            "AccountId": str(request.key),
            "RequireConfirmation": request.two_stage,
            "SuccessRedirectUrl": request.return_url,
            "FailRedirectUrl": request.return_url,
        }
        order = self._model(self._call("orders/create", body, key=str(request.key)))
        return GatewayPayment(
            gateway_id=str(order["Id"]),
            status=Status.PENDING,
            amount=request.amount,
            reference=str(request.reference),
            key=str(request.key),
            partner_id=str(request.partner_id),
            confirmation_url=str(order.get("Url") or ""),
        )

    def _sbp_page(self, request: PaymentRequest) -> GatewayPayment:
        """The address behind a QR. Its transaction is there at once, and waits."""
        body = {
            **_body(request),
            **self.inside(request.receipt),
            "PublicId": self.config.public_id,
            "AccountId": str(request.key),
            "Scheme": "charge",
            "SaveCard": request.save_method,
            "SuccessRedirectUrl": request.return_url,
        }
        made = self._model(self._call("payments/qr/sbp/link", body, key=str(request.key)))
        waits = self._waits(replace(request, gateway_id=str(made["TransactionId"])))
        return replace(waits, confirmation_url=str(made["QrUrl"]), instrument=Instrument.SBP)

    def charge(self, request: PaymentRequest) -> GatewayPayment:
        account, _slash, token = request.method_token.partition("/")
        body = {
            **_body(request),
            **self.inside(request.receipt),
            "AccountId": account,
            "Token": token,
            "TrInitiatorCode": 0,
            "PaymentScheduled": 1,
        }
        verb = "auth" if request.two_stage else "charge"
        answer = self._call(f"payments/tokens/{verb}", body, key=str(request.key))
        return self._seen(request, self._model(answer))

    def fetch(self, reference: PaymentRequest, /) -> GatewayPayment:
        """What became of an invoice; one that nobody knows is asked for again, under its key."""
        found = self._found(reference)
        if reference.instrument == Instrument.SBP and not reference.method_token:
            known = found is not None and (
                reference.gateway_id or found["Status"] in {"Completed", "Declined"}
            )
            return self._seen(reference, found) if known and found else self.create_payment(reference)
        if found is not None and (reference.method_token or found["Status"] in {"Completed", "Authorized"}):
            return self._seen(reference, found)
        if reference.method_token:
            return self.charge(reference)
        if not reference.gateway_id:
            return self.create_payment(reference)
        if found is not None and found["Status"] in {"Declined", "Cancelled"}:
            # Its page would let the customer try another card after we have said that nothing came of it.
            self._call("orders/cancel", {"Id": reference.gateway_id})
            return self._seen(reference, self._found(reference) or found)
        return self._waits(reference)

    def give_up(self, request: PaymentRequest) -> GatewayPayment:
        """The order is cancelled; what came before that counts. A QR is not: what comes by it later goes back."""
        if request.instrument == Instrument.SBP:
            seen = self.fetch(request)
            return seen if seen.status != Status.PENDING else nobody_paid(request)
        self._call("orders/cancel", {"Id": request.gateway_id})
        found = self._found(request)
        return self._seen(request, found) if found is not None else nobody_paid(request)

    def capture(self, request: PaymentRequest, amount: Money) -> GatewayPayment:
        body = {"Amount": _number(amount), **self.inside(request.receipt)}
        return self._second_stage(request, "confirm", body)

    def release(self, request: PaymentRequest) -> GatewayPayment:
        return self._second_stage(request, "void", {})

    def _second_stage(self, request: PaymentRequest, verb: str, body: Mapping[str, Any]) -> GatewayPayment:
        """Of the transaction that holds the money of the invoice; asked again, it is known by its key."""
        number = int(self._model({"Model": self._found(request)})["TransactionId"])
        key = str(uuid5(request.key, verb))
        answer = self._call(f"payments/{verb}", {"TransactionId": number, **body}, key=key)
        if not answer.get("Success"):
            raise _refused(answer)
        return self._seen(request, self._model({"Model": self._found(request)}))

    def find(self, request: PaymentRequest, *, since: datetime | None) -> GatewayPayment | None:
        found = self._found(request)
        return None if found is None else self._seen(request, found)

    def refund(self, request: RefundRequest) -> GatewayRefund:
        """Money back, of the transaction that paid the invoice; through SBP the payer's bank decides later."""
        paid = self._model(self._call("v2/payments/find", {"InvoiceId": str(request.reference)}))
        body = {
            "TransactionId": int(paid["TransactionId"]),
            "Amount": _number(request.amount),
            **self.inside(request.receipt, refund=str(request.key)),
        }
        answer = self._call("payments/refund", body, key=str(request.key))
        if not answer.get("Success"):
            raise _refused(answer)
        is_sbp = request.instrument == Instrument.SBP or paid.get("PaymentMethod") == SBP
        return GatewayRefund(
            gateway_id=str(self._model(answer)["TransactionId"]),
            payment_gateway_id=request.payment_gateway_id,
            status=Status.PENDING if is_sbp else Status.SUCCEEDED,
            amount=request.amount,
            key=str(request.key),
        )

    def fetch_refund(self, request: RefundRequest) -> GatewayRefund:
        """What became of its transaction: it is one like those that pay."""
        found = self._model(self._call("payments/get", {"TransactionId": int(request.gateway_id)}))
        try:
            status = STATUSES[found["Status"]]
            amount = Decimal(str(found["Amount"])).quantize(Decimal("0.01"))
        except (KeyError, InvalidOperation) as error:
            raise ConnectorError(_("Непонятный ответ: %r") % error, unknown=True) from error
        return GatewayRefund(
            gateway_id=request.gateway_id,
            payment_gateway_id=request.payment_gateway_id,
            status=Status.PENDING if status == Status.AUTHORIZED else status,
            amount=Money(amount, str(found.get("Currency") or request.amount.currency)),
            key=str(request.key),
            reason=str(found.get("ReasonCode") or "")[:60] if status == Status.CANCELED else "",
        )

    def refunds_of(self, payment_gateway_id: str) -> list[GatewayRefund]:
        """None: it tells how much of a payment went back, and not by which refunds."""
        return []

    @classmethod
    def acknowledge(cls, message: Inbound) -> tuple[str, str]:
        return '{"code":0}', "application/json"

    def register(self, since: datetime, until: datetime) -> list[RegisterEntry]:
        return cloudpayments_list.entries(self._call, since, until)

    def receive(self, message: Inbound) -> Received:
        """Whom a notification is about. Raises ForgedMessage unless the terminal's secret has signed it."""
        self._check_signature(message)
        try:
            notice = _fields(message)
        except ValueError as error:
            raise ForgedMessage(_("Не похоже на уведомление CloudPayments: %r") % error) from error
        number = str(notice.get("InvoiceId") or "")
        known = number.isascii() and number.isdigit() and len(number) < 19
        if cloudpayments_receipts.is_about_receipt(notice):
            return self._of_receipt(notice, int(number) if known else None)
        is_refund = "PaymentTransactionId" in notice
        return Received(
            reference=int(number) if known else None,
            gateway_id=str(notice.get("PaymentTransactionId") or notice.get("TransactionId") or "")[:100],
            type=f"{'refund' if is_refund else 'payment'}.{str(notice.get('Status', '')).lower()}"[:60],
        )

    def _of_receipt(self, notice: Mapping[str, Any], reference: int | None) -> Received:
        try:
            data = cloudpayments_receipts.told(notice)
        except (KeyError, InvalidOperation, ValueError) as error:
            raise ForgedMessage(_("Не похоже на уведомление о чеке: %r") % error) from error
        return Received(reference=reference, type="receipt.told", data=data)

    def _check_signature(self, message: Inbound) -> None:
        secret = self.config.api_secret.encode()
        given = message.headers.get("content-hmac", ""), message.headers.get("x-content-hmac", "")
        decoded = unquote_plus(message.body.decode("utf-8", "replace")).encode()
        for signature, body in zip(given, (message.body, decoded), strict=True):
            ours = base64.b64encode(hmac.digest(secret, body, hashlib.sha256)).decode()
            if signature and hmac.compare_digest(signature.encode(), ours.encode()):
                return
        raise ForgedMessage(_("Уведомление подписано не этим терминалом"))

    # -- calls ---------------------------------------------------------------------------------------

    def _found(self, request: PaymentRequest) -> dict[str, Any] | None:
        answer = self._call("v2/payments/find", {"InvoiceId": str(request.reference)})
        found: dict[str, Any] | None = answer.get("Model")
        return found

    def _waits(self, request: PaymentRequest) -> GatewayPayment:
        return GatewayPayment(
            gateway_id=request.gateway_id,
            status=Status.PENDING,
            amount=request.amount,
            reference=str(request.reference),
            key=str(request.key),
            partner_id=str(request.partner_id),
        )

    def _seen(self, request: PaymentRequest, found: Mapping[str, Any]) -> GatewayPayment:
        """A transaction in our words. Its invoice is our reference, which says whose it is."""
        try:
            status = STATUSES[found["Status"]]
            amount = Decimal(str(found["Amount"])).quantize(Decimal("0.01"))
            invoice, number = str(found["InvoiceId"]), str(found["TransactionId"])
        except (KeyError, InvalidOperation) as error:
            raise ConnectorError(_("Непонятный ответ: %r") % error, unknown=True) from error
        is_ours = invoice == str(request.reference)
        token, last = str(found.get("Token") or ""), str(found.get("CardLastFour") or "")
        saves = request.save_method and token and status in {Status.SUCCEEDED, Status.AUTHORIZED}
        is_sbp = found.get("PaymentMethod") == SBP
        card = f"{found.get('CardFirstSix')}/{last}/{found.get('CardExpDate')}" if last else ""
        return GatewayPayment(
            # A page's payment keeps the number of its order, by which it was made known.
            gateway_id=request.gateway_id or number,
            status=status,
            amount=Money(amount, str(found.get("Currency") or request.amount.currency)),
            reference=invoice,
            key=str(request.key) if is_ours else "",
            partner_id=str(request.partner_id) if is_ours else "",
            reason=str(found.get("ReasonCode") or "")[:60] if status == Status.CANCELED else "",
            method_token=f"{found.get('AccountId')}/{token}" if saves else "",
            method_title=f"•• {last}" if last else str(_("СБП")) if is_sbp else "",
            method_fingerprint=card if saves else "",
            instrument=Instrument.SBP if is_sbp else Instrument.BANK_CARD if last else "",
            fee=Decimal(str(found.get("TotalFee") or 0)).quantize(Decimal("0.01")),
        )

    def _model(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        model = answer.get("Model")
        if not isinstance(model, dict):
            raise _refused(answer)
        return model

    def _call(self, path: str, body: Mapping[str, Any], *, key: str = "") -> dict[str, Any]:
        answer = http.request(
            self.connection,
            "POST",
            f"{self.config.base_url.rstrip('/')}/{path}",
            json=dict(body),
            headers={"X-Request-ID": key} if key else None,
            auth=(self.config.public_id, self.config.api_secret),
            timeout=TIMEOUT_SECONDS,
        )
        if answer.status_code == 401:
            raise ConnectorError("HTTP 401", code="invalid_credentials")
        try:
            content = json.loads(answer.content, parse_float=Decimal)
        except ValueError:
            content = None
        if answer.status_code != 200 or not isinstance(content, dict):
            raise ConnectorError(f"HTTP {answer.status_code}", unknown=True)
        return content


def _body(request: PaymentRequest) -> dict[str, Any]:
    return {
        "Amount": _number(request.amount),
        "Currency": request.amount.currency,
        "InvoiceId": str(request.reference),
        "Description": request.description,
    }


def _number(money: Money) -> float:
    # Two digits after the point come through a float unharmed up to 14 digits in all.
    return float(money.amount)


def _fields(message: Inbound) -> dict[str, Any]:
    if "json" in message.headers.get("content-type", ""):
        found = json.loads(message.body, parse_float=Decimal)
        if not isinstance(found, dict):
            raise ValueError("no object")
        return found
    return dict(parse_qsl(message.body.decode("utf-8"), keep_blank_values=True, strict_parsing=True))


def _refused(answer: Mapping[str, Any]) -> ConnectorError:
    return ConnectorError(str(answer.get("Message") or _("Отказ без объяснения")))
