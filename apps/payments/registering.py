"""A receipt on its way to the cash register: handed over once, asked about until it is registered or refused.

Claim (commit) → call → record (commit), as for payments. A register knows a receipt by our reference: handed over
again it is the same one.
"""

from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.connectors import exchange
from apps.connectors.base import ConnectorError
from apps.core import clock, due, faults, work
from apps.core.errors import Refused
from apps.payments import gateway_receipts, receipts, timing
from apps.payments.cash_register import CashRegister, RegisteredReceipt
from apps.payments.gateway import Status
from apps.payments.receipt_models import Receipt, ReceiptState, ReceiptWay
from apps.payments.receipts import KIND, SWEEP

FAULT_POINTS = (
    "payments.receipt-claimed-not-sent",
    "payments.receipt-sent-not-recorded",
    "payments.receipt-recorded",
    "payments.receipt-fetched-not-recorded",
)
"""Every commit and call boundary here: a crash at any of them loses and doubles nothing."""
LATE = timedelta(minutes=30)
"""After which staff hear of a receipt that is not registered."""


def send(receipt_id: UUID) -> Receipt:
    """Claims a receipt and hands it over, once. Never raises for the register."""
    made = _claim(receipt_id)
    if made is None:
        return Receipt.objects.get(pk=receipt_id)
    faults.at("payments.receipt-claimed-not-sent")
    try:
        with exchange.about(made.pk):
            seen = _hand_over(made)
    except ConnectorError as error:
        return _not_taken(receipt_id, error)
    faults.at("payments.receipt-sent-not-recorded")
    made = record(receipt_id, seen)
    faults.at("payments.receipt-recorded")
    return made


def _claim(receipt_id: UUID) -> Receipt | None:
    with transaction.atomic():
        made = Receipt.locked(receipt_id)
        if made.state != ReceiptState.QUEUED:
            return None
        made.move(ReceiptState.SENDING)
        made.claimed_at = clock.wall()
        made.save(update_fields=["state", "claimed_at"])
        due.schedule(SWEEP, made.pk, clock.wall() + timing.IN_FLIGHT, wall=True, lane=made.connection_id)
    return made


def _hand_over(made: Receipt) -> RegisteredReceipt:
    if made.way != ReceiptWay.OWN:
        return gateway_receipts.hand_over(made)
    register: CashRegister = made.connection.open()
    return register.register(receipts.request_of(made))


def _look(made: Receipt) -> RegisteredReceipt:
    if made.way != ReceiptWay.OWN:
        return gateway_receipts.look(made)
    register: CashRegister = made.connection.open()
    return register.fetch(receipts.request_of(made))


def _not_taken(receipt_id: UUID, error: ConnectorError) -> Receipt:
    with transaction.atomic():
        made = Receipt.locked(receipt_id)
        if made.state != ReceiptState.SENDING:
            return made
        if not (error.unknown or error.retry):
            _fail(made, str(error))
            return made
        made.move(ReceiptState.UNKNOWN if error.unknown else ReceiptState.QUEUED)
        made.save(update_fields=["state"])
        due.schedule(SWEEP, made.pk, timing.next_look(made), wall=True, lane=made.connection_id)
    return made


def record(receipt_id: UUID, seen: RegisteredReceipt) -> Receipt:
    """Writes down what the register shows of a receipt, if that is really this one."""
    with transaction.atomic():
        made = Receipt.locked(receipt_id)
        if not made.is_open:
            return made
        is_other = made.gateway_id not in {"", seen.gateway_id} or seen.total not in {None, made.money}
        if is_other:
            work.open(KIND, made.pk, str(_("У кассы другой чек: %s") % seen.gateway_id))
            return made
        if not made.gateway_id:
            made.gateway_id = seen.gateway_id
            made.reference.learn(seen.gateway_id)
        if seen.status == Status.CANCELED:
            _fail(made, seen.reason)
        elif seen.status == Status.SUCCEEDED:
            made.move(ReceiptState.REGISTERED)
            made.fiscal, made.settled_at = seen.fiscal, clock.now()
            made.save(update_fields=["state", "gateway_id", "fiscal", "settled_at"])
            _closed(made)
        elif made.state != ReceiptState.SENT:
            made.move(ReceiptState.SENT)
            made.save(update_fields=["state", "gateway_id"])
            due.schedule(SWEEP, made.pk, timing.next_look(made), wall=True, lane=made.connection_id)
    return made


def _fail(made: Receipt, reason: str) -> None:
    made.move(ReceiptState.FAILED)
    made.reason, made.settled_at = reason[:300], clock.now()
    made.save(update_fields=["state", "gateway_id", "reason", "settled_at"])
    due.cancel(SWEEP, made.pk)
    if made.way == ReceiptWay.INSIDE and receipts.replacement(made) is not None:
        # Apart from its money it may go: asked once more that way, and only then are staff.
        receipts.replace(made.pk, actor="")
        return
    why = (
        reason if made.way == ReceiptWay.OWN or receipts.replacement(made) else f"{reason}. {receipts.NO_WAY}"
    )
    work.open(KIND, made.pk, str(_("Чек не пробит: %s") % why))


def _closed(made: Receipt) -> None:
    due.cancel(SWEEP, made.pk)
    work.close(KIND, made.pk)


def deny(receipt_id: UUID, *, actor: str) -> Receipt:
    """A person has looked in the gateway's cabinet: there is no such receipt. It failed, and goes on as one that did.

    Only what went to a gateway that has told nothing of it; Refused `receipt_fine` otherwise.
    """
    with transaction.atomic():
        made = Receipt.locked(receipt_id)
        if made.way == ReceiptWay.OWN or made.state not in {ReceiptState.SENT, ReceiptState.UNKNOWN}:
            raise Refused("receipt_fine", _("Непробитым отмечают чек, о котором шлюз молчит"))
        journal.record("receipt.denied", KIND, made.pk, actor=actor, data={})
        _fail(made, str(_("Сотрудник не нашёл чек в кабинете шлюза")))
    return made


def settle(receipt_id: UUID) -> Receipt:
    """Asks the register what became of a receipt. Never raises for the register."""
    made = Receipt.objects.get(pk=receipt_id)
    if not made.is_open or made.state in {ReceiptState.QUEUED, ReceiptState.WAITING}:
        return made
    if made.state == ReceiptState.SENDING and timing.in_flight(made):
        return made
    try:
        with exchange.about(made.pk):
            seen = _look(made)
    except ConnectorError as error:
        return _still_unknown(receipt_id, error)
    faults.at("payments.receipt-fetched-not-recorded")
    return record(receipt_id, seen)


def _still_unknown(receipt_id: UUID, error: ConnectorError) -> Receipt:
    with transaction.atomic():
        made = Receipt.locked(receipt_id)
        if made.state in {ReceiptState.SENDING, ReceiptState.UNKNOWN}:
            if not (error.unknown or error.retry):
                # Asked under the same number it says that it takes no such receipt: it has none.
                made.state = ReceiptState.UNKNOWN
                _fail(made, str(error))
            elif made.state == ReceiptState.SENDING:
                made.move(ReceiptState.UNKNOWN)
                made.save(update_fields=["state"])
    return made


def sweep(receipt_id: UUID) -> Receipt:
    """Takes a receipt one step further, and plans the next look while it is open. Staff hear of what hangs."""
    made = Receipt.objects.get(pk=receipt_id)
    made = send(receipt_id) if made.state == ReceiptState.QUEUED else settle(receipt_id)
    if not made.is_open or made.state == ReceiptState.WAITING:
        return made
    with transaction.atomic():
        made = Receipt.locked(receipt_id)
        if made.is_open:
            due.schedule(SWEEP, made.pk, timing.next_look(made), wall=True, lane=made.connection_id)
            if timing.age(made) > LATE:
                work.open(KIND, made.pk, str(_("Чек не пробит, касса не отвечает")))
    return made
