"""A service rests while it is not paid or paused, and goes on: here at once, at its provider where it knows that."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from apps.core import clock, events
from apps.orders import fulfilment, inventory, moves
from apps.orders.models import Fulfilment, FulfilmentAction, FulfilmentState, Service, ServiceState
from apps.providers.services import knows_pause

_A, _F = FulfilmentAction, FulfilmentState
_OVER = (_F.DONE, _F.REVOKED)


def rest(service: Service, reason: Any) -> None:
    """A locked active service rests."""
    inventory.move(service, ServiceState.SUSPENDED, reason=reason)
    events.publish("orders.ServiceSuspended", service.pk)
    _overtake(service, _A.RESUME)
    provider = moves.product_of(service).provider
    if provider is not None and provider.pauses:
        _tell(service, _A.SUSPEND)


def wake(service: Service, reason: Any) -> None:
    """A locked service that rests goes on."""
    inventory.move(service, ServiceState.ACTIVE, reason=reason)
    events.publish("orders.ServiceResumed", service.pk)
    _overtake(service, _A.SUSPEND)
    # What the provider was never told of needs no taking back; what it was, does, though it has not answered:
    # it may have been done.
    if service.fulfilments.filter(action=_A.SUSPEND, attempts__gt=0).exists():
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


def drop(one: Fulfilment) -> None:
    """A locked one is wanted no more; people who were asked for it need not decide."""
    moves.close(one, _F.DONE, reason=_("Уже не нужно"))
    moves.call_off(one)


def _overtake(service: Service, action: str) -> None:
    """What was to be told until now is not to be: at once where people have it before them, who may take days."""
    rows = Fulfilment.objects.select_for_update(no_key=True).filter(service=service, action=action)
    for one in rows.exclude(state__in=_OVER).order_by("pk"):
        one.service = service
        if one.state == _F.NEEDS_STAFF:
            drop(one)
        elif one.connection_id is None:
            # A call to the outside is left to end: what is told next waits for it.
            fulfilment.plan(one, clock.wall())


def _tell(service: Service, action: str) -> None:
    """Plans a request to the provider, unless one of the same kind is open, or it knows nothing of a pause."""
    is_open = service.fulfilments.filter(action=action).exclude(state__in=_OVER).exists()
    if not is_open and knows_pause(moves.product_of(service)):
        fulfilment.add(service, action)
