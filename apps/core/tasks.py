"""Celery's entry points. Each only wakes: what is to be done stands in the tables of core."""

import threading
import time

from celery import shared_task
from celery.signals import worker_shutting_down

from apps.core import audit as auditor
from apps.core import clock, due, events, handlers, lane_runner, models, slices, wake
from apps.core import housekeeping as keeper

BUDGET = 20.0
"""Seconds that one message may work before it hands over to the next."""
ROUND, PAUSE_SECONDS = 20, 0.05
"""Rounds in which less was taken than could be begin so far apart: a stream of messages is then read many at once."""
STAY_SECONDS = 0.5
"""For which who has worked stays, for what follows from it: to be woken takes as long as the broker's next look."""


@shared_task(name="core.work")
def work() -> None:
    """Delivers what waits and does what is due, until nothing is left or the budget is spent."""
    _work("worker")


def _work(*alive: str) -> None:
    started = time.monotonic()
    worked = started - 2 * STAY_SECONDS
    while (now := time.monotonic()) - started < BUDGET:
        tried = 0
        if due.waiting(*alive):
            tried, worked = run_once(lanes=False), time.monotonic()
        elif now - worked > STAY_SECONDS:
            return
        if tried < ROUND:
            time.sleep(max(now + PAUSE_SECONDS - time.monotonic(), 0.0))
    wake.after_commit()


def run_once(*, partner_id: int | None = None, limit: int = ROUND, lanes: bool = True) -> int:
    """One round of deliveries and wall-clock work, of all partners or one; how many were tried.

    Called by hand it does the lanes' work as well, one after another.
    """
    tried = 0
    while tried < limit and (delivered := events.deliver(partner_id)):
        tried += delivered
    rows = due.claim(limit, partner_id=partner_id, lanes=lanes)
    along: set[int] = set()
    for row in rows:
        if row.pk in along:
            continue
        due.run(row, along)
        # What a customer waits for does not stand behind the letters of others.
        while delivered := events.deliver(partner_id, only_ahead=True):
            tried += delivered
    return tried + len(rows)


_ending = threading.Event()


@worker_shutting_down.connect
def _end(**_options: object) -> None:
    _ending.set()


# As long as there is something to do; what a broker would hand out again meanwhile finds the lanes held.
@shared_task(name="core.lanes", acks_late=False)
def lanes() -> None:
    """Does the work that calls outside, of every lane that nobody else holds, until nothing is left."""
    if lane_runner.waiting() and not _ending.is_set():
        lane_runner.Runner(_ending).run(stay=STAY_SECONDS)


def beat(part: str) -> None:
    """Says that a part of the platform is alive."""
    models.Heartbeat.objects.update_or_create(part=part, defaults={"seen_at": clock.wall()})


@shared_task(name="core.tick")
def tick() -> None:
    """Beat's pulse: does what is due, though every wake-up may have been lost. One round trip where nothing is."""
    _work("beat", "worker")


# Long, and come again by themselves: a broker that waited for their end would hand them out twice.
@shared_task(name="core.audit", acks_late=False)
def audit() -> None:
    """The nightly audit: each rule that does not hold stands in the staff's queue. Partners follow by slices."""
    slices.plan(handlers.AUDIT)
    auditor.put_into_queue(auditor.of_platform())


@shared_task(name="core.housekeeping", acks_late=False)
def housekeeping() -> None:
    """Drops what is no longer needed. Partners follow by slices."""
    slices.plan(handlers.TIDY)
    keeper.of_platform()
