"""Due work of messages: sending, and asking what became of them."""

from uuid import UUID

from apps.core import due
from apps.notifications import delivery
from apps.notifications.outbox import FOLLOW, SEND


@due.task(SEND)
def send(message_id: UUID) -> None:
    """One attempt to send."""
    delivery.send(message_id)


@due.task(FOLLOW)
def follow(message_id: UUID) -> None:
    """Asks the service what became of a message."""
    delivery.follow(message_id)
