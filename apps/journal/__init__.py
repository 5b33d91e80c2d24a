"""What happened here: audit entries, idempotent answers, exchanges. The one app in both kinds of schema."""

from typing import Any


def record(action: str, object_kind: str, object_id: Any, *, actor: str = "", data: Any = None) -> None:
    """Writes who did what to which object, in the caller's transaction and in the schema of the change."""
    from apps.core import clock
    from apps.journal.models import Entry

    Entry.objects.create(
        action=action,
        object_kind=object_kind,
        object_id=str(object_id),
        actor=actor,
        data=data or {},
        at=clock.now(),
    )
