"""What a provider tells by itself: it is asked at once; where it cannot be asked, its signed word is taken.

A word is taken only for what it can be about: a late or repeated one settles nothing that was asked for since.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from apps.catalog.models import StepKind
from apps.connectors import webhooks
from apps.connectors.base import ConnectorError, Kind
from apps.core import clock
from apps.orders import fulfilment as outcomes
from apps.orders import history, steps
from apps.orders.models import Fulfilment, FulfilmentAction, FulfilmentState
from apps.orders.task_models import Task
from apps.providers.base import Provisioned, Status

_F = FulfilmentState
_WAITS = (_F.IN_PROGRESS, _F.UNKNOWN, _F.RETRY)
"""Whose question may be asked sooner; what was never sent, and what staff hold, no message hurries."""
_STATES = {"active": Status.ACTIVE, "canceled": Status.CANCELED, "inquiring": Status.PENDING}
_OF_NEW = frozenset({*_STATES, "failed"})
_OF_TAKING_BACK = frozenset({"canceled"})
_Word = Mapping[str, Any]


@webhooks.receiver(Kind.PROVIDER)
def provider_told(told: webhooks.Told) -> None:
    """Messages about services, by the reference of each: what is open of them is looked at now."""
    about: dict[UUID, list[tuple[int, _Word]]] = defaultdict(list)
    for reference, received in told:
        about[reference.object_id].append((reference.connection_id, received.data))
    taken: dict[UUID, tuple[UUID, list[_Word]]] = {}
    for key, one in _concerned(set(about)):
        # Not where its provider is reached in another way since.
        words = [data for connection_id, data in about[key] if connection_id == one.connection_id]
        if any(words):
            taken[one.pk] = key, words
        elif words:
            outcomes.plan(one, clock.wall())
    if taken:
        _take(taken)


def _concerned(keys: set[UUID]) -> Iterator[tuple[UUID, Fulfilment]]:
    """What is open of services, or of steps at another provider than the product's own, with the key of each."""
    found = Fulfilment.objects.filter(service__request_id__in=keys, state__in=_WAITS)
    others = set(keys)
    for one in found.select_related("service").order_by("pk"):
        others.discard(one.service.request_id)
        yield one.service.request_id, one
    if others:
        for task in steps.current_among(others):
            if task.fulfilment.state in {*_WAITS, _F.COMPENSATING}:
                yield task.pk, task.fulfilment


def _take(taken: Mapping[UUID, tuple[UUID, Sequence[_Word]]]) -> None:
    """Writes down what was signed, as if it had been answered."""
    touched = set()
    for fulfilment in outcomes.locked(taken):
        key, words = taken[fulfilment.pk]
        for data in words:
            if order_id := _believe(fulfilment, key, data):
                touched.add(order_id)
    for order_id in sorted(touched):
        outcomes.finish_order(order_id)


def _believe(fulfilment: Fulfilment, key: UUID, data: _Word) -> UUID | None:
    """One word about a service or a step (`key`); gives the order that this may have been the last of."""
    task = steps.current(fulfilment)
    if not _is_about(fulfilment, task, key):
        return None
    is_undo = fulfilment.state == _F.COMPENSATING
    if data["state"] not in _believed(fulfilment, is_undo=is_undo):
        if data["state"] != "pending":
            _ask(fulfilment)
        return None
    if fulfilment.state in {_F.UNKNOWN, _F.RETRY}:
        history.change(fulfilment, _F.IN_PROGRESS)
    if data["state"] == "failed":
        error = ConnectorError(data["message"], code=data["code"])
        outcomes.failed(fulfilment, error, is_repeated=False, task=task)
        return None
    given = {name: data[name] for name in ("key", "url", "instructions", "question") if name in data}
    answer = Provisioned(_STATES[data["state"]], **given)
    return outcomes.answered(fulfilment, answer, task=task, is_undo=is_undo)


def _is_about(fulfilment: Fulfilment, task: Task | None, key: UUID) -> bool:
    """Whether it still waits for that: another step of its plan is its own provider's to speak of."""
    if task is not None and task.kind == StepKind.REGISTER:
        return task.pk == key and fulfilment.state in {*_WAITS, _F.COMPENSATING}
    if task is not None and task.kind != StepKind.PROVISION:
        return False
    return fulfilment.service.request_id == key and fulfilment.state in _WAITS


def _believed(fulfilment: Fulfilment, *, is_undo: bool) -> frozenset[str]:
    """Words that settle it: «active» is said of what is new, and says nothing of an extension, a pause or an end."""
    if is_undo or fulfilment.action == FulfilmentAction.CANCEL:
        return _OF_TAKING_BACK
    return _OF_NEW if fulfilment.action in outcomes.NEW else frozenset()


def _ask(fulfilment: Fulfilment) -> None:
    """The call is made again now, where its answer was not final: that one says how it stands."""
    waits = fulfilment.next_at is not None and fulfilment.next_at > clock.wall()
    # What is being asked this moment has its answer coming, and what was put off was not done.
    if waits and fulfilment.state != _F.RETRY:
        outcomes.plan(fulfilment, clock.wall())
