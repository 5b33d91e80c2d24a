"""Changes of state, each with when, by whom and why; what is not settled stands on the board since (`control`).

Orders and their items change only as `states` allows.
"""

from collections.abc import Sequence
from typing import Any

from apps.core import bulk, clock, gather, ids
from apps.orders import reserving, states
from apps.orders.control import standing
from apps.orders.models import Fulfilment, History, Order, OrderItem, Service
from apps.orders.task_models import Task

Told = Order | OrderItem | Fulfilment | Service | Task


def change(item: Told, state: str, *, reason: Any = "", actor: str = "", **fields: Any) -> None:
    """Moves a locked row to `state`, sets `fields`, saves, and writes it down; no line where nothing moved.

    Raises states.NotAllowed where an order, or an item of it, may not become that.
    """
    stood = isinstance(item, Fulfilment) and standing.stands(item)
    was = _moved(item, state, fields)
    item.save()
    if isinstance(item, Fulfilment):
        standing.follow(item, stood=stood)
    if was != state:
        record(item, was, state, reason=reason, actor=actor)


def change_at_end(
    item: Fulfilment | Service, state: str, *, reason: Any = "", actor: str = "", **fields: Any
) -> None:
    """`change` of one of many locked rows, written with the others' at the end of their batch (`gather`).

    What reads them before that has them written (`saved`). A fulfilment that follows a plan, or stands on the board,
    changes at once.
    """
    is_usual = isinstance(item, Service) or (item.step is None and not standing.stands(item))
    if not (gather.is_gathering() and is_usual):
        change(item, state, reason=reason, actor=actor, **fields)
        return
    was = _moved(item, state, fields)
    if isinstance(item, Service):
        gather.at_end(_save_services, [item])
    else:
        gather.at_end(_save_fulfilments, [item])
    if was != state:
        record(item, was, state, reason=reason, actor=actor)


def saved() -> None:
    """Has written what a batch has changed: for what reads it from the database."""
    gather.flush(_save_services, _save_fulfilments, _save_orders, _save_items)


def _save_services(changed: Sequence[Service]) -> None:
    names = ("state", "key", "url", "instructions", "active_until", "activated_at", "off_at")
    bulk.update_objects(Service, names, changed)


def _save_fulfilments(changed: Sequence[Fulfilment]) -> None:
    bulk.update_objects(Fulfilment, ("state", "attempts", "error", "next_at", "done_at"), changed)


def _save_orders(changed: Sequence[Order]) -> None:
    bulk.update_objects(Order, ("state", "closed_at"), changed)


def _save_items(changed: Sequence[OrderItem]) -> None:
    bulk.update_objects(OrderItem, ("state",), changed)


def change_order(
    order: Order,
    state: str,
    *,
    items: Sequence[OrderItem] = (),
    item_state: str = "",
    reason: Any = "",
    actor: str = "",
    **fields: Any,
) -> None:
    """`change` of a locked order, and of these items of it (to `item_state`, else to the same), in three statements."""
    becomes = item_state or state
    if becomes in states.CLOSED:
        reserving.release(items)
    lines: list[tuple[Told, str, str]] = [(one, _moved(one, becomes, {}), becomes) for one in items]
    lines.append((order, _moved(order, state, fields), state))
    is_late = gather.is_gathering() and fields.keys() <= {"closed_at"}
    if lines[-1][1] != state or fields:
        if is_late:
            gather.at_end(_save_orders, [order])
        else:
            order.save()
    if is_late:
        gather.at_end(_save_items, items)
    elif items:
        OrderItem.objects.filter(pk__in=[one.pk for one in items]).update(state=becomes)
    if moved := [line for line in lines if line[1] != line[2]]:
        record_many(moved, reason=reason, actor=actor)


def _moved(item: Told, state: str, fields: dict[str, Any]) -> str:
    if isinstance(item, Order | OrderItem):
        states.check(item.state, state)
    was, item.state = item.state, state
    for name, value in fields.items():
        setattr(item, name, value)
    return str(was)


def record(item: Told, was: str, became: str, *, reason: Any = "", actor: str = "") -> None:
    """Writes a line without changing anything: for rows that are new."""
    record_many([(item, was, became)], reason=reason, actor=actor)


def record_many(lines: Sequence[tuple[Told, str, str]], *, reason: Any = "", actor: str = "") -> None:
    """`record` of several in one statement: the row, what it was and what it became."""
    now, why = clock.now(), str(reason)[:500]
    gather.at_end(_write, [(one.pk, was, became, now, actor, why) for one, was, became in lines])


_COLUMNS = ("id", "object_id", "was", "became", "at", "actor", "reason")
FEW = 10
"""Up to so many lines an INSERT is the quicker."""


def _write(lines: Sequence[tuple[Any, ...]]) -> None:
    # In their order: so they are read.
    keys = sorted(ids.many(len(lines)))
    if len(lines) > FEW:
        bulk.copy(History, _COLUMNS, [(key, *line) for key, line in zip(keys, lines, strict=True)])
        return
    History.objects.bulk_create(
        History(**dict(zip(_COLUMNS, (key, *line), strict=True)))
        for key, line in zip(keys, lines, strict=True)
    )


def of(item: Told) -> list[History]:
    """The lines of one object, oldest first."""
    return list(History.objects.filter(object_id=item.pk))
