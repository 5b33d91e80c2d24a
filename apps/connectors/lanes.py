"""A connection as a lane: what its service allows now."""

import time

from apps.connectors import breaker
from apps.connectors.models import Connection
from apps.core import lanes

FRESH_SECONDS = 5.0
SHUT = lanes.Limits(0)
ONE = 1
_kept: dict[int, tuple[float, lanes.Limits]] = {}


@lanes.limits
def limits(lane: int) -> lanes.Limits:
    """The connection's limits, read every few seconds; none begins while its breaker is open, then one at a time."""
    at, found = _kept.get(lane, (-FRESH_SECONDS, SHUT))
    if time.monotonic() - at >= FRESH_SECONDS:
        connection = Connection.objects.filter(pk=lane).first()
        # Work of a connection that is no more, or of an unknown service, ends with its own error.
        try:
            found = connection.limits if connection else lanes.Limits(ONE)
        except LookupError:
            found = lanes.Limits(ONE)
        _kept[lane] = time.monotonic(), found
    places = breaker.places(lane)
    return found if places is None else lanes.Limits(min(places, found.in_flight), found.per_second)
