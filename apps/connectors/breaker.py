"""A circuit breaker per connection: a service that is down is left alone for a moment, and staff sees it."""

import threading
import time
from datetime import timedelta

from django.db.models import F, Q
from django.utils.translation import gettext as _

from apps.connectors import notes
from apps.connectors.base import ConnectorError
from apps.connectors.models import Connection
from apps.core import clock

FAILURES = 5
"""In a row, after which the breaker opens."""
PAUSE_SECONDS = 5.0
"""For which it stays open; then one call at a time tries again."""
FRESH = timedelta(minutes=1)
AGAIN_SECONDS = 1.0
"""Between two writings of the same failure."""
ASKED_SECONDS = 5.0
"""For which nobody looks again whether the health of a service that answers is to be written."""

# Per process: each worker finds out for itself within a few calls, and no shared row is written each time.
_failures: dict[int, int] = {}
_said_ok: dict[int, float] = {}
_said: dict[int, tuple[float, str]] = {}
_closed_until: dict[int, float] = {}
_lock = threading.Lock()


def enter(connection: Connection) -> None:
    """Raises ConnectorError(retry) while the breaker is open."""
    with _lock:
        now = time.monotonic()
        if _failures.get(connection.pk, 0) < FAILURES:
            return
        if now < _closed_until.get(connection.pk, 0):
            raise ConnectorError(_("«%s» не отвечает, ждём") % connection.name, retry=True, code="breaker")
        # This call tries; the others wait for what it finds.
        _closed_until[connection.pk] = now + PAUSE_SECONDS


def places(connection_id: int) -> int | None:
    """How many calls it would let through now: none, the one that tries, or (None) any."""
    with _lock:
        if _failures.get(connection_id, 0) < FAILURES:
            return None
        return int(time.monotonic() >= _closed_until.get(connection_id, 0))


def failed(connection: Connection, error: ConnectorError) -> None:
    """Counts a call that failed, and shows staff why."""
    with _lock:
        _failures[connection.pk] = _failures.get(connection.pk, 0) + 1
        _closed_until[connection.pk] = time.monotonic() + PAUSE_SECONDS
        _said_ok.pop(connection.pk, None)
        at, text = _said.get(connection.pk, (-AGAIN_SECONDS, ""))
        if str(error) == text and time.monotonic() - at < AGAIN_SECONDS:
            return
        _said[connection.pk] = time.monotonic(), str(error)
    notes.later(lambda: _note(connection, error))


def _note(connection: Connection, error: ConnectorError) -> None:
    Connection.objects.filter(pk=connection.pk).update(
        last_error=str(error)[:500], last_error_at=clock.wall()
    )


def succeeded(connection: Connection) -> None:
    """Closes the breaker. Health is written once a minute: many workers share this row."""
    with _lock:
        _failures.pop(connection.pk, None)
        if time.monotonic() - _said_ok.get(connection.pk, -ASKED_SECONDS) < ASKED_SECONDS:
            return
        _said_ok[connection.pk] = time.monotonic()
    notes.later(lambda: _note_health(connection))


def _note_health(connection: Connection) -> None:
    now = clock.wall()
    Connection.objects.filter(pk=connection.pk).filter(
        Q(last_ok_at=None) | Q(last_ok_at__lt=now - FRESH) | Q(last_error_at__gt=F("last_ok_at"))
    ).update(last_ok_at=now)
