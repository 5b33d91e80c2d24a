"""The outbox: an event is written in the transaction that made it true, and delivered once to each handler."""

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.core import bulk, clock, faults, models, wake
from apps.core.ids import many
from apps.core.models import Event
from apps.core.tenancy import current_partner_id, in_partner, in_public

log = logging.getLogger(__name__)
Handler = Callable[[Event], None]
_handlers: dict[str, dict[str, Handler]] = {}
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


def publish(event_type: str, object_id: UUID, **data: Any) -> Event:
    """Writes an event and a delivery per handler into the caller's transaction; `data` holds ids only."""
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError(f"{event_type} must be published in the transaction that made it true")
    partner_id = current_partner_id()
    event = Event.objects.create(
        partner_id=partner_id,
        type=event_type,
        object_id=object_id,
        data={key: value if value is None else str(value) for key, value in data.items()},
        occurred_at=clock.now(),
    )
    models.Delivery.objects.bulk_create(
        models.Delivery(event=event, partner_id=partner_id, handler=name, next_at=clock.wall())
        for name in _handlers.get(event_type, {})
    )
    wake.after_commit()
    return event


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
        ["event", "handler"],
        [(row[0], name) for row in rows for name in handlers],
        same={"partner_id": partner_id, "next_at": wall, "attempts": 0, "error": ""},
    )
    wake.after_commit()


@dataclass(frozen=True)
class Claimed:
    """The name of a delivery that was tried, and whether it was done."""

    handler: str
    done: bool


def deliver_one(partner_id: int | None = None) -> Claimed | None:
    """Delivers one waiting event, its handler's writes and *done* in one commit. None where nothing waits."""
    of_partner = "" if partner_id is None else "AND partner_id = %(partner)s"
    taking = _TAKE.format(of_partner=of_partner)
    with in_public():
        taken: Any = None
        try:
            with transaction.atomic():
                for taken in Event.objects.raw(taking, {"now": clock.wall(), "partner": partner_id}):
                    _run(taken)
                    faults.at("core.handled-not-committed")
        except Exception as error:
            if taken is None:
                raise
            log.exception("Delivery of %s to %s failed", taken.type, taken.handler)
            _postpone(taken, error)
            return Claimed(taken.handler, done=False)
        return Claimed(taken.handler, done=True) if taken else None


# Taken away as it is taken: what fails brings it back.
_TAKE = """
WITH first AS MATERIALIZED (
    SELECT id FROM public.core_delivery WHERE next_at <= %(now)s {of_partner}
    ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED
), taken AS (
    DELETE FROM public.core_delivery USING first WHERE core_delivery.id = first.id RETURNING core_delivery.*
)
SELECT event.*, taken.id AS delivery_id, taken.handler, taken.attempts
FROM taken JOIN public.core_event event ON event.id = taken.event_id
"""


def _run(taken: Any) -> None:
    handler = _handlers.get(taken.type, {}).get(taken.handler)
    if handler is None:
        raise LookupError(f"No handler {taken.handler}")
    if taken.partner_id is None:
        handler(taken)
    else:
        with in_partner(taken.partner_id):
            handler(taken)
    if taken.attempts >= PATIENCE:
        _close(taken)


def _close(taken: Any) -> None:
    """Staff need not look at an event any more, unless another handler of it still fails."""
    from apps.core import work

    if not models.Delivery.objects.filter(event=taken.pk, attempts__gte=PATIENCE).exists():
        work.close_for(taken.partner_id, "core.delivery", taken.pk)


def _postpone(taken: Any, error: Exception) -> None:
    from apps.core import work

    attempts = taken.attempts + 1
    with transaction.atomic():
        models.Delivery.objects.filter(pk=taken.delivery_id).update(
            attempts=attempts,
            error=repr(error)[:2000],
            next_at=clock.wall() + backoff(attempts),
        )
        if attempts == PATIENCE:
            work.open_for(taken.partner_id, "core.delivery", taken.pk, f"{taken.handler}: {error}")


def backoff(attempts: int) -> timedelta:
    """2, 4, 8 … seconds, an hour at most."""
    return timedelta(seconds=min(2**attempts, 3600))
