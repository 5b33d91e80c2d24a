"""Robokassa: a signed link instead of a call, one InvId per payment, what became of it told by OpStateExt.

There is no idempotence key, and none is needed: a page is a link, and a second charge under the same InvId is refused.
Only a refund whose answer was lost cannot be found again; a person looks at it.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl, urlencode
from xml.etree import ElementTree

from django.utils.translation import gettext_lazy as _

from apps.connectors import http
from apps.connectors.base import ConnectorError, ForgedMessage, Inbound, Received, setting
from apps.core.money import Money
from apps.payments import registers
from apps.payments.gateway import (
    Gateway,
    GatewayPayment,
    GatewayRefund,
    PaymentRequest,
    RefundRequest,
    Status,
    nobody_paid,
)
from apps.payments.robokassa_receipts import RobokassaReceipts

TIMEOUT_SECONDS = 20.0
STATES = {
    "5": Status.PENDING,
    "10": Status.CANCELED,
    "20": Status.PENDING,
    "50": Status.PENDING,
    "60": Status.CANCELED,
    "80": Status.PENDING,
    "100": Status.SUCCEEDED,
}
"""`State/Code` of OpStateExt (reference/payments.md, 1.4)."""
NOT_FOUND, BAD_SIGNATURE = "3", {"1", "2"}
"""`Result/Code`: no such operation; a wrong signature or a wrong shop."""
REFUND_STATES = {
    "finished": Status.SUCCEEDED,
    "processing": Status.PENDING,
    "canceled": Status.CANCELED,
}
HASHES = ("md5", "sha256", "sha512")


@dataclass(frozen=True)
class Settings:
    """A shop at Robokassa; a test one has passwords of its own."""

    login: str = setting(_("магазин (MerchantLogin)"))
    password_1: str = setting(_("пароль № 1"), secret=True)
    password_2: str = setting(_("пароль № 2"), secret=True)
    password_3: str = setting(_("пароль № 3, для возвратов"), secret=True, default="")
    hash: str = setting(_("алгоритм подписи: md5, sha256 или sha512"), default="md5")
    is_test: bool = setting(_("тестовые платежи (IsTest)"), default=False)
    base_url: str = setting(_("адрес приёма платежей"), default="https://auth.robokassa.ru")
    services_url: str = setting(_("адрес возвратов"), default="https://services.robokassa.ru")
    fiscal_url: str = setting(_("адрес чеков (RoboFiscal)"), default="https://ws.roboxchange.com")
    vat_22: str = setting(_("название ставки НДС 22 % в чеке"), default="vat22")
    vat_122: str = setting(_("название ставки НДС 22/122 в чеке"), default="vat122")


class Robokassa(RobokassaReceipts, Gateway):
    """One shop. Notifications are signed, and still only a reason to ask."""

    title = _("Robokassa")
    Config = Settings
    key_kept = timedelta(days=365)
    lists_refunds = False
    repeats_refunds = False
    tells_fee = False
    register_is_file = True
    register_dialect = registers.ROBOKASSA

    def check(self) -> str:
        """Asks for an operation that is not there: a wrong password is told before that."""
        self._operation("0")
        return str(_("Магазин %s отвечает")) % self.config.login

    def create_payment(self, request: PaymentRequest) -> GatewayPayment:
        """A link; nothing is known of it there before the customer opens it."""
        fields = {
            "MerchantLogin": self.config.login,
            "OutSum": f"{request.amount.amount:.2f}",
            "InvId": str(request.reference),
            "Description": request.description[:100],
            "Culture": "ru",
        }
        signed = [self.config.login, fields["OutSum"], fields["InvId"]]
        if receipt := self.signed_receipt(request.receipt):
            fields |= {"Receipt": receipt, **self.email_of(request.receipt)}
            signed.append(receipt)
        if request.return_url:
            # Signed in this order where they are sent; both methods with them.
            fields |= {
                "SuccessUrl2": request.return_url,
                "SuccessUrl2Method": "GET",
                "FailUrl2": request.return_url,
                "FailUrl2Method": "GET",
            }
            signed += [request.return_url, "GET", request.return_url, "GET"]
        if request.save_method:
            fields["Recurring"] = "true"
        if self.config.is_test:
            fields["IsTest"] = "1"
        fields["SignatureValue"] = self._sign(*signed, self.config.password_1)
        address = f"{self.config.base_url.rstrip('/')}/Merchant/Index.aspx?{urlencode(fields)}"
        return self._waits(request, address)

    def charge(self, request: PaymentRequest) -> GatewayPayment:
        """By the first payment's InvId. «OK» only means that it has begun."""
        number, amount = str(request.reference), f"{request.amount.amount:.2f}"
        signed = [self.config.login, amount, number]
        receipt = self.signed_receipt(request.receipt)
        if receipt:
            signed.append(receipt)
        form = {
            "MerchantLogin": self.config.login,
            "InvoiceID": number,
            "PreviousInvoiceID": request.method_token,
            "OutSum": amount,
            "Description": request.description[:100],
            "SignatureValue": self._sign(*signed, self.config.password_1),
            **({"Receipt": receipt, **self.email_of(request.receipt)} if receipt else {}),
        }
        answer = self._call("POST", f"{self.config.base_url.rstrip('/')}/Merchant/Recurring", data=form)
        if answer.strip() == f"OK{number}":
            return self._waits(request)
        found = self._operation(number)
        if found is None:
            raise ConnectorError(answer[:200], code="refused")
        return self._seen(request, found)

    def fetch(self, reference: PaymentRequest, /) -> GatewayPayment:
        found = self._operation(str(reference.reference))
        if found is not None:
            return self._seen(reference, found)
        return self.charge(reference) if reference.method_token else self.create_payment(reference)

    def give_up(self, request: PaymentRequest) -> GatewayPayment:
        """A link works for ever: what comes by it later goes back by itself."""
        seen = self.fetch(request)
        return seen if seen.status != Status.PENDING else nobody_paid(request)

    def find(self, request: PaymentRequest, *, since: datetime | None) -> GatewayPayment | None:
        found = self._operation(str(request.reference))
        return None if found is None else self._seen(request, found)

    def refund(self, request: RefundRequest) -> GatewayRefund:
        found = self._operation(str(request.reference))
        if found is None:
            raise ConnectorError(str(_("Платёж не найден")), code="not_found")
        claim = {"OpKey": found["op_key"], "RefundSum": float(request.amount.amount)}
        claim |= self.refunded(request.receipt)
        address = f"{self.config.services_url.rstrip('/')}/RefundService/Refund/Create"
        answer = self._json(self._call("POST", address, json=jwt(claim, self.config.password_3)))
        if not answer.get("success"):
            raise ConnectorError(str(answer.get("message") or _("Отказ без объяснения")))
        return self._refund(request, str(answer["requestId"]), Status.PENDING)

    def fetch_refund(self, request: RefundRequest) -> GatewayRefund:
        address = f"{self.config.services_url.rstrip('/')}/RefundService/Refund/GetState"
        answer = self._json(self._call("GET", address, params={"id": request.gateway_id}))
        status = REFUND_STATES.get(str(answer.get("label")), Status.PENDING)
        return self._refund(request, request.gateway_id, status)

    def refunds_of(self, payment_gateway_id: str) -> list[GatewayRefund]:
        """None: it tells of a refund by its own number only."""
        return []

    @classmethod
    def acknowledge(cls, message: Inbound) -> tuple[str, str]:
        return f"OK{_fields(message).get('InvId', '')[:20]}", "text/plain"

    def receive(self, message: Inbound) -> Received:
        """Whom a ResultURL is about. Raises ForgedMessage unless password № 2 has signed it."""
        notice = _fields(message)
        shop = sorted(f"{name}={value}" for name, value in notice.items() if name.startswith("Shp_"))
        number = notice.get("InvId", "")
        # The sum as it came: «100.000000» is signed like that.
        ours = self._sign(notice.get("OutSum", ""), number, self.config.password_2, *shop)
        given = notice.get("SignatureValue", "")
        if not number or not hmac.compare_digest(given.lower().encode(), ours.encode()):
            raise ForgedMessage(_("Уведомление подписано не этим магазином"))
        known = number.isascii() and number.isdigit() and len(number) < 19
        return Received(
            reference=int(number) if known else None, gateway_id=number[:100], type="payment.paid"
        )

    # -- calls ---------------------------------------------------------------------------------------

    def _operation(self, number: str) -> dict[str, str] | None:
        params = {
            "MerchantLogin": self.config.login,
            "InvoiceID": number,
            "Signature": self._sign(self.config.login, number, self.config.password_2),
        }
        address = f"{self.config.base_url.rstrip('/')}/Merchant/WebService/Service.asmx/OpStateExt"
        answer = self._call("GET", address, params=params)
        if "<!" in answer:
            # No answer of theirs declares anything; an entity that is declared may grow without end.
            raise ConnectorError(_("Непонятный ответ: %r") % answer[:100], retry=True)
        try:
            root = ElementTree.fromstring(answer)
        except ElementTree.ParseError as error:
            raise ConnectorError(_("Непонятный ответ: %r") % error, retry=True) from error
        told = {one.tag.rpartition("}")[2]: one for one in root}
        result = _text(told.get("Result"), "Code")
        if result == NOT_FOUND:
            return None
        if result != "0":
            code = "invalid_credentials" if result in BAD_SIGNATURE else result
            raise ConnectorError(_text(told.get("Result"), "Description") or result, code=code)
        return {
            "number": number,
            "state": _text(told.get("State"), "Code"),
            "amount": _text(told.get("Info"), "OutSum"),
            "account": _text(told.get("Info"), "IncAccount"),
            "op_key": _text(told.get("Info"), "OpKey"),
        }

    def _seen(self, request: PaymentRequest, found: Mapping[str, str]) -> GatewayPayment:
        try:
            status, amount = STATES[found["state"]], Decimal(found["amount"]).quantize(Decimal("0.01"))
        except (KeyError, InvalidOperation) as error:
            raise ConnectorError(_("Непонятный ответ: %r") % error, unknown=True) from error
        if status == Status.PENDING and not request.method_token:
            return self.create_payment(request)
        saved = request.save_method and status == Status.SUCCEEDED
        return GatewayPayment(
            gateway_id=found["number"],
            status=status,
            # It names no currency where none was asked for: its sums are in roubles.
            amount=Money(amount),
            reference=found["number"],
            key=str(request.key),
            partner_id=str(request.partner_id),
            reason=f"state_{found['state']}" if status == Status.CANCELED else "",
            # Later charges go by the number of the payment that the customer has confirmed.
            method_token=found["number"] if saved else "",
            method_title=f"•• {found['account'][-4:]}" if found["account"] else str(_("Карта")),
        )

    def _waits(self, request: PaymentRequest, address: str = "") -> GatewayPayment:
        return GatewayPayment(
            gateway_id=str(request.reference),
            status=Status.PENDING,
            amount=request.amount,
            reference=str(request.reference),
            key=str(request.key),
            partner_id=str(request.partner_id),
            confirmation_url=address,
        )

    def _refund(self, request: RefundRequest, number: str, status: Status) -> GatewayRefund:
        return GatewayRefund(
            gateway_id=number,
            payment_gateway_id=request.payment_gateway_id,
            status=status,
            amount=request.amount,
            key=str(request.key),
        )

    def _sign(self, *parts: str) -> str:
        if self.config.hash not in HASHES:
            raise ConnectorError(str(_("Алгоритм подписи: md5, sha256 или sha512")))
        # The shop's own choice of algorithm, as its cabinet has it.
        return hashlib.new(self.config.hash, ":".join(parts).encode(), usedforsecurity=False).hexdigest()

    def _call(self, method: str, address: str, **sent: Any) -> str:
        answer = http.request(self.connection, method, address, timeout=TIMEOUT_SECONDS, **sent)
        if answer.status_code != 200:
            raise ConnectorError(
                f"HTTP {answer.status_code}", unknown=method == "POST", retry=method != "POST"
            )
        return answer.text

    def _json(self, text: str) -> dict[str, Any]:
        try:
            found = json.loads(text)
        except ValueError as error:
            raise ConnectorError(_("Непонятный ответ: %r") % error, unknown=True) from error
        if not isinstance(found, dict):
            raise ConnectorError(_("Непонятный ответ: %r") % text[:100], unknown=True)
        return found


def jwt(claim: Mapping[str, Any], secret: str) -> str:
    """A JSON Web Token, HS256 (RFC 7515): how refunds are signed."""

    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    head = part(json.dumps({"alg": "HS256", "typ": "JWT"}, separators=(",", ":")).encode())
    body = part(json.dumps(claim, separators=(",", ":")).encode())
    signature = part(hmac.digest(secret.encode(), f"{head}.{body}".encode(), hashlib.sha256))
    return f"{head}.{body}.{signature}"


def _fields(message: Inbound) -> dict[str, str]:
    body = message.body.decode("utf-8", "replace")
    return dict(parse_qsl(body, keep_blank_values=True)) or dict(message.query)


def _text(within: ElementTree.Element | None, name: str) -> str:
    for one in within if within is not None else ():
        if one.tag.rpartition("}")[2] == name:
            return (one.text or "").strip()
    return ""
