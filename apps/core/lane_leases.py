"""Who holds which lane: one process at a time, by a row in `core.Lane` that it renews.

A dead holder is succeeded when its time runs out, at once on its own machine.
"""

import os
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.db import connection

from apps.core import clock, models
from apps.core.tenancy import in_public

HELD = timedelta(seconds=10)
"""For which a lane is held without being renewed."""
RENEW_SECONDS = 2.0
SAFE_SECONDS = 7.0
"""After which one that could not renew hands nothing out any more: its successor may have come."""
_running: set[str] = set()
"""Leases of this process's own holders."""


class Holder:
    """One that takes lanes, holds them as long as it renews, and lets them go."""

    def __init__(self) -> None:
        self.lease = uuid4()
        self.name = f"{_process()}/{self.lease}"
        self._renewed = 0.0

    @property
    def is_safe(self) -> bool:
        """Whether nobody can have succeeded it yet."""
        return time.monotonic() - self._renewed <= SAFE_SECONDS

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Only within it others of this process leave its lanes alone."""
        _running.add(str(self.lease))
        try:
            yield
        finally:
            _running.discard(str(self.lease))

    def take(self, numbers: Sequence[int], *, besides: Collection[int]) -> list[int]:
        """Those of the lanes that are its own from now on, `besides` those that it holds."""
        now = time.monotonic()
        taken = _take(numbers, self.name) if numbers else []
        if taken and not besides:
            self._renewed = now
        return taken

    def renew(self, numbers: Collection[int]) -> set[int]:
        """Holds its lanes for longer, where that is due; those that another has taken over."""
        now = time.monotonic()
        if not numbers or now - self._renewed < RENEW_SECONDS:
            return set()
        lost: set[int] = set()
        with in_public():
            mine = models.Lane.objects.filter(pk__in=list(numbers), holder=self.name)
            if mine.update(held_until=clock.wall() + HELD) < len(numbers):
                lost = set(numbers) - set(mine.values_list("pk", flat=True))
            beat()
        self._renewed = now
        return lost

    def let_go(self, numbers: Iterable[int]) -> None:
        """Leaves its lanes to whoever comes."""
        with in_public():
            models.Lane.objects.filter(pk__in=list(numbers), holder=self.name).delete()


def beat() -> None:
    """Says, in the public schema, that whoever does the lanes' work is alive."""
    models.Heartbeat.objects.update_or_create(part="lanes", defaults={"seen_at": clock.wall()})


def _take(numbers: Sequence[int], holder: str) -> list[int]:
    """Those of the lanes that are ours from now on: free, or held by one whose time is over or that is dead."""
    with in_public():
        held = {row.pk: row for row in models.Lane.objects.filter(pk__in=numbers)}
        taken = []
        for number in numbers:
            row, now = held.get(number), clock.wall()
            if row is not None and row.held_until > now and not _is_dead(row.holder):
                continue
            given: list[Any] = [
                number,
                holder,
                now + HELD,
                row.holder if row else "",
                row.held_until if row else now,
            ]
            with connection.cursor() as cursor:
                cursor.execute(_TAKE, given)
                taken += [number] if cursor.fetchone() else []
        return taken


# Of two who found it free one is first: the other no longer finds the holder that it saw.
_TAKE = """
INSERT INTO core_lane AS lane (id, holder, held_until) VALUES (%s, %s, %s)
ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
WHERE lane.holder = %s AND lane.held_until = %s RETURNING id
"""


@cache
def _machine() -> str:
    """Where a process id means a process: this boot of this machine, and the namespace of its processes."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}.{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _process() -> str:
    return f"{_machine()}/{os.getpid()}/{_started(os.getpid())}"


def _started(pid: int) -> str:
    """When a process of this machine began, in ticks; empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _is_dead(holder: str) -> bool:
    """Whether that was a process of this machine, or a holder in this one, and is no more."""
    machine, pid, started, lease = holder.split("/")
    if not machine or machine != _machine():
        return False
    return _started(int(pid)) != started or (int(pid) == os.getpid() and lease not in _running)
