"""Refunds that go to a partner's own service: sent once, asked about until it has answered, as charges are.

Claim (commit) → call → record (commit), under the refund's id: a lost answer is asked for, never sent blind.
"""

from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.billing import outside_refunds
from apps.billing.outside_refund_models import OutsideRefund, OutsideRefundState, OutsideWay
from apps.billing.outside_refunds import KIND, SEND
from apps.billing.partner_service import PENDING, REFUNDED, ChargeAnswer, PartnerService, RefundOrder
from apps.connectors import exchange
from apps.connectors.base import ConnectorError
from apps.core import clock, due, faults, work

ACTOR = "partner-service"
FAULT_POINTS = ("billing.refund-claimed-not-sent", "billing.refund-asked-not-recorded")
SOON, LATER = timedelta(seconds=30), timedelta(minutes=10)
STAFF_AFTER = timedelta(hours=2)
"""For which a partner's service may owe an answer before staff are told."""


def step(refund_id: UUID) -> None:
    """Sends a refund, or asks what became of it; plans the next look while it has no answer."""
    claimed = _claim(refund_id)
    if claimed is None:
        return
    made, was_sent = claimed
    faults.at("billing.refund-claimed-not-sent")
    try:
        if made.connection is None:
            raise ConnectorError(str(_("Сервис партнёра отключён")))
        connector: PartnerService = made.connection.open()
        order = order_of(made)
        # What may have come there is asked about first; what never did, is sent under the same id.
        with exchange.about(refund_id):
            answer = (connector.fetch_refund(order) if was_sent else None) or connector.refund(order)
    except ConnectorError as error:
        _look_again(refund_id, str(error))
        return
    faults.at("billing.refund-asked-not-recorded")
    record(refund_id, answer)


def _claim(refund_id: UUID) -> tuple[OutsideRefund, bool] | None:
    """Commits that it is ours to send, or to ask about where it was sent; None where nothing is to be asked."""
    with transaction.atomic():
        made = OutsideRefund.locked(refund_id)
        if made.state != OutsideRefundState.WAITING or made.way != OutsideWay.PARTNER:
            return None
        was_sent = made.asked_at is not None
        made.asked_at = made.asked_at or clock.wall()
        made.save(update_fields=["asked_at"])
        # Should we die from here on, this asks what became of it.
        due.schedule(SEND, made.pk, clock.wall() + SOON, wall=True)
    return made, was_sent


def order_of(made: OutsideRefund) -> RefundOrder:
    """What the partner is asked for."""
    charge = outside_refunds.charge_of(made.outside)
    if charge is None or made.reference_number_id is None:
        raise ValueError(f"Refund {made.pk} is of no charge of a service")
    customer = made.outside.invoice.customer
    return RefundOrder(
        key=made.pk,
        reference=made.reference_number_id,
        charge=charge.pk,
        amount=made.money,
        customer=customer.external_id or str(customer.pk),
        reason=made.reason,
    )


def record(refund_id: UUID, answer: ChargeAnswer) -> None:
    """Writes down what the partner says of a refund, once."""
    if answer.status == PENDING:
        _look_again(refund_id, "")
        return
    if answer.status != REFUNDED:
        outside_refunds.fail(refund_id, reason=answer.reason or "refused", actor=ACTOR)
        return
    made = OutsideRefund.objects.get(pk=refund_id)
    if answer.amount not in {None, made.money}:
        # Nobody but a person can mend that: asked about no more, until they say so.
        told = _("Партнёр вернул %(given)s вместо %(wanted)s")
        work.open(KIND, refund_id, str(told) % {"given": answer.amount, "wanted": made.money})
        due.cancel(SEND, refund_id)
        return
    outside_refunds.succeed(refund_id, actor=ACTOR, reference=answer.reference or str(refund_id))


def ask_now(refund_id: UUID) -> None:
    """A person wants the partner asked at once."""
    due.schedule(SEND, refund_id, clock.wall(), wall=True)


def _look_again(refund_id: UUID, error: str) -> None:
    with transaction.atomic():
        made = OutsideRefund.locked(refund_id)
        if made.state != OutsideRefundState.WAITING:
            return
        age = clock.wall() - (made.asked_at or clock.wall())
        due.schedule(SEND, made.pk, clock.wall() + min(max(age / 3, SOON), LATER), wall=True)
        if age > STAFF_AFTER:
            told = error or str(_("обещает ответить позже"))
            work.open(KIND, made.pk, str(_("Сервис партнёра не ответил, возвращены ли деньги: %s") % told))
