"""Tells a worker, after commit, that something waits. Losing the message costs seconds: beat looks as well."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import transaction

log = logging.getLogger(__name__)
QUIET = 10.0
"""Seconds for which a broker that failed is left alone, so that its fall does not slow every page down."""
STALE = 60
"""Seconds after which nobody needs a message any more: beat has looked several times."""
_left_alone_until = 0.0
_is_held = ContextVar("wake_is_held", default=False)


def after_commit(lanes: bool = False) -> None:
    """Wakes a worker once the current transaction is committed, once per transaction; or who does the lanes' work."""
    if _is_held.get():
        return
    wanted = _wake_lanes if lanes else _wake
    connection = transaction.get_connection()
    if any(function is wanted for _, function, *_ in connection.run_on_commit):
        return
    transaction.on_commit(wanted, robust=True)


@contextmanager
def held() -> Iterator[None]:
    """Nobody is told inside of it: for who tells by itself, once of much."""
    token = _is_held.set(True)
    try:
        yield
    finally:
        _is_held.reset(token)


def now() -> None:
    """Tells a worker at once: for who has no transaction open."""
    _wake()


def _wake() -> None:
    from apps.core import tasks

    _send(tasks.work)


def _wake_lanes() -> None:
    from apps.core import tasks

    _send(tasks.lanes)


def _send(task: Any) -> None:
    global _left_alone_until
    from django.conf import settings

    if not settings.BROKER_URL or time.monotonic() < _left_alone_until:
        return
    try:
        task.apply_async(retry=False, expires=STALE)
    except Exception as error:  # the broker only wakes: what is true stands in the tables
        _left_alone_until = time.monotonic() + QUIET
        log.warning("The broker did not take the wake-up, and is left alone for %.0f s: %s", QUIET, error)


def broker_answers() -> bool:
    """Whether the broker lets us in now, over a connection made for the question."""
    from celery import current_app

    once = {**current_app.conf.broker_transport_options, "max_retries": 0, "pool_size": 1}
    broker = current_app.connection_for_write(transport_options=once)
    try:
        broker.ensure_connection(max_retries=0)
    except Exception:
        return False
    finally:
        broker.release()
    return True
