"""A method that its customer took back is forgotten by the gateway too, where it can: asked until it has.

No charge hangs on it: whatever the gateway still keeps, `methods.refuse_method` has ended what we ask of it. A gateway
asked again forgets what it has forgotten already, so that any call may be made twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.connectors import exchange
from apps.connectors.base import ConnectorError
from apps.connectors.lanes import Calls
from apps.connectors.models import Connection
from apps.core import clock, due, lanes, work
from apps.payments.gateway import Instrument
from apps.payments.models import Payment, PaymentMethod

UNBIND, KIND = "payments.unbind", "payments.PaymentMethod"
SOONEST, LATEST = timedelta(seconds=30), timedelta(hours=1)
"""Between two tries: a quarter of what has passed, within these."""
LATE = timedelta(days=1)
"""After which staff hear that the gateway has not forgotten yet."""


@dataclass(frozen=True, slots=True)
class Asked:
    """All that the call needs of the database."""

    method_id: UUID
    connection: Connection
    key: UUID
    """Of the payment that saved the method."""


def plan(method: PaymentMethod) -> None:
    """The gateway of a locked method that is refused now is to forget it; in the caller's transaction, unsaved.

    Nothing where it cannot, or where the method came from another system, whose names for it are not known.
    """
    try:
        gateway: Any = method.connection.connector_class
    except LookupError:
        return
    can = (method.instrument or Instrument.BANK_CARD) in gateway.unbinds
    if not (can and _saved_by([method])):
        return
    method.unbinding_since = clock.wall()
    due.schedule(UNBIND, method.pk, method.unbinding_since, wall=True, lane=method.connection_id)


def _saved_by(found: Iterable[PaymentMethod]) -> dict[UUID, UUID]:
    """Ids of payments by the methods that they saved."""
    mine = {one.pk: one.customer_id for one in found}
    # By the customers first: a payment's method has no index.
    rows = Payment.objects.filter(customer__in=set(mine.values()), method__in=mine, save_method=True)
    return dict(rows.values_list("method", "pk"))


def unbind(method_id: UUID) -> None:
    """Tells the gateway, at once. Never raises for it."""
    for asked in claim([method_id]).values():
        answer: Any = None
        try:
            call(asked)
        except ConnectorError as error:
            answer = error
        with transaction.atomic():
            conclude([(asked, answer)])


def claim(method_ids: Sequence[UUID]) -> dict[UUID, Asked]:
    """What to tell of those that the gateway has not forgotten yet."""
    waiting = _waiting().filter(pk__in=list(method_ids)).select_related("connection")
    saved = _saved_by(waiting)
    return {one.pk: Asked(one.pk, one.connection, saved[one.pk]) for one in waiting if one.pk in saved}


def _waiting() -> Any:
    return PaymentMethod.objects.filter(unbinding_since__isnull=False, unbound_at=None)


def call(asked: Asked) -> None:
    """Raises ConnectorError."""
    with exchange.about(asked.method_id):
        asked.connection.open().unbind(asked.key)


def conclude(answers: Sequence[tuple[Asked, Any]]) -> None:
    """Writes down what came of it, in the caller's transaction. Raises what is no answer of a gateway."""
    given = {asked.method_id: answer for asked, answer in answers}
    rows = _waiting().select_for_update(no_key=True).filter(pk__in=list(given))
    for method in rows.order_by("pk"):
        answer = given[method.pk]
        if answer is None:
            method.unbound_at = clock.wall()
            method.save(update_fields=["unbound_at"])
            journal.record("payments.method_unbound", "payments.method", method.pk)
            work.close(KIND, method.pk)
        elif isinstance(answer, ConnectorError | lanes.PutBack):
            _again(method, answer)
        else:
            raise answer


def _again(method: PaymentMethod, why: Exception) -> None:
    now = clock.wall()
    passed = now - (method.unbinding_since or now)
    wait = min(max(passed / 4, SOONEST), LATEST)
    due.schedule(UNBIND, method.pk, now + wait, wall=True, lane=method.connection_id)
    is_final = isinstance(why, ConnectorError) and not (why.retry or why.unknown)
    if is_final or passed > LATE:
        told = _("Шлюз не отвязал способ, от которого клиент отказался: {why}")
        work.open(KIND, method.pk, str(told).format(why=why))


class UnbindCalls(Calls):
    """The same in the gateway's lane."""

    def claim(self, object_ids: Sequence[UUID]) -> dict[UUID, Asked]:
        return claim(object_ids)

    def go_out(self, plan: Asked) -> None:
        call(plan)

    def conclude(self, answers: Sequence[tuple[Asked, Any]]) -> None:
        conclude(answers)
