"""Giving money back: asked for, agreed to by a second person where it must be, and never more than came.

How a refund goes to its gateway stands in `refund_calls`, how it ends in `refund_recording`.
"""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.core import clock, due, work
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.money import Money
from apps.payments import authority, timing
from apps.payments.models import Payment, Refund, RefundRoute, RefundState
from apps.payments.refund_recording import end, locked, order, overdrawn
from apps.policies import refunding

SEND = "payments.refund"
DECLINED = "declined"
"""Why a refund failed before it was sent: a second person said no."""


def refund(
    *,
    payment: Payment,
    amount: Money | None = None,
    reason: str,
    actor: str,
    key: UUID | None = None,
    is_counted: bool = False,
    reason_code: str = "",
    demanded_on: date | None = None,
    route: str = RefundRoute.GATEWAY,
) -> Refund:
    """Plans to give back `amount` (all that is left, without it). With the same `key` it is the same refund.

    Above the limit of `actor` (`authority`) it is only requested: the money is reserved, a second person decides.
    `demanded_on`: the day of the customer's demand, from which the term of its reason runs. `is_counted`: the caller
    holds the payment's lock and sends what it has told `elsewhere` of, so that only the gateway's sum is the limit.
    Raises Refused `refund_too_much` where the payment has not brought that much, or where the customer has it already
    on the balance (`refundable`, `on_balance`).
    """
    with transaction.atomic():
        payment = Payment.locked(payment.pk)
        if key and (earlier := Refund.objects.filter(pk=key, payment=payment).first()):
            return earlier
        left = payment.at_gateway() if is_counted else payment.refundable()
        wanted = amount or Money(left, payment.currency)
        if wanted.currency != payment.currency or not 0 < wanted.amount <= left:
            raise _too_much(payment, left)
        made = _write(
            payment,
            wanted.amount,
            reason=reason,
            actor=actor,
            key=key,
            above=authority.above(actor, wanted),
            reason_code=reason_code[:40],
            demanded_on=demanded_on,
            due_date=due_on(reason_code, demanded_on),
            route=route,
        )
        details = {"refund": str(made.pk), "amount": str(made.amount)}
        journal.record("payments.refund", "payments.payment", payment.pk, actor=actor, data=details)
    return made


def due_on(reason_code: str, demanded_on: date | None) -> date | None:
    reason = refunding.reason_of(reason_code) if reason_code and demanded_on else None
    if reason is None or reason.term_days is None or demanded_on is None:
        return None
    return demanded_on + timedelta(days=reason.term_days)


def _too_much(payment: Payment, left: Decimal) -> Refused:
    message = _("По этому платежу можно вернуть не больше %s") % Money(left, payment.currency)
    details: dict[str, Any] = {"refundable": str(left)}
    if on_balance := payment.given_elsewhere():
        details["on_balance"] = str(on_balance)
        message = f"{message}. {told_elsewhere(payment)}"
    return Refused("refund_too_much", message, **details)


def told_elsewhere(payment: Payment) -> str:
    """Why less can go back than came; empty where nothing of it was given otherwise."""
    found = payment.given_elsewhere()
    if not found:
        return ""
    return str(_("%s этого платежа уже на балансе покупателя")) % Money(found, payment.currency)


def give_back_all(payment: Payment, *, reason: str) -> None:
    """Plans to give back all of a locked payment, by the platform itself."""
    _write(payment, payment.amount, reason=reason, actor="", key=None)


def _write(
    payment: Payment, amount: Decimal, *, reason: str, actor: str, key: UUID | None, **more: Any
) -> Refund:
    made = Refund.objects.create(
        id=key or uuid7(),
        payment=payment,
        amount=amount,
        currency=payment.currency,
        state=RefundState.REQUESTED if more.get("above") else _first_state(more.get("route", "")),
        reason=reason[:200],
        actor=actor,
        created_at=clock.now(),
        **more,
    )
    if made.above:
        told = str(_("Возврат %s ждёт решения второго сотрудника")) % made.money
        work.open("payments.refund", made.pk, told, deadline_at=timing.deadline(made.due_date))
    else:
        _begin(made)
    return made


def _first_state(route: str) -> str:
    # No gateway is asked about a payment order: it waits for the bank from the first moment.
    return RefundState.PENDING if route == RefundRoute.BANK else RefundState.CREATED


def _begin(made: Refund) -> None:
    """A refund that nobody else need agree to goes its way."""
    if made.route == RefundRoute.BANK:
        order(made)
    else:
        due.schedule(SEND, made.pk, clock.wall(), wall=True, lane=made.payment.connection_id)


def approve(refund_id: UUID, *, actor: str, comment: str = "") -> Refund:
    """A second person agrees to a requested refund: it goes its way.

    Raises Refused: `own_refund`, `no_right`, `above_limit` where theirs is too small, `refund_decided`,
    `refund_too_much` where the money has been taken otherwise meanwhile.
    """
    with transaction.atomic():
        made = _to_decide(refund_id, actor)
        if overdrawn(made.payment):
            raise _too_much(made.payment, made.payment.at_gateway())
        if above := authority.above(actor, made.money):
            raise Refused("above_limit", above)
        work.close("payments.refund", made.pk)
        _decided(made, actor, comment)
        made.move(_first_state(made.route))
        made.save()
        _begin(made)
        _told("payments.refund-approved", made, actor)
    return made


def decline(refund_id: UUID, *, actor: str, comment: str) -> Refund:
    """A second person says no: nothing goes back, what was reserved is free. Raises Refused as `approve`."""
    with transaction.atomic():
        made = _to_decide(refund_id, actor)
        _decided(made, actor, comment)
        made.save()
        end(made, DECLINED)
        work.close("payments.refund", made.pk)
        _told("payments.refund-declined", made, actor)
    return made


def _to_decide(refund_id: UUID, actor: str) -> Refund:
    [made] = locked([refund_id])
    if made.state != RefundState.REQUESTED:
        raise Refused("refund_decided", _("По этому возврату уже решили"))
    authority.must_decide(actor, made.actor)
    return made


def _decided(made: Refund, actor: str, comment: str) -> None:
    made.decided_by, made.decided_at, made.comment = actor[:150], clock.now(), comment[:500]


def _told(action: str, made: Refund, actor: str) -> None:
    data = {
        "refund": str(made.pk),
        "amount": str(made.amount),
        "asked_by": made.actor,
        "comment": made.comment,
    }
    journal.record(action, "payments.payment", made.payment_id, actor=actor, data=data)
