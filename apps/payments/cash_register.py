"""What every cash register is for us: plain values in and out, and a connector's calls.

A receipt of Russia's law 54-FZ: what was sold, at which VAT, how it was paid, and on whose behalf. Tags in
brackets are those of the fiscal format 1.2.
"""

from abc import abstractmethod
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from apps.connectors.base import Connector, Kind
from apps.core.money import Money
from apps.payments.gateway import Status


class Operation(StrEnum):
    """Which way the money went [1054]."""

    SELL = "sell"
    SELL_REFUND = "sell_refund"

    @property
    def opposite(self) -> "Operation":
        """The one that undoes it."""
        return Operation.SELL if self == Operation.SELL_REFUND else Operation.SELL_REFUND


class Method(StrEnum):
    """What a line is a payment of [1214]."""

    FULL_PREPAYMENT = "full_prepayment"
    FULL_PAYMENT = "full_payment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """On whose behalf a line is sold [1222, 1225, 1226, 1171]."""

    kind: str
    """`agent`, `commissioner` or `attorney`, as in the terms of the sale."""
    supplier_name: str
    supplier_inn: str
    supplier_phone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptLine:
    """One line: price × quantity is the amount. `vat_rate` None is «без НДС»."""

    name: str
    """At most 128 characters."""
    price: Decimal
    quantity: int
    amount: Decimal
    vat_rate: Decimal | None
    vat: Decimal
    method: Method
    agent: Agent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seller:
    """Whose register it is."""

    inn: str
    email: str
    taxation: str
    """osn, usn_income, usn_income_outcome, esn or patent [1055]."""
    place: str
    """Where the sale is made: the site's address [1187]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """Of a correction receipt, made of the seller's own accord [1173]."""

    on: date
    """The day of the settlement that is corrected [1178]."""
    attribute: str = ""
    """Fiscal sign of the wrong receipt [1192]; empty where the settlement had none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRequest:
    """A receipt to be registered. Built from frozen columns only: asked again, it is the same to the last byte."""

    reference: int
    """Number of our GatewayReference."""
    gateway_id: str = ""
    """The register's id of it, once it has told one."""
    operation: Operation
    seller: Seller
    email: str
    phone: str
    lines: tuple[ReceiptLine, ...]
    total: Money
    prepaid: Decimal = Decimal("0.00")
    """Of the total: paid before, as an advance [1215]; the rest is electronic [1081]."""
    at: datetime
    correction: Correction | None = None
    """Where it is a correction receipt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredReceipt:
    """A receipt as the register shows it."""

    gateway_id: str
    status: Status
    total: Money | None = None
    reason: str = ""
    """Why it was not registered, in the register's words."""
    fiscal: dict[str, Any]
    """Of a registered one: fn, document, attribute (numbers as text), registered_at (ISO), url."""


class CashRegister(Connector):
    """A cash register. Every call raises ConnectorError; `unknown` where the receipt may have been taken."""

    kind = Kind.FISCAL

    @abstractmethod
    def register(self, request: ReceiptRequest) -> RegisteredReceipt:
        """Hands a receipt over. The same reference again is the same receipt, never a second one."""

    @abstractmethod
    def fetch(self, reference: ReceiptRequest, /) -> RegisteredReceipt:
        """What became of it; without the register's id it is handed over again, under the same reference."""
