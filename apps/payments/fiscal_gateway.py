"""A payment gateway that registers fiscal receipts itself: what is asked of it, and what it answers."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from apps.payments.cash_register import ReceiptRequest, RegisteredReceipt
from apps.payments.receipt_models import ReceiptCause


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayReceipt:
    """A receipt at a gateway, and the payment (or refund) there that it is of."""

    key: UUID
    """Ours: sent again under it, it is the same receipt."""
    cause: str
    """A ReceiptCause."""
    is_inside: bool
    """Whether it went with the money; otherwise it is sent by a request of its own."""
    receipt: ReceiptRequest
    payment_reference: int
    payment_gateway_id: str
    refund_gateway_id: str = ""
    others: frozenset[str] = frozenset()
    """Numbers there of the payment's other receipts: it is none of them."""
    is_fresh: bool = True
    """Whether the gateway still knows the key of a request that was sent."""


class FiscalGateway(ABC):
    """Mixed into a Gateway: its payments and refunds carry a receipt (`PaymentRequest.receipt`)."""

    sends_after: ClassVar[frozenset[str]] = frozenset({ReceiptCause.SETTLEMENT})
    """Causes of receipts that it takes by a request of their own."""
    agents_inside: ClassVar[bool] = True
    """Whether a receipt that goes with the money may say on whose behalf something is sold."""

    @abstractmethod
    def send_receipt(self, asked: GatewayReceipt) -> RegisteredReceipt:
        """Hands over a receipt apart from money. Raises ConnectorError, `unknown` where it may have been taken."""

    @abstractmethod
    def fetch_receipt(self, asked: GatewayReceipt) -> RegisteredReceipt | None:
        """What became of a receipt; None while nothing is known of it there. Raises ConnectorError."""
