"""Money that is held first: taken, in full or in part, or let go. What was decided is carried out until it is seen."""

from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.connectors.base import ConnectorError
from apps.core import clock, due
from apps.core.errors import Refused
from apps.core.money import Money
from apps.payments.gateway import Gateway, GatewayPayment, PaymentRequest, Status
from apps.payments.methods import lock
from apps.payments.models import Payment, SecondStage

FAULT_POINTS = ("payments.captured-not-recorded",)
"""Of a decision that is carried out; passed in `payments.settle`."""
SETTLE = "payments.settle"
STILL_HELD = _("Деньги удержаны давно: спишите их или отпустите, иначе шлюз отпустит сам")


def capture(payment_id: UUID, amount: Money | None = None, *, actor: str = "") -> Payment:
    """Decides to take what is held: all of it, or `amount`; the rest is let go. Safe to repeat.

    Carried out right after the commit (`settle` does it at once). Raises Refused `not_held`, `already_decided`,
    `capture_too_much`, `capture_whole` (of what a subscription is paid by) and `method_refused`.
    """
    with transaction.atomic():
        payment = Payment.locked(payment_id)
        wanted = amount or payment.money
        if wanted.currency != payment.currency or not 0 < wanted.amount <= payment.amount:
            raise Refused("capture_too_much", _("Можно списать не больше %s") % payment.money)
        if payment.subscription_id and wanted.amount != payment.amount:
            # What was sold is paid or not: of a part its invoice would say nothing true.
            raise Refused("capture_whole", _("Платёж за подписку списывают целиком или отпускают"))
        if payment.is_charge and payment.method and lock(payment.method).refused_at:
            raise Refused("method_refused", _("Клиент отозвал этот способ оплаты"))
        _decide(payment, SecondStage.CAPTURE, wanted.amount, actor=actor)
    return payment


def release(payment_id: UUID, *, actor: str = "") -> Payment:
    """Decides to let go of what is held. Safe to repeat. Raises Refused `not_held`, `already_decided`."""
    with transaction.atomic():
        payment = Payment.locked(payment_id)
        _decide(payment, SecondStage.RELEASE, None, actor=actor)
    return payment


def _decide(payment: Payment, stage: str, amount: Decimal | None, *, actor: str) -> None:
    if payment.second_stage:
        if (payment.second_stage, payment.capture_amount) == (stage, amount):
            return
        told = _("Уже решено: %s") % payment.get_second_stage_display()
        raise Refused("already_decided", told)
    if not payment.is_held:
        raise Refused("not_held", _("По этому платежу деньги не удержаны"))
    payment.second_stage, payment.capture_amount = stage, amount
    payment.save(update_fields=["second_stage", "capture_amount"])
    data = {"amount": str(amount)} if amount is not None else {}
    journal.record(f"payments.{stage}", "payments.payment", payment.pk, actor=actor, data=data)
    due.schedule(SETTLE, payment.pk, clock.wall(), wall=True, lane=payment.connection_id)


class NotDone(Exception):
    """The gateway refused what was decided and holds the money still: it may be decided anew."""


def carry_out(gateway: Gateway, asked: PaymentRequest, stage: str, amount: Money | None) -> GatewayPayment:
    """Does at the gateway what was decided. Raises ConnectorError, NotDone; asked again it is the same capture."""
    try:
        if stage == SecondStage.CAPTURE:
            return gateway.capture(asked, amount or asked.amount)
        return gateway.release(asked)
    except ConnectorError as error:
        if error.unknown or error.retry:
            raise
        # It was done before and its answer lost, the hold is over, or the gateway does not want it.
        seen = gateway.fetch(asked)
        if seen.status == Status.AUTHORIZED:
            raise NotDone(str(error)) from error
        return seen
