"""Receipts apart from money: a prepayment that is earned, and one that was refused and is made anew."""

from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.core import work
from apps.core.errors import Refused
from apps.core.money import Money
from apps.payments import receipt_lines, receipt_routes
from apps.payments.cash_register import Operation
from apps.payments.models import Payment
from apps.payments.receipt_models import Receipt, ReceiptCause, ReceiptState
from apps.payments.receipts import KIND, counting, standing, write


def close(payment_id: UUID) -> Receipt | None:
    """The prepayment of a payment is earned: what has not gone back is settled by a receipt of its own."""
    with transaction.atomic():
        payment = Payment.locked(payment_id)
        paid = standing(payment, ReceiptCause.PAYMENT)
        if paid is None or not paid.is_prepayment:
            return None
        back = sum(
            (one.total for one in counting(payment).filter(cause=ReceiptCause.REFUND)),
            Decimal("0.00"),
        )
        left = Money(paid.total - back, paid.currency)
        if not left.amount:
            return None
        return write(
            payment,
            receipt_routes.after(payment, paid),
            cause=ReceiptCause.SETTLEMENT,
            key=f"settlement:{payment.pk}",
            operation=Operation.SELL,
            total=left.amount,
            prepaid=left.amount,
            lines=receipt_lines.settled(receipt_lines.scaled(paid.lines, left)),
            contact=paid.contact,
            seller=paid.seller,
        )


def replace(receipt_id: UUID, *, actor: str) -> Receipt:
    """A failed receipt is made anew, by the rule of today, under a new number.

    Raises Refused: `receipt_fine`; `receipt_no_way` where neither its gateway nor a register of ours can make it.
    """
    with transaction.atomic():
        old = Receipt.locked(receipt_id)
        if old.state != ReceiptState.FAILED:
            raise Refused("receipt_fine", _("Заменяют только непробитый чек"))
        route = receipt_routes.replacement(old)
        if route is None:
            raise Refused("receipt_no_way", str(receipt_routes.NO_WAY))
        made = write(
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
            # A correction keeps what was decided on, an ordinary one goes by the rule of today.
            seller=None if route.rule and not old.correction else old.seller,
            replaces=old,
            correction=old.correction,
        )
        old.move(ReceiptState.CORRECTED)
        old.save(update_fields=["state"])
        work.close(KIND, old.pk)
        journal.record("receipt.replaced", KIND, old.pk, actor=actor, data={"by": str(made.pk)})
    return made
