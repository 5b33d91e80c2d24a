"""What comes to a base that is moved in: its batches fall due, customers are erased, files grow old."""

from datetime import timedelta

from apps.billing.moving import audits, batches
from apps.billing.moving.models import BaseImport
from apps.core import clock, due, events, housekeeping
from apps.core.models import Event
from apps.core.tenancy import current_partner_id

KEPT = timedelta(days=1)
"""How long a file waits for its load: there are contacts and tokens in it."""

due.task(batches.MOVE)(batches.move)


@events.on("accounts.CustomerErased")
def forget_rows(event: Event) -> None:
    batches.forget_person(event.object_id)


@housekeeping.chore
def drop_files() -> None:
    """Looked at and never loaded."""
    if current_partner_id() is not None:
        old = BaseImport.objects.filter(created_at__lt=clock.now() - KEPT).exclude(content="")
        old.update(content="")


__all__ = ["audits"]
"""Rules, registered when they are imported here."""
