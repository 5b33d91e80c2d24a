"""What a provider tells by itself: it is asked at once; where it cannot be asked, its signed word is taken."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from apps.catalog.models import StepKind
from apps.connectors import webhooks
from apps.connectors.base import ConnectorError, Kind
from apps.core import clock
from apps.orders import fulfilment as outcomes
from apps.orders import history, steps
from apps.orders.models import Fulfilment, FulfilmentState
from apps.providers.base import Provisioned, Status

_F = FulfilmentState
_WAITS = (_F.IN_PROGRESS, _F.UNKNOWN, _F.RETRY)
"""Whose question may be asked sooner; what was never sent, and what staff hold, no message hurries."""
_STATES = {"active": Status.ACTIVE, "canceled": Status.CANCELED}


@webhooks.receiver(Kind.PROVIDER)
def provider_told(told: webhooks.Told) -> None:
    """Messages about services, by the reference of each: what is open of them is looked at now."""
    about = {reference.object_id: (reference.connection_id, received.data) for reference, received in told}
    taken: dict[UUID, Mapping[str, Any]] = {}
    found = Fulfilment.objects.filter(service__request_id__in=about, state__in=_WAITS)
    for one in found.select_related("service").order_by("pk"):
        connection_id, data = about[one.service.request_id]
        # Not where its provider is reached in another way since.
        if one.connection_id == connection_id:
            if data:
                taken[one.pk] = data
            else:
                outcomes.plan(one, clock.wall())
    if taken:
        _take(taken)


def _take(taken: Mapping[UUID, Mapping[str, Any]]) -> None:
    """Writes down what was signed, as if it had been answered."""
    touched = set()
    for fulfilment in outcomes.locked(taken):
        data = taken[fulfilment.pk]
        if fulfilment.state not in _WAITS or data["state"] not in {*_STATES, "failed"}:
            continue
        task = steps.current(fulfilment)
        if task is not None and task.kind != StepKind.PROVISION:
            # Another step of its plan: the provider speaks of its own.
            continue
        if fulfilment.state != _F.IN_PROGRESS:
            history.change(fulfilment, _F.IN_PROGRESS)
        if data["state"] == "failed":
            error = ConnectorError(data["message"], code=data["code"])
            outcomes.failed(fulfilment, error, is_repeated=False, task=task)
            continue
        answer = Provisioned(_STATES[data["state"]], data["key"], data["url"], data["instructions"])
        if order_id := outcomes.answered(fulfilment, answer, task=task):
            touched.add(order_id)
    for order_id in sorted(touched):
        outcomes.finish_order(order_id)
