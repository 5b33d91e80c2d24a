"""Measures ours and the floor in turn, so that a noisy machine slows both alike."""

import statistics
import time
import tracemalloc
from collections.abc import Callable


def timed(work: Callable[[], object]) -> float:
    """Seconds of wall clock."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turn(
    ours: Callable[[], object], floor: Callable[[], object], *, rounds: int, each: int = 1
) -> dict[str, float]:
    """Medians over `rounds` of ours and the floor, each round doing `each` pieces of work."""
    ours_seconds, floor_seconds = [], []
    for _ in range(rounds):
        floor_seconds.append(timed(floor))
        ours_seconds.append(timed(ours))
    seconds, floor_median = statistics.median(ours_seconds), statistics.median(floor_seconds)
    return {
        "seconds": seconds,
        "per_second": each / seconds,
        "floor_seconds": floor_median,
        "ratio": seconds / floor_median,
        "peak_mib": _peak(ours),
    }


def _peak(work: Callable[[], object]) -> float:
    """The most that Python held during one more round, in MiB."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()
