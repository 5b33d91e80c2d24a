"""Does the work of lanes: claims in batches, hands out to the lanes' threads, records in batches as answers come."""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from django.db import connection

from apps.core import due, faults, lane_leases, lanes, models
from apps.core.lane_slots import LOOK_SECONDS, MOST, POLL_SECONDS, Piece, Slots, alike, place
from apps.core.tenancy import in_partner, in_public

log = logging.getLogger(__name__)
LINGER_SECONDS, LONGEST_SECONDS = 0.02, 0.5
"""For which the first answer waits for others that are recorded with it, at least and at most."""
SHARE = 3
"""In between it waits so many times as long as the last ones took to record: a busy lane does many at once. What is the
last of its lane for now waits for nobody."""
GLANCE_SECONDS = 0.01
"""Between two looks whether any more answer is to come."""
MOMENT_SECONDS, LONGEST_MOMENT = 0.002, 0.01
"""For which a slot that is free waits for others: one question about refusals is for all of them."""
STALE_SECONDS = 15.0
"""What was claimed so long ago and not called yet is put back: its gateway has become slow."""
FRESH_SECONDS = 5.0
"""For which it is not read again who a partner is."""


class Runner:
    """Holds lanes and does their work until nothing is left, or `stop` is set and all answers are recorded.

    Claims and hands out in the thread that runs it; records in a second one.
    """

    def __init__(self, stop: threading.Event | None = None) -> None:
        self.stop = stop or threading.Event()
        self._holder = lane_leases.Holder()
        self._lanes: dict[int, Slots] = {}
        self._lost: list[Slots] = []
        self._answered: queue.SimpleQueue[Piece | None] = queue.SimpleQueue()
        self._freed = threading.Event()
        self._failed: list[BaseException] = []
        self._found = 0.0
        self._partners: dict[int, tuple[float, Any]] = {}
        self._find_due: Callable[[Iterable[int]], list[int]] = due.lanes_due

    def run(self, seconds: float = float("inf"), *, stay: float = 0.0) -> None:
        """Returns when no lane has anything to do, after `seconds` at the latest and what was begun by then.

        `stay`: seconds for which more is waited for then. Raises what the database raises: what was in hand is asked
        about by its own sweeps.
        """
        until = time.monotonic() + seconds
        recorder = threading.Thread(target=self._record_all, name="lanes-recorder", daemon=True)
        with self._holder.alive():
            recorder.start()
            try:
                began = worked = time.monotonic()
                while True:
                    is_ending = self.stop.is_set() or began > until
                    if self._turn(is_ending=is_ending):
                        worked = began
                    elif is_ending or began - worked >= stay:
                        break
                    moment = min(max(time.monotonic() - began, MOMENT_SECONDS), LONGEST_MOMENT)
                    is_calling = any(one.running for one in self._lanes.values())
                    self._freed.wait(POLL_SECONDS if is_calling else 0.01)
                    self._freed.clear()
                    time.sleep(moment)
                    began = time.monotonic()
                self._holder.let_go(list(self._lanes))
            finally:
                for slots in self._lanes.values():
                    slots.close()
                self._answered.put(None)
                if not self._failed:
                    recorder.join()
                connection.close()

    @contextmanager
    def _of(self, partner_id: int | None) -> Iterator[None]:
        """Where a partner's work is done: as it stood a moment ago; one with a clock of its own, as it stands."""
        if partner_id is None:
            with in_public():
                yield
            return
        at, found = self._partners.get(partner_id, (0.0, None))
        is_fresh = found is not None and not found.is_sandbox and time.monotonic() - at <= FRESH_SECONDS
        with in_partner(found if is_fresh else partner_id) as partner:
            if not is_fresh:
                self._partners[partner_id] = time.monotonic(), partner
            yield

    # -- lanes in hand -------------------------------------------------------------------------------

    def _turn(self, *, is_ending: bool) -> bool:
        """One round; whether there is to be another."""
        if self._failed:
            raise self._failed[0]
        self._renew()
        if not is_ending:
            self._find()
        for slots in list(self._lanes.values()):
            if is_ending:
                self._leave(slots)
            elif not self._holder.is_safe:
                self._put_back(slots)
            else:
                slots.limits = lanes.limits_of(slots.number)
                if not slots.limits.in_flight:
                    # Shut for a while: what was put off before these comes before these again.
                    self._put_back(slots)
                self._fill(slots)
                self._hand_out(slots)
        # A lane with nothing to do stays in hand: more may come as long as there is another to wait for.
        return not all(one.is_idle for one in [*self._lanes.values(), *self._lost])

    def _renew(self) -> None:
        for number in self._holder.renew(self._lanes):
            log.warning("Lane %d was taken over by another process", number)
            slots = self._lanes.pop(number)
            self._leave(slots)
            slots.close()
            # What it has begun is recorded all the same.
            self._lost.append(slots)

    def _find(self) -> None:
        """Takes lanes that have something to do and that nobody holds."""
        now = time.monotonic()
        if now - self._found < POLL_SECONDS:
            return
        for number in self._holder.take(self._find_due(self._lanes), besides=self._lanes):
            self._lanes[number] = Slots(number, self._answered, self._freed)
        self._found = now

    # -- claiming and handing out --------------------------------------------------------------------

    def _fill(self, slots: Slots) -> None:
        wanted = slots.wanted()
        began = time.monotonic()
        if not wanted or began < slots.look_at:
            return
        rows = due.claim_lane(slots.number, wanted, self._holder.lease)
        slots.has_more = len(rows) == wanted
        for (_partner, kind), same in groupby(sorted(rows, key=place), key=place):
            self._claim(slots, kind, list(same))
        if not slots.has_more:
            now = time.monotonic()
            # As long as the last one took: half the time at most is spent on looks that find little.
            slots.look_at = now + min(max(now - began, LOOK_SECONDS), LONGEST_SECONDS)

    def _claim(self, slots: Slots, kind: str, rows: list[models.Due]) -> None:
        """Claims rows of one partner and kind; where that fails each by itself."""
        with self._of(rows[0].partner_id):
            try:
                made = lanes.steps_of(kind)
                plans = made.claim([row.object_id for row in rows])
            except Exception as error:
                if len(rows) == 1:
                    due.finish(rows[0], _raiser(error))
                    return
                log.warning("%d of %s are claimed one by one: %r", len(rows), kind, error)
                for row in rows:
                    self._claim(slots, kind, [row])
                return
            faults.at("core.lane-claimed-not-called")
            over = {row.pk: row.object_id for row in rows if row.object_id not in plans}
            if over:
                due.done(rows[0].partner_id, self._holder.lease, over)
        slots.ready.extend(
            Piece(slots, row, made, plans[row.object_id]) for row in rows if row.object_id in plans
        )

    def _hand_out(self, slots: Slots) -> None:
        if not self._holder.is_safe:
            return
        chosen: list[Piece] = []
        free = slots.free()
        while slots.ready and len(chosen) < free:
            piece = slots.ready.popleft()
            if time.monotonic() - piece.claimed > STALE_SECONDS:
                slots.skip(piece, lanes.PutBack())
            else:
                chosen.append(piece)
        slots.begin([one for same in alike(chosen) for one in self._still_wanted(slots, same)])

    def _still_wanted(self, slots: Slots, pieces: list[Piece]) -> list[Piece]:
        """What may be called, asked as late as can be."""
        with self._of(pieces[0].row.partner_id):
            refused = pieces[0].steps.refused([one.plan for one in pieces])
        for number, why in refused.items():
            slots.skip(pieces[number], why)
        return [one for number, one in enumerate(pieces) if number not in refused]

    def _leave(self, slots: Slots) -> None:
        """Nothing more of this lane is for us: what it still has is another's."""
        slots.has_more = False
        self._put_back(slots)

    def _put_back(self, slots: Slots) -> None:
        ready: deque[Piece] = slots.ready
        while ready:
            slots.skip(ready.popleft(), lanes.PutBack())

    # -- recording -----------------------------------------------------------------------------------

    def _record_all(self) -> None:
        try:
            linger = LINGER_SECONDS
            while pieces := self._gathered(linger):
                began = time.monotonic()
                for same in alike(pieces):
                    self._record(same)
                    for piece in same:
                        piece.slots.recorded(1)
                self._freed.set()
                linger = min(max(SHARE * (time.monotonic() - began), LINGER_SECONDS), LONGEST_SECONDS)
        except BaseException as error:
            self._failed.append(error)
            self._freed.set()
        finally:
            connection.close()

    def _gathered(self, linger: float) -> list[Piece]:
        """Answers as they come, until there are enough, no more is to come, or the first has waited long enough.

        Empty at the end.
        """
        first = self._answered.get()
        if first is None:
            return []
        pieces, until = [first], time.monotonic() + linger
        while len(pieces) < MOST:
            left = until - time.monotonic()
            is_over = left <= 0 or not any(one.slots.is_going_on for one in pieces)
            try:
                piece = self._answered.get(timeout=0.0001 if is_over else min(left, GLANCE_SECONDS))
            except queue.Empty:
                if is_over:
                    break
                continue
            if piece is None:
                self._answered.put(None)
                break
            pieces.append(piece)
        return pieces

    def _record(self, pieces: list[Piece]) -> None:
        """Records answers of one partner and kind at once; where that fails each by itself."""
        row, made = pieces[0].row, pieces[0].steps
        faults.at("core.lane-called-not-recorded")
        with self._of(row.partner_id):
            try:
                made.record([(one.plan, one.answer) for one in pieces])
            except Exception as error:
                if len(pieces) > 1:
                    log.warning("%d of %s are recorded one by one: %r", len(pieces), row.kind, error)
                for one in pieces:
                    due.finish(one.row, one.record)
                return
            faults.at("core.lane-recorded-not-done")
            due.done(row.partner_id, self._holder.lease, {one.row.pk: one.row.object_id for one in pieces})


def waiting() -> bool:
    """Whether any lane has something to do now; says that whoever does it is alive."""
    with in_public():
        lane_leases.beat()
    return bool(due.lanes_due())


def _raiser(error: Exception) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work
