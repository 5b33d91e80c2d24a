"""Work that calls outside, side by side: each connection is a lane of its own slots, held by one process at a time.

A lane's work is claimed in batches, called in threads, and recorded in batches as answers come; a lane whose other side
hangs fills its own slots only. What one process holds it says in `core.Lane` and renews; a dead one is succeeded when
that runs out, at once on its own machine. Everything may be done again, as any due work.
"""

import logging
import os
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from django.db import connection

from apps.core import clock, due, faults, models
from apps.core.tenancy import current_partner_id, in_partner, in_public

log = logging.getLogger(__name__)
HELD = timedelta(seconds=10)
"""For which a lane is held without being renewed."""
RENEW_SECONDS = 2.0
SAFE_SECONDS = 7.0
"""After which one that could not renew hands nothing out any more: its successor may have come."""
POLL_SECONDS = 0.1
"""Between two looks for new work, of a lane or for lanes."""
LINGER_SECONDS = 0.02
MOST = 100
"""So many answers at most are recorded at once, or what has come so many seconds after the first of them."""
STALE_SECONDS = 15.0
"""What was claimed so long ago and not called yet is put back: its gateway has become slow."""
FRESH_SECONDS = 5.0
"""For which it is not read again who a partner is."""
WHOLE = 3
"""Of work that is not in three steps, so many of a lane run at a time: each holds a connection to the database."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the other side allows: calls at a time, and calls begun in a second (None: any)."""

    in_flight: int = 30
    per_second: float | None = None


class PutBack(Exception):
    """Stands in the place of an answer where the call was not made and may be made later."""


class Steps(ABC):
    """Work of one kind in three steps, each for many objects of the current partner at once; any may be run again.

    A plan is all that a call needs of the database.
    """

    @abstractmethod
    def claim(self, object_ids: Sequence[UUID]) -> dict[UUID, Any]:
        """Commits that these are on their way, and gives their plans; one without has nothing to be called."""

    def refused(self, plans: Sequence[Any]) -> dict[int, Exception]:
        """Asked right before the calls begin: those not to be made after all, by place, with why."""
        return {}

    @abstractmethod
    def call(self, plan: Any) -> Any:
        """Calls outside, in a thread, without the database. What it raises is its answer."""

    @abstractmethod
    def record(self, answers: Sequence[tuple[Any, Any]]) -> None:
        """Writes down (plan, answer or Exception) each, in one transaction. Where it raises, each comes by itself."""


_steps: dict[str, Steps] = {}
_limits: list[Callable[[int], Limits]] = []


def steps(kind: str, made: Steps) -> None:
    """Registers how a kind of due work is done in a lane; without it its task runs there whole."""
    _steps[kind] = made


def limits(function: Callable[[int], Limits]) -> Callable[[int], Limits]:
    """Registers the function that tells a lane's limits as they are now. It is asked often: it keeps what it reads."""
    _limits[:] = [function]
    return function


class _Whole(Steps):
    """Work that knows no steps: its task, as it is, in a thread that has a database connection for so long."""

    def claim(self, object_ids: Sequence[UUID]) -> dict[UUID, Any]:
        raise NotImplementedError

    def call(self, plan: Any) -> Any:
        try:
            due.do(plan)
        finally:
            connection.close()

    def record(self, answers: Sequence[tuple[Any, Any]]) -> None:
        for _plan, answer in answers:
            if isinstance(answer, Exception):
                raise answer


_whole = _Whole()


@dataclass(slots=True)
class _Piece:
    """A row of due work on its way through a lane."""

    lane: "_Lane"
    row: models.Due
    steps: Steps
    plan: Any
    claimed: float = field(default_factory=time.monotonic)
    answer: Any = None

    def record(self) -> None:
        """By itself."""
        self.steps.record([(self.plan, self.answer)])


class _Lane:
    """One lane in hand: what is ready to be called, what is being called, and the threads that call."""

    def __init__(
        self, number: int, answered: "queue.SimpleQueue[_Piece | None]", freed: threading.Event
    ) -> None:
        self.number, self._answered, self._freed = number, answered, freed
        self.limits = Limits()
        self.ready: deque[_Piece] = deque()
        self.running = self.running_whole = self.unrecorded = 0
        self.looked = 0.0
        self._tokens, self._filled = 1.0, time.monotonic()
        self._calls: queue.SimpleQueue[_Piece | None] = queue.SimpleQueue()
        self._threads = 0
        self._lock = threading.Lock()

    @property
    def is_idle(self) -> bool:
        return not (self.ready or self.running or self.unrecorded)

    def wanted(self) -> int:
        """How many more to claim: the slots, and as many again so that none waits for the database."""
        slots = self.limits.in_flight
        missing = 2 * slots - self.running - len(self.ready)
        return missing if missing * 2 >= slots and self.unrecorded < 2 * MOST + 2 * slots else 0

    def free(self) -> int:
        """How many calls may begin now."""
        places = self.limits.in_flight - self.running
        if self.limits.per_second is None or places <= 0:
            return max(places, 0)
        now, rate = time.monotonic(), self.limits.per_second
        self._tokens = min(self._tokens + (now - self._filled) * rate, max(rate * POLL_SECONDS, 1.0))
        self._filled = now
        return min(places, int(self._tokens))

    def begin(self, pieces: Sequence[_Piece]) -> None:
        """Hands them to the threads, of which there are as many as calls at a time."""
        with self._lock:
            self.running += len(pieces)
            self.running_whole += sum(one.steps is _whole for one in pieces)
            self.unrecorded += len(pieces)
        self._tokens -= len(pieces)
        while self._threads < self.running:
            self._threads += 1
            threading.Thread(target=self._call, name=f"lane-{self.number}", daemon=True).start()
        for one in pieces:
            self._calls.put(one)

    def skip(self, piece: _Piece, why: Exception) -> None:
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
                self.running_whole -= piece.steps is _whole
            self._answered.put(piece)
            self._freed.set()


class Runner:
    """Holds lanes and does their work until nothing is left, or `stop` is set and all answers are recorded.

    Claims and hands out in the thread that runs it; records in a second one.
    """

    def __init__(self, stop: threading.Event | None = None) -> None:
        self.stop = stop or threading.Event()
        self.lease = uuid4()
        self.holder = f"{_process()}/{self.lease}"
        self._lanes: dict[int, _Lane] = {}
        self._answered: queue.SimpleQueue[_Piece | None] = queue.SimpleQueue()
        self._freed = threading.Event()
        self._failed: list[BaseException] = []
        self._lost: list[_Lane] = []
        self._renewed = self._found = 0.0
        self._partners: dict[int, tuple[float, Any]] = {}
        self._find_due: Callable[[Iterable[int]], list[int]] = due.lanes_due

    def run(self, seconds: float = float("inf")) -> None:
        """Returns when no lane has anything to do now, after `seconds` at the latest and what was begun by then.

        Raises what the database raises: what was in hand then is asked about by its own sweeps.
        """
        until = time.monotonic() + seconds
        _running.add(str(self.lease))
        recorder = threading.Thread(target=self._record_all, name="lanes-recorder", daemon=True)
        recorder.start()
        try:
            while self._turn(is_ending=self.stop.is_set() or time.monotonic() > until):
                self._freed.wait(POLL_SECONDS if any(one.running for one in self._lanes.values()) else 0.01)
                self._freed.clear()
                # A moment for others that end with it: one question about refusals is for all of them.
                time.sleep(0.002)
            self._let_go(list(self._lanes))
        finally:
            _running.discard(str(self.lease))
            for lane in self._lanes.values():
                lane.close()
            self._answered.put(None)
            if not self._failed:
                recorder.join()
            connection.close()

    def _partner(self, partner_id: int) -> Any:
        """The partner as it stood a moment ago; one with a clock of its own, as it stands."""
        at, found = self._partners.get(partner_id, (0.0, None))
        if found is None or found.is_sandbox or time.monotonic() - at > FRESH_SECONDS:
            with in_partner(partner_id) as found:
                self._partners[partner_id] = time.monotonic(), found
        return found

    # -- holding lanes -------------------------------------------------------------------------------

    def _turn(self, *, is_ending: bool) -> bool:
        """One round; whether there is to be another."""
        if self._failed:
            raise self._failed[0]
        self._renew()
        if not is_ending:
            self._find()
        for lane in list(self._lanes.values()):
            if is_ending or time.monotonic() - self._renewed > SAFE_SECONDS:
                self._put_back(lane, lane.ready)
            else:
                lane.limits = _limits[0](lane.number) if _limits else Limits()
                self._fill(lane)
                self._hand_out(lane)
        # A lane with nothing to do stays in hand: more may come as long as there is another to wait for.
        return not all(one.is_idle for one in [*self._lanes.values(), *self._lost])

    def _renew(self) -> None:
        if not self._lanes or time.monotonic() - self._renewed < RENEW_SECONDS:
            return
        now = time.monotonic()
        with in_public():
            mine = models.Lane.objects.filter(pk__in=list(self._lanes), holder=self.holder)
            kept = mine.update(held_until=clock.wall() + HELD)
            if kept < len(self._lanes):
                for number in set(self._lanes) - set(mine.values_list("pk", flat=True)):
                    log.warning("Lane %d was taken over by another process", number)
                    lane = self._lanes.pop(number)
                    self._put_back(lane, lane.ready)
                    lane.close()
                    # What it has begun is recorded all the same.
                    self._lost.append(lane)
            _beat()
        self._renewed = now

    def _find(self) -> None:
        """Takes lanes that have something to do and that nobody holds."""
        now = time.monotonic()
        if now - self._found < POLL_SECONDS and self._lanes:
            return
        found = self._find_due(self._lanes)
        taken = _take(found, self.holder) if found else []
        if taken and not self._lanes:
            self._renewed = now
        for number in taken:
            self._lanes[number] = _Lane(number, self._answered, self._freed)
        self._found = now

    def _let_go(self, numbers: Iterable[int]) -> None:
        with in_public():
            models.Lane.objects.filter(pk__in=list(numbers), holder=self.holder).delete()

    # -- claiming and handing out --------------------------------------------------------------------

    def _fill(self, lane: _Lane) -> None:
        wanted = lane.wanted()
        if not wanted or time.monotonic() - lane.looked < POLL_SECONDS:
            return
        rows = due.claim_lane(lane.number, wanted, self.lease)
        if len(rows) < wanted:
            lane.looked = time.monotonic()
        for (partner_id, kind), alike in groupby(sorted(rows, key=_place), key=_place):
            self._claim(lane, partner_id, kind, list(alike))

    def _claim(self, lane: _Lane, partner_id: int | None, kind: str, rows: list[models.Due]) -> None:
        made = _steps.get(kind)
        if made is None or partner_id is None:
            lane.ready.extend(_Piece(lane, row, _whole, row) for row in rows)
            return
        with in_partner(self._partner(partner_id)):
            try:
                plans = made.claim([row.object_id for row in rows])
            except Exception as error:
                if len(rows) == 1:
                    log.exception("%s of %s failed", kind, rows[0].object_id)
                    due.finish(rows[0], _raiser(error))
                else:
                    log.warning("%d of %s are claimed one by one: %r", len(rows), kind, error)
                    for row in rows:
                        self._claim(lane, partner_id, kind, [row])
                return
            faults.at("core.lane-claimed-not-called")
            over = {row.pk: row.object_id for row in rows if row.object_id not in plans}
            if over:
                due.done(partner_id, self.lease, over)
        lane.ready.extend(
            _Piece(lane, row, made, plans[row.object_id]) for row in rows if row.object_id in plans
        )

    def _hand_out(self, lane: _Lane) -> None:
        if time.monotonic() - self._renewed > SAFE_SECONDS:
            return
        chosen: list[_Piece] = []
        later: list[_Piece] = []
        whole = WHOLE - lane.running_whole
        free = lane.free()
        while lane.ready and len(chosen) < free:
            piece = lane.ready.popleft()
            if piece.steps is _whole:
                whole -= 1
            elif time.monotonic() - piece.claimed > STALE_SECONDS:
                lane.skip(piece, PutBack())
                continue
            (later if piece.steps is _whole and whole < 0 else chosen).append(piece)
        lane.ready.extendleft(reversed(later))
        lane.begin([one for alike in _alike(chosen) for one in self._still_wanted(lane, alike)])

    def _still_wanted(self, lane: _Lane, pieces: list[_Piece]) -> list[_Piece]:
        """What may be called, asked as late as can be."""
        row, made = pieces[0].row, pieces[0].steps
        if row.partner_id is None or made is _whole:
            return pieces
        with in_partner(self._partner(row.partner_id)):
            refused = made.refused([one.plan for one in pieces])
        for place, why in refused.items():
            lane.skip(pieces[place], why)
        return [one for place, one in enumerate(pieces) if place not in refused]

    def _put_back(self, lane: _Lane, ready: deque[_Piece]) -> None:
        while ready:
            piece = ready.popleft()
            if piece.steps is _whole:
                models.Due.objects.filter(pk=piece.row.pk, lease=self.lease).update(
                    lease=None, leased_until=None
                )
            else:
                lane.skip(piece, PutBack())

    # -- recording -----------------------------------------------------------------------------------

    def _record_all(self) -> None:
        try:
            while pieces := self._gathered():
                for alike in _alike(pieces):
                    self._record(alike)
                    for piece in alike:
                        piece.lane.recorded(1)
                self._freed.set()
        except BaseException as error:
            self._failed.append(error)
            self._freed.set()
        finally:
            connection.close()

    def _gathered(self) -> list[_Piece]:
        """Answers as they come, until there are enough or the first has waited long enough. Empty at the end."""
        first = self._answered.get()
        if first is None:
            return []
        pieces, until = [first], time.monotonic() + LINGER_SECONDS
        while len(pieces) < MOST:
            try:
                piece = self._answered.get(timeout=max(until - time.monotonic(), 0.0001))
            except queue.Empty:
                break
            if piece is None:
                self._answered.put(None)
                break
            pieces.append(piece)
        return pieces

    def _record(self, pieces: list[_Piece]) -> None:
        row, made = pieces[0].row, pieces[0].steps
        faults.at("core.lane-called-not-recorded")
        if made is _whole or row.partner_id is None:
            for one in pieces:
                due.finish(one.row, one.record)
            return
        with in_partner(self._partner(row.partner_id)):
            try:
                made.record([(one.plan, one.answer) for one in pieces])
            except Exception as error:
                if len(pieces) > 1:
                    log.warning("%d of %s are recorded one by one: %r", len(pieces), row.kind, error)
                for one in pieces:
                    due.finish(one.row, one.record)
                return
            faults.at("core.lane-recorded-not-done")
            due.done(current_partner_id(), self.lease, {one.row.pk: one.row.object_id for one in pieces})


def waiting() -> bool:
    """Whether any lane has something to do now; says that whoever does it is alive."""
    with in_public():
        _beat()
    return bool(due.lanes_due())


def _beat() -> None:
    models.Heartbeat.objects.update_or_create(part="lanes", defaults={"seen_at": clock.wall()})


def _place(row: models.Due) -> tuple[int, str]:
    return row.partner_id or 0, row.kind


def _alike(pieces: Iterable[_Piece]) -> list[list[_Piece]]:
    """By partner and kind, in the order in which each came first."""
    found: dict[tuple[int, str], list[_Piece]] = {}
    for piece in pieces:
        found.setdefault(_place(piece.row), []).append(piece)
    return list(found.values())


def _raiser(error: Exception) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


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


_running: set[str] = set()
"""Leases of this process's own runners."""


def _is_dead(holder: str) -> bool:
    """Whether that was a process of this machine, or a runner of this one, and is no more."""
    machine, pid, started, lease = holder.split("/")
    if not machine or machine != _machine():
        return False
    return _started(int(pid)) != started or (int(pid) == os.getpid() and lease not in _running)
