"""The staff's one queue over all partners."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.core import bulk, clock, gather
from apps.core.models import WorkItem
from apps.core.tenancy import current_partner_id, plain_cursor


def open(kind: str, object_id: UUID, reason: Any, *, deadline_at: datetime | None = None) -> None:
    """Puts an object of the current partner into the queue, once; a later reason replaces the earlier."""
    open_for(current_partner_id(), kind, object_id, reason, deadline_at=deadline_at)


def open_for(
    partner_id: int | None, kind: str, object_id: UUID, reason: Any, *, deadline_at: datetime | None = None
) -> None:
    """The same for a partner by id, or None for the platform itself."""
    item = WorkItem(
        partner_id=partner_id,
        kind=kind,
        object_id=object_id,
        reason=str(reason)[:200],
        opened_at=clock.wall(),
        deadline_at=deadline_at,
    )
    gather.at_end(_write, [(partner_id, kind, object_id, item)])


def close(kind: str, object_id: UUID) -> None:
    """Takes an object out of the queue, if it is there."""
    close_for(current_partner_id(), kind, object_id)


def close_for(partner_id: int | None, kind: str, object_id: UUID) -> None:
    """The same for a partner by id, or None for the platform itself."""
    gather.at_end(_write, [(partner_id, kind, object_id, None)])


def close_many(kind: str, object_ids: Iterable[UUID]) -> None:
    """`close` for many objects at once."""
    partner_id = current_partner_id()
    gather.at_end(_write, [(partner_id, kind, key, None) for key in object_ids])


def _write(wanted: Sequence[tuple[int | None, str, UUID, WorkItem | None]]) -> None:
    """Items that are open, or closed (None); of several for the same object the last one holds."""
    last = {(partner, kind, object_id): item for partner, kind, object_id, item in wanted}
    for partner_id in {key[0] for key, item in last.items() if item is None}:
        over = [key[1:] for key, item in last.items() if item is None and key[0] == partner_id]
        _close(partner_id, over)
    if items := [item for item in last.values() if item is not None]:
        WorkItem.objects.bulk_create(
            sorted(items, key=lambda one: one.object_id),
            update_conflicts=True,
            unique_fields=["partner_id", "kind", "object_id"],
            update_fields=["reason", "deadline_at"],
        )


def _close(partner_id: int | None, items: Iterable[tuple[str, UUID]]) -> None:
    kinds, keys = zip(*items, strict=True)
    of_partner = "IS NULL" if partner_id is None else "= %(partner)s"
    given = {"partner": partner_id, "kinds": bulk.array(kinds), "keys": bulk.array(keys)}
    with plain_cursor() as cursor:
        cursor.execute(_CLOSE.format(of_partner=of_partner), given)


_CLOSE = """
DELETE FROM public.core_workitem item USING unnest(%(kinds)s::text[], %(keys)s::uuid[]) AS over (kind, object_id)
WHERE item.partner_id {of_partner} AND item.kind = over.kind AND item.object_id = over.object_id
"""
