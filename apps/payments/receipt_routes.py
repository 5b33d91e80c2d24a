"""Who makes a receipt, and how it comes there: our own register, or the gateway, with the money or apart from it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from apps.core import clock
from apps.core.tenancy import current_partner
from apps.payments.fiscal_gateway import FiscalGateway
from apps.payments.models import Payment
from apps.payments.receipt_models import Receipt, ReceiptWay, payment_key
from apps.policies.fiscal import FiscalRule, ReceiptMaker, rule_of

NO_WAY = _(
    "Отдельно от денег шлюз этот чек не пробьёт: подключите кассу в правиле чеков или пробейте его в кабинете шлюза"
)

NO_CORRECTION = _(
    "Шлюз не пробивает чеков коррекции: подключите кассу в правиле чеков или исправьте чек в кабинете кассы шлюза"
)


@dataclass(frozen=True, slots=True)
class Route:
    """How a receipt is registered: by which rule, where, in what way."""

    rule: FiscalRule | None
    connection_id: int
    way: str


def of_money(payment: Payment, cause: str) -> Route | None:
    """How a receipt of money that is there already is made; None where none is ours to make."""
    rule = rule_of(payment.connection.legal_entity_id, clock.today())
    is_sandbox = current_partner().is_sandbox
    if rule is None or not rule.is_asked(is_sandbox=is_sandbox):
        return None
    register = rule.register_for(is_sandbox=is_sandbox)
    if rule.maker == ReceiptMaker.GATEWAY and (not register or _sends_after(payment.connection, cause)):
        # Where the gateway can not, it says so, and staff read it.
        return Route(rule, payment.connection_id, ReceiptWay.AFTER)
    return Route(rule, register, ReceiptWay.OWN) if register else None


def goes_inside(payment: Payment, sold: Iterable[Any]) -> bool:
    """Whether the gateway takes such a receipt with the money."""
    kind = payment.connection.connector_class
    return issubclass(kind, FiscalGateway) and (kind.agents_inside or not any(one.agent for one in sold))


def went_inside(payment: Payment) -> bool:
    """Whether a payment's request carried its receipt: a gateway may give back by it whatever we say then."""
    return payment.receipts.filter(key=payment_key(payment), way=ReceiptWay.INSIDE).exists()


def _sends_after(connection: Any, cause: str) -> bool:
    kind = connection.connector_class
    return issubclass(kind, FiscalGateway) and cause in kind.sends_after


def after(payment: Payment, paid: Receipt) -> Route:
    """Where what follows a receipt goes: to who made it; a gateway gets it by a request of its own."""
    rule = rule_of(payment.connection.legal_entity_id, clock.today())
    return Route(rule, paid.connection_id, apart(paid))


def apart(paid: Receipt) -> str:
    """The way of what follows a receipt."""
    return ReceiptWay.OWN if paid.way == ReceiptWay.OWN else ReceiptWay.AFTER


def correction(payment: Payment, wrong: Receipt | None) -> Route | None:
    """Where a payment's correction receipts are made: by our register; no gateway makes them. None: nowhere."""
    rule = rule_of(payment.connection.legal_entity_id, clock.today())
    register = rule.register_for(is_sandbox=current_partner().is_sandbox) if rule else None
    if register is None and wrong is not None and wrong.way == ReceiptWay.OWN:
        register = wrong.connection_id
    return Route(rule, register, ReceiptWay.OWN) if register else None


def replacement(old: Receipt) -> Route | None:
    """Where a failed receipt can be made anew; None where nothing can make it."""
    rule = rule_of(old.payment.connection.legal_entity_id, clock.today())
    register = rule.register_for(is_sandbox=current_partner().is_sandbox) if rule else None
    own = Route(rule, register, ReceiptWay.OWN) if register else None
    if old.way == ReceiptWay.OWN:
        return own or Route(None, old.connection_id, ReceiptWay.OWN)
    apart_from_money = (
        Route(rule, old.connection_id, ReceiptWay.AFTER) if _sends_after(old.connection, old.cause) else None
    )
    # What the gateway takes apart from money is tried there first; what it refused twice goes elsewhere.
    return (apart_from_money or own) if old.way == ReceiptWay.INSIDE else (own or apart_from_money)
