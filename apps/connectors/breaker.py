"""A circuit breaker per connection, one for all processes: a service that is down is left alone, and staff sees it.

Failures are counted in each process; that the breaker opened or closed stands in the connection's row, which is
written only then. Every process reads it once a second at most: a call costs no query while all is well.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from apps import journal
from apps.connectors import notes
from apps.connectors.base import ConnectorError
from apps.connectors.models import Connection
from apps.core import clock, due, events
from apps.core.tenancy import in_public

FAILURES = 5
"""In a row, in one process, after which the breaker opens for all."""
PAUSE_SECONDS = 5.0
"""For which it stays open; then one call at a time, of all processes, tries again."""
LOOK_SECONDS = 1.0
"""After which a process looks again what the others found out."""
FRESH_SECONDS = 60.0
"""How often a success is written down: many workers share the row."""
SLOWEST_PROBE = timedelta(minutes=1)
PROBE = "connectors.probe"
CHANGED = "connectors.BreakerChanged"


@dataclass(slots=True)
class _Known:
    """What this process knows of a connection; moments are of time.monotonic()."""

    failures: int = 0
    looked: float = float("-inf")
    ok_told: float = float("-inf")
    error_told: float = float("-inf")
    is_enabled: bool = True
    opened_at: datetime | None = None
    next_try_at: datetime | None = None
    has_turn: bool = False
    """Whether a lane of this process holds the turn to try."""


_known: dict[int, _Known] = {}
_lock = threading.Lock()
_in_order: set[str] = set()
_by_hand: ContextVar[bool] = ContextVar("by_hand", default=False)
_uncounted: ContextVar[bool] = ContextVar("uncounted", default=False)


def enter(connection: Connection) -> None:
    """Raises ConnectorError(retry) while the breaker is open or the connection was switched off meanwhile."""
    if _by_hand.get() or connection.pk is None:
        return
    # A call of a lane needs nothing of the database: `places` has looked, and has taken the turn.
    looks = not notes.are_kept()
    known = _look(connection.pk) if looks else _known.setdefault(connection.pk, _Known())
    if not known.is_enabled:
        raise switched_off(connection)
    if known.opened_at is None or _spend_turn(known):
        return
    if not (looks and _take_turn(connection.pk, known)):
        error = ConnectorError(_("«%s» не отвечает, ждём") % connection.name, retry=True, code="breaker")
        error.left = False
        raise error


def places(connection_id: int) -> int | None:
    """How many calls it would let through now: none, the one that tries, or (None) any.

    The turn of the one that tries is taken here, and spent by its `enter`.
    """
    known = _look(connection_id)
    if known.opened_at is None:
        return None
    if known.has_turn:
        return 1
    if not _take_turn(connection_id, known):
        return 0
    # The one that tries is the first of those that wait, not whose pause happens to be over.
    _go_on(connection_id)
    with _lock:
        known.has_turn = True
    return 1


def _go_on(connection_id: int) -> None:
    for kind in _in_order:
        due.hurry(kind, connection_id)


def in_order(kind: str) -> None:
    """Due work of this kind is done in the order in which it was wanted when its service is back."""
    _in_order.add(kind)


def _spend_turn(known: _Known) -> bool:
    with _lock:
        had, known.has_turn = known.has_turn, False
    return had


def switched_off(connection: Connection) -> ConnectorError:
    """What a call by a connection comes to that staff has switched off."""
    error = ConnectorError(_("Подключение «%s» выключено") % connection.name, retry=True)
    error.left = False
    return error


def failed(connection: Connection, error: ConnectorError) -> None:
    """Counts a call that failed, and shows staff why; the fifth in a row opens the breaker."""
    if _uncounted.get() or connection.pk is None:
        return
    now = time.monotonic()
    with _lock:
        known = _known.setdefault(connection.pk, _Known())
        known.failures += 1
        opens = known.failures >= FAILURES and known.opened_at is None
        if known.failures > FAILURES and now - known.error_told < LOOK_SECONDS:
            return
        known.error_told, known.ok_told = now, float("-inf")
        if opens:
            known.opened_at = clock.wall()
            known.next_try_at = known.opened_at + timedelta(seconds=PAUSE_SECONDS)
    told: dict[str, Any] = {"last_error": str(error)[:500], "last_error_at": clock.wall()}
    if opens:
        told |= {
            "opened_at": Coalesce(F("opened_at"), Value(known.opened_at)),
            "next_try_at": Value(known.next_try_at),
        }
    notes.later(lambda: _note(connection.pk, told, probes=opens))


def _note(connection_id: int, told: dict[str, Any], *, probes: bool) -> None:
    with transaction.atomic():
        Connection.objects.filter(pk=connection_id).update(**told)
        if probes:
            _plan_probe(connection_id)
            tell(connection_id)


def succeeded(connection: Connection) -> None:
    """Closes the breaker, if it was open. While all is well this writes once a minute."""
    if _uncounted.get() or connection.pk is None:
        return
    now = time.monotonic()
    with _lock:
        known = _known.setdefault(connection.pk, _Known())
        known.failures, was_open = 0, known.opened_at is not None
        known.opened_at = known.next_try_at = None
        known.has_turn = False
        if not was_open and now - known.ok_told < FRESH_SECONDS:
            return
        known.ok_told = now
    told: dict[str, datetime | None] = {"last_ok_at": clock.wall()}
    if was_open:
        told |= {"opened_at": None, "next_try_at": None}
        notes.later(lambda: _note_closed(connection.pk, told))
    else:
        notes.later(lambda: Connection.objects.filter(pk=connection.pk).update(**told))


def _note_closed(connection_id: int, told: dict[str, Any]) -> None:
    with transaction.atomic():
        # Whoever was first tells of it.
        row = Connection.objects.filter(pk=connection_id)
        if row.filter(opened_at__isnull=False).update(**told):
            _go_on(connection_id)
            tell(connection_id)
        else:
            row.update(**told)


def tell(connection_id: int) -> None:
    """Says that the breaker has opened or closed, or that others go by it: who hears reads how it stands then."""
    with in_public():
        events.publish(CHANGED, UUID(int=connection_id))


def close(connection: Connection, *, actor: str) -> bool:
    """Staff says that the service is back: all calls go at once. Whether it was open."""
    with transaction.atomic():
        closed = _close(connection.pk)
        if closed:
            journal.record("connection.breaker-closed", "connectors.Connection", connection.pk, actor=actor)
    return closed


def _close(connection_id: int) -> bool:
    with transaction.atomic():
        waiting = Connection.objects.filter(pk=connection_id, opened_at__isnull=False)
        closed = waiting.update(opened_at=None, next_try_at=None)
        if closed:
            _go_on(connection_id)
            tell(connection_id)
    with _lock:
        _known.pop(connection_id, None)
    return bool(closed)


def probe(connection_id: int) -> None:
    """Asks a service that was down whether it is back, so that no buyer has to be the one who tries it.

    Raises due.Retry with the moment of the next try, ever later up to a minute.
    """
    connection = Connection.objects.filter(pk=connection_id).first()
    if connection is None or connection.opened_at is None or not connection.is_enabled:
        return
    _look(connection_id)
    try:
        with by_hand():
            connection.open().check()
    except (ConnectorError, LookupError):
        away = clock.wall() - connection.opened_at
        pause = min(max(away / 4, timedelta(seconds=PAUSE_SECONDS)), SLOWEST_PROBE)
        raise due.Retry(clock.wall() + pause) from None
    _close(connection_id)


@contextmanager
def by_hand() -> Iterator[None]:
    """A call that somebody asked for just now goes out though the breaker is open; what it finds counts."""
    token = _by_hand.set(True)
    try:
        yield
    finally:
        _by_hand.reset(token)


@contextmanager
def trial() -> Iterator[None]:
    """Calls with settings that are not saved yet: they say nothing about the connection as it stands."""
    first, second = _by_hand.set(True), _uncounted.set(True)
    try:
        yield
    finally:
        _by_hand.reset(first)
        _uncounted.reset(second)


def forget() -> None:
    """Lets this process look at everything anew, as a fresh one would."""
    with _lock:
        _known.clear()


def _look(connection_id: int) -> _Known:
    now = time.monotonic()
    with _lock:
        known = _known.setdefault(connection_id, _Known())
        if now - known.looked < LOOK_SECONDS:
            return known
        first = known.looked == float("-inf")
        if not first:
            # One thread asks, the others go by what was known.
            known.looked = now
    stood = ("is_enabled", "opened_at", "next_try_at")
    found = Connection.objects.filter(pk=connection_id).values_list(*stood).first()
    with _lock:
        known.looked = now
        if found is not None:
            if known.opened_at is not None and found[1] is None:
                # Another process, or staff, has found it well again.
                known.failures = 0
            known.is_enabled, known.opened_at, known.next_try_at = found
    return known


def _take_turn(connection_id: int, known: _Known) -> bool:
    """Whether this call is the one of all processes that may try."""
    now = clock.wall()
    if known.next_try_at is not None and now < known.next_try_at:
        return False
    again = now + timedelta(seconds=PAUSE_SECONDS)
    waiting = Connection.objects.filter(pk=connection_id, opened_at__isnull=False, next_try_at__lte=now)
    taken = waiting.update(next_try_at=again)
    with _lock:
        known.next_try_at = again
    return bool(taken)


def _plan_probe(connection_id: int) -> None:
    with in_public():
        at = clock.wall() + timedelta(seconds=PAUSE_SECONDS)
        due.schedule(PROBE, UUID(int=connection_id), at, wall=True)
