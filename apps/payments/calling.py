"""Payments at their gateway, one or many at once: claimed in a batch, called one by one, concluded in a batch.

The pages that wait for one payment and the lanes that charge a hundred take the same steps.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _

from apps.connectors import departures, exchange, masking
from apps.connectors.base import ConnectorError
from apps.connectors.models import Connection
from apps.core import bulk, clock, due, lanes, work
from apps.core.money import Money
from apps.core.tenancy import current_partner
from apps.payments import gateway_receipts, holds, methods, receipts, routing, timing
from apps.payments.cash_register import ReceiptRequest
from apps.payments.gateway import Gateway, GatewayPayment, PaymentRequest
from apps.payments.lane_steps import Sending
from apps.payments.models import CONSENT_REVOKED, Payment, PaymentMethod, PaymentState
from apps.payments.recording import Books, fail, judge, lock_methods, locked, with_relations

Answer = GatewayPayment | Exception | None
"""What the gateway shows; what came instead; None where it was looked for and there is none."""


@dataclass(slots=True)
class Asked:
    """All that a call about a payment needs of the database."""

    request: PaymentRequest
    connection: Connection
    is_sending: bool
    """Whether it is sent now for the first time; otherwise it is asked about."""
    is_charge: bool
    method_id: UUID | None = None
    is_first: bool = False
    """Whether nothing of it can have been sent before."""
    may_repeat: bool = False
    is_over: bool = False
    since: datetime | None = None
    second_stage: str = ""
    """What is decided about money that is held, and how much of it is to be taken."""
    taken: Money | None = None

    @property
    def key(self) -> UUID:
        """The payment's id."""
        return self.request.key


def claim(payment_ids: Sequence[UUID], away: Collection[int] = ()) -> dict[UUID, Asked]:
    """Commits that those which wait to be sent are ours to send from now on. What is missing is not.

    `away`: ids of connections that have just proved unreachable: what may goes to another, the rest waits.
    """
    with transaction.atomic(), Books() as books:
        mine = [one for one in locked(payment_ids) if one.state == PaymentState.CREATED]
        charged = [one.method_id for one in mine if one.is_charge and one.method_id]
        books.methods |= methods.lock_many(charged, with_tokens=True)
        sent = []
        first: set[UUID] = set()
        for payment in mine:
            if payment.is_charge and books.is_refused(payment):
                fail(payment, CONSENT_REVOKED, books)
                continue
            routing.move_on(payment, away)
            if payment.connection_id in away:
                continue
            if payment.claimed_at is None:
                first.add(payment.pk)
            payment.move(PaymentState.SENDING)
            # After it moved: by that the auditor sees that it did so unsent.
            payment.claimed_at = clock.wall()
            books.change(payment)
            # Should we die from here on, this asks what became of it.
            books.look(payment, payment.claimed_at + timing.IN_FLIGHT)
            sent.append(payment)
        receipts.freeze_payments(sent)
    frozen = gateway_receipts.of_payments(sent)
    plans = {one.pk: _asked(one, books.methods, frozen, is_sending=True) for one in sent}
    for key, plan in plans.items():
        plan.is_first = key in first
    return plans


def to_ask(payments: Iterable[Payment]) -> dict[UUID, Asked]:
    """What to ask about those that the gateway may know more of than we do."""
    found = with_relations([one for one in payments if _is_to_be_asked(one)])
    charged = {one.method_id for one in found if one.is_charge and one.method_id}
    methods = PaymentMethod.objects.filter(pk__in=bulk.these("uuid", charged))
    known = {one.pk: one for one in bulk.instances(methods)} if charged else {}
    # A question tells nothing of receipts; what may be sent again, or taken of what is held, does.
    frozen = gateway_receipts.of_payments([one for one in found if one.second_stage or not one.gateway_id])
    return {one.pk: _asked(one, known, frozen, is_sending=False) for one in found}


def _is_to_be_asked(payment: Payment) -> bool:
    if payment.state in {PaymentState.CREATED, PaymentState.SUCCEEDED, PaymentState.REFUNDED}:
        return False
    return not (payment.state == PaymentState.SENDING and timing.in_flight(payment))


def _asked(
    payment: Payment,
    known: dict[UUID, PaymentMethod],
    frozen: dict[UUID, ReceiptRequest],
    *,
    is_sending: bool,
) -> Asked:
    method = known.get(payment.method_id) if payment.is_charge and payment.method_id else None
    asked = Asked(
        request=_request(payment, method, frozen.get(payment.pk)),
        connection=payment.connection,
        is_sending=is_sending,
        is_charge=payment.is_charge,
        method_id=method.pk if method else None,
    )
    if not is_sending:
        asked.may_repeat = (
            payment.is_open
            and timing.key_is_kept(payment, payment.connection.connector_class)  # type: ignore[arg-type]
            and not (method and method.refused_at)
        )
        asked.is_over = timing.page_is_over(payment)
        asked.since = timing.window(payment, payment.connection)
        if payment.is_held and payment.second_stage:
            asked.second_stage = payment.second_stage
            asked.taken = Money(payment.capture_amount or payment.amount, payment.currency)
    return asked


def _request(
    payment: Payment, method: PaymentMethod | None = None, receipt: ReceiptRequest | None = None
) -> PaymentRequest:
    method = method or (payment.method if payment.is_charge else None)
    return PaymentRequest(
        key=payment.pk,
        reference=payment.reference_id,
        partner_id=current_partner().pk,
        amount=payment.money,
        description=payment.description,
        return_url=payment.return_url,
        save_method=payment.save_method,
        method_token=method.token if method else "",
        instrument=payment.instrument,
        two_stage=payment.is_two_stage,
        gateway_id=payment.gateway_id,
        link_key=payment.link_key,
        receipt=receipt,
    )


def refused(asked: Sequence[Asked]) -> dict[int, Exception]:
    """Read right before the calls: a charge by a method refused meanwhile is not sent, nor sent again."""
    keys = {one.method_id for one in asked if one.method_id and (one.is_sending or one.may_repeat)}
    if not keys:
        return {}
    # Asked as often as calls begin: the same by a queryset takes three times as long.
    with connection.cursor() as cursor:
        cursor.execute(_REFUSED, [bulk.array(keys)])
        refused_now = {UUID(str(row[0])) for row in cursor.fetchall()}
    for one in asked:
        one.may_repeat = one.may_repeat and one.method_id not in refused_now
    return {
        place: ConnectorError("", code=CONSENT_REVOKED)
        for place, one in enumerate(asked)
        if one.is_sending and one.method_id in refused_now
    }


_REFUSED = "SELECT id FROM payments_paymentmethod WHERE id = ANY(%s::uuid[]) AND refused_at IS NOT NULL"


def call(asked: Asked) -> GatewayPayment | None:
    """Sends a payment, or asks about it. Raises ConnectorError, NotDone. Needs nothing of the database."""
    before = departures.made()
    try:
        # A token of CloudPayments goes with a name of ours before it.
        token = asked.request.method_token
        with exchange.about(asked.key), masking.also(token, token.rpartition("/")[2]):
            return _called(asked, asked.connection.open(), asked.request)
    except ConnectorError as error:
        # One call may be several requests: it stayed here only where none of them left.
        error.left = error.left or departures.made() != before
        raise


def _called(asked: Asked, gateway: Gateway, request: PaymentRequest) -> GatewayPayment | None:
    if asked.is_sending and not request.amount.amount:
        return gateway.bind(request)
    if asked.is_sending:
        return gateway.charge(request) if asked.is_charge else gateway.create_payment(request)
    if asked.second_stage:
        return holds.carry_out(gateway, request, asked.second_stage, asked.taken)
    if request.gateway_id:
        return gateway.give_up(request) if asked.is_over else gateway.fetch(request)
    # Repeating makes a payment that was lost on the way: only while it is wanted and the key is known there.
    if asked.may_repeat:
        try:
            return gateway.fetch(request)
        except ConnectorError as error:
            if error.unknown or error.retry:
                raise
    return gateway.find(request, since=asked.since)


def conclude(answers: Sequence[tuple[Asked, Answer]]) -> list[Payment]:
    """Writes down what came of calls about payments, in one transaction; gives them as they stand then.

    Raises what was no answer of a gateway, and ConnectorError where one that had failed could not be asked about.
    """
    given = {asked.key: (asked, answer) for asked, answer in answers}
    with transaction.atomic(), Books() as books:
        found = locked(given)
        shown = [(one, given[one.pk][1]) for one in found]
        lock_methods([(one, seen) for one, seen in shown if isinstance(seen, GatewayPayment)], books)
        for payment in found:
            asked, answer = given[payment.pk]
            if isinstance(answer, GatewayPayment):
                judge(payment, answer, books)
            elif asked.is_sending:
                _conclude_sending(payment, asked, answer, books)
            else:
                _conclude_asking(payment, answer, books)
    return found


def _conclude_sending(payment: Payment, asked: Asked, answer: Answer, books: Books) -> None:
    if isinstance(answer, lanes.PutBack):
        answer = ConnectorError("", retry=True)
    if not isinstance(answer, ConnectorError):
        raise answer if isinstance(answer, Exception) else TypeError(f"{answer!r} is no answer")
    if answer.unknown:
        _unknown(payment, books)
    else:
        _not_sent(payment, answer, books, stayed=asked.is_first and not answer.left)


def _conclude_asking(payment: Payment, answer: Answer, books: Books) -> None:
    if isinstance(answer, holds.NotDone):
        if payment.is_held:
            payment.second_stage, payment.capture_amount = "", None
            books.change(payment)
            work.open("payments.payment", payment.pk, str(_("Шлюз отказал: %s") % answer))
    elif isinstance(answer, lanes.PutBack):
        raise due.Retry(clock.wall() + timing.SHORTEST)
    elif isinstance(answer, Exception):
        if not isinstance(answer, ConnectorError) or not payment.is_open:
            raise answer
        _unknown(payment, books)
    elif not timing.surely_landed(payment):
        _unknown(payment, books)
    elif payment.is_open and not payment.gateway_id:
        is_refused = payment.is_charge and books.is_refused(payment)
        fail(payment, CONSENT_REVOKED if is_refused else "never_received", books)


def _unknown(payment: Payment, books: Books) -> None:
    if payment.state == PaymentState.SENDING:
        payment.move(PaymentState.UNKNOWN)
        books.change(payment)
        books.look(payment, timing.next_look(payment))


def _not_sent(payment: Payment, error: ConnectorError, books: Books, *, stayed: bool = False) -> None:
    """The gateway has certainly not taken it: later again, or never. `stayed`: nothing of it ever left this machine."""
    if payment.state != PaymentState.SENDING:
        return
    if error.retry and timing.age(payment) < timing.GIVE_UP_SENDING:
        payment.move(PaymentState.CREATED)
        # A receipt that was frozen for this gateway's request goes to no other.
        if stayed and not receipts.is_frozen(payment):
            payment.claimed_at = None
        books.change(payment)
        books.look(payment, timing.next_look(payment))
        return
    fail(payment, "gateway_unavailable" if error.retry else error.code or "gateway_refused", books)
    if error.code in {"invalid_credentials", "forbidden"}:
        work.open("payments.payment", payment.pk, str(_("Шлюз не принимает наши ключи: %s") % error))


def look_again(payment_ids: Sequence[UUID]) -> None:
    """Plans the next look at those that are still open; staff hear of what hangs."""
    with transaction.atomic(), Books() as books:
        for payment in locked(payment_ids):
            if not payment.is_open:
                continue
            books.look(payment, timing.next_look(payment))
            if timing.age(payment) > timing.staff_after(payment):
                told = holds.STILL_HELD if payment.is_held else _("Платёж не завершён, шлюз не сказал, чем")
                work.open("payments.payment", payment.pk, str(told))


class PaymentCalls(Sending):
    """Payments in a lane."""

    def to_send(self, object_ids: Sequence[UUID]) -> dict[UUID, Asked]:
        return claim(object_ids)

    def to_ask(self, object_ids: Sequence[UUID]) -> dict[UUID, Asked]:
        return to_ask(bulk.instances(Payment.objects.filter(pk__in=bulk.these("uuid", object_ids))))

    def refused(self, plans: Sequence[Asked]) -> dict[int, Exception]:
        return refused(plans)

    def go_out(self, plan: Asked) -> GatewayPayment | None:
        return call(plan)

    def conclude(self, answers: Sequence[tuple[Asked, Answer]]) -> list[Payment]:
        return conclude(answers)

    def look_again(self, object_ids: Sequence[UUID]) -> None:
        look_again(object_ids)
