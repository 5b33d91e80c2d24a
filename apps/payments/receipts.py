"""Fiscal receipts: one for every payment and refund that a rule asks one for, frozen as it is to be registered.

How they are registered stands in `registering`. What a register refuses is replaced by a new receipt, under a number
of its own.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
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
from apps.payments.cash_register import Agent, Method, Operation, Seller
from apps.payments.models import Payment, Refund
from apps.payments.receipt_models import OPEN_RECEIPTS, Receipt, ReceiptCause, ReceiptState
from apps.policies.fiscal import FiscalRule, ReceiptMethod, rule_of

SEND, SWEEP, CLOSE = "payments.receipt", "payments.receipt_sweep", "payments.receipt_close"
KIND = "payments.Receipt"


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


def plan_payments(paid: Iterable[Payment]) -> None:
    """`plan_payment` for many; who registers none is asked once for each connection."""
    silent: set[int] = set()
    for payment in paid:
        if payment.connection_id in silent:
            continue
        if plan_payment(payment) is None and _rule(payment) is None:
            silent.add(payment.connection_id)


def plan_payment(payment: Payment) -> Receipt | None:
    """A locked payment has come: its receipt, in the caller's transaction; None where none is ours to make."""
    found = _rule(payment)
    if found is None:
        return None
    rule, register = found
    sold = [one for compose in _composers for one in compose(payment)]
    sold = sold or [Sold(payment.description, 1, payment.amount, None)]
    method = Method.FULL_PAYMENT if rule.method == ReceiptMethod.FULL_PAYMENT else Method.FULL_PREPAYMENT
    if not any(one.is_ahead for one in sold):
        method = Method.FULL_PAYMENT
    lines = _lines(sold, payment.money, method)
    return _write(
        payment,
        register,
        rule,
        cause=ReceiptCause.PAYMENT,
        key=f"payment:{payment.pk}",
        operation=Operation.SELL,
        total=payment.amount,
        lines=lines,
        contact=_contact(payment),
    )


def earned(payment_id: UUID, on: date) -> None:
    """What a payment was for is earned by a day: its prepayment, if it was one, is settled then by a receipt."""
    paid = _standing(Payment.locked(payment_id), ReceiptCause.PAYMENT)
    if paid is None or paid.closes_on == on or not paid.is_prepayment:
        return
    paid.closes_on = on
    paid.save(update_fields=["closes_on"])
    due.schedule(CLOSE, paid.payment_id, datetime.combine(on, datetime.min.time(), tzinfo=clock.zone()))


def plan_refund(refund: Refund) -> Receipt | None:
    """A refund was made: what of the payment's receipt goes back, by the same rates; None where it had none."""
    sold = _standing(refund.payment, ReceiptCause.PAYMENT)
    if sold is None:
        return None
    rule = rule_of(refund.payment.connection.legal_entity_id, clock.today())
    return _write(
        refund.payment,
        sold.connection_id,
        rule,
        cause=ReceiptCause.REFUND,
        key=f"refund:{refund.pk}",
        operation=Operation.SELL_REFUND,
        total=refund.amount,
        lines=scaled(sold.lines, Money(refund.amount, refund.currency)),
        contact=sold.contact,
        seller=sold.seller,
        refund=refund,
    )


def close(payment_id: UUID) -> Receipt | None:
    """The prepayment of a payment is earned: what has not gone back is settled by a receipt of its own."""
    with transaction.atomic():
        payment = Payment.locked(payment_id)
        paid = _standing(payment, ReceiptCause.PAYMENT)
        if paid is None or not paid.is_prepayment:
            return None
        back = sum(
            (one.total for one in payment.receipts.filter(cause=ReceiptCause.REFUND, replaced_by=None)),
            Decimal("0.00"),
        )
        left = Money(paid.total - back, paid.currency)
        if not left.amount:
            return None
        lines = scaled(paid.lines, left)
        for line in lines:
            line["method"] = Method.FULL_PAYMENT.value
        return _write(
            payment,
            paid.connection_id,
            rule_of(payment.connection.legal_entity_id, clock.today()),
            cause=ReceiptCause.SETTLEMENT,
            key=f"settlement:{payment.pk}",
            operation=Operation.SELL,
            total=left.amount,
            prepaid=left.amount,
            lines=lines,
            contact=paid.contact,
            seller=paid.seller,
        )


def replace(receipt_id: UUID, *, actor: str) -> Receipt:
    """A failed receipt is made anew, by the register of today, under a new number. Raises Refused `receipt_fine`."""
    with transaction.atomic():
        old = Receipt.locked(receipt_id)
        if old.state != ReceiptState.FAILED:
            raise Refused("receipt_fine", _("Заменяют только непробитый чек"))
        found = _rule(old.payment)
        made = _write(
            old.payment,
            found[1] if found else old.connection_id,
            found[0] if found else None,
            cause=old.cause,
            key=f"again:{old.pk}",
            operation=Operation(old.operation),
            total=old.total,
            prepaid=old.prepaid,
            lines=old.lines,
            contact=old.contact,
            refund=old.refund,
            closes_on=old.closes_on,
            seller=None if found else old.seller,
            replaces=old,
        )
        old.move(ReceiptState.CORRECTED)
        old.save(update_fields=["state"])
        work.close(KIND, old.pk)
        journal.record("receipt.replaced", KIND, old.pk, actor=actor, data={"by": str(made.pk)})
    return made


def erase(customer_id: UUID) -> None:
    """Where the receipts of an erased customer went is forgotten; those on their way still go there."""
    mine = Receipt.objects.filter(payment__customer=customer_id).exclude(state__in=OPEN_RECEIPTS)
    mine.update(contact="")


def _rule(payment: Payment) -> tuple[FiscalRule, int] | None:
    rule = rule_of(payment.connection.legal_entity_id, clock.today())
    register = rule.register_for(is_sandbox=current_partner().is_sandbox) if rule else None
    return (rule, register) if rule and register else None


def _standing(payment: Payment, cause: str) -> Receipt | None:
    """The one of a payment that counts."""
    return payment.receipts.filter(cause=cause, replaced_by=None).order_by("pk").first()


def _contact(payment: Payment) -> str:
    return payment.customer.email or payment.customer.phone or ""


def _seller(rule: FiscalRule) -> dict[str, str]:
    entity = rule.legal_entity
    return asdict(Seller(inn=entity.inn, email=rule.email, taxation=rule.taxation, place=rule.place))


def _write(
    payment: Payment,
    register: int,
    rule: FiscalRule | None,
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
) -> Receipt:
    if earlier := Receipt.objects.filter(key=key).first():
        return earlier
    if seller is None:
        assert rule is not None
        seller = _seller(rule)
    receipt_id = uuid7()
    made = Receipt(
        id=receipt_id,
        payment=payment,
        refund=refund,
        replaces=replaces,
        connection_id=register,
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
    due.schedule(SEND, made.pk, clock.wall(), wall=True)
    return made


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
