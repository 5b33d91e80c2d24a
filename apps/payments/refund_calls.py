"""Refunds at their gateway, one or many at once: claimed, called one by one, concluded together, as payments are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext_lazy as _

from apps.connectors import exchange
from apps.connectors.base import ConnectorError
from apps.connectors.models import Connection
from apps.core import clock, due, faults, lanes, work
from apps.core.money import Money
from apps.payments import gateway_receipts, receipts, timing
from apps.payments.gateway import NEVER_RECEIVED, Gateway, GatewayRefund, Instrument, RefundRequest
from apps.payments.lane_steps import Sending
from apps.payments.models import Refund, RefundRoute, RefundState
from apps.payments.refund_recording import DISPUTED, SWEEP, fail, judge, locked, look, overdrawn

ASKED = (RefundState.SENDING, RefundState.PENDING, RefundState.UNKNOWN)
Answer = GatewayRefund | Exception | None
"""What the gateway shows; what came instead; None where it was looked for and there is none."""


@dataclass(frozen=True, slots=True)
class Asked:
    """All that a call about a refund needs of the database."""

    request: RefundRequest
    connection: Connection
    is_sending: bool
    """Whether it is sent now for the first time; otherwise it is asked about."""
    may_repeat: bool = False

    @property
    def key(self) -> UUID:
        """The refund's id."""
        return self.request.key


def send(refund_id: UUID) -> Refund:
    """Claims a refund and sends it, once. Never raises for the gateway."""
    asked = claim([refund_id]).get(refund_id)
    if asked is None:
        return Refund.objects.get(pk=refund_id)
    faults.at("payments.refund-claimed-not-sent")
    answer = _answer(asked)
    if not isinstance(answer, Exception):
        faults.at("payments.refunded-not-recorded")
    [made] = conclude([(asked, answer)])
    faults.at("payments.refund-recorded")
    return made


def settle(refund_id: UUID) -> Refund:
    """Asks the gateway what became of a refund, and records it. Never raises for the gateway."""
    asked = to_ask([refund_id]).get(refund_id)
    if asked is None:
        return Refund.objects.get(pk=refund_id)
    answer = _answer(asked)
    if not isinstance(answer, Exception):
        faults.at("payments.refund-fetched-not-recorded")
    [made] = conclude([(asked, answer)])
    return made


def sweep(refund_id: UUID) -> Refund:
    """Takes a refund one step further, and plans the next look while it is open. Staff hear of what hangs."""
    made = Refund.objects.get(pk=refund_id)
    made = send(refund_id) if made.state == RefundState.CREATED else settle(refund_id)
    if made.is_open:
        look_again([refund_id])
    return made


def _answer(asked: Asked) -> Answer:
    try:
        return call(asked)
    except ConnectorError as error:
        return error


def claim(refund_ids: Sequence[UUID]) -> dict[UUID, Asked]:
    """Commits that those which wait to be sent are ours to send from now on."""
    sent = []
    with transaction.atomic():
        found = locked(refund_ids)
        busy = _busy(found)
        for made in found:
            if made.state != RefundState.CREATED:
                continue
            if made.payment_id in busy:
                look(made)
                continue
            if overdrawn(made.payment):
                fail(made, DISPUTED)
                continue
            made.move(RefundState.SENDING)
            made.claimed_at = clock.wall()
            made.save(update_fields=["state", "claimed_at"])
            receipts.freeze_refund(made)
            sent.append(made)
            if made.payment.instrument == Instrument.SBP:
                busy.add(made.payment_id)
        # Should we die from here on, this asks what became of it.
        at = clock.wall() + timing.IN_FLIGHT
        due.schedule_many(SWEEP, [(one.pk, at, one.payment.connection_id) for one in sent])
    return {one.pk: _asked(one, is_sending=True) for one in sent}


def _busy(found: Iterable[Refund]) -> set[UUID]:
    """Locked payments of which one refund goes through SBP already: it says of the last one only what became of it."""
    by_sbp = {one.payment_id for one in found if one.payment.instrument == Instrument.SBP}
    if not by_sbp:
        return set()
    asked = Refund.objects.filter(payment__in=by_sbp, route=RefundRoute.GATEWAY, state__in=ASKED)
    return set(asked.values_list("payment_id", flat=True))


def to_ask(refund_ids: Iterable[UUID]) -> dict[UUID, Asked]:
    """What to ask about those that the gateway may know more of than we do."""
    others = Refund.objects.filter(payment=OuterRef("payment"), claimed_at__isnull=False)
    found = (
        Refund.objects.select_related("payment__connection")
        .annotate(is_only=~Exists(others.exclude(pk=OuterRef("pk"))))
        .filter(pk__in=list(refund_ids))
    )
    return {one.pk: _asked(one, is_sending=False) for one in found if _is_to_be_asked(one)}


def _is_to_be_asked(made: Refund) -> bool:
    if made.route == RefundRoute.BANK or not made.is_open:
        return False
    return not (made.state == RefundState.SENDING and timing.in_flight(made))


def _asked(made: Refund, *, is_sending: bool) -> Asked:
    connection = made.payment.connection
    request = RefundRequest(
        key=made.pk,
        reference=made.payment.reference_id,
        gateway_id=made.gateway_id,
        payment_gateway_id=made.payment.gateway_id,
        amount=Money(made.amount, made.currency),
        description=made.reason,
        instrument=made.payment.instrument,
        is_only=getattr(made, "is_only", False),
        has_landed=not is_sending and timing.surely_landed(made),
        receipt=gateway_receipts.of_refund(made),
    )
    repeats = not is_sending and timing.key_is_kept(made, _class(connection))
    return Asked(request, connection, is_sending, may_repeat=repeats)


def _class(connection: Connection) -> type[Gateway]:
    found: type[Gateway] = connection.connector_class  # type: ignore[assignment]
    return found


def call(asked: Asked) -> GatewayRefund | None:
    """Sends a refund, or asks about it. Raises ConnectorError. Needs nothing of the database."""
    with exchange.about(asked.key):
        gateway: Gateway = asked.connection.open()
        return gateway.refund(asked.request) if asked.is_sending else _ask(gateway, asked)


def _ask(gateway: Gateway, asked: Asked) -> GatewayRefund | None:
    if asked.request.gateway_id:
        return gateway.fetch_refund(asked.request)
    found = gateway.find_refund(asked.request)
    if found is None and asked.may_repeat and gateway.repeats(asked.request):
        try:
            return gateway.refund(asked.request)
        except ConnectorError as error:
            if error.unknown or error.retry:
                raise
    return found


def conclude(answers: Sequence[tuple[Asked, Answer]]) -> list[Refund]:
    """Writes down what came of calls about refunds, in one transaction; gives them as they stand then.

    Raises what was no answer of a gateway.
    """
    given = {asked.key: (asked, answer) for asked, answer in answers}
    with transaction.atomic():
        found = locked(given)
        for made in found:
            asked, answer = given[made.pk]
            if isinstance(answer, GatewayRefund):
                judge(made, answer)
            elif asked.is_sending:
                _conclude_sending(made, answer)
            else:
                _conclude_asking(made, asked, answer)
    return found


def _conclude_sending(made: Refund, answer: Answer) -> None:
    if isinstance(answer, lanes.PutBack):
        answer = ConnectorError("", retry=True)
    if not isinstance(answer, ConnectorError):
        raise answer if isinstance(answer, Exception) else TypeError(f"{answer!r} is no answer")
    if made.state != RefundState.SENDING:
        return
    if not (answer.unknown or answer.retry):
        fail(made, answer.code or "gateway_refused")
        return
    made.move(RefundState.UNKNOWN if answer.unknown else RefundState.CREATED)
    made.save(update_fields=["state"])
    look(made)


def _conclude_asking(made: Refund, asked: Asked, answer: Answer) -> None:
    if isinstance(answer, lanes.PutBack):
        return
    if isinstance(answer, Exception) and not isinstance(answer, ConnectorError):
        raise answer
    is_told = answer is None and timing.surely_landed(made) and _class(asked.connection).lists_refunds
    if is_told and made.is_open and not made.gateway_id:
        fail(made, NEVER_RECEIVED)
    elif not is_told and made.state == RefundState.SENDING:
        made.move(RefundState.UNKNOWN)
        made.save(update_fields=["state"])


def look_again(refund_ids: Sequence[UUID]) -> None:
    """Plans the next look at those that are still open; staff hear of what hangs."""
    with transaction.atomic():
        for made in locked(refund_ids):
            if not made.is_open:
                continue
            look(made)
            waits = made.state == RefundState.PENDING
            if timing.age(made) > (timing.STAFF_AFTER_PENDING if waits else timing.STAFF_AFTER):
                work.open("payments.refund", made.pk, str(_("Возврат не завершён, шлюз не сказал, чем")))


class RefundCalls(Sending):
    """Refunds in a lane."""

    def to_send(self, object_ids: Sequence[UUID]) -> dict[UUID, Asked]:
        return claim(object_ids)

    def to_ask(self, object_ids: Sequence[UUID]) -> dict[UUID, Asked]:
        return to_ask(object_ids)

    def go_out(self, plan: Asked) -> GatewayRefund | None:
        return call(plan)

    def conclude(self, answers: Sequence[tuple[Asked, Answer]]) -> list[Refund]:
        return conclude(answers)

    def look_again(self, object_ids: Sequence[UUID]) -> None:
        look_again(object_ids)
