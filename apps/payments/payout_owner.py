"""Whose a payment order is that no refund of a gateway's payment has: the app above says how its own end.

As with `elsewhere`: payments does not know what came past the gateways, and an order is carried out in the same way.
"""

from typing import Protocol
from uuid import UUID


class Owner(Protocol):
    """What gives money back by payment orders: an order has the id of what it is of."""

    work: str
    """Of the staff's queue: the kind of what waits for details."""

    def lock(self, object_id: UUID) -> None:
        """Locks what the order is of, and all that is locked before it."""

    def paid(self, object_id: UUID, *, actor: str, number: int | None) -> None:
        """The bank has carried the order out, in the caller's transaction."""

    def cancelled(self, object_id: UUID, *, actor: str, reason: str) -> None:
        """It is not paid after all, in the caller's transaction."""


_owners: list[Owner] = []


def register(owner: Owner) -> None:
    """The one app whose orders are not of refunds."""
    _owners[:] = [owner]


def owner() -> Owner:
    """Whoever gives back what came past the gateways. Raises LookupError where nobody has said so."""
    if not _owners:
        raise LookupError("Nobody gives back by payment orders of their own")
    return _owners[0]
