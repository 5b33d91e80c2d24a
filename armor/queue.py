"""The queue in PostgreSQL, whose worker hears again after the database has died under it."""

from typing import Any

from kombu.transport import pgmq

LOST = pgmq.Transport.connection_errors


class Channel(pgmq.Channel):
    """Forgets a message whose acknowledgement is lost; the queue shows it again in its own time.

    Kept, as kombu keeps it, it would hold its place among the few that a worker may have in hand: after one for
    each process the worker would never ask for another, alive and deaf.
    """

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        try:
            super().basic_ack(delivery_tag, multiple)
        except LOST:
            self.qos.ack(delivery_tag)
            raise

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        try:
            super().basic_reject(delivery_tag, requeue)
        except LOST:
            self.qos.ack(delivery_tag)
            raise


class Transport(pgmq.Transport):
    """`pgmq://` with this channel."""

    Channel: Any = Channel
