"""Two workers on one partner's rows: the second comes when the first has read and not yet written.

What each race of the product is about, its lock and its two tests stand in docs/races.md.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection, models, transaction

from apps.core.tenancy import in_partner
from apps.partners.models import Partner
from tests.orders.shop import Shop

PATIENCE = 1.0
"""Seconds for which the first one waits at most: a second that is neither done by then nor held is stuck."""
_HELD = "SELECT pg_backend_pid() = ANY(pg_blocking_pids(%s))"

Both = pytest.mark.parametrize("locked", [True, False])
"""The same two workers twice: with the lock they are right, with the lock taken away they do harm."""


@dataclass
class Race:
    """What each of the two got (or what it raised), and whether the second did all of its work within the first's."""

    first: Any
    second: Any
    overtook: bool


def without_lock(patch: pytest.MonkeyPatch, *unlocked: type[models.Model]) -> None:
    """Rows of these models are read without a lock."""
    locking = models.QuerySet.select_for_update

    def read(rows: Any, **options: Any) -> Any:
        return rows if rows.model in unlocked else locking(rows, **options)

    patch.setattr(models.QuerySet, "select_for_update", read)


def without_index(name: str) -> None:
    """Takes a unique rule out of the current partner's own schema, for the rest of its life."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema()")
        schema = cursor.fetchone()[0]
        assert schema.startswith("p0"), "only what is a test partner's own may be broken"
        cursor.execute(
            "SELECT conrelid::regclass::text FROM pg_constraint"
            " WHERE conname = %s AND connamespace = %s::regnamespace",
            [name, schema],
        )
        found = cursor.fetchone()
        if found:
            cursor.execute(f'ALTER TABLE {found[0]} DROP CONSTRAINT "{name}"')
        else:
            cursor.execute(f'DROP INDEX "{schema}"."{name}"')


def atomic(call: Callable[..., Any], *given: Any, **options: Any) -> Callable[[], Any]:
    """`call` as a handler or task calls it: in a transaction of its own."""

    def run() -> Any:
        with transaction.atomic():
            return call(*given, **options)

    return run


def race(
    patch: pytest.MonkeyPatch,
    partner: Partner,
    first: Callable[[], Any],
    at: tuple[Any, str],
    second: Callable[[], Any],
) -> Race:
    """Runs `first` up to its call of `at` (a module and a name in it); lets `second` run; lets `first` go on.

    It goes on when the second is done, or is seen by the database to wait for a lock of the first.
    """
    there, done = threading.Event(), threading.Event()
    whole = getattr(*at)
    leader: list[int] = []
    early: list[bool] = []
    follower: list[int] = []

    def stop(*args: Any, **options: Any) -> Any:
        if threading.get_ident() in leader and not there.is_set():
            there.set()
            early.append(_overtaken(done, follower))
        return whole(*args, **options)

    patch.setattr(*at, stop)
    got: dict[str, Any] = {}

    def work(name: str, call: Callable[[], Any]) -> None:
        try:
            with in_partner(partner):
                if name == "second":
                    follower.append(_asked("SELECT pg_backend_pid()"))
                got[name] = call()
        except Exception as error:
            got[name] = error
        finally:
            connection.close()

    def lead() -> None:
        leader.append(threading.get_ident())
        work("first", first)

    def follow() -> None:
        if there.wait(30):
            work("second", second)
        done.set()

    threads = [threading.Thread(target=run) for run in (lead, follow)]
    for thread in threads:
        thread.start()
    threads[0].join(60)
    threads[1].join(60)
    patch.setattr(*at, whole)
    assert there.is_set(), f"the first never came to where it was to be stopped: {got}"
    return Race(got.get("first"), got.get("second"), early[0])


def _overtaken(done: threading.Event, follower: list[int]) -> bool:
    """Called by the first, in its transaction: whether the second has come through it."""
    until = time.monotonic() + PATIENCE
    while not done.wait(0.01):
        if time.monotonic() > until or (follower and _asked(_HELD, follower[0])):
            return False
    return True


def _asked(sql: str, *given: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        return cursor.fetchone()[0]


class Runner:
    """Runs two workers, with or without a lock on some models and the unique rules behind it."""

    def __init__(self, shop: Shop, patch: pytest.MonkeyPatch, *, locked: bool) -> None:
        self.shop, self.patch, self.locked = shop, patch, locked

    def __call__(
        self,
        first: Callable[[], Any],
        at: tuple[Any, str],
        second: Callable[[], Any],
        *unlocked: type[models.Model],
        indexes: tuple[str, ...] = (),
    ) -> Race:
        with self.patch.context() as patch:
            if not self.locked:
                without_lock(patch, *unlocked)
                for name in indexes:
                    without_index(name)
            done = race(patch, self.shop.partner, first, at, second)
        assert done.overtook is not self.locked, done
        return done


@pytest.fixture
def run(shop: Shop, monkeypatch: pytest.MonkeyPatch, locked: bool) -> Runner:
    """The runner of a test that is run with its lock and without (`Both`)."""
    return Runner(shop, monkeypatch, locked=locked)
