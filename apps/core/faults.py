"""Crash points: a test stops the flow at each commit and call boundary in turn."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_armed: dict[str, int] = {}
seen: set[str] = set()
"""Every point that this process has passed: a test checks that its list of points is whole."""


class Crash(BaseException):
    """The process is to be taken for dead: nothing may catch this but the test that planted it."""


def at(point: str) -> None:
    """Marks a boundary. Costs a dictionary look-up; crashes only where a test has armed this point."""
    seen.add(point)
    if point not in _armed:
        return
    _armed[point] -= 1
    if _armed[point] < 0:
        del _armed[point]
        if os.environ.get("ARMOR_FAULTS_KILL"):
            os._exit(137)
        raise Crash(point)


@contextmanager
def crash_at(point: str, *, after: int = 0) -> Iterator[None]:
    """Crashes at `point` once, having passed it `after` times."""
    _armed[point] = after
    try:
        yield
    finally:
        _armed.pop(point, None)
