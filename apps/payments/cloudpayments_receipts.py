"""Receipts through CloudPayments (CloudKassir): inside charges and refunds, and by kkt/receipt apart from them.

The number of a receipt is told by a signed notification, or by the answer to kkt/receipt; by it the receipt is read.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.translation import gettext_lazy as _

from apps.connectors.base import ConnectorError
from apps.core.money import Money
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

TAXATION_CODES = {"osn": 0, "usn_income": 1, "usn_income_outcome": 2, "esn": 4, "patent": 5}
METHODS = {Method.FULL_PREPAYMENT: 1, Method.FULL_PAYMENT: 4}
SERVICE = 4
AGENTS = {"attorney": 4, "commissioner": 5, "agent": 6}
TYPES = {Operation.SELL: "Income", Operation.SELL_REFUND: "IncomeReturn"}
OPERATIONS = {word: operation for operation, word in TYPES.items()}
STATES = {"Queued": Status.PENDING, "Processed": Status.SUCCEEDED, "Error": Status.CANCELED}
"""`Model` of kkt/receipt/status/get; not in our copy of the description, to be held against the live one."""


class CloudPaymentsReceipts(FiscalGateway):
    """What the connector of a terminal does about receipts."""

    sends_after = frozenset({ReceiptCause.PAYMENT, ReceiptCause.REFUND, ReceiptCause.SETTLEMENT})
    _call: Any
    connection: Any
    config: Any

    def send_receipt(self, asked: GatewayReceipt) -> RegisteredReceipt:
        body = {
            "Inn": asked.receipt.seller.inn,
            "Type": TYPES[asked.receipt.operation],
            "InvoiceId": str(asked.payment_reference),
            "CustomerReceipt": self.receipt_of(asked.receipt),
        }
        answer = self._call("kkt/receipt", body, key=str(asked.key))
        number = (answer.get("Model") or {}).get("Id")
        if not answer.get("Success") or not number:
            raise ConnectorError(str(answer.get("Message") or _("Отказ без объяснения")))
        return RegisteredReceipt(gateway_id=str(number), status=Status.PENDING, fiscal={})

    def fetch_receipt(self, asked: GatewayReceipt) -> RegisteredReceipt | None:
        number = asked.receipt.gateway_id
        if not number:
            return self.send_receipt(asked) if not asked.is_inside and asked.is_fresh else None
        answer = self._call("kkt/receipt/status/get", {"Id": number})
        status = STATES.get(str(answer.get("Model")), Status.PENDING)
        if status == Status.CANCELED:
            reason = str(answer.get("Message") or _("Касса шлюза не пробила чек"))
            return RegisteredReceipt(gateway_id=number, status=status, reason=reason, fiscal={})
        if status == Status.PENDING:
            return RegisteredReceipt(gateway_id=number, status=status, fiscal={})
        return _seen(number, self._call("kkt/receipt/get", {"Id": number}))

    def inside(self, request: ReceiptRequest | None, **data: str) -> dict[str, str]:
        """`JsonData` with a receipt, where there is one, and what else is to stand there."""
        content: dict[str, Any] = dict(data)
        if request:
            content["cloudpayments"] = {"CustomerReceipt": self.receipt_of(request)}
        return {"JsonData": json.dumps(content, ensure_ascii=False)} if content else {}

    def receipt_of(self, request: ReceiptRequest) -> dict[str, Any]:
        """`CustomerReceipt`."""
        contact = {"email": request.email} if request.email else {"phone": request.phone}
        return {
            "Items": [self._item(line) for line in request.lines],
            "taxationSystem": TAXATION_CODES[request.seller.taxation],
            **contact,
            "amounts": {
                "electronic": float(request.total.amount - request.prepaid),
                "advancePayment": float(request.prepaid),
                "credit": 0,
                "provision": 0,
            },
        }

    def _item(self, line: ReceiptLine) -> dict[str, Any]:
        return {
            "label": line.name,
            "price": float(line.price),
            "quantity": line.quantity,
            "amount": float(line.amount),
            "vat": self._vat(line),
            "method": METHODS[line.method],
            "object": SERVICE,
            "measurementUnit": "шт",
            **(_agent(line.agent) if line.agent else {}),
        }

    def _vat(self, line: ReceiptLine) -> int | None:
        if line.vat_rate is None:
            return None
        is_calculated = line.method == Method.FULL_PREPAYMENT and bool(line.vat_rate)
        if line.vat_rate == 22:
            return int(self.config.vat_122 if is_calculated else self.config.vat_22)
        return int(line.vat_rate) + (100 if is_calculated else 0)


def is_about_receipt(notice: Mapping[str, Any]) -> bool:
    """Whether a notification is the one of a receipt."""
    return "FiscalSign" in notice and "DocumentNumber" in notice


def told(notice: Mapping[str, Any]) -> dict[str, Any]:
    """What a notification says of a receipt: which one it is. Raises KeyError, InvalidOperation."""
    return {
        "operation": OPERATIONS[str(notice["Type"])].value,
        "total": f"{Decimal(str(notice['Amount'])):.2f}",
        "gateway_id": str(notice["Id"]),
    }


def _agent(agent: Agent) -> dict[str, Any]:
    supplier = {"name": agent.supplier_name, "inn": agent.supplier_inn, "phone": agent.supplier_phone}
    return {
        "agentSign": AGENTS[agent.kind],
        "purveyorData": {name: value for name, value in supplier.items() if value},
    }


def _seen(number: str, answer: Mapping[str, Any]) -> RegisteredReceipt:
    try:
        more = answer["Model"]["AdditionalData"]
        return RegisteredReceipt(
            gateway_id=number,
            status=Status.SUCCEEDED,
            total=Money(Decimal(str(more["Amount"])).quantize(Decimal("0.01"))),
            fiscal={
                "fn": str(more.get("FiscalNumber", "")),
                "document": str(more.get("DocumentNumber", "")),
                "attribute": str(more.get("FiscalSign", "")),
                "registered_at": _moment(str(more.get("DateTime", ""))),
                "url": str(more.get("OfdReceiptUrl") or more.get("QrCodeUrl") or ""),
            },
        )
    except (KeyError, TypeError, InvalidOperation) as error:
        raise ConnectorError(_("Непонятный ответ: %r") % error, unknown=True) from error


def _moment(text: str) -> str:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).isoformat()
    except ValueError:
        return ""
