"""Money that came past our gateway given back: never more than came, above a limit with a second person's word.

What it had paid for is credited, and the money leaves the balance, in one transaction; it is on its way then, by the
partner (`returning`) or by a payment order (`bank_payouts`), and stands on the balance again where it could not go.
"""

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.billing import (
    balances,
    credits,
    documents,
    given_back,
    money_in,
    renewals,
    returnable,
    subscriptions,
    together,
)
from apps.billing.models import CreditReason, Invoice, InvoiceState, Subscription
from apps.billing.outside_refund_models import OutsideRefund, OutsideRefundState, OutsideWay
from apps.billing.paperwork import ChargeRequest, OutsidePayment
from apps.connectors.models import GatewayReference
from apps.core import clock, due, work
from apps.core.errors import Refused
from apps.core.money import Money
from apps.payments import authority, bank_payouts, payout_owner, refunds, timing

KIND = "billing.OutsideRefund"
SEND = "billing.refund_ask"
DECLINED = "declined"
"""Why a refund failed before it was on its way: a second person said no."""
ZERO = Decimal("0.00")
_S = OutsideRefundState


def ways_of(outside: OutsidePayment) -> list[OutsideWay]:
    """By which ways it can go back, the usual one first: what a partner's service has charged goes by that service."""
    if charge_of(outside) is not None:
        return [OutsideWay.PARTNER, OutsideWay.BANK]
    return [OutsideWay.BANK]


def charge_of(outside: OutsidePayment) -> ChargeRequest | None:
    """The request by which a partner's own service had charged it."""
    source, _colon, key = outside.key.partition(":")
    if source != "charge":
        return None
    return ChargeRequest.objects.filter(pk=key, connection__isnull=False).first()


def refundable(outside: OutsidePayment, *, besides: UUID | None = None) -> Decimal:
    """What may still go back of what it pays in its invoice. Acted on under the locks of `credits.lock`.

    `besides`: the refund that is decided about, whose own reservation is not counted. What stands on the balance, or
    has gone from there, is not counted: that goes back as a balance does.
    """
    invoice = outside.invoice
    if invoice.state != InvoiceState.PAID:
        return ZERO
    mine = OutsideRefund.objects.exclude(state=_S.FAILED)
    if besides is not None:
        mine = mine.exclude(pk=besides)
    back = _sum(mine.filter(outside=outside)) - outside.to_balance
    asked = _sum(mine.filter(outside__invoice=invoice, state=_S.REQUESTED, of_balance=False))
    return max(min(outside.amount - max(back, ZERO), returnable.left(invoice) - asked), ZERO)


def _sum(rows: Any) -> Decimal:
    return rows.aggregate(total=Sum("amount"))["total"] or ZERO


def give_back(
    *,
    outside_id: UUID,
    amount: Money | None = None,
    way: str = "",
    reason: str,
    actor: str,
    key: str,
    reason_code: str = "",
    demanded_on: date | None = None,
) -> OutsideRefund:
    """Plans to give back `amount` (all that is left, without it) of what an outside payment pays in its invoice.

    Above the limit of `actor` it is only requested: reserved, until a second person decides. With the same `key` it
    is the same refund. Raises Refused: `refund_too_much` (with `refundable`), `no_way`, `key_reused`.
    """
    with transaction.atomic():
        outside, _invoice, subscription = _locked_payment(outside_id)
        if earlier := OutsideRefund.objects.filter(outside=outside, key=key).first():
            return _same(earlier, amount)
        left = refundable(outside)
        wanted = amount or Money(left, outside.currency)
        if wanted.currency != outside.currency or not 0 < wanted.amount <= left:
            raise _too_much(outside, left)
        made = _write(
            outside,
            wanted,
            way=way,
            reason=reason,
            actor=actor,
            key=key,
            reason_code=reason_code[:40],
            demanded_on=demanded_on,
            due_date=refunds.due_on(reason_code, demanded_on),
        )
        if made.state == _S.WAITING:
            _begin(made, subscription)
    return made


def of_balance(
    outside: OutsidePayment, amount: Money, *, way: str = "", reason: str, actor: str, key: str
) -> OutsideRefund:
    """So much, which the caller has taken off the locked balance, goes back as it had come, or by `way`."""
    made = _write(outside, amount, way=way, reason=reason, actor=actor, key=key, of_balance=True)
    money_in.post_refund(made, "owed")
    if made.state == _S.WAITING:
        _send(made)
    return made


def _same(earlier: OutsideRefund, amount: Money | None) -> OutsideRefund:
    if earlier.of_balance or amount not in {None, earlier.money}:
        raise Refused("key_reused", _("С этим ключом возвращена другая сумма"), status=422)
    return earlier


def _too_much(outside: OutsidePayment, left: Decimal) -> Refused:
    told = _("По этому поступлению можно вернуть не больше %s") % Money(left, outside.currency)
    return Refused("refund_too_much", told, refundable=str(left))


def _write(
    outside: OutsidePayment, amount: Money, *, way: str, reason: str, actor: str, key: str, **more: Any
) -> OutsideRefund:
    ways = ways_of(outside)
    if way not in {"", *ways}:
        raise Refused("no_way", _("Этим путём такие деньги не возвращают"))
    above = authority.above(actor, amount)
    made = OutsideRefund.objects.create(
        outside=outside,
        customer_id=outside.customer_id,
        amount=amount.amount,
        currency=amount.currency,
        way=way or ways[0],
        state=_S.REQUESTED if above else _S.WAITING,
        reason=reason[:200],
        actor=actor[:150],
        above=above,
        created_at=clock.now(),
        key=key[:100],
        **more,
    )
    _note("outside-refund.asked", made, actor)
    if above:
        told = str(_("Возврат %s ждёт решения второго сотрудника")) % made.money
        work.open(KIND, made.pk, told, deadline_at=timing.deadline(made.due_date))
    return made


def _begin(made: OutsideRefund, subscription: Subscription | None) -> None:
    """What it had paid for is owed no more; the money leaves the balance at once, and is on its way."""
    invoice = made.outside.invoice
    lines = list(invoice.lines.select_for_update(no_key=True).order_by("pk"))
    parts = given_back.spread(made.amount, lines, given_back.taken_of(invoice, lines))
    made.note = credits.issue(
        invoice=invoice,
        parts=[credits.Part(line.pk, part) for line, part in parts],
        reason=CreditReason.REFUND,
        key=f"{made._meta.model_name}:{made.pk}",
        actor=made.actor,
    )
    made.save(update_fields=["note"])
    if balances.take(made.customer_id, made.money) != made.amount:
        raise ValueError(f"The balance has less than refund {made.pk} has just put there")
    money_in.post_refund(made, "owed")
    if subscription is not None and returnable.left(invoice) <= 0:
        renewals.end_unpaid(subscription, invoice)
    _send(made)


def _send(made: OutsideRefund) -> None:
    if made.way == OutsideWay.BANK:
        _order(made)
        return
    charge = charge_of(made.outside)
    if charge is None or charge.connection is None:
        raise ValueError("What no service has charged, no service gives back")
    made.connection = charge.connection
    made.reference_number = GatewayReference.allot(charge.connection, KIND, made.pk)
    made.save(update_fields=["connection", "reference_number"])
    due.schedule(SEND, made.pk, clock.wall(), wall=True)


def _order(made: OutsideRefund) -> None:
    outside = made.outside
    # As much VAT as its credit note has taken back; what stood on the balance was for nothing yet.
    vat = made.note.vat if made.note else ZERO
    bank_payouts.order_outside(
        made.pk,
        customer=made.customer,
        legal_entity_id=outside.legal_entity_id,
        amount=made.money,
        purpose=bank_payouts.purpose(outside.paid_date, outside.reference, vat),
        reason=made.reason,
        due_date=made.due_date,
    )


class Orders:
    """Payment orders of outside refunds: carried out as those of gateways' refunds are."""

    work = KIND

    def lock(self, object_id: UUID) -> None:
        _locked(object_id)

    def paid(self, object_id: UUID, *, actor: str, number: int | None) -> None:
        succeed(object_id, actor=actor, reference=str(number or ""))

    def cancelled(self, object_id: UUID, *, actor: str, reason: str) -> None:
        made = _locked(object_id)
        _must_wait(made)
        _end(made, reason)
        _note("outside-refund.failed", made, actor, reason=reason)


payout_owner.register(Orders())


# -- a second person ----------------------------------------------------------------------------------


def approve(refund_id: UUID, *, actor: str, comment: str = "") -> OutsideRefund:
    """A second person agrees: it goes its way.

    Raises Refused: `own_refund`, `no_right`, `above_limit` where theirs is too small, `refund_decided`,
    `refund_too_much` where the money has been given otherwise meanwhile.
    """
    with transaction.atomic():
        made, subscription = _to_decide(refund_id, actor)
        if not made.of_balance and made.amount > (left := refundable(made.outside, besides=made.pk)):
            raise _too_much(made.outside, left)
        if above := authority.above(actor, made.money):
            raise Refused("above_limit", above)
        _decided(made, actor, comment)
        made.move(_S.WAITING)
        made.save()
        work.close(KIND, made.pk)
        _note("outside-refund.approved", made, actor, comment=comment)
        if made.of_balance:
            _send(made)
        else:
            _begin(made, subscription)
    return made


def decline(refund_id: UUID, *, actor: str, comment: str) -> OutsideRefund:
    """A second person says no: nothing goes back, what was reserved is free. Raises Refused as `approve`."""
    with transaction.atomic():
        made, _subscription = _to_decide(refund_id, actor)
        _decided(made, actor, comment)
        _end(made, DECLINED)
        work.close(KIND, made.pk)
        _note("outside-refund.declined", made, actor, comment=comment)
    return made


def _to_decide(refund_id: UUID, actor: str) -> tuple[OutsideRefund, Subscription | None]:
    outside_id = OutsideRefund.objects.values_list("outside_id", flat=True).get(pk=refund_id)
    outside, _invoice, subscription = _locked_payment(outside_id)
    made = OutsideRefund.locked(refund_id)
    made.outside = outside
    if made.state != _S.REQUESTED:
        raise Refused("refund_decided", _("По этому возврату уже решили"))
    authority.must_decide(actor, made.actor)
    return made, subscription


def _decided(made: OutsideRefund, actor: str, comment: str) -> None:
    made.decided_by, made.decided_at, made.comment = actor[:150], clock.now(), comment[:500]


# -- how it ends --------------------------------------------------------------------------------------


def succeed(refund_id: UUID, *, actor: str, reference: str = "") -> OutsideRefund:
    """The customer has the money. The same again changes nothing. Raises Refused `refund_closed`."""
    with transaction.atomic():
        made = _locked(refund_id)
        if made.state == _S.SUCCEEDED:
            return made
        _must_wait(made)
        made.move(_S.SUCCEEDED)
        made.settled_at, made.reference = clock.now(), reference[:60]
        made.save(update_fields=["state", "settled_at", "reference"])
        money_in.post_refund(made, "refunded")
        documents.given_back(made.outside.invoice, made.amount, key=f"outside-refund:{made.pk}")
        due.cancel(SEND, made.pk)
        work.close(KIND, made.pk)
        _note("outside-refund.done", made, actor, reference=reference)
    return made


def fail(refund_id: UUID, *, reason: str, actor: str) -> OutsideRefund:
    """It cannot go this way: the money stands on the balance again. The same again changes nothing."""
    with transaction.atomic():
        made = _locked(refund_id)
        if made.state == _S.FAILED:
            return made
        _must_wait(made)
        _end(made, reason)
        told = str(_("Возврат не исполнен, деньги на балансе клиента: %s")) % reason
        work.open(KIND, made.pk, told, deadline_at=timing.deadline(made.due_date))
        _note("outside-refund.failed", made, actor, reason=reason)
    return made


def _end(made: OutsideRefund, reason: str) -> None:
    was_owed = made.of_balance or made.note_id is not None
    made.move(_S.FAILED)
    made.settled_at, made.decline_reason = clock.now(), reason[:60]
    made.save()
    if was_owed:
        money_in.post_refund(made, "returned")
        balances.add(made.customer_id, made.money)
    due.cancel(SEND, made.pk)


def _must_wait(made: OutsideRefund) -> None:
    if made.state != _S.WAITING:
        told = _("Этот возврат уже завершён: %s") % made.get_state_display()
        raise Refused("refund_closed", told, state=made.state)


def _locked(refund_id: UUID) -> OutsideRefund:
    """The balance first, as everywhere."""
    rows = OutsideRefund.objects.select_related("outside__invoice")
    seen = rows.get(pk=refund_id)
    balances.lock(seen.customer_id, seen.currency)
    made = OutsideRefund.locked(refund_id)
    made.outside = seen.outside
    return made


def _locked_payment(outside_id: UUID) -> tuple[OutsidePayment, Invoice, Subscription | None]:
    """An outside payment with all that its refund goes by, locked in everybody's order."""
    outside = OutsidePayment.objects.select_related("invoice").get(pk=outside_id)
    key = outside.invoice.subscription_id
    subscription = subscriptions.locked_with_parent(key) if key else None
    if subscription is not None:
        together.led_by(subscription)
    [outside.invoice] = credits.lock([outside.invoice_id])
    return outside, outside.invoice, subscription


def _note(action: str, made: OutsideRefund, actor: str, **more: str) -> None:
    data = {"amount": str(made.amount), "payment": str(made.outside_id), "way": made.way, **more}
    journal.record(action, KIND, made.pk, actor=actor, data=data)
