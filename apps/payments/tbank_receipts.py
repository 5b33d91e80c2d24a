"""Receipts through T-Bank: inside Init, Confirm and Cancel; a prepayment is settled by SendClosingReceipt.

There is nothing to read there: what became of a receipt is told by a signed notification, and only by it.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy as _

from apps.connectors.base import ConnectorError
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

AGENTS = {"agent": "another", "commissioner": "commission_agent", "attorney": "attorney"}
NO_INN = "000000000000"
"""For a supplier that has none."""
LONGEST_EMAIL = 64
TOLD = "RECEIPT"
"""`Status` of a notification about a receipt."""
OPERATIONS = {"Income": Operation.SELL, "IncomeReturn": Operation.SELL_REFUND}


class TBankReceipts(FiscalGateway):
    """What the connector of a terminal does about receipts."""

    _call: Any
    config: Any

    def send_receipt(self, asked: GatewayReceipt) -> RegisteredReceipt:
        """Once: it knows no keys. After an answer that was lost only its notification tells."""
        body = {"PaymentId": asked.payment_gateway_id, "Receipt": self.receipt_of(asked.receipt)}
        answer = self._call("/cashbox/SendClosingReceipt", body)
        if not answer.get("Success"):
            said = (str(answer.get(name) or "") for name in ("ErrorCode", "Message", "Details"))
            raise ConnectorError(
                " ".join(part for part in said if part), code=str(answer.get("ErrorCode", ""))
            )
        return RegisteredReceipt(gateway_id="", status=Status.PENDING, fiscal={})

    def fetch_receipt(self, asked: GatewayReceipt) -> RegisteredReceipt | None:
        return None

    def receipt_of(self, request: ReceiptRequest) -> dict[str, Any]:
        """`Receipt`, of the fiscal format that the terminal's register keeps."""
        is_new = self.config.ffd == "1.2"
        paid = {
            "Electronic": _kopecks(request.total.amount - request.prepaid),
            "AdvancePayment": _kopecks(request.prepaid),
        }
        return {
            **({"FfdVersion": "1.2"} if is_new else {}),
            **_contact(request),
            "Taxation": request.seller.taxation,
            "Items": [self._item(line, is_new=is_new) for line in request.lines],
            **({"Payments": paid} if request.prepaid else {}),
        }

    def _item(self, line: ReceiptLine, *, is_new: bool) -> dict[str, Any]:
        return {
            "Name": line.name,
            "Price": _kopecks(line.price),
            "Quantity": line.quantity,
            "Amount": _kopecks(line.amount),
            "Tax": self._tax(line),
            "PaymentMethod": line.method.value,
            "PaymentObject": "service",
            **({"MeasurementUnit": "шт"} if is_new else {}),
            **(_agent(line.agent) if line.agent else {}),
        }

    def _tax(self, line: ReceiptLine) -> str:
        if line.vat_rate is None:
            return "none"
        is_calculated = line.method == Method.FULL_PREPAYMENT and bool(line.vat_rate)
        if line.vat_rate == 22:
            # Newer than the description that T-Bank has published: its name is the terminal's setting.
            return str(self.config.vat_122 if is_calculated else self.config.vat_22)
        return f"vat{int(line.vat_rate) + 100 if is_calculated else f'{line.vat_rate.normalize():f}'}"


def told(notice: Mapping[str, Any]) -> dict[str, Any]:
    """What a notification says of a receipt, in our words. Raises KeyError, ValueError."""
    items = (notice.get("Receipt") or {}).get("Items") or [notice]
    total = sum(Decimal(str(item["Amount"])) for item in items) / 100
    said = {
        "operation": OPERATIONS[str(notice.get("Type", "Income"))].value,
        "total": f"{total:.2f}",
    }
    if str(notice.get("ErrorCode", "0")) != "0":
        reason = str(notice.get("ErrorMessage") or _("Касса шлюза не пробила чек"))
        return {**said, "gateway_id": str(notice["Token"]), "status": Status.CANCELED, "reason": reason}
    numbers = [str(notice[name]) for name in ("FnNumber", "FiscalDocumentNumber", "FiscalDocumentAttribute")]
    fiscal = dict(zip(("fn", "document", "attribute"), numbers, strict=True))
    fiscal |= {
        "registered_at": _moment(str(notice.get("ReceiptDatetime") or "")),
        "url": str(notice.get("Url") or ""),
    }
    return {**said, "gateway_id": "/".join(numbers), "status": Status.SUCCEEDED, "fiscal": fiscal}


def _moment(text: str) -> str:
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        return ""


def _contact(request: ReceiptRequest) -> dict[str, str]:
    if request.phone:
        return {"Phone": request.phone}
    return {"Email": request.email if len(request.email) <= LONGEST_EMAIL else request.seller.email}


def _agent(agent: Agent) -> dict[str, Any]:
    supplier: dict[str, Any] = {"Name": agent.supplier_name[:239], "Inn": agent.supplier_inn or NO_INN}
    if agent.supplier_phone:
        supplier["Phones"] = [agent.supplier_phone]
    return {"AgentData": {"AgentSign": AGENTS[agent.kind]}, "SupplierInfo": supplier}


def _kopecks(amount: Decimal) -> int:
    return int(amount * 100)
