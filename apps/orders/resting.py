"""A service rests while it is not paid or paused, and goes on: here at once, at its provider where it knows that."""

from typing import Any

from apps.connectors.models import Connection
from apps.core import events
from apps.orders import fulfilment, inventory
from apps.orders.models import Fulfilment, FulfilmentAction, FulfilmentState, Service, ServiceState
from apps.providers.base import ProviderConnector

_A, _F = FulfilmentAction, FulfilmentState


def rest(service: Service, reason: Any) -> None:
    """A locked active service rests."""
    inventory.move(service, ServiceState.SUSPENDED, reason=reason)
    events.publish("orders.ServiceSuspended", service.pk)
    _tell(service, _A.SUSPEND)


def wake(service: Service, reason: Any) -> None:
    """A locked service that rests goes on."""
    inventory.move(service, ServiceState.ACTIVE, reason=reason)
    events.publish("orders.ServiceResumed", service.pk)
    # What the provider was never told of needs no taking back.
    if service.fulfilments.filter(action=_A.SUSPEND).exists():
        _tell(service, _A.RESUME)


def is_wanted(one: Fulfilment) -> bool:
    """Whether a provider is still to be told so: whatever came in between, it gets what the service is now."""
    wanted = ServiceState.SUSPENDED if one.action == _A.SUSPEND else ServiceState.ACTIVE
    return bool(one.service.state == wanted)


def waits(one: Fulfilment) -> bool:
    """Whether another request of the pair is on its way: it might arrive after this one, and undo it."""
    others = Fulfilment.objects.filter(
        service=one.service_id, action__in=fulfilment.PAIR, state=_F.IN_PROGRESS
    )
    return others.exclude(pk=one.pk).exists()


def _tell(service: Service, action: str) -> None:
    """Plans a request to the provider, unless one of the same kind is open, or it knows nothing of a pause."""
    is_open = service.fulfilments.filter(action=action).exclude(state__in=(_F.DONE, _F.REVOKED)).exists()
    if not is_open and _knows_pause(service):
        fulfilment.add(service, action)


def _knows_pause(service: Service) -> bool:
    """Whether its provider's connector has a word for it. What it is at one provider is found out by asking."""
    connection = fulfilment.connection_of(service)
    return connection is not None and can_pause(connection)


def can_pause(connection: Connection) -> bool:
    """Whether this kind of connector suspends and resumes."""
    return connection.connector_class.suspend is not ProviderConnector.suspend  # type: ignore[attr-defined]
