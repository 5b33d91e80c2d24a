"""Receipts through Robokassa: in the signed form and in Recurring; a prepayment is settled by RoboFiscal.

RoboFiscal and the lines of a refund are not in our copy of the description: to be held against the live one.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from django.utils.translation import gettext_lazy as _

from apps.connectors.base import ConnectorError
from apps.payments.cash_register import Method, Operation, ReceiptLine, ReceiptRequest, RegisteredReceipt
from apps.payments.fiscal_gateway import FiscalGateway, GatewayReceipt
from apps.payments.gateway import Status

STATES = {"0": Status.PENDING, "1": Status.PENDING, "2": Status.SUCCEEDED, "3": Status.CANCELED}
"""`Code` of RoboFiscal/Receipt/Status."""
DONE, REPEATED, UNKNOWN = "0", "2", "1000"
"""`ResultCode` of Attach: taken, there already; `Code` of Status: no such receipt."""
ADVANCE = 2


class RobokassaReceipts(FiscalGateway):
    """What the connector of a shop does about receipts. On whose behalf something is sold it can not say."""

    agents_inside = False
    _call: Any
    _json: Any
    config: Any

    def send_receipt(self, asked: GatewayReceipt) -> RegisteredReceipt:
        """The second receipt of an operation, under a number of our own: sent again it is there already."""
        request = asked.receipt
        if any(line.agent for line in request.lines):
            raise ConnectorError(str(_("Robokassa не передаёт в чеке, за кого продано")))
        body = {
            "merchantId": self.config.login,
            "id": str(request.reference),
            "originId": str(asked.payment_reference),
            "operation": "sell",
            "url": request.seller.place,
            "total": f"{request.total.amount:.2f}",
            **self.receipt_of(request),
            "client": {"email": request.email} if request.email else {"phone": request.phone},
            "payments": [{"type": ADVANCE, "sum": f"{request.prepaid:.2f}"}],
            "vats": [{"type": self._tax(line), "sum": f"{line.vat:.2f}"} for line in request.lines],
        }
        answer = self._fiscal("Attach", body)
        if str(answer.get("ResultCode")) not in {DONE, REPEATED}:
            raise ConnectorError(str(answer.get("ResultDescription") or _("Отказ без объяснения")))
        return RegisteredReceipt(gateway_id="", status=Status.PENDING, fiscal={})

    def fetch_receipt(self, asked: GatewayReceipt) -> RegisteredReceipt | None:
        number = str(asked.payment_reference) if asked.is_inside else str(asked.receipt.reference)
        if asked.receipt.operation == Operation.SELL_REFUND:
            number = asked.refund_gateway_id
        answer = self._fiscal("Status", {"merchantId": self.config.login, "id": number})
        code = str(answer.get("Code"))
        if code == UNKNOWN:
            return None if asked.is_inside else self.send_receipt(asked)
        status = STATES.get(code, Status.PENDING)
        reason = str(answer.get("Description") or _("Касса шлюза не пробила чек"))
        fiscal = _fiscal(answer) if status == Status.SUCCEEDED else {}
        return RegisteredReceipt(
            gateway_id=f"{fiscal['fn']}/{fiscal['document']}" if fiscal else "",
            status=status,
            reason=reason if status == Status.CANCELED else "",
            fiscal=fiscal,
        )

    def signed_receipt(self, request: ReceiptRequest | None) -> str:
        """`Receipt` as it is signed; in a form it is encoded once more. Empty where there is none."""
        if request is None:
            return ""
        return quote(json.dumps(self.receipt_of(request), ensure_ascii=False, separators=(",", ":")), safe="")

    def email_of(self, request: ReceiptRequest | None) -> dict[str, str]:
        """Where the receipt is sent to; a phone it asks the customer for itself."""
        return {"Email": request.email} if request and request.email else {}

    def receipt_of(self, request: ReceiptRequest) -> dict[str, Any]:
        """Taxation and lines."""
        return {
            "sno": request.seller.taxation,
            "items": [
                {
                    "name": line.name,
                    "quantity": line.quantity,
                    "sum": float(line.amount),
                    "tax": self._tax(line),
                    "payment_method": line.method.value,
                    "payment_object": "service",
                }
                for line in request.lines
            ],
        }

    def refunded(self, request: ReceiptRequest | None) -> dict[str, Any]:
        """`InvoiceItems` of a refund, where it has a receipt."""
        if request is None:
            return {}
        items = [
            {
                "Name": line.name,
                "Quantity": line.quantity,
                "Cost": float(line.price),
                "Tax": self._tax(line),
                "PaymentMethod": line.method.value,
                "PaymentObject": "service",
            }
            for line in request.lines
        ]
        return {"InvoiceItems": items}

    def _tax(self, line: ReceiptLine) -> str:
        if line.vat_rate is None:
            return "none"
        is_calculated = line.method == Method.FULL_PREPAYMENT and bool(line.vat_rate)
        if line.vat_rate == 22:
            return str(self.config.vat_122 if is_calculated else self.config.vat_22)
        return f"vat{int(line.vat_rate) + 100 if is_calculated else f'{line.vat_rate.normalize():f}'}"

    def _fiscal(self, verb: str, body: Mapping[str, Any]) -> dict[str, Any]:
        content = _part(json.dumps(body, ensure_ascii=False).encode())
        # Their own algorithm here, whatever the shop signs its payments by.
        digest = hashlib.md5(f"{content}{self.config.password_1}".encode(), usedforsecurity=False).hexdigest()
        address = f"{self.config.fiscal_url.rstrip('/')}/RoboFiscal/Receipt/{verb}"
        found: dict[str, Any] = self._json(
            self._call("POST", address, content=f"{content}.{_part(digest.encode())}")
        )
        return found


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _fiscal(answer: Mapping[str, Any]) -> dict[str, str]:
    return {
        "fn": str(answer.get("FnNumber", "")),
        "document": str(answer.get("FiscalDocumentNumber", "")),
        "attribute": str(answer.get("FiscalDocumentAttribute", "")),
        "registered_at": str(answer.get("FiscalDate", "")),
        "url": str(answer.get("BsoUrl") or answer.get("OfdUrl") or ""),
    }
