"""The outbox: an event is written in the transaction that made it true, and delivered once to each handler."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.core import bulk, clock, faults, gather, models, wake
from apps.core.ids import many, uuid7
from apps.core.models import Event
from apps.core.tenancy import current_partner_id, in_partner, in_public, plain_cursor

log = logging.getLogger(__name__)
Handler = Callable[[Event], None]
Many = Callable[[Sequence[Event]], None]
_handlers: dict[str, dict[str, Handler]] = {}
_of_many: dict[str, Many] = {}
_ahead: set[str] = set()
MOST, NEAR = 50, 300
"""So many events at most go to a handler at once, found among so many that wait longest."""
AHEAD = timedelta(minutes=1)
"""What somebody waits for is delivered before what came up to so much earlier."""
PATIENCE = 10
"""Attempts after which a delivery also stands in the staff's queue."""


def on(event_type: str) -> Callable[[Handler], Handler]:
    """Registers a handler. It runs in the partner's schema, in one transaction with its own *done*.

    It only writes: what calls outside is scheduled with `due`. Events have no order, so it re-reads state.
    """

    def register(handler: Handler) -> Handler:
        _handlers.setdefault(event_type, {})[f"{handler.__module__}.{handler.__qualname__}"] = handler
        return handler

    return register


def on_many(event_type: str, *, ahead: bool = False) -> Callable[[Many], Many]:
    """Registers a handler of many events of one partner at once, in one transaction with all their *done*.

    `ahead`: a customer waits for what it does, who has paid: it goes before others (`AHEAD`).

    They come in the order of their objects' ids, so that two who lock them do not wait for each other. What it
    writes through `gather` is written for all at once. Where it raises, each comes by itself: one that fails delays
    nobody.
    """

    def register(handler: Many) -> Many:
        name = f"{handler.__module__}.{handler.__qualname__}"
        _handlers.setdefault(event_type, {})[name] = lambda event: handler([event])
        _of_many[name] = handler
        if ahead:
            _ahead.add(name)
        return handler

    return register


def publish(event_type: str, object_id: UUID, **data: Any) -> None:
    """Writes an event and a delivery per handler into the caller's transaction; `data` holds ids only."""
    if not gather.is_gathering() and not transaction.get_connection().in_atomic_block:
        raise RuntimeError(f"{event_type} must be published in the transaction that made it true")
    text = json.dumps({key: value if value is None else str(value) for key, value in data.items()})
    gather.at_end(_write, [(uuid7(), current_partner_id(), event_type, object_id, text, clock.now())])


def _write(events: Sequence[tuple[UUID, int | None, str, UUID, str, datetime]]) -> None:
    """Events and their deliveries, in one round trip."""
    wall = clock.wall()
    handlers = [
        (key, partner, name, _turn(name, wall))
        for key, partner, type, *_ in events
        for name in _handlers.get(type, {})
    ]
    made = [bulk.array(column) for column in zip(*events, strict=True)]
    given = [bulk.array(column) for column in zip(*handlers, strict=True)] or ["{}"] * 4
    with plain_cursor() as cursor:
        cursor.execute(_WRITE, [*made, *given])
    wake.after_commit()


def _turn(handler: str, wall: datetime) -> datetime:
    """Since when it waits, as far as others before and after it are concerned."""
    return wall - AHEAD if handler in _ahead else wall


_WRITE = """
WITH made AS (
    INSERT INTO public.core_event (id, partner_id, type, object_id, data, occurred_at)
    SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::uuid[], %s::jsonb[], %s::timestamptz[])
)
INSERT INTO public.core_delivery (event_id, partner_id, handler, next_at, attempts, error)
SELECT event_id, partner_id, handler, next_at, 0, ''
FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::timestamptz[])
    AS given (event_id, partner_id, handler, next_at)
"""


def publish_many(event_type: str, published: Iterable[tuple[UUID, dict[str, Any]]]) -> None:
    """`publish` for many objects of the current partner at once: (object id, data) each."""
    partner_id, now, wall = current_partner_id(), clock.now(), clock.wall()
    handlers = list(_handlers.get(event_type, {}))
    published = list(published)
    keys = many(len(published))
    rows = [
        (key, object_id, json.dumps(data)) for key, (object_id, data) in zip(keys, published, strict=True)
    ]
    same = {"partner_id": partner_id, "type": event_type, "occurred_at": now}
    bulk.copy(Event, ["id", "object_id", "data"], rows, same=same)
    bulk.copy(
        models.Delivery,
        ["event", "handler", "next_at"],
        [(row[0], name, _turn(name, wall)) for row in rows for name in handlers],
        same={"partner_id": partner_id, "attempts": 0, "error": ""},
    )
    wake.after_commit()


@dataclass(frozen=True, slots=True)
class _Taken:
    """A delivery that is taken away, with its event."""

    event: Event
    id: int
    handler: str
    attempts: int


def deliver_one(partner_id: int | None = None) -> bool:
    """Delivers one waiting event, its handler's writes and *done* in one commit; whether any waited."""
    return deliver(partner_id, limit=1) > 0


def deliver(partner_id: int | None = None, *, limit: int = MOST, only_ahead: bool = False) -> int:
    """Delivers the event that waits longest, and with it others of its partner and handler; how many were tried.

    Their writes and their *done* are one commit, or each its own where they fail together. `only_ahead`: one that
    somebody waits for, or that has waited for as long as `AHEAD`.
    """
    of_partner = "" if partner_id is None else "AND partner_id = %(partner)s"
    taking = _TAKE.format(of_partner=of_partner, told=_TOLD)
    now = clock.wall() - AHEAD if only_ahead else clock.wall()
    taken, is_over = _deliver(taking, {"partner": partner_id, "limit": min(limit, MOST) - 1, "now": now})
    if not is_over:
        for one in taken:
            _deliver(_TAKE_ALONE.format(told=_TOLD), {"id": one.id})
    return len(taken)


def _deliver(taking: str, given: Mapping[str, Any]) -> tuple[list[_Taken], bool]:
    """What was taken, and whether it is done; one alone that fails is put off."""
    taken: list[_Taken] = []
    with in_public():
        try:
            with transaction.atomic():
                taken = _take(taking, given)
                if taken:
                    _run(taken)
                    faults.at("core.handled-not-committed")
        except Exception as error:
            if not taken:
                raise
            if len(taken) > 1:
                log.warning("%d for %s come one by one: %r", len(taken), taken[0].handler, error)
                return taken, False
            log.exception("Delivery of %s to %s failed", taken[0].event.type, taken[0].handler)
            _postpone(taken[0], error)
    return taken, True


def _take(statement: str, given: Mapping[str, Any]) -> list[_Taken]:
    values = {"now": clock.wall(), "near": NEAR, "of_many": list(_of_many), **given}
    with plain_cursor() as cursor:
        cursor.execute(statement, values)
        rows = cursor.fetchall()
    taken = [
        _Taken(
            Event(id=key, partner_id=partner, type=type, object_id=of, data=json.loads(data), occurred_at=at),
            *delivery,
        )
        for key, partner, type, of, data, at, *delivery in rows
    ]
    return sorted(taken, key=lambda one: one.event.object_id)


# Taken away as it is taken: what fails brings it back. What failed before comes alone: it would break a batch again.
_TAKE = """
WITH first AS MATERIALIZED (
    SELECT * FROM public.core_delivery WHERE next_at <= %(now)s {of_partner}
    ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED
), near AS MATERIALIZED (
    SELECT id FROM public.core_delivery WHERE next_at <= %(now)s {of_partner} ORDER BY next_at LIMIT %(near)s
), more AS MATERIALIZED (
    SELECT one.id FROM first, public.core_delivery one
    WHERE one.id IN (SELECT id FROM near) AND one.id <> first.id AND one.attempts = 0 AND first.attempts = 0
        AND one.handler = first.handler AND first.handler = ANY(%(of_many)s::text[])
        AND one.partner_id IS NOT DISTINCT FROM first.partner_id
    LIMIT %(limit)s FOR UPDATE OF one SKIP LOCKED
), chosen AS (
    SELECT id FROM first UNION ALL SELECT id FROM more
), taken AS (
    DELETE FROM public.core_delivery USING chosen WHERE core_delivery.id = chosen.id
    RETURNING core_delivery.*
)
{told}
"""
_TAKE_ALONE = """
WITH first AS MATERIALIZED (
    SELECT id FROM public.core_delivery WHERE id = %(id)s AND next_at <= %(now)s FOR UPDATE SKIP LOCKED
), taken AS (
    DELETE FROM public.core_delivery USING first WHERE core_delivery.id = first.id RETURNING core_delivery.*
)
{told}
"""
_TOLD = """
SELECT event.id, event.partner_id, event.type, event.object_id, event.data, event.occurred_at,
    taken.id, taken.handler, taken.attempts
FROM taken JOIN public.core_event event ON event.id = taken.event_id
"""


def _run(taken: Sequence[_Taken]) -> None:
    events, name = [one.event for one in taken], taken[0].handler
    handlers = [_handlers.get(one.type, {}).get(name) for one in events]
    if None in handlers:
        raise LookupError(f"No handler {name}")
    partner_id = events[0].partner_id
    with in_public() if partner_id is None else in_partner(partner_id):
        if name in _of_many:
            with gather.gathering():
                _of_many[name](events)
        else:
            handlers[0](events[0])  # type: ignore[misc]
    if taken[0].attempts >= PATIENCE:
        _close(taken[0])


def _close(taken: _Taken) -> None:
    """Staff need not look at an event any more, unless another handler of it still fails."""
    from apps.core import work

    if not models.Delivery.objects.filter(event=taken.event.pk, attempts__gte=PATIENCE).exists():
        work.close_for(taken.event.partner_id, "core.delivery", taken.event.pk)


def _postpone(taken: _Taken, error: Exception) -> None:
    from apps.core import work

    attempts = taken.attempts + 1
    with transaction.atomic():
        models.Delivery.objects.filter(pk=taken.id).update(
            attempts=attempts,
            error=repr(error)[:2000],
            next_at=clock.wall() + backoff(attempts),
        )
        if attempts == PATIENCE:
            work.open_for(
                taken.event.partner_id, "core.delivery", taken.event.pk, f"{taken.handler}: {error}"
            )


def backoff(attempts: int) -> timedelta:
    """2, 4, 8 … seconds, an hour at most."""
    return timedelta(seconds=min(2**attempts, 3600))
