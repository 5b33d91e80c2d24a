"""Giving money back: never more than came, each refund once, unknown until the gateway says."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.connectors import exchange
from apps.connectors.base import ConnectorError
from apps.core import clock, due, events, faults, search, work
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.money import Money
from apps.payments import authority, gateway_receipts, receipts, timing
from apps.payments.bank_payout_models import BankPayout
from apps.payments.gateway import CARD_CLOSED, Gateway, GatewayRefund, RefundRequest, Status
from apps.payments.models import Payment, PaymentState, Refund, RefundRoute, RefundState
from apps.payments.postings import post_refund
from apps.policies import refunding

FAULT_POINTS = ("payments.refunds-listed-not-recorded", "payments.own-refunds-recorded")
"""Boundaries of `reconcile`; those of a refund on its way are among `payments.FAULT_POINTS`."""
SEND, SWEEP = "payments.refund", "payments.refund_sweep"
IN_CABINET = _("Сделан в кабинете шлюза")
DISPUTED, DECLINED = "disputed", "declined"
"""Why a refund failed before it was sent: the bank has taken the same money, a second person said no."""


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
            due_date=_due(reason_code, demanded_on),
            route=route,
        )
        details = {"refund": str(made.pk), "amount": str(made.amount)}
        journal.record("payments.refund", "payments.payment", payment.pk, actor=actor, data=details)
    return made


def _due(reason_code: str, demanded_on: date | None) -> date | None:
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
        work.open("payments.refund", made.pk, told, deadline_at=deadline(made.due_date))
    else:
        _begin(made)
    return made


def _first_state(route: str) -> str:
    # No gateway is asked about a payment order: it waits for the bank from the first moment.
    return RefundState.PENDING if route == RefundRoute.BANK else RefundState.CREATED


def _begin(made: Refund) -> None:
    """A refund that nobody else need agree to goes its way."""
    if made.route == RefundRoute.BANK:
        _order(made)
    else:
        due.schedule(SEND, made.pk, clock.wall(), wall=True, lane=made.payment.connection_id)


def _order(made: Refund) -> None:
    """The payment order of a refund that no gateway sends: staff and the customer are asked for the details."""
    BankPayout.objects.create(
        id=uuid7(),
        refund=made,
        legal_entity_id=made.payment.connection.legal_entity_id,
        amount=made.amount,
        currency=made.currency,
        created_at=clock.now(),
    )
    told = str(_("Нужны реквизиты, чтобы вернуть %s переводом")) % made.money
    work.open("payments.refund", made.pk, told, deadline_at=deadline(made.due_date))


def deadline(day: date | None) -> datetime | None:
    """The last moment of a day of the partner."""
    return datetime.combine(day, datetime.max.time(), tzinfo=clock.zone()) if day else None


def approve(refund_id: UUID, *, actor: str, comment: str = "") -> Refund:
    """A second person agrees to a requested refund: it goes its way.

    Raises Refused: `own_refund`, `no_right`, `above_limit` where theirs is too small, `refund_decided`,
    `refund_too_much` where the money has been taken otherwise meanwhile.
    """
    with transaction.atomic():
        made = _to_decide(refund_id, actor)
        if _overdrawn(made.payment):
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
        _end(made, DECLINED)
        work.close("payments.refund", made.pk)
        _told("payments.refund-declined", made, actor)
    return made


def _to_decide(refund_id: UUID, actor: str) -> Refund:
    made = _locked(refund_id)
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


def _overdrawn(payment: Payment) -> bool:
    """Whether refunds and chargebacks together are of more than came."""
    return payment.given_back() + payment.disputed() > payment.amount


def send(refund_id: UUID) -> Refund:
    """Claims a refund and sends it, once. Never raises for the gateway."""
    made = _claim(refund_id)
    if made is None:
        return Refund.objects.get(pk=refund_id)
    faults.at("payments.refund-claimed-not-sent")
    try:
        with exchange.about(made.pk):
            seen = _gateway(made).refund(_request(made))
    except ConnectorError as error:
        return _not_done(refund_id, error)
    faults.at("payments.refunded-not-recorded")
    made = record(refund_id, seen)
    faults.at("payments.refund-recorded")
    return made


def _claim(refund_id: UUID) -> Refund | None:
    with transaction.atomic():
        made = _locked(refund_id)
        if made.state != RefundState.CREATED:
            return None
        if _overdrawn(made.payment):
            _fail(made, DISPUTED)
            return None
        made.move(RefundState.SENDING)
        made.claimed_at = clock.wall()
        made.save(update_fields=["state", "claimed_at"])
        receipts.freeze_refund(made)
        due.schedule(
            SWEEP, made.pk, clock.wall() + timing.IN_FLIGHT, wall=True, lane=made.payment.connection_id
        )
    return made


def _gateway(made: Refund) -> Gateway:
    gateway: Gateway = made.payment.connection.open()
    return gateway


def _request(made: Refund) -> RefundRequest:
    return RefundRequest(
        key=made.pk,
        reference=made.payment.reference_id,
        gateway_id=made.gateway_id,
        payment_gateway_id=made.payment.gateway_id,
        amount=Money(made.amount, made.currency),
        description=made.reason,
        receipt=gateway_receipts.of_refund(made),
    )


def _not_done(refund_id: UUID, error: ConnectorError) -> Refund:
    with transaction.atomic():
        made = _locked(refund_id)
        if made.state != RefundState.SENDING:
            return made
        if not (error.unknown or error.retry):
            _fail(made, error.code or "gateway_refused")
            return made
        made.move(RefundState.UNKNOWN if error.unknown else RefundState.CREATED)
        made.save(update_fields=["state"])
        due.schedule(SWEEP, made.pk, timing.next_look(made), wall=True, lane=made.payment.connection_id)
    return made


def _locked(refund_id: UUID) -> Refund:
    # The payment first, as everywhere: it is what the sum of refunds is counted under.
    Payment.objects.select_for_update(no_key=True).get(refunds=refund_id)
    return Refund.locked(refund_id)


def record(refund_id: UUID, seen: GatewayRefund) -> Refund:
    """Settles a refund by what the gateway shows of it, if that is really this refund."""
    with transaction.atomic():
        made = _locked(refund_id)
        if not made.is_open or made.route == RefundRoute.BANK:
            return made
        ours = (made.amount, made.currency, made.payment.gateway_id, str(made.pk))
        if ours != (seen.amount.amount, seen.amount.currency, seen.payment_gateway_id, seen.key):
            work.open("payments.refund", made.pk, str(_("У шлюза другой возврат: %s") % seen.gateway_id))
            return made
        made.gateway_id = seen.gateway_id
        if seen.status == Status.SUCCEEDED:
            _succeed(made)
        elif seen.status == Status.CANCELED:
            _fail(made, seen.reason or "canceled")
        elif made.state != RefundState.PENDING:
            made.move(RefundState.PENDING)
            made.save(update_fields=["state", "gateway_id"])
            due.schedule(SWEEP, made.pk, timing.next_look(made), wall=True, lane=made.payment.connection_id)
    return made


def _succeed(made: Refund) -> None:
    made.move(RefundState.SUCCEEDED)
    made.settled_at = clock.now()
    made.save(update_fields=["state", "gateway_id", "settled_at"])
    _post(made)
    due.cancel(SWEEP, made.pk)
    work.close("payments.refund", made.pk)


def _post(made: Refund) -> None:
    payment = made.payment
    post_refund(made, payment.connection)
    receipts.plan_refund(made)
    search.index("payments.refund", made.pk, [made.gateway_id])
    done = payment.refunds.filter(state=RefundState.SUCCEEDED)
    if payment.state == PaymentState.SUCCEEDED and sum(row.amount for row in done) >= payment.amount:
        payment.move(PaymentState.REFUNDED)
        payment.save(update_fields=["state"])
    events.publish("payments.RefundSucceeded", made.pk, payment_id=payment.pk)


def _fail(made: Refund, reason: str) -> None:
    if reason in CARD_CLOSED and made.route == RefundRoute.GATEWAY:
        _turn_to_bank(made, reason)
        return
    _end(made, reason)
    work.open("payments.refund", made.pk, str(_("Возврат не исполнен: %s") % reason))


def _turn_to_bank(made: Refund, reason: str) -> None:
    """The card is closed and the money is still owed: it is the same refund, by a payment order from now on."""
    if made.state != RefundState.PENDING:
        made.move(RefundState.PENDING)
    receipts.drop([receipts.refund_key(made)])
    made.route, made.decline_reason = RefundRoute.BANK, reason
    # The gateway's number was of an attempt that brought nothing.
    made.gateway_id = ""
    made.save(update_fields=["state", "route", "decline_reason", "gateway_id"])
    due.cancel(SWEEP, made.pk)
    _order(made)


def give_up(made: Refund, reason: str) -> None:
    """Ends a locked refund that was to be paid by bank details; what was reserved is free."""
    _end(made, reason)
    work.close("payments.refund", made.pk)


def paid_by_bank(made: Refund) -> None:
    """The payment order of a locked refund was carried out: only now has the money gone back."""
    _succeed(made)


def _end(made: Refund, reason: str) -> None:
    made.move(RefundState.FAILED)
    made.settled_at, made.decline_reason = clock.now(), reason
    made.save(update_fields=["state", "gateway_id", "settled_at", "decline_reason"])
    receipts.drop([receipts.refund_key(made)])
    due.cancel(SWEEP, made.pk)
    events.publish("payments.RefundFailed", made.pk, payment_id=made.payment_id)


def settle(refund_id: UUID) -> Refund:
    """Asks the gateway what became of a refund, and records it. Never raises for the gateway."""
    made = Refund.objects.select_related("payment").get(pk=refund_id)
    if (
        made.route == RefundRoute.BANK
        or not made.is_open
        or (made.state == RefundState.SENDING and timing.in_flight(made))
    ):
        return made
    try:
        with exchange.about(made.pk):
            seen = _ask(made)
    except ConnectorError:
        return _still_unknown(refund_id)
    faults.at("payments.refund-fetched-not-recorded")
    if seen is not None:
        return record(refund_id, seen)
    if not timing.surely_landed(made) or not _gateway(made).lists_refunds:
        return _still_unknown(refund_id)
    with transaction.atomic():
        made = _locked(refund_id)
        if made.is_open and not made.gateway_id:
            _fail(made, "never_received")
    return made


def _ask(made: Refund) -> GatewayRefund | None:
    gateway = _gateway(made)
    if made.gateway_id:
        return gateway.fetch_refund(_request(made))
    listed = gateway.refunds_of(made.payment.gateway_id)
    found = next((seen for seen in listed if seen.key == str(made.pk)), None)
    if found is None and gateway.repeats_refunds and timing.key_is_kept(made, gateway):
        try:
            return gateway.refund(_request(made))
        except ConnectorError as error:
            if error.unknown or error.retry:
                raise
    return found


def _still_unknown(refund_id: UUID) -> Refund:
    with transaction.atomic():
        made = Refund.locked(refund_id)
        if made.state == RefundState.SENDING:
            made.move(RefundState.UNKNOWN)
            made.save(update_fields=["state"])
    return made


def sweep(refund_id: UUID) -> Refund:
    """Takes a refund one step further, and plans the next look while it is open. Staff hear of what hangs."""
    made = Refund.objects.get(pk=refund_id)
    made = send(refund_id) if made.state == RefundState.CREATED else settle(refund_id)
    if not made.is_open:
        return made
    with transaction.atomic():
        made = Refund.locked(refund_id)
        if made.is_open:
            due.schedule(SWEEP, made.pk, timing.next_look(made), wall=True, lane=made.payment.connection_id)
            waits = made.state == RefundState.PENDING
            limit = timing.STAFF_AFTER_PENDING if waits else timing.STAFF_AFTER
            if timing.age(made) > limit:
                work.open("payments.refund", made.pk, str(_("Возврат не завершён, шлюз не сказал, чем")))
    return made


def reconcile(payment_id: UUID) -> None:
    """Takes over every refund that the gateway lists of a payment: also those made in its cabinet.

    Raises ConnectorError.
    """
    payment = Payment.objects.get(pk=payment_id)
    if payment.state not in {PaymentState.SUCCEEDED, PaymentState.REFUNDED}:
        return
    gateway: Gateway = payment.connection.open()
    with exchange.about(payment.pk):
        listed = gateway.refunds_of(payment.gateway_id)
    faults.at("payments.refunds-listed-not-recorded")
    own = {str(pk) for pk in payment.refunds.values_list("pk", flat=True)}
    for seen in listed:
        if seen.key in own:
            record(UUID(seen.key), seen)
    faults.at("payments.own-refunds-recorded")
    _take_over(payment_id, [seen for seen in listed if seen.key not in own])


def _take_over(payment_id: UUID, listed: Iterable[GatewayRefund]) -> None:
    with transaction.atomic():
        payment = Payment.locked(payment_id)
        known = set(payment.refunds.values_list("gateway_id", flat=True))
        for seen in listed:
            if seen.status != Status.SUCCEEDED or seen.gateway_id in known:
                continue
            now = clock.now()
            made = Refund.objects.create(
                payment=payment,
                amount=seen.amount.amount,
                currency=seen.amount.currency,
                state=RefundState.SUCCEEDED,
                reason=str(IN_CABINET),
                gateway_id=seen.gateway_id,
                created_at=now,
                settled_at=now,
            )
            _post(made)
