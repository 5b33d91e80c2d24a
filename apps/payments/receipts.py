"""Fiscal receipts: one for every payment and refund that a rule asks one for, frozen as it is to be registered.

Our own register gets one when the money came. Where the gateway makes them, the receipt is frozen before the money is
asked for, goes with that request, and counts when the money came. `receipt_routes` says who makes it, `receipt_lines`
what stands in it, `receipts_apart` makes what follows apart from money; `registering` and `gateway_receipts` send it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from apps.connectors.models import GatewayReference
from apps.core import bulk, clock, due
from apps.core.ids import uuid7
from apps.core.money import Money
from apps.payments import receipt_lines, receipt_routes
from apps.payments.cash_register import Method, Operation, Seller
from apps.payments.models import Payment, Refund, RefundRoute
from apps.payments.receipt_models import (
    OPEN_RECEIPTS,
    UNCOUNTED,
    Receipt,
    ReceiptCause,
    ReceiptState,
    ReceiptWay,
    payment_key,
    refund_key,
)
from apps.payments.receipt_routes import Route
from apps.policies.fiscal import FiscalRule, ReceiptMaker, ReceiptMethod, rule_of

SEND, SWEEP, CLOSE = "payments.receipt", "payments.receipt_sweep", "payments.receipt_close"
KIND = "payments.Receipt"
SOON = timedelta(seconds=5)
"""After which a gateway is first asked about the receipt of money that came."""


def freeze_payments(sent: Iterable[Payment]) -> None:
    """Locked payments are about to be sent: what each request is to say of its receipt, where the gateway makes it."""
    rules: dict[int, FiscalRule | None] = {}
    for payment in sent:
        if payment.connection_id not in rules:
            rules[payment.connection_id] = rule_of(payment.connection.legal_entity_id, clock.today())
        rule = rules[payment.connection_id]
        if rule is None or rule.maker != ReceiptMaker.GATEWAY or payment.only_binds:
            continue
        if receipt_routes.goes_inside(payment, receipt_lines.sold(payment)):
            # From now on the payment goes to no other gateway (`calling`).
            _of_payment(payment, Route(rule, payment.connection_id, ReceiptWay.INSIDE), waits=True)


def is_frozen(payment: Payment) -> bool:
    """Whether a receipt stands already in what its gateway is to be asked."""
    return Receipt.objects.filter(key=payment_key(payment)).exists()


def freeze_refund(refund: Refund) -> None:
    """The same of a refund: the gateway that got the payment's receipt gets this one."""
    sold = standing(refund.payment, ReceiptCause.PAYMENT)
    if sold is not None and receipt_routes.went_inside(refund.payment):
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
    if made.money != total:
        made.lines, made.total = receipt_lines.scaled(made.lines, total), total.amount
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
    route = receipt_routes.of_money(payment, ReceiptCause.PAYMENT)
    return _of_payment(payment, route) if route else None


def _of_payment(payment: Payment, route: Route, *, waits: bool = False) -> Receipt:
    assert route.rule is not None
    sold = receipt_lines.sold(payment)
    method = (
        Method.FULL_PAYMENT if route.rule.method == ReceiptMethod.FULL_PAYMENT else Method.FULL_PREPAYMENT
    )
    if not any(one.is_ahead for one in sold):
        method = Method.FULL_PAYMENT
    return write(
        payment,
        route,
        cause=ReceiptCause.PAYMENT,
        key=payment_key(payment),
        operation=Operation.SELL,
        total=payment.amount,
        lines=receipt_lines.written(sold, payment.money, method),
        contact=contact_of(payment),
        waits=waits,
    )


def earned_many(days: Mapping[UUID, date]) -> None:
    """What payments were for is earned by a day each: a prepayment, if it was one, is settled then by a receipt."""
    wanted = bulk.these("uuid", days)
    list(Payment.objects.select_for_update(no_key=True).filter(pk__in=wanted).order_by("pk").only("pk"))
    mine = Receipt.objects.filter(payment__in=wanted, cause=ReceiptCause.PAYMENT, replaced_by=None)
    standing = {one.payment_id: one for one in mine.exclude(state__in=UNCOUNTED).order_by("-pk")}
    for paid in standing.values():
        on = days[paid.payment_id]
        if paid.closes_on != on and paid.is_prepayment:
            paid.closes_on = on
            paid.save(update_fields=["closes_on"])
            midnight = datetime.combine(on, datetime.min.time(), tzinfo=clock.zone())
            due.schedule(CLOSE, paid.payment_id, midnight)


def plan_refund(refund: Refund) -> Receipt | None:
    """A refund was made: what of the payment's receipt goes back, by the same rates; None where it had none."""
    if made := _came(refund_key(refund), Money(refund.amount, refund.currency)):
        return made
    sold = standing(refund.payment, ReceiptCause.PAYMENT)
    if sold is None:
        return None
    # What goes by a payment order goes past the gateway: it makes no receipt of it.
    if refund.route == RefundRoute.BANK or not receipt_routes.went_inside(refund.payment):
        return _of_refund(refund, sold, receipt_routes.apart(sold))
    # One that was made in the gateway's cabinet has its receipt from there: it is only asked about.
    _of_refund(refund, sold, ReceiptWay.INSIDE, waits=True)
    return _came(refund_key(refund), Money(refund.amount, refund.currency))


def _of_refund(refund: Refund, sold: Receipt, way: str, *, waits: bool = False) -> Receipt:
    rule = rule_of(refund.payment.connection.legal_entity_id, clock.today())
    return write(
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
    lines = receipt_lines.scaled(sold.lines, Money(refund.amount, refund.currency))
    if standing(refund.payment, ReceiptCause.SETTLEMENT):
        lines = receipt_lines.settled(lines)
    return lines


def erase(customer_id: UUID) -> None:
    """Where the receipts of an erased customer went is forgotten; those on their way still go there."""
    mine = Receipt.objects.filter(payment__customer=customer_id).exclude(state__in=OPEN_RECEIPTS)
    mine.update(contact="")


def counting(payment: Payment) -> Any:
    """Those of a payment that count."""
    return payment.receipts.filter(replaced_by=None).exclude(state__in=UNCOUNTED)


def standing(payment: Payment, cause: str) -> Receipt | None:
    """The one of a payment that counts, of a cause."""
    found: Receipt | None = counting(payment).filter(cause=cause).order_by("pk").first()
    return found


def contact_of(payment: Payment) -> str:
    """Where a receipt of its customer goes; empty where we know nothing."""
    return payment.customer.email or payment.customer.phone or ""


def _seller(rule: FiscalRule) -> dict[str, str]:
    entity = rule.legal_entity
    return asdict(Seller(inn=entity.inn, email=rule.email, taxation=rule.taxation, place=rule.place))


def write(
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
    correction: dict[str, str] | None = None,
    waits: bool = False,
    holds: bool = False,
) -> Receipt:
    """Freezes a receipt, in the caller's transaction, and plans to register it; the same `key` again is the first one.

    `waits`: it goes with the request for its money, and counts only when that has come. `holds`: it goes when the
    wrong one that it replaces is undone.
    """
    if earlier := Receipt.objects.filter(key=key).first():
        return earlier
    if seller is None:
        assert route.rule is not None
        seller = _seller(route.rule)
    receipt_id = uuid7()
    state = ReceiptState.WAITING if waits else ReceiptState.HELD if holds else ReceiptState.QUEUED
    made = Receipt(
        id=receipt_id,
        payment=payment,
        refund=refund,
        replaces=replaces,
        connection_id=route.connection_id,
        way=route.way,
        state=state,
        cause=cause,
        key=key,
        operation=operation.value,
        total=total,
        prepaid=prepaid,
        currency=payment.currency,
        lines=list(lines),
        seller=seller,
        correction=correction or {},
        # A receipt goes to somebody: where we know nobody, to the seller.
        contact=contact or seller["email"],
        business_date=clock.today(),
        closes_on=closes_on,
        created_at=clock.now(),
    )
    made.reference = GatewayReference.allot(made.connection, KIND, receipt_id)
    made.save(force_insert=True)
    if state == ReceiptState.QUEUED:
        due.schedule(SEND, made.pk, clock.wall(), wall=True, lane=made.connection_id)
    return made
