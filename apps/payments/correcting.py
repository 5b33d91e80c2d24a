"""A registered receipt that is wrong, and money that has none: put right by correction receipts of our register.

By the fiscal format 1.2 a wrong receipt is undone by a correction receipt of the opposite way with the same data, then
a second one says what is right; where there was no receipt, one says what it should have. The right one goes to the
register only when the wrong one is undone there; until then the wrong one stays registered, and the right one counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.core import clock, due
from apps.core.errors import Refused
from apps.core.money import Money, vat_inside
from apps.payments import receipt_lines, receipt_routes, receipts
from apps.payments.cash_register import Method, Operation
from apps.payments.models import Payment, PaymentState, Refund, RefundState
from apps.payments.receipt_models import Receipt, ReceiptCause, ReceiptState, payment_key, refund_key
from apps.payments.receipt_routes import Route


@dataclass(frozen=True, slots=True)
class Right:
    """What is right; None: as it was."""

    rates: Sequence[str | None] | None = None
    """VAT of each line in percent, None «без НДС», in the order of the lines."""
    seller: Mapping[str, str] = field(default_factory=dict)
    """What of the seller (`cash_register.Seller`) is another."""


def reversal_key(receipt_id: Any) -> str:
    """What the receipt that undoes a wrong one is known by."""
    return f"reversal:{receipt_id}"


def correct(receipt_id: UUID, right: Right, *, reason: str, actor: str) -> Receipt:
    """Undoes a registered receipt and makes the right one, once; gives the right one, that waits for the other.

    Raises Refused: `receipt_not_registered`, `receipt_same`, `receipt_no_correction`.
    """
    with transaction.atomic():
        payment = Payment.locked(Receipt.objects.values_list("payment_id", flat=True).get(pk=receipt_id))
        old = Receipt.locked(receipt_id)
        if not can_correct(old):
            raise Refused("receipt_not_registered", _("Исправляют только пробитый чек, и один раз"))
        lines, seller = _lines(old.lines, right.rates), {**old.seller, **right.seller}
        if (lines, seller) == (old.lines, old.seller):
            raise Refused("receipt_same", _("В чеке ничего не меняется"))
        route = _route(payment, old)
        told = {
            "of": str(old.pk),
            "on": old.business_date.isoformat(),
            "attribute": str(old.fiscal.get("attribute", "")),
            "reason": reason,
        }
        same: dict[str, Any] = {
            "total": old.total,
            "prepaid": old.prepaid,
            "contact": old.contact,
            "correction": told,
        }
        receipts.write(
            payment,
            route,
            cause=ReceiptCause.REVERSAL,
            key=reversal_key(old.pk),
            operation=Operation(old.operation).opposite,
            lines=old.lines,
            seller=old.seller,
            **same,
        )
        made = receipts.write(
            payment,
            route,
            cause=old.cause,
            key=f"right:{old.pk}",
            operation=Operation(old.operation),
            lines=lines,
            seller=seller,
            refund=old.refund,
            closes_on=old.closes_on,
            replaces=old,
            holds=True,
            **same,
        )
        journal.record("receipt.corrected", receipts.KIND, old.pk, actor=actor, data={"reason": reason})
    return made


def can_correct(made: Receipt) -> bool:
    """Whether it is registered, counts, and is not itself what undoes another."""
    is_other = made.state != ReceiptState.REGISTERED or made.cause == ReceiptCause.REVERSAL
    return not is_other and not Receipt.objects.filter(replaces=made.pk).exists()


def make_up(payment_id: UUID, *, reason: str, actor: str) -> list[Receipt]:
    """Correction receipts of a payment that had none, and of what went back of it, once.

    Raises Refused: `receipt_not_needed`, `receipt_no_correction`.
    """
    with transaction.atomic():
        payment = Payment.locked(payment_id)
        if not lacks(payment):
            raise Refused("receipt_not_needed", _("Чек коррекции нужен оплате, у которой чека нет"))
        route = _route(payment, None)
        lines = receipt_lines.written(receipt_lines.sold(payment), payment.money, Method.FULL_PAYMENT)
        made = [_missing(payment, None, route, lines, reason)]
        gone = payment.refunds.filter(state=RefundState.SUCCEEDED).order_by("pk")
        made += [_missing(payment, one, route, lines, reason) for one in gone]
        journal.record(
            "receipt.made-up", "payments.Payment", payment.pk, actor=actor, data={"reason": reason}
        )
    return made


def lacks(payment: Payment) -> bool:
    """Whether its money came and no receipt was ever written of it."""
    came = payment.state in {PaymentState.SUCCEEDED, PaymentState.REFUNDED} and payment.amount
    return bool(came) and not payment.receipts.exists()


def _missing(
    payment: Payment, refund: Refund | None, route: Route, lines: list[dict[str, Any]], reason: str
) -> Receipt:
    about = refund or payment
    money = Money(about.amount, payment.currency)
    on = clock.local(about.settled_at or about.created_at).date()
    return receipts.write(
        payment,
        route,
        cause=ReceiptCause.PAYMENT if refund is None else ReceiptCause.REFUND,
        key=payment_key(payment) if refund is None else refund_key(refund),
        operation=Operation.SELL if refund is None else Operation.SELL_REFUND,
        total=money.amount,
        lines=receipt_lines.scaled(lines, money),
        contact=receipts.contact_of(payment),
        refund=refund,
        correction={"on": on.isoformat(), "reason": reason},
    )


def went_on(made: Receipt) -> None:
    """A locked correction receipt is registered: the right one goes now, or the wrong one is corrected by it."""
    if made.cause == ReceiptCause.REVERSAL:
        right = Receipt.objects.select_for_update(no_key=True).filter(replaces=made.correction["of"])
        for one in right.filter(state=ReceiptState.HELD):
            one.move(ReceiptState.QUEUED)
            one.save(update_fields=["state"])
            due.schedule(receipts.SEND, one.pk, clock.wall(), wall=True, lane=one.connection_id)
        return
    # What the register refused stands between the wrong one and the right one.
    before = made.replaces_id
    while before:
        old = Receipt.locked(before)
        if old.state == ReceiptState.REGISTERED:
            old.move(ReceiptState.CORRECTED)
            old.save(update_fields=["state"])
        before = old.replaces_id


def _route(payment: Payment, old: Receipt | None) -> Route:
    route = receipt_routes.correction(payment, old)
    if route is None:
        raise Refused("receipt_no_correction", str(receipt_routes.NO_CORRECTION))
    return route


def _lines(lines: Sequence[dict[str, Any]], rates: Sequence[str | None] | None) -> list[dict[str, Any]]:
    if rates is None:
        return list(lines)
    found = []
    for line, rate in zip(lines, rates, strict=True):
        told = None if rate is None else Decimal(rate)
        now = None if line["vat_rate"] is None else Decimal(line["vat_rate"])
        # Another way of writing the same rate changes nothing.
        vat = {} if told == now else {"vat_rate": rate, "vat": str(vat_inside(Decimal(line["amount"]), told))}
        found.append({**line, **vat})
    return found
