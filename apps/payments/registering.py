"""Receipts on their way to the cash register: handed over once, asked about until they are registered or refused.

One or many at once: claimed, called one by one, concluded together, as payments are. A register knows a receipt by our
reference: handed over again it is the same one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.connectors import exchange
from apps.connectors.base import ConnectorError
from apps.core import bulk, clock, due, faults, lanes, work
from apps.core.errors import Refused
from apps.payments import (
    correcting,
    gateway_receipts,
    receipt_lines,
    receipt_routes,
    receipts_apart,
    timing,
)
from apps.payments.cash_register import CashRegister, ReceiptRequest, RegisteredReceipt
from apps.payments.fiscal_gateway import GatewayReceipt
from apps.payments.gateway import Status
from apps.payments.lane_steps import Sending
from apps.payments.receipt_models import RESTING, Receipt, ReceiptState, ReceiptWay
from apps.payments.receipts import KIND, SWEEP

FAULT_POINTS = (
    "payments.receipt-claimed-not-sent",
    "payments.receipt-sent-not-recorded",
    "payments.receipt-recorded",
    "payments.receipt-fetched-not-recorded",
)
"""Every commit and call boundary here: a crash at any of them loses and doubles nothing."""
SILENT = frozenset({ReceiptState.SENT, ReceiptState.UNKNOWN})
"""Handed over, and not told of yet."""
AT_REGISTER = SILENT | {ReceiptState.SENDING}
"""What the register may know more of than we do."""
Answer = RegisteredReceipt | Exception
"""What the register shows, or what came instead."""
LATE = timedelta(minutes=30)
"""After which staff hear of a receipt that is not registered."""


@dataclass(frozen=True, slots=True)
class Asked:
    """All that a call about a receipt needs of the database."""

    made: Receipt
    """As it stood then, its connection at hand."""
    request: ReceiptRequest | GatewayReceipt
    """What our own register is asked, or the gateway of its payment."""
    is_sending: bool
    """Whether it is handed over; otherwise it is asked about."""

    @property
    def key(self) -> UUID:
        """The receipt's id."""
        return self.made.pk


def send(receipt_id: UUID) -> Receipt:
    """Claims a receipt and hands it over, once. Never raises for the register."""
    asked = claim([receipt_id]).get(receipt_id)
    if asked is None:
        return Receipt.objects.get(pk=receipt_id)
    faults.at("payments.receipt-claimed-not-sent")
    answer = _answer(asked)
    if not isinstance(answer, Exception):
        faults.at("payments.receipt-sent-not-recorded")
    [made] = conclude([(asked, answer)])
    faults.at("payments.receipt-recorded")
    return made


def settle(receipt_id: UUID) -> Receipt:
    """Asks the register what became of a receipt. Never raises for the register."""
    asked = to_ask([receipt_id]).get(receipt_id)
    if asked is None:
        return Receipt.objects.get(pk=receipt_id)
    answer = _answer(asked)
    if not isinstance(answer, Exception):
        faults.at("payments.receipt-fetched-not-recorded")
    [made] = conclude([(asked, answer)])
    return made


def sweep(receipt_id: UUID) -> Receipt:
    """Takes a receipt one step further, and plans the next look while it is open. Staff hear of what hangs."""
    made = Receipt.objects.get(pk=receipt_id)
    made = send(receipt_id) if made.state == ReceiptState.QUEUED else settle(receipt_id)
    if made.is_open:
        look_again([receipt_id])
    return made


def _answer(asked: Asked) -> Answer:
    try:
        return call(asked)
    except ConnectorError as error:
        return error


def claim(receipt_ids: Sequence[UUID]) -> dict[UUID, Asked]:
    """Commits that those which are queued are ours to hand over from now on."""
    with transaction.atomic():
        sent = [one for one in _locked(receipt_ids) if one.state == ReceiptState.QUEUED]
        now = clock.wall()
        for made in sent:
            made.move(ReceiptState.SENDING)
            made.claimed_at = now
        bulk.update(Receipt, ["state", "claimed_at"], [(one.pk, one.state, one.claimed_at) for one in sent])
        # Should we die from here on, this asks what became of it.
        due.schedule_many(SWEEP, [(one.pk, now + timing.IN_FLIGHT, one.connection_id) for one in sent])
    return {one.pk: _asked(one, is_sending=True) for one in sent}


def to_ask(receipt_ids: Iterable[UUID]) -> dict[UUID, Asked]:
    """What to ask about those that the register may know more of than we do."""
    found = Receipt.objects.select_related("connection").filter(pk__in=list(receipt_ids))
    return {one.pk: _asked(one, is_sending=False) for one in found if _is_to_be_asked(one)}


def _is_to_be_asked(made: Receipt) -> bool:
    if not made.is_open or made.state in RESTING | {ReceiptState.QUEUED}:
        return False
    return not (made.state == ReceiptState.SENDING and timing.in_flight(made))


def _locked(receipt_ids: Iterable[UUID]) -> list[Receipt]:
    """Receipts as they stand now, locked in the order of their ids, with their connections at hand."""
    rows = Receipt.objects.select_for_update(no_key=True, of=("self",)).select_related("connection")
    return list(rows.filter(pk__in=list(receipt_ids)).order_by("pk"))


def _asked(made: Receipt, *, is_sending: bool) -> Asked:
    is_ours = made.way == ReceiptWay.OWN
    request = receipt_lines.request_of(made) if is_ours else gateway_receipts.of_receipt(made)
    return Asked(made, request, is_sending)


def call(asked: Asked) -> RegisteredReceipt:
    """Hands a receipt over, or asks about it. Raises ConnectorError. Needs nothing of the database."""
    made, request = asked.made, asked.request
    with exchange.about(asked.key):
        if isinstance(request, GatewayReceipt):
            step = gateway_receipts.hand_over if asked.is_sending else gateway_receipts.look
            return step(request, made)
        register: CashRegister = made.connection.open()
        return register.register(request) if asked.is_sending else register.fetch(request)


def conclude(answers: Sequence[tuple[Asked, Answer]]) -> list[Receipt]:
    """Writes down what came of calls about receipts, in one transaction; gives them as they stand then.

    Raises what was no answer of a register.
    """
    given = {asked.key: (asked, answer) for asked, answer in answers}
    with transaction.atomic():
        found = _locked(given)
        for made in found:
            asked, answer = given[made.pk]
            if isinstance(answer, RegisteredReceipt):
                _judge(made, answer)
            elif isinstance(answer, lanes.PutBack):
                if asked.is_sending:
                    _not_taken(made, ConnectorError("", retry=True))
            elif not isinstance(answer, ConnectorError):
                raise answer
            elif asked.is_sending:
                _not_taken(made, answer)
            else:
                _still_unknown(made, answer)
    return found


def _not_taken(made: Receipt, error: ConnectorError) -> None:
    if made.state != ReceiptState.SENDING:
        return
    if not (error.unknown or error.retry):
        _fail(made, str(error))
        return
    made.move(ReceiptState.UNKNOWN if error.unknown else ReceiptState.QUEUED)
    made.save(update_fields=["state"])
    _look(made)


def _still_unknown(made: Receipt, error: ConnectorError) -> None:
    if made.state not in {ReceiptState.SENDING, ReceiptState.UNKNOWN}:
        return
    if not (error.unknown or error.retry):
        # Asked under the same number it says that it takes no such receipt: it has none.
        made.state = ReceiptState.UNKNOWN
        _fail(made, str(error))
    elif made.state == ReceiptState.SENDING:
        made.move(ReceiptState.UNKNOWN)
        made.save(update_fields=["state"])


def _judge(made: Receipt, seen: RegisteredReceipt) -> None:
    """What becomes of a locked receipt by what the register shows of it, if that is really this one."""
    if not made.is_open:
        return
    is_other = made.gateway_id not in {"", seen.gateway_id} or seen.total not in {None, made.money}
    if is_other:
        work.open(KIND, made.pk, str(_("У кассы другой чек: %s") % seen.gateway_id))
        return
    if not made.gateway_id:
        made.gateway_id = seen.gateway_id
        made.reference.learn(seen.gateway_id)
    if seen.status == Status.CANCELED:
        _fail(made, seen.reason)
    elif seen.status == Status.SUCCEEDED:
        made.move(ReceiptState.REGISTERED)
        made.fiscal, made.settled_at = seen.fiscal, clock.now()
        made.save(update_fields=["state", "gateway_id", "fiscal", "settled_at"])
        due.cancel(SWEEP, made.pk)
        work.close(KIND, made.pk)
        if made.correction:
            correcting.went_on(made)
    elif made.state != ReceiptState.SENT:
        made.move(ReceiptState.SENT)
        made.save(update_fields=["state", "gateway_id"])
        _look(made)


def _look(made: Receipt) -> None:
    due.schedule(SWEEP, made.pk, timing.next_look(made), wall=True, lane=made.connection_id)


def _fail(made: Receipt, reason: str) -> None:
    made.move(ReceiptState.FAILED)
    made.reason, made.settled_at = reason[:300], clock.now()
    made.save(update_fields=["state", "gateway_id", "reason", "settled_at"])
    due.cancel(SWEEP, made.pk)
    has_way = made.way == ReceiptWay.OWN or receipt_routes.replacement(made) is not None
    if made.way == ReceiptWay.INSIDE and has_way:
        # Apart from its money it may go: asked once more that way, and only then are staff.
        receipts_apart.replace(made.pk, actor="")
        return
    why = reason if has_way else f"{reason}. {receipt_routes.NO_WAY}"
    work.open(KIND, made.pk, str(_("Чек не пробит: %s") % why))


def deny(receipt_id: UUID, *, actor: str) -> Receipt:
    """A person has looked in the gateway's cabinet: there is no such receipt. It failed, and goes on as one that did.

    Only what went to a gateway that has told nothing of it; Refused `receipt_fine` otherwise.
    """
    with transaction.atomic():
        made = Receipt.locked(receipt_id)
        if made.way == ReceiptWay.OWN or made.state not in SILENT:
            raise Refused("receipt_fine", _("Непробитым отмечают чек, о котором шлюз молчит"))
        journal.record("receipt.denied", KIND, made.pk, actor=actor, data={})
        _fail(made, str(_("Сотрудник не нашёл чек в кабинете шлюза")))
    return made


def look_again(receipt_ids: Sequence[UUID]) -> None:
    """Plans the next look at those that are still open; staff hear of what hangs."""
    with transaction.atomic():
        for made in _locked(receipt_ids):
            if not made.is_open or made.state in RESTING:
                continue
            _look(made)
            if timing.age(made) > LATE:
                work.open(KIND, made.pk, str(_("Чек не пробит, касса не отвечает")))


class ReceiptCalls(Sending):
    """Receipts in a lane."""

    def to_send(self, object_ids: Sequence[UUID]) -> dict[UUID, Asked]:
        return claim(object_ids)

    def to_ask(self, object_ids: Sequence[UUID]) -> dict[UUID, Asked]:
        return to_ask(object_ids)

    def go_out(self, plan: Asked) -> RegisteredReceipt:
        return call(plan)

    def conclude(self, answers: Sequence[tuple[Asked, Answer]]) -> list[Receipt]:
        return conclude(answers)

    def look_again(self, object_ids: Sequence[UUID]) -> None:
        look_again(object_ids)
