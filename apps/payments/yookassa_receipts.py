"""Receipts through YooKassa: inside payments and refunds, and by /receipts apart from them."""

from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy as _

from apps.connectors.base import ConnectorError
from apps.core.money import Money, rounded
from apps.payments.cash_register import (
    Agent,
    Method,
    Operation,
    ReceiptLine,
    ReceiptRequest,
    RegisteredReceipt,
)
from apps.payments.fiscal_gateway import FiscalGateway, GatewayReceipt
from apps.payments.gateway import Status
from apps.payments.receipt_models import ReceiptCause

VAT_CODES = {None: 1, "0": 2, "10": 3, "20": 4, "5": 7, "7": 8, "22": 11}
CALCULATED_VAT_CODES = {"10": 5, "20": 6, "5": 9, "7": 10, "22": 12}
"""`vat_code` by rate in percent; of an advance, by the calculated rate."""
TAXATION_CODES = {"osn": 1, "usn_income": 2, "usn_income_outcome": 3, "esn": 5, "patent": 6}
STATUSES = {"pending": Status.PENDING, "succeeded": Status.SUCCEEDED, "canceled": Status.CANCELED}


class YooKassaReceipts(FiscalGateway):
    """What the connector of a shop does about receipts. There is no webhook of them: they are read."""

    sends_after = frozenset({ReceiptCause.PAYMENT, ReceiptCause.REFUND, ReceiptCause.SETTLEMENT})
    # «Receipt first» has no agents there, «payment first, receipt later» does.
    agents_inside = False
    _call: Any
    _pages: Any

    def send_receipt(self, asked: GatewayReceipt) -> RegisteredReceipt:
        return _seen(self._call("POST", "receipts", _body(asked), key=str(asked.key)))

    def fetch_receipt(self, asked: GatewayReceipt) -> RegisteredReceipt | None:
        if asked.receipt.gateway_id:
            return _seen(self._call("GET", f"receipts/{asked.receipt.gateway_id}"))
        if not asked.is_inside and asked.is_fresh:
            return self.send_receipt(asked)
        listed = (_seen(item) for item in self._pages("receipts", _of(asked)))
        mine = (one for one in listed if one.total == asked.receipt.total)
        found = next((one for one in mine if one.gateway_id not in asked.others), None)
        return found or (self._registration(asked) if asked.is_inside else None)

    def _registration(self, asked: GatewayReceipt) -> RegisteredReceipt | None:
        """Not listed: the payment or refund itself says whether its receipt was refused."""
        path = (
            f"refunds/{asked.refund_gateway_id}"
            if _is_refund(asked)
            else f"payments/{asked.payment_gateway_id}"
        )
        if self._call("GET", path).get("receipt_registration") != "canceled":
            return None
        reason = str(_("Касса шлюза не пробила чек"))
        return RegisteredReceipt(gateway_id="", status=Status.CANCELED, reason=reason, fiscal={})


def receipt_of(request: ReceiptRequest) -> dict[str, Any]:
    """`receipt` of a payment or refund."""
    return {
        "customer": _customer(request),
        "items": [_item(line) for line in request.lines],
        "tax_system_code": TAXATION_CODES[request.seller.taxation],
    }


def _body(asked: GatewayReceipt) -> dict[str, Any]:
    request = asked.receipt
    kind = "prepayment" if asked.cause == ReceiptCause.SETTLEMENT else "cashless"
    return {
        "type": "refund" if _is_refund(asked) else "payment",
        **_of(asked),
        "customer": _customer(request),
        "items": [{**_item(line), **_agent(line.agent)} for line in request.lines],
        "tax_system_code": TAXATION_CODES[request.seller.taxation],
        "send": True,
        "settlements": [{"type": kind, "amount": _amount(request.total.amount)}],
    }


def _is_refund(asked: GatewayReceipt) -> bool:
    return asked.receipt.operation == Operation.SELL_REFUND


def _of(asked: GatewayReceipt) -> dict[str, str]:
    if _is_refund(asked):
        return {"refund_id": asked.refund_gateway_id}
    return {"payment_id": asked.payment_gateway_id}


def _customer(request: ReceiptRequest) -> dict[str, str]:
    if request.email:
        return {"email": request.email}
    return {"phone": "".join(sign for sign in request.phone if sign.isdigit())}


def _item(line: ReceiptLine) -> dict[str, Any]:
    return {
        "description": line.name,
        "quantity": line.quantity,
        "amount": _amount(line.price),
        "vat_code": _vat_code(line),
        "payment_mode": line.method.value,
        "payment_subject": "service",
    }


def _vat_code(line: ReceiptLine) -> int:
    rate = None if line.vat_rate is None else f"{line.vat_rate.normalize():f}"
    is_calculated = line.method == Method.FULL_PREPAYMENT and bool(line.vat_rate)
    try:
        return CALCULATED_VAT_CODES[str(rate)] if is_calculated else VAT_CODES[rate]
    except KeyError as error:
        raise ConnectorError(str(_("У ЮKassa нет ставки НДС %s %%") % rate), code="vat_rate") from error


def _agent(agent: Agent | None) -> dict[str, Any]:
    """On whose behalf: only a receipt apart from its money may say so, by its own rules."""
    if agent is None:
        return {}
    supplier = {"name": agent.supplier_name, "inn": agent.supplier_inn, "phone": agent.supplier_phone}
    return {
        "agent_type": agent.kind,
        "supplier": {name: value for name, value in supplier.items() if value},
    }


def _amount(value: Decimal) -> dict[str, str]:
    return {"value": f"{value:.2f}", "currency": "RUB"}


def _seen(found: dict[str, Any]) -> RegisteredReceipt:
    try:
        status = STATUSES[found["status"]]
        items = [(Decimal(one["amount"]["value"]), Decimal(str(one["quantity"]))) for one in found["items"]]
        return RegisteredReceipt(
            gateway_id=str(found["id"]),
            status=status,
            total=Money(rounded(sum((price * quantity for price, quantity in items), Decimal(0)))),
            reason=str(_("Касса шлюза не пробила чек")) if status == Status.CANCELED else "",
            fiscal=_fiscal(found) if status == Status.SUCCEEDED else {},
        )
    except (KeyError, ValueError, TypeError, ArithmeticError) as error:
        raise ConnectorError(_("Непонятный ответ: %r") % error, unknown=True) from error


def _fiscal(found: dict[str, Any]) -> dict[str, str]:
    return {
        "fn": str(found.get("fiscal_storage_number", "")),
        "document": str(found.get("fiscal_document_number", "")),
        "attribute": str(found.get("fiscal_attribute", "")),
        "registered_at": str(found.get("registered_at", "")),
        "url": "",
    }
