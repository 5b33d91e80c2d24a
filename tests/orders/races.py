"""Two workers on one partner's rows: the second comes when the first has read and not yet written."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection, models

from apps.core.tenancy import in_partner
from apps.partners.models import Partner

PATIENCE = 1.0
"""Seconds for which the first one waits: the second is then held up by a lock, or was done long ago."""


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


def race(
    patch: pytest.MonkeyPatch,
    partner: Partner,
    first: Callable[[], Any],
    at: tuple[Any, str],
    second: Callable[[], Any],
) -> Race:
    """Runs `first` up to its call of `at` (a module and a name in it); lets `second` run; lets `first` go on."""
    there, done = threading.Event(), threading.Event()
    whole = getattr(*at)
    leader: list[int] = []
    early: list[bool] = []

    def stop(*args: Any, **options: Any) -> Any:
        if threading.get_ident() in leader and not there.is_set():
            there.set()
            early.append(done.wait(PATIENCE))
        return whole(*args, **options)

    patch.setattr(*at, stop)
    got: dict[str, Any] = {}

    def work(name: str, call: Callable[[], Any]) -> None:
        try:
            with in_partner(partner):
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
    assert there.is_set(), "the first never came to where it was to be stopped"
    return Race(got.get("first"), got.get("second"), early[0])
