"""Giving money back: never more than came, each refund once, unknown until the gateway says."""

from collections.abc import Iterable
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
from apps.payments import gateway_receipts, receipts, timing
from apps.payments.gateway import Gateway, GatewayRefund, RefundRequest, Status
from apps.payments.models import Payment, PaymentState, Refund, RefundState
from apps.payments.postings import post_refund

FAULT_POINTS = ("payments.refunds-listed-not-recorded", "payments.own-refunds-recorded")
"""Boundaries of `reconcile`; those of a refund on its way are among `payments.FAULT_POINTS`."""
SEND, SWEEP = "payments.refund", "payments.refund_sweep"
IN_CABINET = _("Сделан в кабинете шлюза")


def refund(
    *,
    payment: Payment,
    amount: Money | None = None,
    reason: str,
    actor: str,
    key: UUID | None = None,
    is_counted: bool = False,
) -> Refund:
    """Plans to give back `amount` (all that is left, without it). With the same `key` it is the same refund.

    `is_counted`: the caller holds the payment's lock and sends what it has told `elsewhere` of, so that only the
    gateway's sum is the limit. Raises Refused `refund_too_much` where the payment has not brought that much, or
    where the customer has it already on the balance (`refundable`, `on_balance`).
    """
    with transaction.atomic():
        payment = Payment.locked(payment.pk)
        if key and (earlier := Refund.objects.filter(pk=key, payment=payment).first()):
            return earlier
        left = payment.at_gateway() if is_counted else payment.refundable()
        wanted = amount or Money(left, payment.currency)
        if wanted.currency != payment.currency or not 0 < wanted.amount <= left:
            raise _too_much(payment, left)
        made = _write(payment, wanted.amount, reason=reason, actor=actor, key=key)
        details = {"refund": str(made.pk), "amount": str(made.amount)}
        journal.record("payments.refund", "payments.payment", payment.pk, actor=actor, data=details)
    return made


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


def _write(payment: Payment, amount: Decimal, *, reason: str, actor: str, key: UUID | None) -> Refund:
    made = Refund.objects.create(
        id=key or uuid7(),
        payment=payment,
        amount=amount,
        currency=payment.currency,
        reason=reason[:200],
        actor=actor,
        created_at=clock.now(),
    )
    due.schedule(SEND, made.pk, clock.wall(), wall=True, lane=made.payment.connection_id)
    return made


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
        made = Refund.locked(refund_id)
        if made.state != RefundState.CREATED:
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
        if not made.is_open:
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
    made.move(RefundState.FAILED)
    made.settled_at, made.decline_reason = clock.now(), reason
    made.save(update_fields=["state", "gateway_id", "settled_at", "decline_reason"])
    receipts.drop([receipts.refund_key(made)])
    due.cancel(SWEEP, made.pk)
    work.open("payments.refund", made.pk, str(_("Возврат не исполнен: %s") % reason))
    events.publish("payments.RefundFailed", made.pk, payment_id=made.payment_id)


def settle(refund_id: UUID) -> Refund:
    """Asks the gateway what became of a refund, and records it. Never raises for the gateway."""
    made = Refund.objects.select_related("payment").get(pk=refund_id)
    if not made.is_open or (made.state == RefundState.SENDING and timing.in_flight(made)):
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
