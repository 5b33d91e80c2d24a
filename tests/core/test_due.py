"""Due work: claimed by one, done again after a crash, put off after a failure, kept when planned anew."""

import threading
import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connections

from apps.core import clock, due, faults
from apps.core.models import Due, WorkItem
from apps.partners.models import Partner

KIND = "tests.job"


@pytest.fixture
def done() -> Iterator[list[uuid.UUID]]:
    seen: list[uuid.UUID] = []
    due._tasks[KIND] = seen.append
    yield seen
    due._tasks.pop(KIND, None)


def plan(**options: int) -> uuid.UUID:
    identity = uuid.uuid4()
    due.schedule(KIND, identity, clock.wall() + timedelta(seconds=options.get("seconds", 0)), wall=True)
    return identity


def run_all(partner: Partner) -> None:
    for row in due.claim(100, partner_id=partner.pk):
        due.run(row)


def test_what_is_not_due_waits(partner: Partner, done: list[uuid.UUID]) -> None:
    plan(seconds=3600)
    run_all(partner)
    assert done == []


def test_sixteen_claimers_do_each_once(partner: Partner, done: list[uuid.UUID]) -> None:
    expected = [plan() for _ in range(50)]

    def work() -> None:
        try:
            while rows := due.claim(3, partner_id=partner.pk):
                for row in rows:
                    due.run(row)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == sorted(expected)
    assert not Due.objects.filter(partner_id=partner.pk).exists()


@pytest.mark.parametrize(("point", "times"), [("core.due-claimed", 1), ("core.due-done-not-deleted", 2)])
def test_what_a_dead_worker_held_is_done_once_its_lease_is_over(
    partner: Partner, done: list[uuid.UUID], point: str, times: int
) -> None:
    identity = plan()
    with faults.crash_at(point), pytest.raises(faults.Crash):
        run_all(partner)
    run_all(partner)
    assert len(done) == times - 1
    Due.objects.filter(partner_id=partner.pk).update(leased_until=clock.wall() - timedelta(seconds=1))
    run_all(partner)
    assert done == [identity] * times


def test_a_plan_made_anew_by_the_work_itself_stays(partner: Partner, done: list[uuid.UUID]) -> None:
    later = clock.wall() + timedelta(days=30)
    due._tasks[KIND] = lambda identity: due.schedule(KIND, identity, later, wall=True)
    identity = plan()
    run_all(partner)
    row = Due.objects.get(partner_id=partner.pk)
    assert (row.object_id, row.due_at, row.lease) == (identity, later, None)


def test_what_keeps_failing_stands_in_the_queue(partner: Partner) -> None:
    def fail(identity: uuid.UUID) -> None:
        raise ValueError("no")

    due._tasks[KIND] = fail
    identity = plan()
    for _ in range(due.PATIENCE):
        Due.objects.filter(partner_id=partner.pk).update(leased_until=None)
        run_all(partner)
    due._tasks.pop(KIND)
    assert WorkItem.objects.get(partner_id=partner.pk).object_id == identity


def test_the_tick_leaves_a_sandbox_clock_alone(sandbox_partner: Partner, done: list[uuid.UUID]) -> None:
    identity = uuid.uuid4()
    due.schedule(KIND, identity, clock.now())
    run_all(sandbox_partner)
    assert done == []
    for row in due.claim(partner_id=sandbox_partner.pk, until=clock.now()):
        due.run(row)
    assert done == [identity]
