"""Due work of payments, and what a gateway's webhook leads to."""

from uuid import UUID

from apps.connectors import webhooks
from apps.connectors.base import Kind, Received
from apps.connectors.models import GatewayReference
from apps.core import clock, due, events, lanes
from apps.core.models import Event
from apps.payments import calling, gateway_receipts, methods, payments, receipts, refunds, registering, timing

lanes.steps("payments.send", calling.Calls())
lanes.steps("payments.settle", calling.Calls(is_asking=True))
lanes.steps("payments.sweep", calling.Calls(is_asking=True, is_swept=True))


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
    refunds.send(object_id)


@due.task("payments.refund_sweep")
def sweep_refund(object_id: UUID) -> None:
    """Asks about a refund until it is settled."""
    refunds.sweep(object_id)


@due.task("payments.reconcile")
def reconcile(object_id: UUID) -> None:
    """Reads a payment's refunds because a message spoke of one."""
    # Messages come in any order: what is not known to have come cannot have gone back.
    payment = payments.settle(object_id)
    if payment.is_open:
        raise due.Retry(timing.next_look(payment))
    refunds.reconcile(object_id)


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
    receipts.close(object_id)


@events.on("accounts.CustomerErased")
def erase_methods(event: Event) -> None:
    """Money documents stay; what a charge could be made by goes, and where receipts went to."""
    methods.erase(event.object_id)
    receipts.erase(event.object_id)


@webhooks.receiver(Kind.FISCAL)
def reported(reference: GatewayReference, received: Received) -> None:
    """A cash register says what became of a receipt: it is asked."""
    due.schedule(receipts.SWEEP, reference.object_id, clock.wall(), wall=True, lane=reference.connection_id)


@webhooks.receiver(Kind.PAYMENT)
def notified(reference: GatewayReference, received: Received) -> None:
    """A gateway says that something happened to a payment: true or not, the gateway itself is asked."""
    if received.type.startswith("receipt."):
        gateway_receipts.told(reference.object_id, received.data)
        return
    kind = "payments.reconcile" if received.type.startswith("refund.") else "payments.settle"
    due.schedule(kind, reference.object_id, clock.wall(), wall=True, lane=reference.connection_id)
