"""Due work: claimed by one, done again after a crash, put off after a failure, kept when planned anew."""

import threading
import uuid
from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from apps.core import clock, due, events, faults, tasks
from apps.core.models import Delivery, Due, Event, Heartbeat, WorkItem
from apps.core.tenancy import in_partner, in_public
from apps.partners.models import Partner
from tests.accounts.at_once import at_once
from tests.conftest import make_partner

KIND, OTHER = "tests.job", "tests.other"


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """No other test's worker meets work that nobody knows."""
    yield
    with in_public():
        Due.objects.filter(kind__in=[KIND, OTHER]).delete()


class Failing:
    """A task that fails until it works."""

    works = False

    def __call__(self, identity: uuid.UUID) -> None:
        if not self.works:
            raise ValueError("no")


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
    assert WorkItem.objects.get(partner_id=partner.pk).object_id == identity
    # Not to be done any more, it is nobody's business.
    due.cancel(KIND, identity)
    due._tasks.pop(KIND)
    assert not WorkItem.objects.filter(partner_id=partner.pk).exists()


def test_what_works_in_the_end_leaves_the_queue(partner: Partner, done: list[uuid.UUID]) -> None:
    identity = plan()
    due._tasks[OTHER] = seen = Failing()
    due.schedule(OTHER, identity, clock.wall(), wall=True)
    failing = due._tasks[KIND] = Failing()
    for _ in range(due.PATIENCE):
        Due.objects.filter(partner_id=partner.pk).update(leased_until=None)
        run_all(partner)
    failing.works = True
    Due.objects.filter(partner_id=partner.pk).update(leased_until=None)
    run_all(partner)
    # The other work of the object fails on.
    assert WorkItem.objects.get(partner_id=partner.pk).object_id == identity
    seen.works = True
    Due.objects.filter(partner_id=partner.pk).update(leased_until=None)
    run_all(partner)
    due._tasks.pop(OTHER)
    assert not WorkItem.objects.filter(partner_id=partner.pk).exists()
    assert not Due.objects.filter(partner_id=partner.pk).exists()


def test_a_batch_that_outlasts_its_lease_does_nothing_twice(partner: Partner, done: list[uuid.UUID]) -> None:
    first, second = plan(seconds=-2), plan(seconds=-1)
    slow = due.claim(20, partner_id=partner.pk)
    assert [row.object_id for row in slow] == [first, second]
    assert len({row.lease for row in slow}) == 1
    due.run(slow[0])
    # The first one took longer than the lease: another worker comes.
    Due.objects.filter(partner_id=partner.pk).update(leased_until=clock.wall() - timedelta(seconds=1))
    run_all(partner)
    assert done == [first, second]
    assert not due.run(slow[1])
    assert done == [first, second]


def test_a_lease_counts_from_the_start_of_its_own_work(partner: Partner, done: list[uuid.UUID]) -> None:
    identity = plan()
    [row] = due.claim(20, partner_id=partner.pk)
    ended = Due.objects.filter(partner_id=partner.pk)
    ended.update(leased_until=clock.wall() - timedelta(seconds=1))

    def claiming(identity: uuid.UUID) -> None:
        # Of this partner only: other tests leave work of the platform's own.
        done.extend([identity, *(found.object_id for found in due.claim(20, partner_id=partner.pk))])

    due._tasks[KIND] = claiming
    due.run(row)
    assert done == [identity]


def test_what_is_planned_anew_meanwhile_waits_for_its_new_moment(
    partner: Partner, done: list[uuid.UUID]
) -> None:
    identity = plan()
    [row] = due.claim(20, partner_id=partner.pk)
    due.schedule(KIND, identity, clock.wall() + timedelta(days=1), wall=True)
    assert not due.run(row)
    assert done == []


def without_locks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(due, "_CLAIM", due._CLAIM.replace("FOR UPDATE SKIP LOCKED", ""))


@pytest.mark.parametrize("locked", [True, False])
def test_claimers_at_once_need_the_lock(
    partner: Partner, done: list[uuid.UUID], monkeypatch: pytest.MonkeyPatch, locked: bool
) -> None:
    """Two choose before either writes: with the lock each row is one's, without it both have all of them."""
    if not locked:
        without_locks(monkeypatch)
    # Between the choice and the write, as on a server that is busy.
    slow = due._CLAIM.replace("FROM ready WHERE", "FROM ready, (SELECT pg_sleep(1)) AS busy WHERE")
    monkeypatch.setattr(due, "_CLAIM", slow)
    for _ in range(4):
        plan()
    claimed = at_once(partner, [lambda: due.claim(2, partner_id=partner.pk)] * 2)
    rows = [row.pk for batch in claimed for row in batch]
    assert len(rows) == 4
    assert len(set(rows)) == (4 if locked else 2)


def test_the_tick_leaves_a_sandbox_clock_alone(sandbox_partner: Partner, done: list[uuid.UUID]) -> None:
    identity = uuid.uuid4()
    due.schedule(KIND, identity, clock.now())
    run_all(sandbox_partner)
    assert done == []
    for row in due.claim(partner_id=sandbox_partner.pk, until=clock.now()):
        due.run(row)
    assert done == [identity]


class Batch:
    """Takes many at once, until one of them is bad."""

    def __init__(self) -> None:
        self.calls: list[list[uuid.UUID]] = []
        self.bad: set[uuid.UUID] = set()

    def __call__(self, identities: Sequence[uuid.UUID]) -> None:
        self.calls.append(list(identities))
        if self.bad & set(identities):
            raise ValueError("bad")


@pytest.fixture
def batch() -> Iterator[Batch]:
    made = Batch()
    due.batch(KIND, size=4)(made)
    yield made
    del due._batches[KIND], due._tasks[KIND]


def test_a_batch_takes_more_of_the_same_partner_and_kind(partner: Partner, batch: Batch) -> None:
    seen: list[uuid.UUID] = []
    due._tasks[OTHER] = seen.append
    identities = [plan(seconds=-10 + n) for n in range(6)]
    later = plan(seconds=3600)
    due.schedule(OTHER, identities[0], clock.wall(), wall=True)
    with in_partner(make_partner()) as other:
        theirs = plan(seconds=-20)
    [row] = due.claim(1, partner_id=partner.pk)
    assert due.run(row)
    assert (batch.calls, seen) == ([identities[:4]], [])
    run_all(partner)
    assert (sorted(batch.calls[1]), seen) == (sorted(identities[4:]), [identities[0]])
    assert [row.object_id for row in Due.objects.filter(partner_id=partner.pk)] == [later]
    run_all(other)
    assert batch.calls[2:] == [[theirs]]
    del due._tasks[OTHER]


def test_who_claimed_them_one_by_one_is_told_what_a_batch_took_along(partner: Partner, batch: Batch) -> None:
    for n in range(3):
        plan(seconds=-10 + n)
    first, *others = due.claim(10, partner_id=partner.pk)
    along: set[int] = set()
    assert due.run(first, along)
    assert along == {row.pk for row in others}
    assert len(batch.calls) == 1
    # Asked about all the same, it is not ours any more.
    assert not due.run(others[0], along)
    assert len(batch.calls) == 1


def test_one_bad_object_delays_nobody(partner: Partner, batch: Batch) -> None:
    bad, *good = (plan(seconds=-10 + n) for n in range(4))
    batch.bad = {bad}
    run_all(partner)
    assert batch.calls[0] == [bad, *good]
    assert sorted(batch.calls[1:]) == sorted([[bad], *([one] for one in good)])
    row = Due.objects.get(partner_id=partner.pk)
    assert (row.object_id, row.attempts, "bad" in row.error) == (bad, 1, True)
    # When its turn comes again, it does not break the batch of the others.
    fresh = [plan(seconds=-1), plan()]
    Due.objects.filter(partner_id=partner.pk).update(leased_until=None)
    batch.calls.clear()
    run_all(partner)
    assert sorted(batch.calls) == sorted([[bad], fresh])


@pytest.mark.parametrize(("point", "times"), [("core.due-claimed", 1), ("core.due-done-not-deleted", 2)])
def test_a_batch_of_a_dead_worker_is_done_once_its_lease_is_over(
    partner: Partner, batch: Batch, point: str, times: int
) -> None:
    identities = [plan(seconds=-2), plan(seconds=-1)]
    with faults.crash_at(point), pytest.raises(faults.Crash):
        run_all(partner)
    run_all(partner)
    assert len(batch.calls) == times - 1
    Due.objects.filter(partner_id=partner.pk).update(leased_until=clock.wall() - timedelta(seconds=1))
    run_all(partner)
    assert batch.calls == [identities] * times
    assert not Due.objects.filter(partner_id=partner.pk).exists()


def test_what_a_batch_plans_anew_stays(partner: Partner, batch: Batch) -> None:
    identities = [plan(seconds=-2), plan(seconds=-1)]
    later = clock.wall() + timedelta(days=30)
    due.batch(KIND, size=4)(lambda mine: [due.schedule(KIND, one, later, wall=True) for one in mine] and None)
    run_all(partner)
    rows = Due.objects.filter(partner_id=partner.pk)
    assert {(row.object_id, row.due_at) for row in rows} == {(one, later) for one in identities}


def test_two_workers_share_a_partners_batch(partner: Partner, batch: Batch) -> None:
    expected = [plan() for _ in range(40)]

    def work() -> None:
        while rows := due.claim(2, partner_id=partner.pk):
            for row in rows:
                due.run(row)

    at_once(partner, [work] * 4)
    assert sorted(one for call in batch.calls for one in call) == sorted(expected)
    assert not Due.objects.filter(partner_id=partner.pk).exists()


def test_a_batch_goes_by_a_sandbox_clock(sandbox_partner: Partner, batch: Batch) -> None:
    now = clock.now()
    first, second, later = (uuid.uuid4() for _ in range(3))
    for identity, moment in ((first, now), (second, now), (later, now + timedelta(seconds=1))):
        due.schedule(KIND, identity, moment)
    [row] = due.claim(1, partner_id=sandbox_partner.pk, until=now)
    assert due.run(row)
    assert sorted(batch.calls[0]) == sorted([first, second])


def test_an_idle_tick_is_one_round_trip_and_says_who_is_alive(done: list[uuid.UUID]) -> None:
    with in_public():
        Due.objects.filter(is_sandbox=False, due_at__lte=clock.wall()).delete()
        Delivery.objects.all().delete()
    assert not due.waiting("beat", "worker")
    seen = Heartbeat.objects.get(part="worker").seen_at
    with CaptureQueriesContext(connection) as queries:
        tasks.tick()
    # Not even the search path is asked for through Django's cursors.
    assert [query["sql"] for query in queries] == []
    assert Heartbeat.objects.get(part="worker").seen_at > seen
    # A task ends in the public schema.
    identity = plan()
    assert due.waiting()
    due.claim(1)
    assert not due.waiting()
    due.cancel(KIND, identity)


def test_what_somebody_waits_for_goes_before_other_work_and_its_events_within_it(partner: Partner) -> None:
    told: list[str] = []

    def ordinary(identity: uuid.UUID) -> None:
        told.append("letter")
        with transaction.atomic():
            events.publish("tests.Paid", identity)

    due._tasks[OTHER] = ordinary
    due.batch(KIND, ahead=True)(lambda identities: told.append(f"{len(identities)} messages"))

    @events.on_many("tests.Paid", ahead=True)
    def paid(many: Sequence[Event]) -> None:
        told.append("key")

    try:
        for place in range(2):
            due.schedule(OTHER, uuid.uuid4(), clock.wall() - timedelta(seconds=9 - place), wall=True)
        plan(seconds=-2)
        plan(seconds=-1)
        tasks.run_once(partner_id=partner.pk)
        assert told == ["2 messages", "letter", "key", "letter", "key"]
    finally:
        due._ahead.discard(KIND)
        del due._batches[KIND], due._tasks[KIND], due._tasks[OTHER]
        for name in events._handlers.pop("tests.Paid"):
            events._of_many.pop(name)
            events._ahead.discard(name)
