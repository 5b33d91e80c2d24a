"""Due work of messages: sending, and asking what became of them."""

from collections.abc import Sequence
from uuid import UUID

from apps.core import due
from apps.notifications import delivery
from apps.notifications.outbox import FOLLOW, SEND


@due.batch(SEND, size=50)
def send(message_ids: Sequence[UUID]) -> None:
    """One attempt to send each."""
    delivery.send_many(message_ids)


@due.task(FOLLOW)
def follow(message_id: UUID) -> None:
    """Asks the service what became of a message."""
    delivery.follow(message_id)
