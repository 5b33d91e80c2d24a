"""A lane in hand: what is ready to be called, what is being called, and the threads that call."""

import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.core import models
from apps.core.lanes import Limits, Steps

POLL_SECONDS, LOOK_SECONDS = 0.1, 0.05
"""Between two looks for lanes that have work, and at least between two for work of a lane in hand."""
MOST = 400
"""So many answers at most are recorded at once."""
AHEAD_SECONDS = 2
"""Calls are claimed so long ahead of a fast service: the more at a time, the less each costs."""


@dataclass(slots=True)
class Piece:
    """A row of due work on its way through a lane."""

    slots: "Slots"
    row: models.Due
    steps: Steps
    plan: Any
    claimed: float = field(default_factory=time.monotonic)
    answer: Any = None

    def record(self) -> None:
        """By itself."""
        self.steps.record([(self.plan, self.answer)])


class Slots:
    """The slots of one lane, filled by one thread, emptied by another."""

    def __init__(
        self, number: int, answered: "queue.SimpleQueue[Piece | None]", freed: threading.Event
    ) -> None:
        self.number, self._answered, self._freed = number, answered, freed
        self.limits = Limits()
        self.ready: deque[Piece] = deque()
        self.running = self.unrecorded = 0
        self.has_more = True
        """Whether the last look for work found as much as it asked for: a lane that is taken has some."""
        self.look_at = 0.0
        """When to look again after a look that found less than it asked for."""
        self._pace, self._begun, self._counted = 0.0, 0, time.monotonic()
        self._tokens, self._filled = 1.0, time.monotonic()
        self._calls: queue.SimpleQueue[Piece | None] = queue.SimpleQueue()
        self._threads = 0
        self._lock = threading.Lock()

    @property
    def is_idle(self) -> bool:
        return not (self.is_going_on or self.unrecorded)

    @property
    def is_going_on(self) -> bool:
        """Whether more answers will come soon: of calls on their way, or of what waits to be called."""
        return bool(self.has_more or self.ready or self.running)

    def wanted(self) -> int:
        """How many more to claim: the slots, and as many again so that none waits for the database."""
        slots = self.limits.in_flight
        if not slots:
            # Shut for a while: it would only be put back, and claimed again at once.
            return 0
        ahead = max(slots, int(self._pace * AHEAD_SECONDS))
        missing = slots + ahead - self.running - len(self.ready)
        return missing if missing * 2 >= ahead and self.unrecorded < 2 * MOST + 2 * slots else 0

    def free(self) -> int:
        """How many calls may begin now."""
        places = self.limits.in_flight - self.running
        if self.limits.per_second is None or places <= 0:
            return max(places, 0)
        now, rate = time.monotonic(), self.limits.per_second
        self._tokens = min(self._tokens + (now - self._filled) * rate, max(rate * POLL_SECONDS, 1.0))
        self._filled = now
        return min(places, int(self._tokens))

    def begin(self, pieces: Sequence[Piece]) -> None:
        """Hands them to the threads, of which there are as many as calls at a time."""
        with self._lock:
            self.running += len(pieces)
            self.unrecorded += len(pieces)
        self._tokens -= len(pieces)
        self._count(len(pieces))
        while self._threads < self.running:
            self._threads += 1
            threading.Thread(target=self._call, name=f"lane-{self.number}", daemon=True).start()
        for one in pieces:
            self._calls.put(one)

    def _count(self, begun: int) -> None:
        self._begun += begun
        if (passed := time.monotonic() - self._counted) > AHEAD_SECONDS:
            self._pace = self._begun / passed
            self._begun, self._counted = 0, time.monotonic()

    def skip(self, piece: Piece, why: Exception) -> None:
        """Not called: why is its answer."""
        piece.answer = why
        with self._lock:
            self.unrecorded += 1
        self._answered.put(piece)

    def recorded(self, count: int) -> None:
        with self._lock:
            self.unrecorded -= count

    def close(self) -> None:
        """Lets the threads end, each after the call that it is in."""
        for _ in range(self._threads):
            self._calls.put(None)

    def _call(self) -> None:
        while (piece := self._calls.get()) is not None:
            try:
                piece.answer = piece.steps.call(piece.plan)
            except Exception as error:
                piece.answer = error
            with self._lock:
                self.running -= 1
            self._answered.put(piece)
            if not self._freed.is_set():
                self._freed.set()


def alike(pieces: Iterable[Piece]) -> list[list[Piece]]:
    """By partner and kind, in the order in which each came first."""
    found: dict[tuple[int, str], list[Piece]] = {}
    for piece in pieces:
        found.setdefault(place(piece.row), []).append(piece)
    return list(found.values())


def place(row: models.Due) -> tuple[int, str]:
    """What is claimed and recorded together: of one partner (0: of none), of one kind."""
    return row.partner_id or 0, row.kind
