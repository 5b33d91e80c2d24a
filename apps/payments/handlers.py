"""Due work of payments, and what a gateway's webhook leads to."""

from collections.abc import Iterable
from uuid import UUID

from apps.connectors import webhooks
from apps.connectors.base import Kind
from apps.connectors.models import GatewayReference
from apps.core import clock, due, events, lanes
from apps.core.models import Event
from apps.payments import (
    dispute_letters,
    gateway_receipts,
    methods,
    payments,
    receipts,
    receipts_apart,
    refund_calls,
    refund_lists,
    refund_recording,
    refunds,
    registering,
    timing,
    unbinding,
)
from apps.payments.calling import PaymentCalls
from apps.payments.refund_calls import RefundCalls
from apps.payments.refund_lists import ListCalls
from apps.payments.registering import ReceiptCalls
from apps.payments.unbinding import UnbindCalls

lanes.steps(payments.SEND, PaymentCalls(sends=True))
lanes.steps("payments.settle", PaymentCalls(asks=True))
lanes.steps(payments.SWEEP, PaymentCalls(sends=True, asks=True))
lanes.steps(refunds.SEND, RefundCalls(sends=True))
lanes.steps(refund_recording.SWEEP, RefundCalls(sends=True, asks=True))
lanes.steps(refund_lists.RECONCILE, ListCalls())
lanes.steps(unbinding.UNBIND, UnbindCalls())
lanes.steps(receipts.SEND, ReceiptCalls(sends=True))
lanes.steps(receipts.SWEEP, ReceiptCalls(sends=True, asks=True))


@due.task("payments.send")
def send(object_id: UUID) -> None:
    """Sends a payment that was written."""
    payments.send(object_id)


@due.task("payments.sweep")
def sweep(object_id: UUID) -> None:
    """Asks about a payment until it is settled."""
    payments.sweep(object_id)


@due.task("payments.settle")
def settle(object_id: UUID) -> None:
    """Reads a payment again because a message spoke of it."""
    payments.settle(object_id)


@due.task("payments.refund")
def send_refund(object_id: UUID) -> None:
    """Sends a refund that was written."""
    refund_calls.send(object_id)


@due.task("payments.refund_sweep")
def sweep_refund(object_id: UUID) -> None:
    """Asks about a refund until it is settled."""
    refund_calls.sweep(object_id)


@due.task("payments.reconcile")
def reconcile(object_id: UUID) -> None:
    """Reads a payment's refunds because a message spoke of one."""
    # Messages come in any order: what is not known to have come cannot have gone back.
    payment = payments.settle(object_id)
    if payment.is_open:
        raise due.Retry(timing.next_look(payment))
    refund_lists.reconcile(object_id)


@due.task(unbinding.UNBIND)
def unbind(object_id: UUID) -> None:
    """Tells the gateway that a method was taken back."""
    unbinding.unbind(object_id)


@due.task(receipts.SEND)
def send_receipt(object_id: UUID) -> None:
    """Hands over a receipt that was written."""
    registering.send(object_id)


@due.task(receipts.SWEEP)
def sweep_receipt(object_id: UUID) -> None:
    """Asks about a receipt until it is registered or refused."""
    registering.sweep(object_id)


@due.task(receipts.CLOSE)
def close_receipt(object_id: UUID) -> None:
    """Settles a prepayment that is earned by now."""
    receipts_apart.close(object_id)


@events.on("payments.DisputeOpened")
def tell_staff_of_a_dispute(event: Event) -> None:
    dispute_letters.opened(event.object_id)


@due.task(dispute_letters.REMIND)
def remind_of_a_dispute(object_id: UUID) -> None:
    """Its deadline is near."""
    dispute_letters.remind(object_id)


@events.on("accounts.CustomerErased")
def erase_methods(event: Event) -> None:
    """Money documents stay; what a charge could be made by goes, and where receipts went to."""
    methods.erase(event.object_id)
    receipts.erase(event.object_id)


@webhooks.receiver(Kind.FISCAL)
def reported(told: webhooks.Told) -> None:
    """A cash register says what became of receipts: it is asked."""
    _ask(receipts.SWEEP, [reference for reference, _received in told])


@webhooks.receiver(Kind.PAYMENT)
def notified(told: webhooks.Told) -> None:
    """A gateway says that something happened to payments: true or not, the gateway itself is asked."""
    of_receipts, of_refunds, of_payments = [], [], []
    for reference, received in told:
        if received.type.startswith("receipt."):
            of_receipts.append((reference, received))
        elif received.type.startswith("refund."):
            of_refunds.append(reference)
        else:
            of_payments.append(reference)
    for reference, received in of_receipts:
        gateway_receipts.told(reference.object_id, received.data)
    _ask("payments.reconcile", of_refunds)
    _ask("payments.settle", of_payments)


def _ask(kind: str, references: Iterable[GatewayReference]) -> None:
    # Once, however many messages speak of an object.
    wanted = {one.object_id: one.connection_id for one in references}
    now = clock.wall()
    due.schedule_many(kind, [(key, now, lane) for key, lane in wanted.items()])
