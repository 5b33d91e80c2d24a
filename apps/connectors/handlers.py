"""Due work of the platform itself: incoming messages and their months."""

from uuid import UUID

from apps.connectors import lanes, partitions, webhooks
from apps.core import due

__all__ = ["lanes"]


@due.task(webhooks.TASK)
def inbound(object_id: UUID) -> None:
    """Processes a stored message."""
    webhooks.process(object_id)


@due.task(partitions.TASK)
def months(object_id: UUID) -> None:
    """Keeps the months of incoming messages in order."""
    partitions.maintain()
