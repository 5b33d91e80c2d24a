"""Lanes: work that calls outside, side by side under the limits of each connection, held by one process at a time."""

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection

from apps.core import clock, due, faults, lane_leases, lane_runner, lanes, models
from apps.core.tenancy import in_partner
from apps.partners.models import Partner
from tests.conftest import eventually

KIND, UNKNOWN = "tests.called", "tests.called_somehow"


class Line(lanes.Steps):
    """Calls something that takes a while, and notes how many were in it at once."""

    def __init__(self) -> None:
        self.seconds: dict[int, float] = {}
        self.lane_of: dict[UUID, int] = {}
        self.now: dict[int, int] = {}
        self.most: dict[int, int] = {}
        self.recorded: list[list[UUID]] = []
        self.bad: set[UUID] = set()
        self.unwanted: set[UUID] = set()
        self.answers: dict[UUID, Any] = {}
        self._lock = threading.Lock()

    def claim(self, object_ids: Sequence[UUID]) -> dict[UUID, UUID]:
        return {key: key for key in object_ids}

    def refused(self, plans: Sequence[UUID]) -> dict[int, Exception]:
        return {place: ValueError("refused") for place, one in enumerate(plans) if one in self.unwanted}

    def call(self, plan: UUID) -> str:
        lane = self.lane_of[plan]
        with self._lock:
            self.now[lane] = self.now.get(lane, 0) + 1
            self.most[lane] = max(self.most.get(lane, 0), self.now[lane])
        time.sleep(self.seconds.get(lane, 0.01))
        with self._lock:
            self.now[lane] -= 1
        return "answered"

    def record(self, answers: Sequence[tuple[UUID, Any]]) -> None:
        keys = [key for key, _answer in answers]
        self.recorded.append(keys)
        if self.bad & set(keys):
            raise ValueError("cannot be recorded")
        self.answers.update(answers)


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    made = Line()
    for kind in (KIND, UNKNOWN):
        monkeypatch.setitem(due._tasks, kind, lambda key: made.answers.update({key: "by hand"}))
    monkeypatch.setitem(lanes._steps, KIND, made)
    monkeypatch.setattr(lanes, "_limits", [lambda lane: lanes.Limits(5)])
    return made


@pytest.fixture
def number() -> Iterator[int]:
    """A lane that nobody else has."""
    found = uuid4().int % 2**60
    yield found
    models.Lane.objects.filter(pk=found).delete()
    models.Due.objects.filter(lane=found).delete()


def plan(line: Line, lane: int, count: int, kind: str = KIND) -> list[UUID]:
    keys = [uuid4() for _ in range(count)]
    line.lane_of |= dict.fromkeys(keys, lane)
    due.schedule_many(kind, [(key, clock.wall(), lane) for key in keys])
    return keys


def run(lane_numbers: Sequence[int], **options: Any) -> None:
    """A runner that knows of these lanes only, in this thread."""
    runner = lane_runner.Runner(**options)
    find = due.lanes_due
    runner._find_due = lambda besides: [one for one in find(besides) if one in lane_numbers]
    runner.run()


def beside(partner: Partner, lane_numbers: Sequence[int], **options: Any) -> threading.Thread:
    """The same in a thread: another process, as far as the lanes know."""
    thread = threading.Thread(target=run, args=(lane_numbers,), kwargs=options)
    thread.start()
    return thread


def test_work_is_called_side_by_side_and_recorded_in_batches(
    partner: Partner, line: Line, number: int
) -> None:
    keys = plan(line, number, 40)
    line.seconds[number] = 0.05
    assert not [row for row in due.claim(100, partner_id=partner.pk, lanes=False) if row.kind == KIND]
    began = time.monotonic()
    run([number])
    took = time.monotonic() - began
    assert line.answers == dict.fromkeys(keys, "answered")
    assert line.most[number] == 5
    assert 0.4 <= took < 1.5
    assert len(line.recorded) < len(keys) / 2
    assert not models.Due.objects.filter(lane=number).exists()
    assert not models.Lane.objects.filter(pk=number).exists()


def test_one_that_cannot_be_recorded_delays_no_other(partner: Partner, line: Line, number: int) -> None:
    keys = plan(line, number, 10)
    line.bad = {keys[3]}
    run([number])
    assert set(line.answers) == set(keys) - line.bad
    [left] = models.Due.objects.filter(lane=number)
    assert (left.object_id, left.attempts, left.lease) == (keys[3], 1, None)


def test_what_is_refused_right_before_the_call_is_not_called(
    partner: Partner, line: Line, number: int
) -> None:
    keys = plan(line, number, 4)
    line.unwanted = {keys[1]}
    run([number])
    assert isinstance(line.answers[keys[1]], ValueError)
    assert [line.answers[key] for key in keys if key != keys[1]] == ["answered"] * 3


def test_work_that_nobody_has_the_steps_of_is_put_off(partner: Partner, line: Line, number: int) -> None:
    plan(line, number, 2, UNKNOWN)
    keys = plan(line, number, 3)
    run([number])
    assert line.answers == dict.fromkeys(keys, "answered")
    left = models.Due.objects.filter(lane=number)
    assert set(left.values_list("kind", "attempts", "error")) == {
        (UNKNOWN, 1, f"LookupError('{UNKNOWN} has no steps')")
    }


def test_a_limit_per_second_holds(
    partner: Partner, line: Line, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "_limits", [lambda lane: lanes.Limits(50, per_second=20.0)])
    plan(line, number, 21)
    began = time.monotonic()
    run([number])
    assert 0.8 < time.monotonic() - began < 3
    assert len(line.answers) == 21


def test_nothing_is_claimed_for_a_lane_that_is_shut(
    partner: Partner, line: Line, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy one claims seconds ahead: shut, it would claim and put back without end, and slow all others."""
    is_shut, stop = threading.Event(), threading.Event()
    monkeypatch.setattr(lanes, "_limits", [lambda lane: lanes.Limits(0 if is_shut.is_set() else 5)])
    line.seconds[number] = 0.05
    plan(line, number, 700)
    thread = beside(partner, [number], stop=stop)
    try:
        eventually(lambda: len(line.answers) > 250, seconds=30)
        is_shut.set()
        waiting = models.Due.objects.filter(lane=number, lease=None)
        eventually(lambda: waiting.count() == models.Due.objects.filter(lane=number).count())
        left = waiting.count()
        time.sleep(0.7)
        assert waiting.count() == left > 100
    finally:
        stop.set()
        is_shut.clear()
        thread.join()


def test_a_lane_that_hangs_slows_no_other(partner: Partner, line: Line, number: int) -> None:
    slow, quick = number, number + 1
    plan(line, slow, 10)
    line.seconds = {slow: 1.5}
    keys = plan(line, quick, 100)
    began = time.monotonic()
    thread = beside(partner, [slow, quick])
    eventually(lambda: set(keys) <= set(line.answers), seconds=10)
    took = time.monotonic() - began
    assert took < 1.2, "the quick lane is done before the slow one has answered once"
    assert not [key for key in line.answers if line.lane_of[key] == slow]
    thread.join()
    assert len(line.answers) == 110


@pytest.mark.parametrize("is_held", [True, False])
def test_two_processes_keep_one_lanes_limit(
    partner: Partner, line: Line, number: int, monkeypatch: pytest.MonkeyPatch, is_held: bool
) -> None:
    """Without the lease each would call as many as the limit says, and the other side would get twice that."""
    if not is_held:
        monkeypatch.setattr(lane_leases, "_take", lambda numbers, holder: list(numbers))
    plan(line, number, 60)
    line.seconds[number] = 0.1
    threads = [beside(partner, [number]) for _ in range(2)]
    for thread in threads:
        thread.join()
    assert len(line.answers) == 60
    assert (line.most[number] <= 5) is is_held


def test_a_dead_holder_is_succeeded_and_its_work_taken_up(partner: Partner, line: Line, number: int) -> None:
    keys = plan(line, number, 3)
    with pytest.raises(faults.Crash), faults.crash_at("core.lane-claimed-not-called"):
        run([number])
    assert models.Lane.objects.filter(pk=number).exists()
    assert models.Due.objects.filter(lane=number, lease__isnull=False).count() == 3
    connection.set_tenant(partner)
    run([number])
    assert set(line.answers) == set(keys)


def test_who_lives_elsewhere_is_succeeded_when_its_time_is_over(
    partner: Partner, line: Line, number: int
) -> None:
    plan(line, number, 1)
    elsewhere = models.Lane.objects.create(
        pk=number, holder="another-machine/1/1/x", held_until=clock.wall() + lane_leases.HELD
    )
    run([number])
    assert not line.answers
    elsewhere.held_until = clock.wall()
    elsewhere.save()
    run([number])
    assert len(line.answers) == 1


def test_the_end_puts_back_what_was_not_called(partner: Partner, line: Line, number: int) -> None:
    keys = plan(line, number, 30)
    line.seconds[number] = 0.2
    stop = threading.Event()
    thread = beside(partner, [number], stop=stop)
    eventually(lambda: line.now.get(number, 0) == 5)
    stop.set()
    thread.join()
    put_back = [key for key in keys if isinstance(line.answers.get(key), lanes.PutBack)]
    called = [key for key in keys if line.answers.get(key) == "answered"]
    assert 5 <= len(called) <= 10
    assert put_back
    with in_partner(partner):
        left = models.Due.objects.filter(lane=number).count()
    assert len(called) + len(put_back) + left == 30
