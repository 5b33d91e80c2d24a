"""A provider's own access: it sees and decides what is asked of it, sends keys and usage, and nothing of another's."""

import io
from datetime import datetime
from decimal import Decimal
from typing import Any

import openpyxl
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.billing import subscriptions
from apps.core import audit
from apps.core.models import WorkItem
from apps.core.tenancy import in_public
from apps.orders.models import Fulfilment, Order, OrderState
from apps.providers.models import KeyPool, Provider
from apps.providers.portal import requests
from apps.providers.portal.models import ProviderKey, ProviderRequest, ProviderUser, UsageFile, UsageRow
from tests.orders.fixtures import shop
from tests.orders.shop import Shop

__all__ = ["shop"]
API = "/provider/api/v1/"


class Asking(Client):
    """At the public host; the test goes on where it was."""

    def request(self, **request: Any) -> Any:
        with in_public():
            return super().request(**request)


def system_of(provider: Provider) -> Client:
    with in_public():
        _key, text = ProviderKey.issue(provider)
    return Asking(SERVER_NAME="localhost", headers={"Authorization": f"Bearer {text}"})


def person_of(provider: Provider, role: str = "worker") -> Client:
    with in_public():
        user = User.objects.create_user(f"{provider.code}-{role}", password="long-secret-1")
        ProviderUser.objects.create(user=user, provider=provider, role=role)
    client = Asking(SERVER_NAME="localhost")
    sent = {"username": user.username, "password": "long-secret-1"}
    assert client.post("/provider/sign-in/", sent).status_code == 302
    return client


@pytest.fixture
def supplier(shop: Shop) -> Provider:
    """The shop's provider answers by itself."""
    shop.provider.test_connection, shop.provider.has_portal = None, True
    shop.provider.save()
    return shop.provider


def test_its_system_approves_and_the_customer_has_it(shop: Shop, supplier: Provider) -> None:
    subscription = shop.buy(shop.offer())
    api = system_of(supplier)
    [asked] = api.get(API + "requests/?state=pending").json()["results"]
    assert (asked["kind"], asked["request_id"]) == ("provision", str(shop.service(subscription).request_id))
    assert shop.service(subscription).state == "pending_active"
    one = f"{API}requests/{asked['id']}/"
    nothing = api.post(one + "approve/", {}, content_type="application/json")
    assert nothing.json()["type"].endswith("#nothing_given")
    given = {"key": "ПОЛИС-7", "url": "https://insurer.example/7"}
    answers = [api.post(one + "approve/", given, content_type="application/json") for _time in range(2)]
    assert [answer.status_code for answer in answers] == [200, 409]
    shop.deliver()
    service = shop.service(subscription)
    assert (service.state, service.key, Order.objects.get().state) == (
        "active",
        "ПОЛИС-7",
        OrderState.COMPLETED,
    )
    subscriptions.cancel(subscription, at_period_end=False, actor="test")
    shop.deliver()
    [back] = api.get(API + "requests/?state=pending").json()["results"]
    assert (back["kind"], shop.service(subscription).state) == ("cancel", "pending_terminate")
    api.post(f"{API}requests/{back['id']}/approve/", {}, content_type="application/json")
    shop.deliver()
    assert shop.service(subscription).state == "terminated"
    assert list(audit.run([shop.partner.pk])) == []


def test_what_it_asks_goes_to_staff_and_their_answer_back(shop: Shop, supplier: Provider) -> None:
    shop.buy(shop.offer())
    api = system_of(supplier)
    [asked] = api.get(API + "requests/").json()["results"]
    one = f"{API}requests/{asked['id']}/"
    api.post(one + "inquire/", {"question": "Серия паспорта?"}, content_type="application/json")
    shop.deliver()
    row = Fulfilment.objects.get()
    [item] = WorkItem.objects.filter(partner_id=shop.partner.pk, object_id=row.pk)
    assert "Серия паспорта?" in item.reason
    requests.reply(row.pk, "45 11", to="Серия паспорта?", actor="anna")
    told = api.get(one).json()
    assert (told["state"], told["answer"]) == ("pending", "45 11")
    api.post(one + "fail/", {"reason": "Не подходит по возрасту"}, content_type="application/json")
    shop.deliver()
    row.refresh_from_db()
    assert (row.state, row.error) == ("needs_staff", "Поставщик отказал: Не подходит по возрасту")


def test_what_was_called_off_before_it_decided_is_nothing_to_decide(shop: Shop, supplier: Provider) -> None:
    subscription = shop.buy(shop.offer())
    subscriptions.cancel(subscription, at_period_end=False, actor="test")
    shop.deliver()
    [asked] = system_of(supplier).get(API + "requests/").json()["results"]
    assert (asked["state"], asked["parameters"]) == ("canceled", {})
    assert shop.service(subscription).state == "cancelled"
    answer = system_of(supplier).post(
        f"{API}requests/{asked['id']}/approve/", {"key": "X"}, content_type="application/json"
    )
    assert answer.json()["type"].endswith("#request_settled")


def test_another_provider_sees_and_does_nothing(shop: Shop, supplier: Provider) -> None:
    shop.buy(shop.offer(delivery="key", keys=2))
    subscription = shop.buy(shop.offer())
    other = Provider.objects.create(
        code=f"{supplier.code}-2", name=f"Второй {supplier.code}", has_portal=True
    )
    row = ProviderRequest.objects.get(provider=supplier)
    api, person = system_of(other), person_of(other)
    assert api.get(API + "requests/").json()["results"] == []
    for act, sent in (("approve", {"key": "K"}), ("fail", {"reason": "x"}), ("inquire", {"question": "x"})):
        answer = api.post(f"{API}requests/{row.pk}/{act}/", sent, content_type="application/json")
        assert answer.status_code == 404, act
    assert api.get(f"{API}requests/{row.pk}/").status_code == 404
    for path in (
        f"/provider/requests/{row.pk}/",
        "/provider/?state=all",
        "/provider/keys/",
        "/provider/usage/",
    ):
        answer = person.get(path)
        assert answer.status_code == (404 if "requests" in path else 200), path
        assert row.sku not in answer.content.decode()
    assert person.post(f"/provider/requests/{row.pk}/", {"do": "fail", "fail-text": "x"}).status_code == 404
    pool = KeyPool.objects.exclude(provider=other).filter(is_test=True)[0]
    there = pool.keys.count()
    sent = {"sku": pool.sku, "is_test": True, "keys": ["NEW-1"]}
    assert api.post(API + "keys/", sent, content_type="application/json").status_code == 404
    assert person.post("/provider/keys/", {"pool": pool.pk, "text": "NEW-1"}).status_code == 200
    assert pool.keys.count() == there
    told = api.post(API + "usage/", {"file": usage(f"{shop.service(subscription).pk};2026-11;5")})
    assert (told.json()["rows"], told.json()["errors"][0][0]) == (0, 2)
    row.refresh_from_db()
    assert row.state == "pending"
    # Its people are nobody in the consoles of the platform and of partners.
    for path in ("/admin/", "/admin/providers/provider/", f"/p/{shop.partner.slug}/admin/"):
        assert person.get(path).status_code == 302, path


def usage(*rows: str) -> SimpleUploadedFile:
    lines = "\n".join(["Услуга;Месяц;Количество", *rows])
    return SimpleUploadedFile("usage.csv", lines.encode(), "text/csv")


def test_usage_is_checked_row_by_row_and_taken_once(shop: Shop, supplier: Provider) -> None:
    subscription = shop.buy(shop.offer())
    requests.approve(ProviderRequest.objects.get(provider=supplier), key="K-1", actor="test")
    shop.deliver()
    service = shop.service(subscription)
    api = system_of(supplier)
    rows = (
        f"{service.pk};2026-11;5,5",
        f"{service.request_id};11.2026;6",
        f"{service.request_id};2026-12;7",
        "what;2026-11;5",
        f"{service.pk};2026-13;5",
        f"{service.pk};2027-01;-1",
    )
    told = api.post(API + "usage/", {"file": usage(*rows)}).json()
    assert (told["rows"], [line for line, _why in told["errors"]]) == (2, [3, 5, 6, 7])
    again = api.post(API + "usage/", {"file": usage(*rows)}).json()
    assert again == told
    assert (
        UsageFile.objects.filter(provider=supplier).count(),
        UsageRow.objects.filter(service_id=service.pk).count(),
    ) == (1, 2)
    sent = SimpleUploadedFile("usage.xlsx", b"no book")
    assert api.post(API + "usage/", {"file": sent}).json()["type"].endswith("#bad_file")


def test_a_table_of_usage_is_read_as_a_file_of_lines(shop: Shop, supplier: Provider) -> None:
    subscription = shop.buy(shop.offer())
    requests.approve(ProviderRequest.objects.get(provider=supplier), key="K-1", actor="test")
    shop.deliver()
    service = shop.service(subscription)
    sheet, kept = openpyxl.Workbook(), io.BytesIO()
    # As a spreadsheet has them: a number that is one, a month that it took for a date.
    for row in (
        ("Услуга", "Месяц", "Количество"),
        (str(service.pk), datetime(2026, 11, 15), 5.5),
        (str(service.request_id), "11.2026", 6),
        ("what", "2026-11", 5),
    ):
        sheet.active.append(row)
    sheet.save(kept)
    sent = SimpleUploadedFile("usage.xlsx", kept.getvalue())
    answer = system_of(supplier).post(API + "usage/", {"file": sent})
    told = answer.json()
    assert (told["rows"], [line for line, _why in told["errors"]]) == (1, [3, 4]), told
    taken = UsageRow.objects.get(service_id=service.pk)
    assert (taken.quantity, f"{taken.month:%Y-%m}") == (Decimal("5.5"), "2026-11")


def test_its_people_work_in_its_console(shop: Shop, supplier: Provider) -> None:
    subscription = shop.buy(shop.offer())
    worker, viewer = person_of(supplier), person_of(supplier, "viewer")
    row = ProviderRequest.objects.get(provider=supplier)
    assert row.sku in worker.get("/provider/").content.decode()
    page = f"/provider/requests/{row.pk}/"
    assert viewer.post(page, {"do": "approve", "key": "K-2"}).status_code == 302
    row.refresh_from_db()
    assert row.state == "pending"
    assert worker.post(page, {"do": "approve", "key": "K-2"}).status_code == 302
    shop.deliver()
    assert shop.service(subscription).key == "K-2"
    assert "K-2" not in worker.get(page).content.decode()
    pool = KeyPool.objects.create(provider=supplier, sku=f"{supplier.code}-P", is_test=True)
    worker.post("/provider/keys/", {"pool": pool.pk, "text": "AA-1\nAA-2"})
    assert pool.keys.count() == 2
    assert Asking(SERVER_NAME="localhost").get("/provider/keys/").status_code == 302
    worker.post("/provider/sign-out/")
    assert worker.get("/provider/").status_code == 302
