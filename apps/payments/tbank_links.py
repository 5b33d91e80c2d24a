"""T-Bank's calls about what stays linked: accounts of SBP, and cards saved without a payment."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from apps.connectors.base import ConnectorError
from apps.payments.gateway import (
    NEVER_RECEIVED,
    GatewayPayment,
    GatewayRefund,
    Instrument,
    PaymentRequest,
    RefundRequest,
    Status,
)
from apps.payments.tbank_words import GIVEN_BACK, GOES_BACK, TAKEN, kopecks

Call = Callable[[str, Mapping[str, Any]], dict[str, Any]]
Seen = Callable[[PaymentRequest, Mapping[str, Any]], GatewayPayment]
ACCOUNTS = {
    "NEW": Status.PENDING,
    "PROCESSING": Status.PENDING,
    "ACTIVE": Status.SUCCEEDED,
    "INACTIVE": Status.CANCELED,
}
CARDS = {"COMPLETED": Status.SUCCEEDED, "REJECTED": Status.CANCELED}
"""`Status` of GetAddAccountQrState and of GetAddCardState; every other one of a card is under way."""
NO_CUSTOMER = "7"
"""`ErrorCode` of a CustomerKey that it does not know: nothing is saved under it."""


def card_of(call: Call, request: PaymentRequest) -> dict[str, Any]:
    """The card saved under a CustomerKey of its own: the only one there."""
    cards = call("GetCardList", {"CustomerKey": str(request.key)}).get("items") or []
    return next((one for one in cards if one.get("Status") == "A" and one.get("RebillId")), {})


class Sbp:
    """A QR that pays, and the account that is linked by it."""

    def __init__(self, call: Call, seen: Seen) -> None:
        self._call, self._seen = call, seen

    def page(self, request: PaymentRequest, started: Mapping[str, Any]) -> GatewayPayment:
        """The address behind the QR of an order: a phone opens the bank by it, a computer shows the QR."""
        answer = _done(self._call("GetQr", {"PaymentId": int(started["PaymentId"]), "DataType": "PAYLOAD"}))
        seen = self._seen(request, started)
        key = str(answer.get("RequestKey") or "")
        return replace(seen, confirmation_url=str(answer["Data"]), link_key=key)

    def with_account(self, request: PaymentRequest, seen: GatewayPayment) -> GatewayPayment:
        """A payment that came, with the account that it linked: under way while the bank links it still."""
        linked = _account(self._call, request.link_key)
        if linked.status == Status.PENDING:
            return replace(seen, status=Status.PENDING)
        return replace(seen, method_token=linked.token, method_title=linked.title)

    def last_refund(self, request: RefundRequest) -> GatewayRefund | None:
        """What became of the last refund of a payment; None where it is another one, or none was begun."""
        answer = _done(self._call("GetQrState", {"PaymentId": request.payment_gateway_id}))
        status, code = str(answer.get("Status") or ""), str(answer.get("QrCancelCode") or "")
        amount = answer.get("Amount")
        is_it = amount is None or int(amount) == kopecks(request.amount)
        if status == TAKEN and request.is_only and request.has_landed:
            # Nothing went back of the payment, and nothing is on its way.
            reason = code or ("canceled" if request.gateway_id else NEVER_RECEIVED)
            return refunded(request, Status.CANCELED, reason=reason[:60])
        if is_it and status in GOES_BACK:
            return refunded(request, Status.PENDING)
        if is_it and code:
            # Refused by the payer's bank: the payment is again what it was.
            return refunded(request, Status.CANCELED, reason=code[:60])
        return refunded(request, Status.SUCCEEDED) if is_it and status in GIVEN_BACK else None


def refunded(request: RefundRequest, status: Status, *, reason: str = "") -> GatewayRefund:
    """A refund as T-Bank shows it: it has no number there, so that it is called by our key."""
    return GatewayRefund(
        gateway_id=str(request.key),
        payment_gateway_id=request.payment_gateway_id,
        status=status,
        amount=request.amount,
        key=str(request.key),
        reason=reason,
    )


class _Linked:
    def __init__(self, answer: Mapping[str, Any]) -> None:
        try:
            self.status = ACCOUNTS[str(answer["Status"])]
        except KeyError as error:
            raise ConnectorError(_("Непонятный ответ: %r") % error, unknown=True) from error
        is_active = self.status == Status.SUCCEEDED
        self.token = str(answer.get("AccountToken") or "") if is_active else ""
        bank = str(answer.get("BankMemberName") or "")
        self.title = f"{_('СБП')} · {bank}" if bank else str(_("СБП"))


def _account(call: Call, key: str) -> _Linked:
    return _Linked(_done(call("GetAddAccountQrState", {"RequestKey": int(key)})))


class Bindings:
    """Methods saved without a payment. A page that was lost on the way saves nothing: another one is made."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def begin(self, request: PaymentRequest) -> GatewayPayment:
        """A page on which a card, or a QR by which an account is linked."""
        if request.instrument == Instrument.SBP:
            asked = {"Description": request.description[:140], "DataType": "PAYLOAD"}
            answer, page = _done(self._call("AddAccountQr", asked)), "Data"
        else:
            owner = {"CustomerKey": str(request.key)}
            # Registered again, it is the same customer.
            self._call("AddCustomer", owner)
            answer, page = _done(self._call("AddCard", {**owner, "CheckType": "3DS"})), "PaymentURL"
        number = str(answer["RequestKey"])
        return _bound(request, number, Status.PENDING, confirmation_url=str(answer[page]))

    def fetch(self, request: PaymentRequest) -> GatewayPayment:
        """What became of it."""
        if not request.gateway_id:
            return self.begin(request)
        if request.instrument == Instrument.SBP:
            linked = _account(self._call, request.gateway_id)
            return _bound(
                request,
                request.gateway_id,
                linked.status,
                method_token=linked.token,
                method_title=linked.title,
            )
        answer = _done(self._call("GetAddCardState", {"RequestKey": request.gateway_id}))
        status = CARDS.get(str(answer.get("Status")), Status.PENDING)
        if status != Status.SUCCEEDED:
            return _bound(request, request.gateway_id, status)
        card = card_of(self._call, request)
        return _bound(
            request,
            request.gateway_id,
            status,
            method_token=str(answer.get("RebillId") or card.get("RebillId") or ""),
            method_title=f"•• {str(card.get('Pan', ''))[-4:]}",
            method_fingerprint=f"{card.get('Pan', '')}/{card.get('ExpDate', '')}" if card else "",
        )

    def remove(self, key: UUID) -> None:
        """The card that was saved under a CustomerKey of its own is charged no more."""
        owner = {"CustomerKey": str(key)}
        found = self._call("GetCardList", owner)
        if "items" not in found and str(found.get("ErrorCode")) != NO_CUSTOMER:
            raise _refused(found)
        for card in found.get("items") or []:
            if card.get("Status") == "A":
                _done(self._call("RemoveCard", {**owner, "CardId": str(card["CardId"])}))


def _bound(request: PaymentRequest, number: str, status: Status, **told: Any) -> GatewayPayment:
    """As a payment of nothing: asked for by our own terminal and by its own number, it is ours."""
    return GatewayPayment(
        gateway_id=number,
        status=status,
        amount=request.amount,
        reference=str(request.reference),
        key=str(request.key),
        partner_id=str(request.partner_id),
        reason="not_bound" if status == Status.CANCELED else "",
        instrument=request.instrument or Instrument.BANK_CARD,
        **told,
    )


def _done(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    if answer.get("Success"):
        return answer
    raise _refused(answer)


def _refused(answer: Mapping[str, Any]) -> ConnectorError:
    code = str(answer.get("ErrorCode") or "")
    return ConnectorError(f"{code} {answer.get('Message') or ''} {answer.get('Details') or ''}", code=code)
