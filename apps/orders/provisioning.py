"""Providers are asked, for one fulfilment or many at once: claimed in a batch, called one by one, concluded in a batch.

The id of the request is one for ever: any number may ask at once and be killed anywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeGuard
from uuid import UUID, uuid5

from django.db import transaction
from django.db.models import prefetch_related_objects
from django.utils.translation import gettext_lazy as _

from apps.catalog.models import Product, StepKind, TariffVersion
from apps.connectors import exchange
from apps.connectors.base import ConnectorError
from apps.connectors.lanes import Calls
from apps.connectors.models import Connection
from apps.core import bulk, clock, faults, gather, lanes
from apps.orders import fulfilment as outcomes
from apps.orders import history, missing, moves, replacing, reserving, resting, steps
from apps.orders.models import (
    Fulfilment,
    FulfilmentAction,
    FulfilmentState,
    ItemAction,
    OrderItem,
    Service,
)
from apps.orders.task_models import Task
from apps.providers import remembering
from apps.providers.base import Known, ProviderConnector, Provisioned, ProvisionRequest
from apps.providers.models import Provider
from apps.providers.services import connection_for, has_people, local_connector, step_connector

_A, _F = FulfilmentAction, FulfilmentState
SOON = timedelta(seconds=5)
"""After which what was claimed and not called is tried again."""


@dataclass(frozen=True, slots=True)
class Asked:
    """All that a call about a fulfilment needs of the database."""

    fulfilment: Fulfilment
    """As it was claimed, its service at hand."""
    request: ProvisionRequest
    product: Product
    connection: Connection | None
    """None: our own pools, or staff. Those are asked with the database at hand, never in a lane."""
    is_repeated: bool
    """Whether an earlier request of it may have arrived."""
    known: Known | None = None
    """What is remembered of it, for a connector that says `remembers`."""
    task: Task | None = None
    """Which step of its plan this is about."""
    is_undo: bool = False
    """Whether that step is to be taken back."""
    helper: Provider | None = None
    """Whose people do that step: they are asked by letter, or in a console of their own."""
    replaces: UUID | None = None
    """The request whose key does not work: taken back before a new one is asked for."""

    @property
    def call_id(self) -> UUID:
        """What is asked is asked under this, however often: a fulfilment with a plan asks several things."""
        if not _is_elsewhere(self.task):
            return self.fulfilment.pk
        return uuid5(self.task.pk, "undo") if self.is_undo else self.task.pk


def fulfil(fulfilment_id: UUID) -> None:
    """Does one thing at its provider, at once."""
    asked = claim([fulfilment_id]).get(fulfilment_id)
    if asked is None:
        return
    faults.at("orders.claimed-not-called")
    answer: Provisioned | Exception
    try:
        answer = call(asked)
        faults.at("orders.called-not-recorded")
    except ConnectorError as error:
        answer = error
    with transaction.atomic():
        conclude([(asked, answer)])
        faults.at("orders.recorded-not-committed")
    faults.at("orders.recorded")


def claim(fulfilment_ids: Sequence[UUID]) -> dict[UUID, Asked]:
    """Commits that these are being asked for, and gives what to ask; what is missing needs no call."""
    with transaction.atomic(), gather.gathering():
        found = [one for one in outcomes.locked(fulfilment_ids) if one.state in _OPEN]
        # Read at once for all of the batch: each finds its own there.
        gather.once("orders.bought", lambda: _items_of([one.service for one in found]))
        products = Product.objects.select_related(
            "provider__connection", "provider__test_connection"
        ).in_bulk({one.service.product_id for one in found})
        asked = {}
        for one in found:
            if plan := _claim(one, products[one.service.product_id]):
                asked[one.pk] = plan
        return _remembered(asked)


def _remembered(asked: dict[UUID, Asked]) -> dict[UUID, Asked]:
    """With what is known of each at its provider, by connection."""
    for connection in {one.connection for one in asked.values()}:
        theirs = {key: one for key, one in asked.items() if one.connection == connection}
        calls = {one.call_id: one.request for one in theirs.values()}
        repeated = [one.call_id for one in theirs.values() if one.is_repeated]
        known = remembering.prepare(connection, calls, repeated=repeated)
        for key, one in theirs.items():
            if one.call_id in known:
                asked[key] = replace(one, known=known[one.call_id])
    return asked


_OPEN = {_F.QUEUED, _F.RETRY, _F.UNKNOWN, _F.IN_PROGRESS, _F.COMPENSATING}


def _claim(fulfilment: Fulfilment, product: Product) -> Asked | None:
    task = steps.current(fulfilment)
    if fulfilment.state == _F.COMPENSATING:
        task = steps.undo(fulfilment)
        if task is None:
            return None
    elif task is not None and task.kind == StepKind.WAIT:
        # Nobody is called: it is waited for.
        return None
    connection = steps.connection_of(fulfilment, task) if _is_elsewhere(task) else connection_for(product)
    if (connection and connection.pk) != fulfilment.connection_id:
        # Its provider is reached in another way since: it goes on in that lane.
        fulfilment.connection = connection
        outcomes.later(fulfilment, fulfilment.state, timedelta(0), "")
        return None
    is_undo = fulfilment.state == _F.COMPENSATING
    if fulfilment.action == _A.PROVISION and not is_undo and (lacking := missing.of(fulfilment.service)):
        outcomes.need_information(fulfilment, lacking)
        return None
    if _is_elsewhere(task):
        return _claim_step(fulfilment, task, product, connection)
    if _is_put_off(fulfilment):
        return None
    is_repeated = fulfilment.state in {_F.UNKNOWN, _F.IN_PROGRESS}
    change = history.change_at_end if outcomes.is_usual(fulfilment) else history.change
    change(fulfilment, _F.IN_PROGRESS, attempts=fulfilment.attempts + 1)
    if task is not None:
        steps.asked(task)
    replaces = replacing.replaced_by(fulfilment.pk) if fulfilment.action == _A.REPLACE else None
    request = _request(fulfilment)
    return Asked(fulfilment, request, product, connection, is_repeated, task=task, replaces=replaces)


def _is_put_off(fulfilment: Fulfilment) -> bool:
    """Whether it waits for something else of its service, or is no longer wanted."""
    if fulfilment.action == _A.EXTEND and fulfilment.service.activated_at is None:
        # What is not there yet is not extended: the first request goes first.
        outcomes.later(fulfilment, _F.RETRY, timedelta(minutes=10), _("Ждёт подключения услуги"))
        return True
    if fulfilment.action in {_A.EXTEND, *outcomes.PAIR} and replacing.is_open(fulfilment.service):
        outcomes.later(fulfilment, _F.RETRY, timedelta(minutes=1), _("Ждёт замены ключа"))
        return True
    if fulfilment.action in outcomes.PAIR and not resting.is_wanted(fulfilment):
        resting.drop(fulfilment)
        return True
    if fulfilment.action in outcomes.PAIR and resting.waits(fulfilment):
        outcomes.later(fulfilment, fulfilment.state, SOON, "")
        return True
    if _is_overtaken(fulfilment):
        moves.close(fulfilment, _F.DONE, reason=_("Уже продлено на больший срок"))
        return True
    return False


def _is_elsewhere(task: Task | None) -> TypeGuard[Task]:
    """Whether a step is done at another provider than the product's own."""
    return task is not None and task.kind == StepKind.REGISTER


def _claim_step(
    fulfilment: Fulfilment, task: Task, product: Product, connection: Connection | None
) -> Asked | None:
    """What to ask another provider, under the task's own id: to register there, or to take that back."""
    is_undo = fulfilment.state == _F.COMPENSATING
    helper = steps.provider_of(task) if connection is None else None
    if connection is None and not (helper and has_people(helper)):
        told = _("У поставщика этого шага нет подключения")
        moves.call_staff(fulfilment, told, state=_F.COMPENSATING if is_undo else _F.NEEDS_STAFF)
        return None
    is_repeated = fulfilment.state in {_F.UNKNOWN, _F.IN_PROGRESS}
    state = _F.COMPENSATING if is_undo else _F.IN_PROGRESS
    history.change(fulfilment, state, attempts=fulfilment.attempts + 1)
    steps.asked(task)
    request = replace(_request(fulfilment), request_id=task.pk)
    return Asked(
        fulfilment, request, product, connection, is_repeated, task=task, is_undo=is_undo, helper=helper
    )


def _items_of(services: Sequence[Service]) -> dict[UUID | None, OrderItem]:
    """By subscription: the items by which these were bought."""
    wanted = bulk.these("uuid", {one.subscription_id for one in services})
    items = OrderItem.objects.filter(subscription__in=wanted, action=ItemAction.ADD)
    return {one.subscription_id: one for one in items}


def _is_overtaken(fulfilment: Fulfilment) -> bool:
    """A later renewal was done first: to extend now would shorten what the customer has paid for."""
    until, wanted = fulfilment.service.active_until, fulfilment.period_end
    return fulfilment.action == _A.EXTEND and bool(until and wanted and wanted < until)


def _request(fulfilment: Fulfilment) -> ProvisionRequest:
    service = fulfilment.service
    rows = TariffVersion.objects.select_related("tariff")
    key = service.tariff_version_id
    version = gather.once(("orders.version", key), lambda: rows.get(pk=key))
    bought = gather.once("orders.bought", lambda: _items_of([service])).get(service.subscription_id)
    # What was answered for it: at the order and since.
    answers = {**(bought.answers if bought else {}), **service.answers}
    return ProvisionRequest(
        request_id=service.request_id,
        sku=version.tariff.code,
        customer_ref=str(service.customer_id),
        # To take back there is no period to name.
        period_end=fulfilment.period_end or clock.today(),
        parameters={**version.parameters, **answers},
        holder=bought.pk if bought and bought.terms.get(reserving.RESERVED) else None,
    )


def call(asked: Asked) -> Provisioned:
    """Asks the provider. Raises ConnectorError."""
    with exchange.about(asked.fulfilment.pk):
        connector = _connector(asked)
        return _called(connector.knowing(asked.known) if asked.known else connector, asked)


def _connector(asked: Asked) -> ProviderConnector:
    if asked.connection is not None:
        return asked.connection.open()
    return step_connector(asked.helper) if asked.helper else local_connector(asked.product)


def _called(connector: ProviderConnector, asked: Asked) -> Provisioned:
    request, action = asked.request, asked.fulfilment.action
    if action == _A.CANCEL or asked.is_undo:
        return connector.cancel(request.request_id)
    if action == _A.SUSPEND:
        return connector.suspend(request.request_id, pause_id=asked.fulfilment.pk)
    if action == _A.RESUME:
        return connector.resume(request.request_id, pause_id=asked.fulfilment.pk)
    if asked.fulfilment.period_end is None:
        raise ConnectorError("No period is paid")
    if action == _A.EXTEND:
        # Named by its own id: repeated, it is the same extension.
        return connector.extend(
            request.request_id, extension_id=asked.fulfilment.pk, period_end=request.period_end
        )
    if asked.is_repeated and (found := connector.fetch(request.request_id)) is not None:
        return found
    if asked.replaces is not None:
        connector.cancel(asked.replaces)
    return connector.provision(request)


def conclude(answers: Sequence[tuple[Asked, Any]]) -> None:
    """Writes down what came of it, in the caller's transaction. Raises what is no answer of a provider."""
    given = {asked.fulfilment.pk: (asked, answer) for asked, answer in answers}
    wrong = remembering.learn((asked.call_id, asked.known, answer) for asked, answer in given.values())
    if wrong:
        given = {key: (asked, wrong.get(asked.call_id, answer)) for key, (asked, answer) in given.items()}
    touched: set[UUID] = set()
    found = outcomes.locked(given)
    # By a statement of its own: what changed while the lock was waited for is seen.
    prefetch_related_objects([one.service for one in found], "customer", "subscription")
    for fulfilment in found:
        asked, answer = given[fulfilment.pk]
        if not (outcomes.is_usual(fulfilment) and isinstance(answer, Provisioned)):
            history.saved()
        if fulfilment.action == _A.EXTEND and asked.request.request_id != fulfilment.service.request_id:
            # Its key was replaced meanwhile: what was extended is no more.
            outcomes.put_back(fulfilment, SOON, is_repeated=False)
        elif isinstance(answer, Provisioned):
            if order_id := outcomes.answered(fulfilment, answer, task=asked.task, is_undo=asked.is_undo):
                touched.add(order_id)
        elif isinstance(answer, ConnectorError):
            outcomes.failed(
                fulfilment,
                answer,
                is_repeated=asked.is_repeated,
                task=asked.task,
                is_undo=asked.is_undo,
            )
        elif isinstance(answer, lanes.PutBack):
            outcomes.put_back(fulfilment, is_repeated=asked.is_repeated)
        else:
            raise answer
    # In their order: pieces of one order are delivered in several lanes.
    moves.finish_orders(touched)


class Provisioning(Calls):
    """Fulfilments in the lane of their provider."""

    def claim(self, object_ids: Sequence[UUID]) -> dict[UUID, Asked]:
        return claim(object_ids)

    def go_out(self, plan: Asked) -> Provisioned:
        return call(plan)

    def conclude(self, answers: Sequence[tuple[Asked, Any]]) -> None:
        conclude(answers)
