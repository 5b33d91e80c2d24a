"""Refunds that a gateway lists of a payment, whoever made them: also those made in its cabinet."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.connectors import exchange
from apps.connectors.lanes import Calls
from apps.connectors.models import Connection
from apps.core import clock, due, faults, lanes
from apps.payments import calling, timing
from apps.payments.gateway import Gateway, GatewayRefund, Status
from apps.payments.models import Payment, PaymentState, Refund, RefundState
from apps.payments.refund_recording import judge, locked, post

FAULT_POINTS = ("payments.refunds-listed-not-recorded", "payments.own-refunds-recorded")
"""Boundaries of `reconcile`; those of a refund on its way are among `payments.FAULT_POINTS`."""
RECONCILE = "payments.reconcile"
IN_CABINET = _("Сделан в кабинете шлюза")


@dataclass(frozen=True, slots=True)
class Asked:
    """All that reading a payment's refunds needs of the database."""

    key: UUID
    """The payment's id."""
    gateway_id: str
    connection: Connection


def reconcile(payment_id: UUID) -> None:
    """Takes over every refund that the gateway lists of a payment: also those made in its cabinet.

    Raises ConnectorError.
    """
    asked = _to_list(Payment.objects.filter(pk=payment_id)).get(payment_id)
    if asked is None:
        return
    listed = _listed(asked)
    faults.at("payments.refunds-listed-not-recorded")
    _record(payment_id, listed)


def _to_list(payments: Iterable[Payment]) -> dict[UUID, Asked]:
    paid = [one for one in payments if one.state in {PaymentState.SUCCEEDED, PaymentState.REFUNDED}]
    return {one.pk: Asked(one.pk, one.gateway_id, one.connection) for one in paid}


def _listed(asked: Asked) -> list[GatewayRefund]:
    with exchange.about(asked.key):
        gateway: Gateway = asked.connection.open()
        return gateway.refunds_of(asked.gateway_id)


def _record(payment_id: UUID, listed: Sequence[GatewayRefund]) -> None:
    mine = Refund.objects.filter(payment=payment_id).values_list("pk", flat=True)
    own = {str(key): key for key in mine}
    shown = {own[seen.key]: seen for seen in listed if seen.key in own}
    with transaction.atomic():
        for made in locked(shown):
            judge(made, shown[made.pk])
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
            post(made)


class ListCalls(Calls):
    """The same in a lane. What is not known to have come cannot have gone back: it is asked about first."""

    def claim(self, object_ids: Sequence[UUID]) -> dict[UUID, Any]:
        payments = list(Payment.objects.select_related("connection").filter(pk__in=list(object_ids)))
        return {**calling.to_ask(payments), **_to_list(payments)}

    def go_out(self, plan: calling.Asked | Asked) -> Any:
        return _listed(plan) if isinstance(plan, Asked) else calling.call(plan)

    def conclude(self, answers: Sequence[tuple[Any, Any]]) -> None:
        for payment in calling.conclude([pair for pair in answers if not isinstance(pair[0], Asked)]):
            if payment.is_open or payment.is_paid:
                at = timing.next_look(payment) if payment.is_open else clock.wall()
                due.schedule(RECONCILE, payment.pk, at, wall=True, lane=payment.connection_id)
        listed = [pair for pair in answers if isinstance(pair[0], Asked)]
        for asked, answer in sorted(listed, key=lambda pair: pair[0].key):
            if isinstance(answer, lanes.PutBack):
                raise due.Retry(clock.wall() + timing.SHORTEST)
            if isinstance(answer, Exception):
                raise answer
            _record(asked.key, answer)
