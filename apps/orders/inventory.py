"""The inventory: what each customer has, in the states of TMF637, and which state may follow which."""

from typing import Any

from apps.core import clock, gather
from apps.orders import entitlements, history
from apps.orders.models import FulfilmentState, History, Service, ServiceState

_S = ServiceState
TRANSITIONS: dict[str, frozenset[str]] = {
    _S.CREATED: frozenset({_S.PENDING_ACTIVE, _S.CANCELLED, _S.ABORTED}),
    _S.PENDING_ACTIVE: frozenset({_S.ACTIVE, _S.PENDING_TERMINATE, _S.CANCELLED, _S.ABORTED}),
    _S.ACTIVE: frozenset({_S.SUSPENDED, _S.PENDING_TERMINATE, _S.TERMINATED}),
    _S.SUSPENDED: frozenset({_S.ACTIVE, _S.PENDING_TERMINATE, _S.TERMINATED}),
    _S.PENDING_TERMINATE: frozenset({_S.TERMINATED, _S.CANCELLED, _S.ABORTED}),
    # Only of a base that was given back to the old system and is moved in again.
    _S.TERMINATED: frozenset({_S.ACTIVE}),
    _S.CANCELLED: frozenset(),
    _S.ABORTED: frozenset(),
}
"""TMF637's ProductStatusType; what is not here never happens."""


class ImpossibleMove(Exception):
    """A service was to go from a state to one that cannot follow it: a mistake of ours, never of a person."""


def move(
    service: Service, state: str, *, reason: Any = "", actor: str = "", at_end: bool = False, **fields: Any
) -> None:
    """Moves a locked service to `state`, sets `fields`, saves, and writes it down. To the same state: saves only.

    `at_end`: with others of its batch, where there is one (`history.change_at_end`).

    Raises ImpossibleMove.
    """
    if state != service.state and state not in TRANSITIONS[service.state]:
        raise ImpossibleMove(f"Service {service.pk}: {service.state} → {state}")
    change = history.change_at_end if at_end else history.change
    change(service, state, reason=reason, actor=actor, **fields)
    entitlements.follow([service])


def end(service: Service, *, is_at_provider: bool, reason: Any) -> None:
    """A locked service is over: at once, or when its provider has taken it back too."""
    state = _S.PENDING_TERMINATE if is_at_provider else _last(service)
    move(service, state, reason=reason, off_at=clock.now())


def taken_back(service: Service) -> None:
    """The provider of a locked service has taken it back."""
    if service.state == _S.PENDING_TERMINATE:
        move(service, _last(service))


def _last(service: Service) -> str:
    """How it ends: what was never given out was called off, or could not be made."""
    if service.activated_at:
        return _S.TERMINATED
    # The provision has the id of the request.
    gather.flush()
    could_not_be = (FulfilmentState.NEEDS_STAFF, FulfilmentState.COMPENSATING)
    stuck = History.objects.filter(object_id=service.request_id, became__in=could_not_be)
    return _S.ABORTED if stuck.exists() else _S.CANCELLED
