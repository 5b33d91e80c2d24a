"""Due work of the platform itself: incoming messages and their months."""

from collections.abc import Sequence
from uuid import UUID

from apps.connectors import breaker, lanes, partitions, webhooks
from apps.core import due

__all__ = ["lanes"]


@due.batch(webhooks.TASK, size=100, ahead=True)
def inbound(object_ids: Sequence[UUID]) -> None:
    """Processes stored messages."""
    webhooks.process_many(object_ids)


@due.task(breaker.PROBE)
def probe(object_id: UUID) -> None:
    """Asks a service that was down whether it is back."""
    breaker.probe(object_id.int)


@due.task(partitions.TASK)
def months(object_id: UUID) -> None:
    """Keeps the months of incoming messages in order."""
    partitions.maintain()
