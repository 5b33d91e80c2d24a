"""What the catalogue does when its days come, and what it notices of those who supply it."""

from apps.catalog import price_changes, stops
from apps.connectors import breaker
from apps.core import due, events
from apps.core.models import Event

due.task(price_changes.START)(price_changes.start)


@events.on(breaker.CHANGED)
def circuit(event: Event) -> None:
    """A provider has stopped answering, or answers again."""
    stops.notice_circuit(event.object_id.int)


@events.on("providers.StockChanged")
def stock(event: Event) -> None:
    """A pool has run out of keys, or was filled."""
    stops.notice_keys(event.object_id.int)
