"""Events: delivered once per handler, whatever crashes, and never lost."""

import threading
import time
import uuid
from collections.abc import Iterator

import pytest
from django.db import connections, transaction

from apps.core import events, faults
from apps.core.models import Delivery, SearchKey, WorkItem
from apps.core.search import index
from apps.core.tenancy import in_partner
from apps.partners.models import Partner
from tests.accounts.at_once import at_once

TYPE = "tests.Happened"


@pytest.fixture
def handled() -> Iterator[list[uuid.UUID]]:
    """Objects whose handler ran; its one write is a search key."""
    seen: list[uuid.UUID] = []

    @events.on(TYPE)
    def handler(event: events.Event) -> None:
        seen.append(event.object_id)
        index("tests", event.object_id, [f"{event.object_id} {len(seen)}"])
        if event.data.get("poison"):
            raise ValueError("poison")

    yield seen
    events._handlers.pop(TYPE)


def happen(**data: str) -> uuid.UUID:
    identity = uuid.uuid4()
    with transaction.atomic():
        events.publish(TYPE, identity, **data)
    return identity


def writes(identity: uuid.UUID) -> int:
    return SearchKey.objects.filter(kind="tests", object_id=identity).count()


def test_an_event_outside_a_transaction_is_refused(partner: Partner) -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        events.publish(TYPE, uuid.uuid4())


def test_what_rolls_back_was_never_said(partner: Partner, handled: list[uuid.UUID]) -> None:
    def fail() -> None:
        with transaction.atomic():
            events.publish(TYPE, uuid.uuid4())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not Delivery.objects.filter(partner_id=partner.pk).exists()


def test_a_crash_after_the_handler_repeats_it_and_its_writes_are_there_once(
    partner: Partner, handled: list[uuid.UUID]
) -> None:
    identity = happen()
    with faults.crash_at("core.handled-not-committed"), pytest.raises(faults.Crash):
        events.deliver_one(partner.pk)
    assert handled == [identity]
    assert writes(identity) == 0
    assert events.deliver_one(partner.pk)
    assert not events.deliver_one(partner.pk)
    assert handled == [identity, identity]
    assert writes(identity) == 1


def test_a_poisoned_event_waits_apart_and_ends_in_the_queue(
    partner: Partner, handled: list[uuid.UUID]
) -> None:
    identity = happen(poison="1")
    good = happen()
    for _ in range(events.PATIENCE):
        Delivery.objects.filter(partner_id=partner.pk).update(next_at=events.clock.wall())
        while events.deliver_one(partner.pk):
            pass
    assert writes(identity) == 0
    assert writes(good) == 1
    assert WorkItem.objects.filter(partner_id=partner.pk, kind="core.delivery").count() == 1
    # Mended, it leaves the queue.
    events._handlers[TYPE] = {name: lambda event: None for name in events._handlers[TYPE]}
    Delivery.objects.filter(partner_id=partner.pk).update(next_at=events.clock.wall())
    assert events.deliver_one(partner.pk)
    assert not WorkItem.objects.filter(partner_id=partner.pk, kind="core.delivery").exists()


def test_sixteen_deliverers_deliver_each_event_once(partner: Partner, handled: list[uuid.UUID]) -> None:
    expected = [happen() for _ in range(40)]

    def deliver() -> None:
        try:
            while events.deliver_one(partner.pk):
                pass
        finally:
            connections.close_all()

    threads = [threading.Thread(target=deliver) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(handled) == sorted(expected)


@pytest.mark.parametrize("locked", [True, False])
def test_deliverers_at_once_need_the_lock(
    partner: Partner, monkeypatch: pytest.MonkeyPatch, locked: bool
) -> None:
    """Two look before either is done: taken away it is one's; only looked at, both handle the event."""
    if not locked:
        looking = events._TAKE.replace(" FOR UPDATE SKIP LOCKED", "").replace(
            "DELETE FROM public.core_delivery USING chosen WHERE core_delivery.id = chosen.id\n"
            "    RETURNING core_delivery.*",
            "SELECT core_delivery.* FROM public.core_delivery JOIN chosen USING (id)",
        )
        assert "DELETE" not in looking
        monkeypatch.setattr(events, "_TAKE", looking)
    handled: list[uuid.UUID] = []

    @events.on(TYPE)
    def slow(event: events.Event) -> None:
        handled.append(event.object_id)
        time.sleep(1)

    identity = happen()
    at_once(partner, [lambda: events.deliver_one(partner.pk)] * 2)
    events._handlers.pop(TYPE)
    assert handled == [identity] * (1 if locked else 2)


def test_a_handler_runs_in_the_partner_that_spoke(partner: Partner, handled: list[uuid.UUID]) -> None:
    identity = happen()
    from apps.core.tenancy import in_public

    with in_public():
        assert events.deliver_one(partner.pk)
    with in_partner(partner):
        assert SearchKey.objects.get(object_id=identity).partner_id == partner.pk
