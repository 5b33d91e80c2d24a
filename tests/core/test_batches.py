"""Events of a kind go to a handler together, what they write is written together, and one that fails delays nobody."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import pytest
from django.db import transaction
from django.test.utils import CaptureQueriesContext

from apps.core import clock, due, events, faults, gather
from apps.core.models import Delivery, Due, Event, SearchKey
from apps.core.search import index
from apps.core.tenancy import connection, in_partner, in_public
from apps.partners.models import Partner
from tests.accounts.at_once import at_once
from tests.conftest import make_partner

TYPE, KIND = "tests.Came", "tests.came"
Batches = list[list[uuid.UUID]]


@pytest.fixture
def batches() -> Iterator[Batches]:
    """What the handler was given each time; it leaves a search key and a plan of each object."""
    given: Batches = []
    due._tasks[KIND] = lambda object_id: None

    @events.on_many(TYPE)
    def came(told: Sequence[events.Event]) -> None:
        given.append([one.object_id for one in told])
        for one in told:
            index("tests", one.object_id, [str(one.object_id)])
            due.schedule(KIND, one.object_id, clock.wall() + timedelta(days=1), wall=True)
            if one.data.get("poison"):
                raise ValueError("poison")

    yield given
    events._of_many.popitem()
    events._handlers.pop(TYPE)
    due._tasks.pop(KIND)
    with in_public():
        Due.objects.filter(kind=KIND).delete()


def happen(**data: str) -> uuid.UUID:
    identity = uuid.uuid4()
    with transaction.atomic():
        events.publish(TYPE, identity, **data)
    return identity


def written(identities: Sequence[uuid.UUID]) -> tuple[int, int]:
    keys = SearchKey.objects.filter(kind="tests", object_id__in=identities)
    return keys.count(), Due.objects.filter(kind=KIND, object_id__in=identities).count()


def waiting(partner: Partner) -> int:
    return Delivery.objects.filter(partner_id=partner.pk).count()


def test_events_of_a_partner_come_together_in_the_order_of_their_objects(
    partner: Partner, batches: Batches
) -> None:
    expected = [happen() for _ in range(5)]
    assert events.deliver(partner.pk) == 5
    assert batches == [sorted(expected)]
    assert written(expected) == (5, 5)
    assert waiting(partner) == 0
    assert events.deliver(partner.pk) == 0


def test_what_a_customer_waits_for_goes_before_what_came_in_the_last_minute(
    partner: Partner, batches: Batches
) -> None:
    told: list[str] = []

    @events.on("tests.Told")
    def another(event: Event) -> None:
        told.append("another")

    @events.on_many("tests.Paid", ahead=True)
    def paid(many: Sequence[Event]) -> None:
        told.append("ahead")

    try:
        with transaction.atomic():
            events.publish("tests.Told", uuid.uuid4())
        with transaction.atomic():
            events.publish_many("tests.Paid", [(uuid.uuid4(), {})])
        assert events.deliver(partner.pk) == 1
        assert told == ["ahead"]
        # Nothing waits for ever: what has stood for longer than that comes first.
        Delivery.objects.filter(partner_id=partner.pk).update(next_at=clock.wall() - events.AHEAD)
        with transaction.atomic():
            events.publish("tests.Paid", uuid.uuid4())
        while events.deliver_one(partner.pk):
            pass
        assert told == ["ahead", "another", "ahead"]
    finally:
        for name in [*events._handlers.pop("tests.Told"), *events._handlers.pop("tests.Paid")]:
            events._of_many.pop(name, None)
            events._ahead.discard(name)


def test_no_partner_is_among_anothers(partner: Partner, batches: Batches) -> None:
    mine = [happen(), happen()]
    other = make_partner()
    with in_partner(other):
        theirs = happen()
    while events.deliver():
        pass
    assert sorted(batches, key=len) == [[theirs], sorted(mine)]


def test_one_that_fails_delays_nobody_and_comes_alone_from_then_on(
    partner: Partner, batches: Batches
) -> None:
    good, bad = [happen(), happen()], happen(poison="1")
    assert events.deliver(partner.pk) == 3
    assert written(good) == (2, 2)
    assert written([bad]) == (0, 0)
    assert [len(one) for one in batches] == [3, 1, 1, 1]
    [left] = Delivery.objects.filter(partner_id=partner.pk)
    assert (left.event.object_id, left.attempts) == (bad, 1)
    Delivery.objects.filter(pk=left.pk).update(next_at=clock.wall())
    later = happen()
    while events.deliver(partner.pk):
        pass
    assert batches[4:] in ([[bad], [later]], [[later], [bad]])


def test_a_crash_within_a_batch_leaves_all_of_it_to_be_done_again_once(
    partner: Partner, batches: Batches
) -> None:
    expected = [happen() for _ in range(3)]
    with faults.crash_at("core.handled-not-committed"), pytest.raises(faults.Crash):
        events.deliver(partner.pk)
    assert written(expected) == (0, 0)
    assert waiting(partner) == 3
    assert events.deliver(partner.pk) == 3
    assert written(expected) == (3, 3)


def test_a_crash_between_those_that_come_one_by_one_loses_none(partner: Partner, batches: Batches) -> None:
    good = [happen() for _ in range(3)]
    happen(poison="1")
    with faults.crash_at("core.handled-not-committed", after=1), pytest.raises(faults.Crash):
        events.deliver(partner.pk)
    while events.deliver(partner.pk):
        pass
    assert written(good) == (3, 3)
    assert waiting(partner) == 1


def test_two_deliverers_share_what_waits(partner: Partner, batches: Batches) -> None:
    expected = [happen() for _ in range(120)]

    def deliver() -> None:
        while events.deliver(partner.pk):
            pass

    at_once(partner, [deliver] * 4)
    assert sorted(key for one in batches for key in one) == sorted(expected)
    assert max(len(one) for one in batches) <= events.MOST
    assert written(expected) == (120, 120)


def test_a_batch_costs_no_more_statements_than_one(partner: Partner, batches: Batches) -> None:
    def statements(count: int) -> int:
        for _ in range(count):
            happen()
        with CaptureQueriesContext(connection) as asked:
            assert events.deliver(partner.pk) == count
        return len(asked)

    statements(1)
    assert statements(20) == statements(1)


def test_what_is_gathered_is_written_in_its_order_and_the_last_plan_holds(
    partner: Partner, batches: Batches
) -> None:
    first, second = uuid.uuid4(), uuid.uuid4()
    later = clock.wall() + timedelta(days=2)
    with transaction.atomic(), gather.gathering():
        due.schedule(KIND, first, clock.wall() + timedelta(days=1), wall=True)
        due.cancel(KIND, first)
        due.cancel(KIND, second)
        due.schedule(KIND, second, clock.wall() + timedelta(days=1), wall=True)
        due.schedule(KIND, second, later, wall=True)
        with in_public():
            due.schedule(KIND, first, later, wall=True)
        assert not Due.objects.filter(kind=KIND).exists()
    found = Due.objects.filter(kind=KIND).values_list("partner_id", "object_id", "due_at")
    assert set(found) == {(None, first, later), (partner.pk, second, later)}


def test_what_fails_writes_nothing_of_what_it_gathered(partner: Partner, batches: Batches) -> None:
    before = Event.objects.filter(type=TYPE).count()

    def fail() -> None:
        with transaction.atomic(), gather.gathering():
            events.publish(TYPE, uuid.uuid4())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert Event.objects.filter(type=TYPE).count() == before
    happen()
    assert Event.objects.filter(type=TYPE).count() == before + 1


def test_nothing_is_gathered_outside_of_a_transaction(partner: Partner) -> None:
    with pytest.raises(RuntimeError, match="transaction"), gather.gathering():
        pass


def test_what_is_read_once_is_read_anew_by_the_next_batch(partner: Partner) -> None:
    answers = iter(range(10))
    read: Callable[[], int] = lambda: next(answers)  # noqa: E731
    with transaction.atomic(), gather.gathering():
        assert [gather.once("number", read), gather.once("number", read)] == [0, 0]
    assert [gather.once("number", read), gather.once("number", read)] == [1, 2]
