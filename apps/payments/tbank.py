"""T-Bank (T-Kassa), API v2: kopecks, one OrderId per payment, everything signed by SHA-256 over its root fields.

It keeps no idempotence keys. What stands in for them: OrderId is the number of our reference and is found again by
CheckOrder; Init takes no money; Charge takes it once, of one PaymentId; Cancel knows our ExternalRequestId, except of
what was paid through SBP: such a refund is never asked for twice, GetQrState tells what became of it.
"""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from apps.connectors import http
from apps.connectors.base import ConnectorError, ForgedMessage, Inbound, Received, setting
from apps.connectors.models import GatewayReference
from apps.core.money import Money
from apps.payments import registers, tbank_receipts
from apps.payments.gateway import (
    Gateway,
    GatewayPayment,
    GatewayRefund,
    Instrument,
    PaymentRequest,
    RefundRequest,
    Status,
    nobody_paid,
)
from apps.payments.tbank_links import Bindings, Sbp, card_of, refunded
from apps.payments.tbank_receipts import TBankReceipts
from apps.payments.tbank_words import (
    BAD_KEYS,
    DECLINES,
    GOES_BACK,
    LOST,
    NEVER_BY_THIS,
    ORDER_NOT_FOUND,
    PAID,
    REFUNDS,
    TAKEN,
    body_of,
    kopecks,
    reason_of,
    refusal,
    said,
    sign,
    status_of,
)

TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True)
class Settings:
    """A terminal at T-Bank; one whose key ends in DEMO takes no real money."""

    terminal_key: str = setting(_("терминал (TerminalKey)"))
    password: str = setting(_("пароль терминала"), secret=True)
    base_url: str = setting(_("адрес API"), default="https://securepay.tinkoff.ru/v2")
    ffd: str = setting(_("формат чеков (ФФД): 1.05 или 1.2"), default="1.05")
    vat_22: str = setting(_("название ставки НДС 22 % в чеке"), default="vat22")
    vat_122: str = setting(_("название ставки НДС 22/122 в чеке"), default="vat122")
    binds_free: bool = setting(
        _("привязывать без платежа"),
        default=False,
        help_text=_(
            "Картой — AddCard, счётом СБП — AddAccountQr. Без этого привязывается рублём, он вернётся"
        ),
    )
    sbp: bool = setting(
        _("СБП подключена"),
        default=True,
        help_text=_("Есть ли СБП в договоре со шлюзом: без неё клиенту она не предлагается"),
    )


class TBank(TBankReceipts, Gateway):
    """One terminal. Notifications are signed, and still only a reason to ask for the order."""

    title = _("Т-Банк")
    Config = Settings
    decline_classes = DECLINES
    instruments = frozenset({Instrument.BANK_CARD, Instrument.SBP})
    holds = frozenset({Instrument.BANK_CARD})
    unbinds = frozenset({Instrument.BANK_CARD})
    # An order is one, and a refund is known by its key, for good.
    key_kept = timedelta(days=365)
    lists_refunds = False
    tells_fee = False
    register_is_file = True
    register_dialect = registers.TBANK

    def check(self) -> str:
        """Asks for an order that is not there: a wrong terminal or password is told before that."""
        answer = self._call("CheckOrder", {"OrderId": "0"})
        if answer.get("ErrorCode") not in {"0", ORDER_NOT_FOUND} and not answer.get("Payments"):
            raise refusal(answer)
        return str(_("Терминал %s отвечает")) % self.config.terminal_key

    def create_payment(self, request: PaymentRequest) -> GatewayPayment:
        started = self._init(request)
        if request.instrument != Instrument.SBP:
            return self._seen(request, started)
        try:
            return self.sbp.page(request, started)
        except ConnectorError as error:
            # The order is there already, as below.
            raise ConnectorError(str(error), unknown=True, code=error.code) from error

    def charge(self, request: PaymentRequest) -> GatewayPayment:
        started = self._init(request)
        try:
            return self._charge(request, str(started["PaymentId"]))
        except ConnectorError as error:
            # The order is there already: made again it would be refused, so it is looked for.
            raise ConnectorError(str(error), unknown=True, code=error.code) from error

    def fetch(self, reference: PaymentRequest, /) -> GatewayPayment:
        """The payment of an order; one that never came is made, one that was not charged yet is charged."""
        if reference.only_binds:
            return self.bindings.fetch(reference)
        found = self._of_order(reference)
        if found is None:
            return self.charge(reference) if reference.method_token else self.create_payment(reference)
        if found["Status"] != "NEW" or reference.gateway_id:
            return self._seen(reference, found)
        if reference.method_token:
            return self._charge(reference, str(found["PaymentId"]))
        if reference.instrument == Instrument.SBP:
            return self.sbp.page(reference, found)
        return self._call_off(reference, found)

    def binds(self, instrument: str) -> bool:
        return self.config.binds_free and instrument in self.instruments

    def bind(self, request: PaymentRequest) -> GatewayPayment:
        return self.bindings.begin(request)

    def unbind(self, key: UUID) -> None:
        self.bindings.remove(key)

    def give_up(self, request: PaymentRequest) -> GatewayPayment:
        """Payments end by themselves; of a page that saves a method nobody ends anything, and nothing is taken."""
        seen = self.fetch(request)
        ended = request.only_binds and seen.status == Status.PENDING
        return nobody_paid(request) if ended else seen

    def capture(self, request: PaymentRequest, amount: Money) -> GatewayPayment:
        body: dict[str, Any] = {"Amount": kopecks(amount)}
        if request.receipt:
            body["Receipt"] = self.receipt_of(request.receipt)
        return self._second_stage(request, "Confirm", body)

    def release(self, request: PaymentRequest) -> GatewayPayment:
        return self._second_stage(request, "Cancel", {})

    def _second_stage(self, request: PaymentRequest, method: str, body: Mapping[str, Any]) -> GatewayPayment:
        answer = self._call(method, {"PaymentId": request.gateway_id, **body})
        if answer.get("ErrorCode") in BAD_KEYS:
            raise refusal(answer)
        # Whatever it says of this call: done now, or done before, stands in the order.
        found = self._of_order(request)
        if found is None or found["Status"] == "AUTHORIZED":
            raise refusal(answer)
        return self._seen(request, found)

    def find(self, request: PaymentRequest, *, since: datetime | None) -> GatewayPayment | None:
        """Makes none: an order that nobody paid and that is not wanted any more is called off."""
        if request.only_binds:
            return None
        found = self._of_order(request)
        if found is None:
            return None
        return self._call_off(request, found) if found["Status"] == "NEW" else self._seen(request, found)

    def refund(self, request: RefundRequest) -> GatewayRefund:
        """Money back. By a card, asked again with the same key, it is the same refund; through SBP another one."""
        body: dict[str, Any] = {
            "PaymentId": request.payment_gateway_id,
            "Amount": kopecks(request.amount),
            "ExternalRequestId": str(request.key),
        }
        if request.receipt:
            body["Receipt"] = self.receipt_of(request.receipt)
        answer = self._call("Cancel", body)
        status = str(answer.get("Status", ""))
        if not answer.get("Success") or status not in PAID:
            raise refusal(answer)
        if status == TAKEN:
            # It has taken the request, and the money is still with us.
            raise ConnectorError(said(answer), unknown=True)
        return refunded(request, Status.PENDING if status in GOES_BACK else Status.SUCCEEDED)

    def repeats(self, request: RefundRequest) -> bool:
        return not self._is_sbp(request)

    def fetch_refund(self, request: RefundRequest) -> GatewayRefund:
        """By a card, asked for again; through SBP by what became of the last one of the payment."""
        if not self._is_sbp(request):
            return self.refund(request)
        return self.sbp.last_refund(request) or refunded(request, Status.PENDING)

    def find_refund(self, request: RefundRequest) -> GatewayRefund | None:
        return self.sbp.last_refund(request) if request.is_only and self._is_sbp(request) else None

    def _is_sbp(self, request: RefundRequest) -> bool:
        """Whether it goes back through SBP: the page that offers all there is may have been paid so, too."""
        if request.instrument == Instrument.SBP:
            return True
        told = self._call("CheckOrder", {"OrderId": str(request.reference)}).get("Payments") or []
        mine = [one for one in told if str(one.get("PaymentId")) == request.payment_gateway_id]
        return any(one.get("SbpPaymentId") or one.get("Status") == "ASYNC_REFUNDING" for one in mine)

    def refunds_of(self, payment_gateway_id: str) -> list[GatewayRefund]:
        """None: T-Bank tells how much is left of a payment, and not by which refunds."""
        return []

    def receive(self, message: Inbound) -> Received:
        """Whom a notification is about. Raises ForgedMessage unless the terminal's password has signed it."""
        try:
            notice = json.loads(message.body, parse_float=Decimal)
            signed = hmac.compare_digest(str(notice["Token"]), sign(notice, self.config.password))
            is_ours = signed and notice["TerminalKey"] == self.config.terminal_key
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ForgedMessage(_("Не похоже на уведомление Т-Банка: %r") % error) from error
        if not is_ours:
            raise ForgedMessage(_("Уведомление подписано не этим терминалом"))
        if "RequestKey" in notice and "OrderId" not in notice:
            return self._of_binding(notice)
        number, status = str(notice.get("OrderId", "")), str(notice.get("Status", ""))
        known = number.isascii() and number.isdigit() and len(number) < 19
        if status == tbank_receipts.TOLD:
            return self._of_receipt(notice, int(number) if known else None)
        return Received(
            reference=int(number) if known else None,
            gateway_id=str(notice.get("PaymentId", ""))[:100],
            type=f"{'refund' if status in REFUNDS else 'payment'}.{status.lower()}"[:60],
            concerns_nobody="OrderId" not in notice,
        )

    def _of_receipt(self, notice: Mapping[str, Any], reference: int | None) -> Received:
        try:
            data = tbank_receipts.told(notice)
        except (ValueError, KeyError, TypeError, ArithmeticError) as error:
            raise ForgedMessage(_("Не похоже на уведомление о чеке: %r") % error) from error
        return Received(reference=reference, type="receipt.told", data=data)

    def _of_binding(self, notice: Mapping[str, Any]) -> Received:
        """A card or an account was linked: ours to ask about where it was linked without a payment."""
        key = str(notice["RequestKey"])[:100]
        ours = GatewayReference.objects.filter(connection=self.connection, gateway_id=key)
        return Received(
            gateway_id=key,
            type=f"binding.{str(notice.get('Status', '')).lower()}"[:60],
            concerns_nobody=not ours.exists(),
        )

    @property
    def sbp(self) -> Sbp:
        """Its calls about SBP."""
        return Sbp(self._call, self._seen)

    @property
    def bindings(self) -> Bindings:
        """Its calls about methods saved without a payment."""
        return Bindings(self._call)

    # -- calls ---------------------------------------------------------------------------------------

    def _init(self, request: PaymentRequest) -> dict[str, Any]:
        body = body_of(request)
        if request.receipt:
            body["Receipt"] = self.receipt_of(request.receipt)
        answer = self._call("Init", body)
        if not answer.get("Success"):
            raise refusal(answer)
        return answer

    def _charge(self, request: PaymentRequest, payment_id: str) -> GatewayPayment:
        if request.instrument == Instrument.SBP:
            answer = self._call("ChargeQr", {"PaymentId": payment_id, "AccountToken": request.method_token})
        else:
            answer = self._call("Charge", {"PaymentId": payment_id, "RebillId": request.method_token})
        if answer.get("Success") or answer.get("Status") in LOST:
            return self._seen(request, answer)
        if answer.get("ErrorCode") in BAD_KEYS:
            raise refusal(answer)
        # It says that it did not do this: whether it had done it before stands in the order.
        found = self._of_order(request)
        code = str(answer.get("ErrorCode", ""))
        if found is not None and found["Status"] == "NEW" and code in NEVER_BY_THIS:
            return replace(self._call_off(request, found), reason=code)
        if found is None or found["Status"] == "NEW":
            raise ConnectorError(said(answer), unknown=True, code=code)
        return self._seen(request, found)

    def _of_order(self, request: PaymentRequest) -> dict[str, Any] | None:
        answer = self._call("CheckOrder", {"OrderId": str(request.reference)})
        payments = answer.get("Payments") or []
        if not payments:
            if answer.get("Success") or answer.get("ErrorCode") == ORDER_NOT_FOUND:
                return None
            raise refusal(answer)
        known = [one for one in payments if request.gateway_id in ("", str(one.get("PaymentId")))]
        paid = [one for one in known if one.get("Status") in PAID]
        found: dict[str, Any] = (paid or known or payments)[-1]
        return {**found, "OrderId": answer["OrderId"]}

    def _call_off(self, request: PaymentRequest, found: Mapping[str, Any]) -> GatewayPayment:
        """Nobody has its page, or nobody wants it charged: it is ended, so that nothing can come of it later."""
        answer = self._call("Cancel", {"PaymentId": str(found["PaymentId"])})
        again = self._of_order(request)
        if again is None or again["Status"] == "NEW":
            raise ConnectorError(said(answer), unknown=True)
        return self._seen(request, again)

    def _seen(self, request: PaymentRequest, found: Mapping[str, Any]) -> GatewayPayment:
        """A payment in our words. Its order is our reference, which says whose it is."""
        try:
            status, payment_id = str(found["Status"]), str(found["PaymentId"])
            amount = Decimal(str(found["Amount"])) / 100
            is_ours = str(found["OrderId"]) == str(request.reference)
        except (KeyError, InvalidOperation) as error:
            raise ConnectorError(_("Непонятный ответ: %r") % error, unknown=True) from error
        if request.instrument == Instrument.SBP:
            card: Mapping[str, Any] = {}
        else:
            card = self._card(request) if status in PAID | {"AUTHORIZED"} and request.save_method else {}
        seen = GatewayPayment(
            gateway_id=payment_id,
            status=status_of(status),
            # It names no currency: whatever we have asked for, its kopecks are of roubles.
            amount=Money(amount.quantize(Decimal("0.01"))),
            reference=str(found["OrderId"]),
            key=str(request.key) if is_ours else "",
            partner_id=str(request.partner_id) if is_ours else "",
            reason=reason_of(found) if status in LOST else "",
            confirmation_url=str(found.get("PaymentURL") or ""),
            method_token=str(card.get("RebillId") or ""),
            method_title=f"•• {str(card.get('Pan', ''))[-4:]}" if card else "",
            method_fingerprint=f"{card.get('Pan', '')}/{card.get('ExpDate', '')}" if card else "",
            instrument=Instrument.SBP
            if found.get("SbpPaymentId")
            else request.instrument or Instrument.BANK_CARD,
            link_key=request.link_key,
        )
        wants_account = request.instrument == Instrument.SBP and request.save_method and request.link_key
        return self.sbp.with_account(request, seen) if wants_account and status in PAID else seen

    def _card(self, request: PaymentRequest) -> dict[str, Any]:
        """The card that this payment has saved: the only one of its CustomerKey."""
        return card_of(self._call, request)

    def _address(self, method: str) -> str:
        """Its methods lie under the address of the API; those that begin with a slash beside it."""
        base = self.config.base_url.rstrip("/")
        return base.removesuffix("/v2") + method if method.startswith("/") else f"{base}/{method}"

    def _call(self, method: str, body: Mapping[str, Any]) -> dict[str, Any]:
        asked = {"TerminalKey": self.config.terminal_key, **body}
        answer = http.request(
            self.connection,
            "POST",
            self._address(method),
            json={**asked, "Token": sign(asked, self.config.password)},
            timeout=TIMEOUT_SECONDS,
        )
        try:
            content = json.loads(answer.content, parse_float=Decimal)
        except ValueError:
            content = None
        if isinstance(content, list):
            return {"Success": True, "items": content}
        if answer.status_code != 200 or not isinstance(content, dict):
            raise ConnectorError(f"HTTP {answer.status_code}", unknown=True)
        return content
