"""Changes of state, each with when, by whom and why; what is not settled stands on the board since (`control`)."""

from typing import Any

from apps.core import clock
from apps.orders.control import standing
from apps.orders.models import Fulfilment, History, Order, Service


def change(
    item: Order | Fulfilment | Service, state: str, *, reason: Any = "", actor: str = "", **fields: Any
) -> None:
    """Moves a locked row to `state`, sets `fields`, saves, and writes it down; no line where nothing moved."""
    stood = isinstance(item, Fulfilment) and standing.stands(item)
    was, item.state = item.state, state
    for name, value in fields.items():
        setattr(item, name, value)
    item.save()
    if isinstance(item, Fulfilment):
        standing.follow(item, stood=stood)
    if was != state:
        record(item, was, state, reason=reason, actor=actor)


def record(
    item: Order | Fulfilment | Service, was: str, became: str, *, reason: Any = "", actor: str = ""
) -> None:
    """Writes a line without changing anything: for rows that are new."""
    History.objects.create(
        object_id=item.pk, was=was, became=became, at=clock.now(), actor=actor, reason=str(reason)[:500]
    )


def of(item: Order | Fulfilment | Service) -> list[History]:
    """The lines of one object, oldest first."""
    return list(History.objects.filter(object_id=item.pk))
