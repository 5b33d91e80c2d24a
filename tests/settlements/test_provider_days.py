"""A provider's day beside ours: charged and not provisioned, provisioned and not charged, decided and closed."""

import copy
import threading
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction

from apps.billing import subscriptions
from apps.connectors import breaker
from apps.connectors import lanes as lane_limits
from apps.connectors.models import Connection
from apps.core import audit, clock, faults
from apps.core.errors import Refused
from apps.core.models import Due, WorkItem
from apps.core.tenancy import in_public
from apps.orders.models import Order, Service
from apps.providers import remembering
from apps.providers.portal import listing
from apps.sandbox.control import Control
from apps.settlements import asking, provider_days
from apps.settlements.models import ProviderDay, ProviderDifference
from tests.orders.fixtures import shop
from tests.orders.shop import Shop
from tests.orders.test_lanes import run as run_lane
from tests.planted import execute, found
from tests.providers import declared

__all__ = ["shop"]


@pytest.fixture(autouse=True)
def _plans_nothing_for_others() -> Iterator[None]:
    """A morning's plan is of every provider of every test."""
    yield
    with in_public():
        Due.objects.filter(kind__in=[provider_days.TASK, asking.ASK, asking.ANSWERED]).delete()


def listed(shop: Shop, day: date, *rows: str) -> None:
    content = "\n".join(["услуга;стоимость", *rows]).encode()
    with in_public():
        listing.load(
            provider=shop.provider, day=day, name="день.csv", content=content, actor="provider", is_test=True
        )


def checked(shop: Shop, day: date) -> tuple[ProviderDay, dict[str, Any]]:
    with in_public():
        row = provider_days.check(shop.provider, day, is_test=True, actor="finance")
        if row.answers.exists():
            row = answered(row)
        return row, {str(one.named): one for one in row.differences.all()}


def answered(row: ProviderDay) -> ProviderDay:
    """Its provider has answered all that it was asked."""
    for one in row.answers.filter(is_answered=False):
        asking.put(UUID(int=one.pk))
    assert Due.objects.filter(kind=asking.ANSWERED, object_id=row.pk).exists()
    provider_days.go_on(row.pk)
    row.refresh_from_db()
    return row


def test_the_providers_list_is_held_against_what_was_charged(shop: Shop) -> None:
    offer = shop.offer(price="149.00")
    good, lost, gone = (shop.service(shop.buy(offer)) for _n in range(3))
    day = clock.today()
    subscriptions.cancel(gone.subscription, at_period_end=False, actor="test")
    shop.deliver()
    strange = "0190a1b2-0000-7000-8000-000000000001"
    shop.until(day + timedelta(days=2))
    tomorrow = day + timedelta(days=1)
    listed(shop, tomorrow, f"{good.request_id};90,00", f"{gone.pk};90,50", f"{strange};5", "что-то;1")
    row, told = checked(shop, tomorrow)
    assert {name: (one.kind, one.amount) for name, one in told.items()} == {
        str(lost.request_id): ("not_provisioned", Decimal("149.00")),
        str(gone.pk): ("not_charged", Decimal("90.50")),
        strange: ("unknown", Decimal("5.00")),
    }
    assert (row.state, row.charged, row.provisioned, row.matched, row.source) == ("open", 2, 3, 1, "file")
    assert told[str(lost.request_id)].service_id == lost.pk
    [item] = WorkItem.objects.filter(kind=ProviderDay.KIND, object_id=row.pk)
    assert "3" in item.reason
    with in_public():
        with pytest.raises(Refused, match="объяснить"):
            provider_days.close(row.pk, actor="finance")
        with pytest.raises(Refused, match="Напишите"):
            provider_days.decide(told[strange].pk, note=" ", actor="finance")
        provider_days.decide(told[strange].pk, note="Тест поставщика", actor="finance")
    # Compared anew, a decision about the same stays; what was settled meanwhile is gone.
    listed(shop, tomorrow, f"{good.request_id};90", f"{lost.pk};90", f"{gone.pk};90,50", f"{strange};5")
    row, told = checked(shop, tomorrow)
    assert {name: one.note for name, one in told.items()} == {str(gone.pk): "", strange: "Тест поставщика"}
    with in_public():
        provider_days.decide(told[str(gone.pk)].pk, note="Поставщик спишет в акте", actor="finance")
        row.refresh_from_db()
        assert (row.state, row.closed_by) == ("closed", "finance")
        with pytest.raises(Refused, match="закрыт"):
            provider_days.check(shop.provider, tomorrow, is_test=True)
    assert not WorkItem.objects.filter(kind=ProviderDay.KIND, object_id=row.pk).exists()
    assert list(audit.run([shop.partner.pk])) == []


def test_a_provider_without_a_list_is_asked_about_each(shop: Shop, provider_sim: Control) -> None:
    good, lost = (shop.service(shop.buy(shop.offer())) for _n in range(2))
    Service.objects.filter(pk=lost.pk).update(request_id=lost.pk)
    row, told = checked(shop, clock.today())
    assert (row.source, row.matched) == ("asked", 1)
    assert [(one.kind, one.service_id) for one in told.values()] == [("not_provisioned", lost.pk)]
    Service.objects.filter(pk=lost.pk).update(request_id=lost.request_id)
    row, told = checked(shop, clock.today())
    assert (told, row.state, row.matched) == ({}, "closed", 2)
    assert good.pk != lost.pk


def questions(provider_sim: Control) -> int:
    return len([one for one in provider_sim.log() if one["operation"] == "get_activation"])


def begun(shop: Shop, count: int) -> ProviderDay:
    """A day that is planned to be asked about, of so many services; nothing has left."""
    offer = shop.offer()
    for _n in range(count):
        shop.buy(offer)
    with in_public():
        return provider_days.check(shop.provider, clock.today(), is_test=True)


def lane_of(shop: Shop, **fields: Any) -> int:
    """The provider's connection, of which `fields` are changed."""
    line = shop.provider.test_connection
    assert line is not None
    Connection.objects.filter(pk=line.pk).update(**fields)
    lane_limits._kept.clear()
    return line.pk


def test_questions_do_not_stand_in_the_way_of_orders(shop: Shop, provider_sim: Control) -> None:
    lane_of(shop, in_flight=2)
    shop.provider.refresh_from_db()
    provider_sim.clear_log()
    row = begun(shop, 5)
    assert (row.source, row.state, row.asked, row.to_ask, questions(provider_sim)) == (
        "asked",
        "open",
        0,
        5,
        0,
    )
    # Asked for once more meanwhile: the same questions.
    with in_public():
        provider_days.check(shop.provider, row.day, is_test=True)
    rows = Due.objects.filter(kind=asking.ASK, object_id__in=[UUID(int=one.pk) for one in row.answers.all()])
    moments = list(rows.order_by("due_at", "pk").values_list("due_at", flat=True))
    assert [(one - moments[0]).total_seconds() for one in moments] == [0, 0, 0, 1, 2]
    assert set(rows.values_list("lane", flat=True)) == {lane_of(shop)}
    with in_public():
        row = answered(row)
    assert (row.asked, row.to_ask, row.matched, row.answers.count()) == (5, 5, 5, 0)
    assert questions(provider_sim) == 5


def test_no_more_are_asked_at_a_time_than_the_connection_takes(
    shop: Shop, provider_sim: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PACE", timedelta())
    lane = lane_of(shop, in_flight=2)
    row = begun(shop, 6)
    running, most, real, lock = 0, 0, asking.call, threading.Lock()

    def counted(question: asking.Question) -> bool | None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        try:
            return real(question)
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(asking, "call", counted)
    provider_sim.fault("delay", times=6, seconds=0.3, match={"operation": "get_activation"})
    run_lane(lane)
    assert most == 2
    with in_public():
        provider_days.go_on(row.pk)
        row.refresh_from_db()
    assert (row.matched, row.state) == (6, "closed")


def test_nobody_is_asked_while_the_breaker_is_open(
    shop: Shop, provider_sim: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PACE", timedelta())
    row = begun(shop, 3)
    provider_sim.clear_log()
    far = clock.wall() + timedelta(hours=1)
    lane = lane_of(shop, opened_at=clock.wall(), next_try_at=far)
    breaker.forget()
    run_lane(lane, seconds=1)
    assert (questions(provider_sim), row.answers.filter(is_answered=True).count()) == (0, 0)
    # Asked by itself, and not in a lane, it goes by it too, and is put off.
    [one, *_others] = row.answers.all()
    with in_public():
        asking.put(UUID(int=one.pk))
    assert questions(provider_sim) == 0
    assert Due.objects.get(kind=asking.ASK, object_id=UUID(int=one.pk)).due_at > clock.wall() + timedelta(
        minutes=4
    )
    lane_of(shop, opened_at=None, next_try_at=None)
    breaker.forget()
    with in_public():
        row = answered(row)
    assert (questions(provider_sim), row.matched) == (3, 3)


def test_what_it_does_not_answer_is_asked_again_and_compared_then(shop: Shop, provider_sim: Control) -> None:
    row = begun(shop, 2)
    provider_sim.fault("http_503", times=1, match={"operation": "get_activation"})
    with in_public():
        for one in row.answers.all():
            asking.put(UUID(int=one.pk))
        row.refresh_from_db()
        assert (row.answers.filter(is_answered=True).count(), row.asked, row.to_ask) == (1, 1, 2)
        assert not Due.objects.filter(kind=asking.ANSWERED, object_id=row.pk).exists()
        row = answered(row)
    assert (row.matched, row.state) == (2, "closed")


def test_a_crash_after_an_answer_asks_again(shop: Shop, provider_sim: Control) -> None:
    row = begun(shop, 1)
    [one] = row.answers.all()
    with in_public():
        with faults.crash_at("settlements.asked-not-recorded"), pytest.raises(faults.Crash):
            asking.put(UUID(int=one.pk))
        assert not row.answers.filter(is_answered=True).exists()
        row = answered(row)
    assert (row.matched, row.state) == (1, "closed")
    assert list(audit.run([shop.partner.pk])) == []


@pytest.mark.parametrize("protocol", ["rest", "xml"])
def test_a_described_provider_is_asked_for_states(shop: Shop, foreign: Control, protocol: str) -> None:
    version = declared.live(declared.DOCUMENTS[protocol])
    shop.provider.test_connection = declared.connect(version, foreign, protocol, is_test=True)
    shop.provider.save()
    good, gone = (shop.service(shop.buy(shop.offer())) for _n in range(2))
    line = shop.provider.test_connection
    with transaction.atomic():
        known = remembering.prepare(line, {gone.request_id: asking._request(gone)})[gone.request_id]
    # Taken back there, and we do not know.
    line.open().knowing(known).cancel(gone.request_id)
    row, told = checked(shop, clock.today())
    assert (row.source, row.matched, row.asked) == ("asked", 1, 2)
    assert [(one.kind, one.service_id) for one in told.values()] == [("not_provisioned", gone.pk)]
    assert good.pk != gone.pk


def test_a_described_provider_without_a_question_goes_by_our_own_data(shop: Shop, foreign: Control) -> None:
    document = copy.deepcopy(declared.DOCUMENTS["rest"])
    del document["operations"]["status"]
    line = declared.connect(declared.live(document), foreign, "rest", is_test=True)
    shop.provider.test_connection = line
    shop.provider.save()
    shop.buy(shop.offer())
    row, told = checked(shop, clock.today())
    assert (row.source, row.asked, told) == ("own", 0, {})


def test_what_staff_give_out_is_held_against_our_own_data_and_closed_by_a_person(shop: Shop) -> None:
    shop.provider.test_connection = None
    shop.provider.save()
    shop.buy(shop.offer(delivery="manual"))
    with in_public():
        row = provider_days.check(shop.provider, clock.today(), is_test=True)
        [one] = row.differences.all()
        assert (row.source, row.state, one.kind) == ("own", "open", "not_provisioned")
        provider_days.decide(one.pk, note="Полис оформляется, выдадим завтра", actor="finance")
        row.refresh_from_db()
        assert row.state == "open"
        assert provider_days.close(row.pk, actor="finance").state == "closed"


def test_each_morning_looks_at_yesterday_and_says_which_days_nobody_closed(shop: Shop) -> None:
    with in_public():
        assert provider_days.plan() >= 0
        old = ProviderDay.objects.create(
            provider=shop.provider, day=clock.wall().date() - timedelta(days=7), checked_at=clock.wall()
        )
        provider_days.look(UUID(int=shop.provider.pk))
        days = set(ProviderDay.objects.filter(provider=shop.provider).values_list("day", flat=True))
    assert days == {old.day, clock.wall().date() - timedelta(days=1)}
    [item] = WorkItem.objects.filter(kind=ProviderDay.KIND, object_id=old.pk)
    assert "не сверен" in item.reason


def test_a_live_day_does_not_look_at_a_sandbox(shop: Shop) -> None:
    shop.buy(shop.offer())
    with in_public():
        row = provider_days.check(shop.provider, clock.today())
    assert (row.charged, row.source, list(row.differences.all())) == (0, "own", [])


def test_staff_load_a_list_and_decide_in_the_console(shop: Shop, staff_client: Callable[..., Any]) -> None:
    service = shop.service(shop.buy(shop.offer()))
    # The product's name, and the number that its customer knows.
    called = f"{service.name}, {Order.objects.get().number}"
    day = clock.today()
    client = staff_client(role="finance")
    with in_public():
        file = SimpleUploadedFile("день.csv", "услуга\n0190a1b2-0000-7000-8000-000000000002".encode())
        sent = {"provider": shop.provider.pk, "day": f"{day:%d.%m.%Y}", "is_test": "on", "file": file}
        answer = client.post("/admin/settlements/providerday/add/", sent)
        assert answer.status_code == 302, answer.content.decode()[:500]
        page = client.get(answer["Location"]).content.decode()
        assert str(service.request_id) in page
        assert called in page
        assert "149" in page
        one = ProviderDifference.objects.get(kind="not_provisioned", service_id=service.pk)
        address = f"/admin/settlements/providerday/decide/{one.pk}/"
        assert called in client.get(address).content.decode()
        decided = client.post(address, {"note": "Выяснено"})
        assert decided.status_code == 302
        one.refresh_from_db()
        assert one.note == "Выяснено"
        assert client.get("/admin/settlements/providerday/").status_code == 200
        other = staff_client(role="support")
        assert (
            other.post(f"/admin/settlements/providerday/decide/{one.pk}/", {"note": "x"}).status_code == 403
        )


CORRUPTIONS = [
    ("settlements.provider-day-decided", "DELETE FROM core_workitem WHERE kind = 'settlements.ProviderDay'"),
    (
        "settlements.provider-day-decided",
        "UPDATE settlements_providerday SET state = 'closed', closed_at = now()",
    ),
]


def test_the_auditor_finds_a_day_that_nobody_decides(shop: Shop) -> None:
    shop.buy(shop.offer())
    listed(shop, clock.today(), "0190a1b2-0000-7000-8000-000000000003")
    checked(shop, clock.today())
    for rule, sql in CORRUPTIONS:
        assert found(rule, lambda sql=sql: execute(sql)), sql  # type: ignore[misc]
