"""Fiscal receipts: one for every payment and refund that a rule asks one for, frozen as it is to be registered.

Our own register gets one when the money came. Where the gateway makes them, the receipt is frozen before the money is
asked for, goes with that request, and counts when the money came. How they are registered stands in `registering` and
`gateway_receipts`. What is refused is replaced by a new receipt, under a number of its own.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.connectors.models import GatewayReference
from apps.core import clock, due, work
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.money import Money, vat_inside
from apps.core.tenancy import current_partner
from apps.payments.cash_register import Agent, Method, Operation, ReceiptLine, ReceiptRequest, Seller
from apps.payments.fiscal_gateway import FiscalGateway
from apps.payments.models import Payment, Refund, RefundRoute
from apps.payments.receipt_models import (
    OPEN_RECEIPTS,
    UNCOUNTED,
    Receipt,
    ReceiptCause,
    ReceiptState,
    ReceiptWay,
)
from apps.policies.fiscal import FiscalRule, ReceiptMaker, ReceiptMethod, rule_of

SEND, SWEEP, CLOSE = "payments.receipt", "payments.receipt_sweep", "payments.receipt_close"
KIND = "payments.Receipt"
NO_WAY = _(
    "Отдельно от денег шлюз этот чек не пробьёт: подключите кассу в правиле чеков или пробейте его в кабинете шлюза"
)
SOON = timedelta(seconds=5)
"""After which a gateway is first asked about the receipt of money that came."""


@dataclass(frozen=True, slots=True)
class Sold:
    """One line of what a payment was for; `amount` with its VAT, of whatever the invoice comes to."""

    name: str
    quantity: int
    amount: Decimal
    vat_rate: Decimal | None
    agent: Agent | None = None
    is_ahead: bool = False
    """Whether it is of days to come: earned with them, not with the payment."""


Composer = Callable[[Payment], Sequence[Sold]]
_composers: list[Composer] = []


def composer(function: Composer) -> Composer:
    """Registers a function that tells what a payment was for; nothing where it is not its business."""
    if function not in _composers:
        _composers.append(function)
    return function


@dataclass(frozen=True, slots=True)
class Route:
    """How a receipt is registered: by which rule, where, in what way."""

    rule: FiscalRule | None
    connection_id: int
    way: str


def payment_key(payment: Payment) -> str:
    """What the first receipt of a payment is known by."""
    return f"payment:{payment.pk}"


def refund_key(refund: Refund) -> str:
    """What the first receipt of a refund is known by."""
    # A gateway's refusal ended the receipt that it would have made: this is another one.
    return f"refund:{refund.pk}{':bank' if refund.route == RefundRoute.BANK else ''}"


def freeze_payments(sent: Iterable[Payment]) -> None:
    """Locked payments are about to be sent: what each request is to say of its receipt, where the gateway makes it."""
    rules: dict[int, FiscalRule | None] = {}
    for payment in sent:
        if payment.connection_id not in rules:
            rules[payment.connection_id] = rule_of(payment.connection.legal_entity_id, clock.today())
        rule = rules[payment.connection_id]
        if rule is None or rule.maker != ReceiptMaker.GATEWAY or payment.only_binds:
            continue
        if _goes_inside(payment, _sold(payment)):
            made = _of_payment(payment, Route(rule, payment.connection_id, ReceiptWay.INSIDE), waits=True)
            if made.connection_id != payment.connection_id:
                # The payment has moved to another gateway, unsent: its receipt goes with it.
                made.connection = payment.connection
                made.reference = GatewayReference.allot(payment.connection, KIND, made.pk)
                made.save(update_fields=["connection", "reference"])


def is_frozen(payment: Payment) -> bool:
    """Whether a receipt stands already in what its gateway is to be asked."""
    return Receipt.objects.filter(key=payment_key(payment)).exists()


def freeze_refund(refund: Refund) -> None:
    """The same of a refund: the gateway that got the payment's receipt gets this one."""
    sold = _standing(refund.payment, ReceiptCause.PAYMENT)
    if sold is not None and _went_inside(refund.payment):
        _of_refund(refund, sold, ReceiptWay.INSIDE, waits=True)


def drop(keys: Iterable[str]) -> None:
    """The money that frozen receipts wait for did not come: there is nothing to register."""
    waiting = Receipt.objects.select_for_update(no_key=True).filter(key__in=keys, state=ReceiptState.WAITING)
    for made in waiting.order_by("pk"):
        made.move(ReceiptState.VOID)
        made.settled_at = clock.now()
        made.save(update_fields=["state", "settled_at"])


def _came(key: str, total: Money) -> Receipt | None:
    """The money is there: the receipt that went with its request counts from now on, and is asked about."""
    made = Receipt.objects.select_for_update(no_key=True).filter(key=key).first()
    if made is None or made.state not in UNCOUNTED:
        return made
    made.move(ReceiptState.SENT)
    # Of money that was held only a part may have been taken: the receipt went with that request.
    made.lines, made.total = scaled(made.lines, total) if made.money != total else made.lines, total.amount
    # It is of the moment when the money came, not of the one when it was asked for.
    made.business_date, made.created_at = clock.today(), clock.now()
    made.claimed_at, made.settled_at = clock.wall(), None
    made.save()
    due.schedule(SWEEP, made.pk, clock.wall() + SOON, wall=True, lane=made.connection_id)
    return made


def plan_payments(paid: Sequence[Payment]) -> None:
    """`plan_payment` for many; who registers none is asked once for each connection."""
    keys = [payment_key(one) for one in paid]
    frozen = set(Receipt.objects.filter(key__in=keys).values_list("key", flat=True))
    silent: set[int] = set()
    for payment in paid:
        if payment.connection_id in silent and payment_key(payment) not in frozen:
            continue
        if plan_payment(payment) is None:
            silent.add(payment.connection_id)


def plan_payment(payment: Payment) -> Receipt | None:
    """A locked payment has come: its receipt, in the caller's transaction; None where none is ours to make."""
    if made := _came(payment_key(payment), payment.money):
        return made
    route = _route(payment, ReceiptCause.PAYMENT)
    return _of_payment(payment, route) if route else None


def _of_payment(payment: Payment, route: Route, *, waits: bool = False) -> Receipt:
    assert route.rule is not None
    sold = _sold(payment)
    method = (
        Method.FULL_PAYMENT if route.rule.method == ReceiptMethod.FULL_PAYMENT else Method.FULL_PREPAYMENT
    )
    if not any(one.is_ahead for one in sold):
        method = Method.FULL_PAYMENT
    return _write(
        payment,
        route,
        cause=ReceiptCause.PAYMENT,
        key=payment_key(payment),
        operation=Operation.SELL,
        total=payment.amount,
        lines=_lines(sold, payment.money, method),
        contact=_contact(payment),
        waits=waits,
    )


def earned(payment_id: UUID, on: date) -> None:
    """What a payment was for is earned by a day: its prepayment, if it was one, is settled then by a receipt."""
    paid = _standing(Payment.locked(payment_id), ReceiptCause.PAYMENT)
    if paid is None or paid.closes_on == on or not paid.is_prepayment:
        return
    paid.closes_on = on
    paid.save(update_fields=["closes_on"])
    due.schedule(CLOSE, paid.payment_id, datetime.combine(on, datetime.min.time(), tzinfo=clock.zone()))


def _sold(payment: Payment) -> list[Sold]:
    # The rouble that binds a card for a trial is on an invoice of nothing.
    sold = [one for compose in _composers for one in compose(payment) if one.amount]
    return sold or [Sold(payment.description, 1, payment.amount, None)]


def plan_refund(refund: Refund) -> Receipt | None:
    """A refund was made: what of the payment's receipt goes back, by the same rates; None where it had none."""
    if made := _came(refund_key(refund), Money(refund.amount, refund.currency)):
        return made
    sold = _standing(refund.payment, ReceiptCause.PAYMENT)
    if sold is None:
        return None
    # What goes by a payment order goes past the gateway: it makes no receipt of it.
    if refund.route == RefundRoute.BANK or not _went_inside(refund.payment):
        return _of_refund(refund, sold, _apart(sold))
    # One that was made in the gateway's cabinet has its receipt from there: it is only asked about.
    _of_refund(refund, sold, ReceiptWay.INSIDE, waits=True)
    return _came(refund_key(refund), Money(refund.amount, refund.currency))


def _of_refund(refund: Refund, sold: Receipt, way: str, *, waits: bool = False) -> Receipt:
    rule = rule_of(refund.payment.connection.legal_entity_id, clock.today())
    return _write(
        refund.payment,
        Route(rule, refund.payment.connection_id if way == ReceiptWay.INSIDE else sold.connection_id, way),
        cause=ReceiptCause.REFUND,
        key=refund_key(refund),
        operation=Operation.SELL_REFUND,
        total=refund.amount,
        lines=_given_back(refund, sold),
        contact=sold.contact,
        seller=sold.seller,
        refund=refund,
        waits=waits,
    )


def _given_back(refund: Refund, sold: Receipt) -> list[dict[str, Any]]:
    """What of the sold lines goes back; of a prepayment that is settled by now, what was settled."""
    lines = scaled(sold.lines, Money(refund.amount, refund.currency))
    if _standing(refund.payment, ReceiptCause.SETTLEMENT):
        lines = _settled(lines)
    return lines


def _settled(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**line, "method": Method.FULL_PAYMENT.value} for line in lines]


def close(payment_id: UUID) -> Receipt | None:
    """The prepayment of a payment is earned: what has not gone back is settled by a receipt of its own."""
    with transaction.atomic():
        payment = Payment.locked(payment_id)
        paid = _standing(payment, ReceiptCause.PAYMENT)
        if paid is None or not paid.is_prepayment:
            return None
        back = sum(
            (one.total for one in _counting(payment).filter(cause=ReceiptCause.REFUND)),
            Decimal("0.00"),
        )
        left = Money(paid.total - back, paid.currency)
        if not left.amount:
            return None
        return _write(
            payment,
            _again(payment, paid),
            cause=ReceiptCause.SETTLEMENT,
            key=f"settlement:{payment.pk}",
            operation=Operation.SELL,
            total=left.amount,
            prepaid=left.amount,
            lines=_settled(scaled(paid.lines, left)),
            contact=paid.contact,
            seller=paid.seller,
        )


def _again(payment: Payment, paid: Receipt) -> Route:
    """Where what follows a receipt goes: to who made it; a gateway gets it by a request of its own."""
    rule = rule_of(payment.connection.legal_entity_id, clock.today())
    return Route(rule, paid.connection_id, _apart(paid))


def _apart(paid: Receipt) -> str:
    return ReceiptWay.OWN if paid.way == ReceiptWay.OWN else ReceiptWay.AFTER


def replace(receipt_id: UUID, *, actor: str) -> Receipt:
    """A failed receipt is made anew, by the rule of today, under a new number.

    Raises Refused: `receipt_fine`; `receipt_no_way` where neither its gateway nor a register of ours can make it.
    """
    with transaction.atomic():
        old = Receipt.locked(receipt_id)
        if old.state != ReceiptState.FAILED:
            raise Refused("receipt_fine", _("Заменяют только непробитый чек"))
        route = replacement(old)
        if route is None:
            raise Refused("receipt_no_way", str(NO_WAY))
        made = _write(
            old.payment,
            route,
            cause=old.cause,
            key=f"again:{old.pk}",
            operation=Operation(old.operation),
            total=old.total,
            prepaid=old.prepaid,
            lines=old.lines,
            contact=old.contact,
            refund=old.refund,
            closes_on=old.closes_on,
            seller=None if route.rule else old.seller,
            replaces=old,
        )
        old.move(ReceiptState.CORRECTED)
        old.save(update_fields=["state"])
        work.close(KIND, old.pk)
        journal.record("receipt.replaced", KIND, old.pk, actor=actor, data={"by": str(made.pk)})
    return made


def replacement(old: Receipt) -> Route | None:
    """Where a failed receipt can be made anew; None where nothing can make it."""
    rule = rule_of(old.payment.connection.legal_entity_id, clock.today())
    register = rule.register_for(is_sandbox=current_partner().is_sandbox) if rule else None
    own = Route(rule, register, ReceiptWay.OWN) if register else None
    if old.way == ReceiptWay.OWN:
        return own or Route(None, old.connection_id, ReceiptWay.OWN)
    after = (
        Route(rule, old.connection_id, ReceiptWay.AFTER) if _sends_after(old.connection, old.cause) else None
    )
    # What the gateway takes apart from money is tried there first; what it refused twice goes elsewhere.
    return (after or own) if old.way == ReceiptWay.INSIDE else (own or after)


def erase(customer_id: UUID) -> None:
    """Where the receipts of an erased customer went is forgotten; those on their way still go there."""
    mine = Receipt.objects.filter(payment__customer=customer_id).exclude(state__in=OPEN_RECEIPTS)
    mine.update(contact="")


def _route(payment: Payment, cause: str) -> Route | None:
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


def _goes_inside(payment: Payment, sold: Iterable[Any]) -> bool:
    """Whether the gateway takes such a receipt with the money."""
    kind = payment.connection.connector_class
    return issubclass(kind, FiscalGateway) and (kind.agents_inside or not any(one.agent for one in sold))


def _went_inside(payment: Payment) -> bool:
    """Whether a payment's request carried its receipt: a gateway may give back by it whatever we say then."""
    return payment.receipts.filter(key=payment_key(payment), way=ReceiptWay.INSIDE).exists()


def _sends_after(connection: Any, cause: str) -> bool:
    kind = connection.connector_class
    return issubclass(kind, FiscalGateway) and cause in kind.sends_after


def _counting(payment: Payment) -> Any:
    """Those of a payment that count."""
    return payment.receipts.filter(replaced_by=None).exclude(state__in=UNCOUNTED)


def _standing(payment: Payment, cause: str) -> Receipt | None:
    found: Receipt | None = _counting(payment).filter(cause=cause).order_by("pk").first()
    return found


def _contact(payment: Payment) -> str:
    return payment.customer.email or payment.customer.phone or ""


def _seller(rule: FiscalRule) -> dict[str, str]:
    entity = rule.legal_entity
    return asdict(Seller(inn=entity.inn, email=rule.email, taxation=rule.taxation, place=rule.place))


def _write(
    payment: Payment,
    route: Route,
    *,
    cause: str,
    key: str,
    operation: Operation,
    total: Decimal,
    lines: Iterable[dict[str, Any]],
    contact: str,
    prepaid: Decimal = Decimal("0.00"),
    seller: dict[str, str] | None = None,
    refund: Refund | None = None,
    closes_on: date | None = None,
    replaces: Receipt | None = None,
    waits: bool = False,
) -> Receipt:
    if earlier := Receipt.objects.filter(key=key).first():
        return earlier
    if seller is None:
        assert route.rule is not None
        seller = _seller(route.rule)
    receipt_id = uuid7()
    made = Receipt(
        id=receipt_id,
        payment=payment,
        refund=refund,
        replaces=replaces,
        connection_id=route.connection_id,
        way=route.way,
        state=ReceiptState.WAITING if waits else ReceiptState.QUEUED,
        cause=cause,
        key=key,
        operation=operation.value,
        total=total,
        prepaid=prepaid,
        currency=payment.currency,
        lines=list(lines),
        seller=seller,
        # A receipt goes to somebody: where we know nobody, to the seller.
        contact=contact or seller["email"],
        business_date=clock.today(),
        closes_on=closes_on,
        created_at=clock.now(),
    )
    made.reference = GatewayReference.allot(made.connection, KIND, receipt_id)
    made.save(force_insert=True)
    if not waits:
        due.schedule(SEND, made.pk, clock.wall(), wall=True, lane=made.connection_id)
    return made


def request_of(made: Receipt) -> ReceiptRequest:
    """A receipt as it is handed over, of its frozen columns."""
    is_email = "@" in made.contact
    return ReceiptRequest(
        reference=made.reference_id,
        gateway_id=made.gateway_id,
        operation=Operation(made.operation),
        seller=Seller(**made.seller),
        email=made.contact if is_email else "",
        phone="" if is_email else made.contact,
        lines=tuple(_line(line) for line in made.lines),
        total=made.money,
        prepaid=made.prepaid,
        at=made.created_at,
    )


def _line(line: dict[str, Any]) -> ReceiptLine:
    return ReceiptLine(
        name=line["name"],
        price=Decimal(line["price"]),
        quantity=line["quantity"],
        amount=Decimal(line["amount"]),
        vat_rate=None if line["vat_rate"] is None else Decimal(line["vat_rate"]),
        vat=Decimal(line["vat"]),
        method=Method(line["method"]),
        agent=Agent(**line["agent"]) if line["agent"] else None,
    )


def _lines(sold: Sequence[Sold], total: Money, method: Method) -> list[dict[str, Any]]:
    rows = [
        {
            "name": one.name[:128],
            "quantity": one.quantity,
            "amount": str(one.amount),
            "vat_rate": None if one.vat_rate is None else str(one.vat_rate),
            "method": method.value,
            "agent": asdict(one.agent) if one.agent else None,
        }
        for one in sold
        if one.amount
    ]
    return scaled(rows, total)


def scaled(lines: Sequence[dict[str, Any]], total: Money) -> list[dict[str, Any]]:
    """The lines in proportion to their amounts, adding up to `total`; a line of nothing is left out.

    A line whose pieces are not of one price to the kopeck is one piece.
    """
    parts = total.split([int(Decimal(line["amount"]) * 100) for line in lines])
    found = []
    for line, part in zip(lines, parts, strict=True):
        if not part.amount:
            continue
        rate = None if line["vat_rate"] is None else Decimal(line["vat_rate"])
        price = part.amount / line["quantity"]
        whole = price == price.quantize(Decimal("0.01"))
        found.append(
            {
                **line,
                "quantity": line["quantity"] if whole else 1,
                "price": str((price if whole else part.amount).quantize(Decimal("0.01"))),
                "amount": str(part.amount),
                "vat": str(vat_inside(part.amount, rate)),
            }
        )
    return found
