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
    with in_public():
        waiting = models.Delivery.objects.filter(next_at__lte=clock.wall())
        if partner_id is not None:
            waiting = waiting.filter(partner_id=partner_id)
        delivery: models.Delivery | None = None
        try:
            with transaction.atomic():
                delivery = (
                    waiting.select_for_update(skip_locked=True, of=("self",))
                    .select_related("event")
                    .order_by("next_at")
                    .first()
                )
                if delivery is None:
                    return None
                _run(delivery)
                faults.at("core.handled-not-committed")
        except Exception as error:
            if delivery is None:
                raise
            log.exception("Delivery of %s to %s failed", delivery.event.type, delivery.handler)
            _postpone(delivery, error)
            return Claimed(delivery.handler, done=False)
        return Claimed(delivery.handler, done=True)


def _run(delivery: models.Delivery) -> None:
    handler = _handlers.get(delivery.event.type, {}).get(delivery.handler)
    if handler is None:
        raise LookupError(f"No handler {delivery.handler}")
    if delivery.partner_id is None:
        handler(delivery.event)
    else:
        with in_partner(delivery.partner_id):
            handler(delivery.event)
    delivery.delete()
    if delivery.attempts >= PATIENCE:
        _close(delivery)


def _close(delivery: models.Delivery) -> None:
    """Staff need not look at an event any more, unless another handler of it still fails."""
    from apps.core import work

    if not models.Delivery.objects.filter(event=delivery.event_id, attempts__gte=PATIENCE).exists():
        work.close_for(delivery.partner_id, "core.delivery", delivery.event_id)


def _postpone(delivery: models.Delivery, error: Exception) -> None:
    from apps.core import work

    delivery.attempts += 1
    with transaction.atomic():
        models.Delivery.objects.filter(pk=delivery.pk).update(
            attempts=delivery.attempts,
            error=repr(error)[:2000],
            next_at=clock.wall() + backoff(delivery.attempts),
        )
        if delivery.attempts == PATIENCE:
            work.open_for(
                delivery.partner_id, "core.delivery", delivery.event_id, f"{delivery.handler}: {error}"
            )


def backoff(attempts: int) -> timedelta:
    """2, 4, 8 … seconds, an hour at most."""
    return timedelta(seconds=min(2**attempts, 3600))
