"""The nightly audit and housekeeping: over all partners, in slices; what is old goes, what is young stays."""

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from apps.core import audit, clock, due, handlers, slices, tasks
from apps.core.ids import floor, uuid7
from apps.core.models import Delivery, Due, Event, WorkItem
from apps.core.tenancy import in_partner, in_public
from apps.journal.models import Exchange, IdempotentAnswer
from apps.partners.models import Partner
from tests.conftest import make_partner


@pytest.fixture
def three(operator: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Partner]]:
    """Three partners at least, in slices of two."""
    monkeypatch.setattr(slices, "SIZE", 2)
    yield [make_partner() for _ in range(3)]
    with in_public():
        Due.objects.filter(kind__in=[handlers.AUDIT, handlers.TIDY]).delete()


def work_off(kind: str) -> int:
    """Does what was planned, the coming slices as well; how many slices there were."""
    with in_public():
        Due.objects.filter(kind=kind).update(due_at=clock.wall() - timedelta(days=1))
        rows = [row for row in due.claim(1000) if row.kind == kind]
        assert all(due.run(row) for row in rows)
        return len(rows)


def test_every_partner_is_audited_in_a_slice(three: list[Partner], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def broken() -> Iterator[str]:
        from apps.core.tenancy import current_partner

        seen.append(current_partner().pk)
        yield "does not hold"

    # Alone: what the real rules find of hundreds of partners is their own tests' matter.
    monkeypatch.setattr(audit, "RULES", {"tests.broken": audit._Rule("tests.broken", broken, "partner")})
    with in_public():
        WorkItem.objects.filter(kind="core.audit").delete()
        tasks.audit()
        everybody = list(Partner.objects.order_by("pk").values_list("pk", flat=True))
    assert work_off(handlers.AUDIT) == -(-len(everybody) // 2)
    assert seen == everybody
    reasons = WorkItem.objects.filter(kind="core.audit").values_list("reason", flat=True)
    for partner in three:
        assert f"tests.broken [{partner.slug}] does not hold" in reasons
    WorkItem.objects.filter(kind="core.audit").delete()


def old(**ago: int) -> uuid.UUID:
    return uuid.UUID(int=floor(clock.wall() - timedelta(**ago)).int | uuid7().int & (1 << 64) - 1)


def exchange(key: uuid.UUID) -> uuid.UUID:
    Exchange.objects.create(pk=key, at=clock.wall(), connection_id=1, method="GET", url="https://example.ru")
    return key


def answer(key: str, **ago: int) -> None:
    at = clock.wall() - timedelta(**ago)
    IdempotentAnswer.objects.create(scope="1", key=key, fingerprint="", created_at=at)


@pytest.mark.parametrize("where", [lambda partner: in_partner(partner), lambda partner: in_public()])
def test_journals_are_tidied(three: list[Partner], where: Callable[[Partner], Iterator[None]]) -> None:
    with where(three[2]):
        gone, kept = exchange(old(days=91)), exchange(old(days=89))
        answer("gone", hours=25)
        answer("kept", hours=23)
    tasks.housekeeping()
    work_off(handlers.TIDY)
    with where(three[2]):
        keys = Exchange.objects.values_list("pk", flat=True)
        assert gone not in keys
        assert kept in keys
        assert list(IdempotentAnswer.objects.values_list("key", flat=True)) == ["kept"]
        IdempotentAnswer.objects.all().delete()


def test_events_go_when_they_are_old_and_delivered(
    three: list[Partner], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.core.housekeeping.BATCH", 1)

    def event(key: uuid.UUID) -> Event:
        # Of a sandbox, whose clock is far ahead.
        later = clock.wall() + timedelta(days=900)
        return Event.objects.create(pk=key, type="tests.Happened", object_id=uuid7(), occurred_at=later)

    gone, young, waits = [event(old(days=31)) for _ in range(3)], event(old(days=29)), event(old(days=31))
    delivery = Delivery.objects.create(event=waits, handler="tests", next_at=clock.wall() + timedelta(days=1))
    tasks.housekeeping()
    assert not Event.objects.filter(pk__in=[one.pk for one in gone]).exists()
    assert Event.objects.filter(pk__in=[young.pk, waits.pk]).count() == 2
    delivery.delete()
