"""What every payment gateway is for us: plain values in and out, and a connector's calls."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from apps.connectors.base import Connector, ConnectorError, Kind
from apps.core.money import Money
from apps.policies.dunning import CAUTIOUS, RetryRules

if TYPE_CHECKING:
    from apps.payments.cash_register import ReceiptRequest
    from apps.payments.registers import Dialect


class Status(StrEnum):
    """What a gateway says of a payment or refund."""

    PENDING = "pending"
    AUTHORIZED = "authorized"
    """Held, and neither taken nor let go yet."""
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"


class Instrument(StrEnum):
    """What a customer pays with, as far as it is known here. An open list: a gateway may have others."""

    BANK_CARD = "bank_card"
    SBP = "sbp"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRequest:
    """A payment to be made. Built from frozen columns only: asked again, it is the same to the last byte."""

    key: UUID
    reference: int
    """Number of our GatewayReference."""
    partner_id: int
    amount: Money
    description: str
    """At most 128 characters."""
    return_url: str = ""
    save_method: bool = False
    method_token: str = ""
    """The gateway's id of a saved method: for a charge without a page."""
    instrument: str = ""
    """One of the gateway's `instruments`; empty: whatever its page offers."""
    two_stage: bool = False
    """Whether the money is only held at first."""
    gateway_id: str = ""
    """The gateway's id of the payment, once it has told one."""
    link_key: str = ""
    """Its id of the link with the payer's bank, where that is another one."""
    receipt: "ReceiptRequest | None" = None
    """Its fiscal receipt, where the gateway is to make it."""

    @property
    def only_binds(self) -> bool:
        """Whether it takes nothing: a method is saved without a payment."""
        return not self.amount.amount


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRequest:
    """Money to be given back."""

    key: UUID
    reference: int
    """Number of the payment's GatewayReference."""
    gateway_id: str = ""
    """The gateway's id of the refund, once it has told one."""
    payment_gateway_id: str
    amount: Money
    description: str
    instrument: str = ""
    """What the payment was paid with, as far as it is known here."""
    is_only: bool = False
    """Whether no other refund of the payment was ever asked for: what is told of the payment is then of this one."""
    has_landed: bool = False
    """Whether it was sent so long ago that it is there, or never came there."""
    receipt: "ReceiptRequest | None" = None
    """Its fiscal receipt, where the gateway is to make it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPayment:
    """A payment as the gateway shows it."""

    gateway_id: str
    status: Status
    amount: Money
    reference: str = ""
    key: str = ""
    partner_id: str = ""
    reason: str = ""
    """Why it was canceled, in the gateway's own word."""
    confirmation_url: str = ""
    method_token: str = ""
    """Only where the method is saved."""
    method_title: str = ""
    method_fingerprint: str = ""
    """What stays the same when the same card is saved again; empty where the gateway tells nothing."""
    instrument: str = ""
    """What it was paid with, where the gateway tells."""
    link_key: str = ""
    fee: Decimal = Decimal("0.00")


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRefund:
    """A refund as the gateway shows it."""

    gateway_id: str
    payment_gateway_id: str
    status: Status
    amount: Money
    key: str = ""
    """Id of our refund; empty where somebody made it in the gateway's cabinet."""
    reason: str = ""


NEVER_RECEIVED = "never_received"
"""Why a refund failed of which its gateway knows nothing, long after it was sent."""
CARD_CLOSED = frozenset(
    {
        "card_closed",
        "account_closed",
        # YooKassa: the wallet is closed; the bank of the card did not take the money.
        "yoo_money_account_closed",
        "rejected_by_payee",
        "payment_expired",
        # T-Bank: the payer has no account any more in the bank that paid through SBP.
        "I05043",
        # CloudPayments and T-Bank: the card is lost, stolen, expired.
        *("5041", "5043", "5054", "1041", "1043", "1054"),
    }
)
"""Why no gateway will ever send a refund, whoever asks it: what is left is the customer's bank account."""


class EntryKind(StrEnum):
    """What a line of a gateway's register is."""

    PAYMENT = "payment"
    REFUND = "refund"
    DISPUTE = "dispute"
    """A chargeback: money that the payer's bank has taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterEntry:
    """One line of a gateway's register of a day."""

    kind: EntryKind
    gateway_id: str
    payment_gateway_id: str
    """Of a refund: the payment's; of a payment, its own."""
    amount: Money
    fee: Decimal | None = None
    """What the gateway kept; None where its register does not tell."""
    at: datetime | None = None
    reference: str = ""
    """Number of our GatewayReference of the payment, where the register tells it. Of a refund `gateway_id` may be
    empty: it is known by its payment and amount then."""


class Gateway(Connector):
    """A payment gateway. Every call raises ConnectorError; `unknown` where it may have been done.

    Creating calls carry an idempotence key: the same request again gives the same payment.
    """

    kind = Kind.PAYMENT
    retry_rules: ClassVar[RetryRules] = CAUTIOUS
    """What it forbids, whatever a policy of dunning says."""
    instruments: ClassVar[frozenset[str]] = frozenset({Instrument.BANK_CARD})
    """What a customer may be sent to pay with."""
    holds: ClassVar[frozenset[str]] = frozenset()
    """Instruments whose money can be held first and taken later."""
    unbinds: ClassVar[frozenset[str]] = frozenset()
    """Instruments whose saved methods it forgets when it is asked to (`unbind`)."""
    key_kept: ClassVar[timedelta] = timedelta(hours=23)
    """For which a request may be sent again under its key."""
    lists_refunds: ClassVar[bool] = True
    """Whether `refunds_of` tells of all: what it does not list was never made."""
    repeats_refunds: ClassVar[bool] = True
    """Whether a refund that is asked for again under its key is the same one."""
    tells_fee: ClassVar[bool] = True
    """Whether a payment is seen with its fee; otherwise the register and the payout tell it."""
    register_is_file: ClassVar[bool] = False
    """Whether `register` answers None: somebody downloads a file in the cabinet."""
    register_dialect: ClassVar["Dialect | None"] = None
    """How that file is written."""
    decline_classes: ClassVar[Mapping[str, str]] = {}
    """Its words for why a charge failed, each with the class that tells what to do next."""

    @property
    def taken(self) -> frozenset[str]:
        """Its `instruments` that this shop has by its contract."""
        return self.instruments if getattr(self.config, "sbp", True) else self.instruments - {Instrument.SBP}

    @abstractmethod
    def create_payment(self, request: PaymentRequest) -> GatewayPayment:
        """A first payment: the customer confirms it on the gateway's page."""

    @abstractmethod
    def charge(self, request: PaymentRequest) -> GatewayPayment:
        """A charge of a saved method."""

    @abstractmethod
    def fetch(self, reference: PaymentRequest, /) -> GatewayPayment:
        """A payment by the gateway's id; without one by its request, sent again as it was (made if lost)."""

    def give_up(self, request: PaymentRequest) -> GatewayPayment:
        """A page that nobody paid for a day: ended, where the gateway does not end it by itself; what is seen then."""
        return self.fetch(request)

    def binds(self, instrument: str) -> bool:
        """Whether a method of this kind is saved without a payment on this connection."""
        return False

    def bind(self, request: PaymentRequest) -> GatewayPayment:
        """Saves a method on the gateway's page without a payment: what is seen has no amount."""
        raise ConnectorError(str(_("Этот шлюз не сохраняет способ без платежа")), code="not_supported")

    def unbind(self, key: UUID) -> None:
        """Forgets the method that the payment of this key has saved. The same, however often it is asked."""
        raise ConnectorError(str(_("Этот шлюз не отвязывает способы")), code="not_supported")

    def capture(self, request: PaymentRequest, amount: Money) -> GatewayPayment:
        """Takes money that is held, all or a part of it; the rest is let go. Once, however often it is asked."""
        raise ConnectorError(str(_("У этого шлюза нет двухстадийной оплаты")), code="not_supported")

    def release(self, request: PaymentRequest) -> GatewayPayment:
        """Lets go of money that is held. Once, however often it is asked."""
        raise ConnectorError(str(_("У этого шлюза нет двухстадийной оплаты")), code="not_supported")

    @abstractmethod
    def find(self, request: PaymentRequest, *, since: datetime | None) -> GatewayPayment | None:
        """The payment of a request among those made since a moment; None where there is none. Makes none."""

    @abstractmethod
    def refund(self, request: RefundRequest) -> GatewayRefund:
        """Gives money back."""

    def repeats(self, request: RefundRequest) -> bool:
        """Whether this refund, asked for again under its key, is the same one."""
        return self.repeats_refunds

    @abstractmethod
    def fetch_refund(self, request: RefundRequest) -> GatewayRefund:
        """A refund that the gateway has told an id of."""

    def find_refund(self, request: RefundRequest) -> GatewayRefund | None:
        """A refund that has no id yet, as its answer was lost; None where it is not seen. Makes none."""
        listed = self.refunds_of(request.payment_gateway_id)
        return next((seen for seen in listed if seen.key == str(request.key)), None)

    def register(self, since: datetime, until: datetime) -> "list[RegisterEntry] | None":
        """All that succeeded in [since, until), as the gateway has it; None where it tells that by a file only."""
        return None

    @abstractmethod
    def refunds_of(self, payment_gateway_id: str) -> list[GatewayRefund]:
        """All refunds of a payment, whoever made them."""


SBP_LEAST = Decimal("10.00")
"""Roubles: SBP takes nothing smaller."""


def nobody_paid(request: PaymentRequest) -> GatewayPayment:
    """What a payment is whose page has ended without anybody."""
    return GatewayPayment(
        gateway_id=request.gateway_id,
        status=Status.CANCELED,
        amount=request.amount,
        reference=str(request.reference),
        key=str(request.key),
        partner_id=str(request.partner_id),
        reason="expired_on_confirmation",
    )
