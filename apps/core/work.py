"""The staff's one queue over all partners."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.core import bulk, clock
from apps.core.models import WorkItem
from apps.core.tenancy import current_partner_id


def open(kind: str, object_id: UUID, reason: Any, *, deadline_at: datetime | None = None) -> None:
    """Puts an object of the current partner into the queue, once; a later reason replaces the earlier."""
    open_for(current_partner_id(), kind, object_id, reason, deadline_at=deadline_at)


def open_for(
    partner_id: int | None, kind: str, object_id: UUID, reason: Any, *, deadline_at: datetime | None = None
) -> None:
    """The same for a partner by id, or None for the platform itself."""
    WorkItem.objects.bulk_create(
        [
            WorkItem(
                partner_id=partner_id,
                kind=kind,
                object_id=object_id,
                reason=str(reason)[:200],
                opened_at=clock.wall(),
                deadline_at=deadline_at,
            )
        ],
        update_conflicts=True,
        unique_fields=["partner_id", "kind", "object_id"],
        update_fields=["reason", "deadline_at"],
    )


def close(kind: str, object_id: UUID) -> None:
    """Takes an object out of the queue, if it is there."""
    close_for(current_partner_id(), kind, object_id)


def close_for(partner_id: int | None, kind: str, object_id: UUID) -> None:
    """The same for a partner by id, or None for the platform itself."""
    WorkItem.objects.filter(partner_id=partner_id, kind=kind, object_id=object_id).delete()


def close_many(kind: str, object_ids: Iterable[UUID]) -> None:
    """`close` for many objects at once."""
    keys = bulk.these("uuid", object_ids)
    WorkItem.objects.filter(partner_id=current_partner_id(), kind=kind, object_id__in=keys).delete()
