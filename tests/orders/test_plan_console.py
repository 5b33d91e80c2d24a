"""Staff write a plan down, take its tasks, file papers, hold and give up; outside systems answer and speak."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from apps.catalog.models import Offer, ProductParameter
from apps.channels.models import ApiKey, Channel, Scope
from apps.core.models import WorkItem
from apps.core.tenancy import in_partner
from apps.journal.models import Entry
from apps.notifications.models import Message
from apps.orders.models import Fulfilment, Service
from apps.orders.task_models import Task, TaskNote
from tests.orders.shop import Shop
from tests.orders.test_console import address
from tests.orders.test_plans import CALL, GIVE, WAIT, planned
from tests.staff import staff

__all__ = ["staff"]
PDF = b"%PDF-1.7 nothing"


def step(number: int, **given: Any) -> dict[str, Any]:
    return {f"step-{number}-{name}": value for name, value in given.items()}


def test_a_plan_is_written_on_the_products_page(shop: Shop, staff: Callable[..., Client]) -> None:
    offer, operator = shop.offer(), staff(None)
    page = reverse(
        "admin:catalog_product_edit_plan", args=[offer.tariff.product_id], urlconf="armor.urls_public"
    )
    assert "Шаг 1" in operator.get(page).content.decode()
    call = step(
        0, kind="manual", name_ru="Позвонить", name_en="Call", minutes=45, duty="support", undo="manual"
    )
    wrong = operator.post(page, {"steps": 2, **call})
    assert "ровно один шаг" in wrong.content.decode()
    give = step(1, kind="provision", name_ru="Выдать")
    answer = operator.post(page, {"steps": 2, "promised_minutes": 90, **call, **give})
    assert answer.status_code == 302
    again = operator.get(page).content.decode()
    assert 'value="Позвонить"' in again
    with in_partner(shop.partner):
        row = bought(shop, Offer.objects.get(pk=offer.pk))
        assert [(one.name["en"], one.kind) for one in row.tasks.filter(kind="manual")] == [("Call", "manual")]
        assert row.promised_at is not None


def bought(shop: Shop, offer: Offer) -> Fulfilment:
    shop.buy(offer)
    return Fulfilment.objects.get(action="provision")


def test_staff_take_a_task_file_a_paper_and_finish_it(shop: Shop, staff: Callable[..., Client]) -> None:
    row = bought(shop, planned(shop, CALL, GIVE))
    task = row.tasks.get(kind="manual")
    support, finance = staff(shop.partner, "support"), staff(shop.partner, "finance")
    assert "Позвонить клиенту" in support.get(address("orders_task_changelist")).content.decode()
    assert finance.post(address("orders_task_claim", task.pk)).status_code == 403
    assert support.post(address("orders_task_claim", task.pk)).status_code == 302
    task.refresh_from_db()
    assert (task.state, task.owner == support.user.get_username()) == ("active", True)
    paper = SimpleUploadedFile("договор.pdf", PDF)
    note = address("orders_task_note", task.pk)
    assert support.post(note, {"text": "Подписан", "file": paper}).status_code == 302
    refused = support.post(note, {"text": "", "file": SimpleUploadedFile("вирус.pdf", b"MZ\0\xff")})
    assert "Нужен PDF" in refused.content.decode()
    kept = TaskNote.objects.get()
    assert (bytes(kept.content or b""), kept.file_type, kept.file_name) == (
        PDF,
        "application/pdf",
        "договор.pdf",
    )
    got = support.get(address("orders_tasknote_file", kept.pk))
    assert (got.content, got["X-Content-Type-Options"]) == (PDF, "nosniff")
    for page in (address("orders_task_change", task.pk), address("orders_fulfilment_change", row.pk)):
        assert "договор.pdf" in support.get(page).content.decode()
    assert support.post(address("orders_task_complete", task.pk), {"text": ""}).status_code == 302
    shop.deliver()
    row.refresh_from_db()
    assert row.state == "done"
    assert not WorkItem.objects.filter(object_id=row.pk).exists()
    assert {"task.claimed", "task.completed", "fulfilment.file"} <= set(
        Entry.objects.values_list("action", flat=True)
    )


def test_staff_hold_resume_escalate_and_give_up(shop: Shop, staff: Callable[..., Client]) -> None:
    row = bought(shop, planned(shop, CALL, GIVE))
    support = staff(shop.partner, "support")
    page = address("orders_fulfilment_change", row.pk)
    assert "Отложить" in support.get(page).content.decode()
    for name, given, state in (
        ("hold", {"reason": "Ждём клиента"}, "held"),
        ("resume", {}, "needs_staff"),
        ("escalate", {"to": "manager", "comment": "Клиент жалуется"}, "needs_staff"),
        ("fail", {"reason": "Клиент передумал"}, "compensating"),
    ):
        action = address(f"orders_fulfilment_{name}", row.pk)
        assert support.get(action).status_code == 200, name
        assert support.post(action, given).status_code == 302, name
        row.refresh_from_db()
        assert row.state == state
    assert "Отложить" not in support.get(page).content.decode()
    shop.deliver()
    row.refresh_from_db()
    assert (row.state, row.failure) == ("failed", "Клиент передумал")


def asked(shop: Shop) -> Service:
    offer = shop.offer()
    ProductParameter.objects.create(
        product=offer.tariff.product,
        code="policy",
        name={"ru": "Номер полиса"},
        kind="int",
        asked_at="fulfilment",
        is_required=True,
    )
    shop.buy(offer)
    return Service.objects.get()


@pytest.fixture
def api(shop: Shop, client_for: Callable[..., Client]) -> Client:
    client = client_for(shop.partner)
    _key, text = ApiKey.issue(Channel.objects.get(code="api"), Scope.values, name="Ключ")
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {text}"
    return client


def test_what_is_not_known_stops_the_order_and_its_customer_is_asked(shop: Shop, api: Client) -> None:
    service = asked(shop)
    row = Fulfilment.objects.get(action="provision")
    assert (row.state, row.attempts) == ("info_needed", 0)
    letter = Message.objects.get(type="information_required")
    assert f"/cabinet/services/{service.pk}/data/" in letter.text
    assert WorkItem.objects.filter(object_id=row.pk).exists()
    [waiting] = api.get("/api/v1/questions/").json()["results"]
    assert (waiting["id"], waiting["questions"][0]["name"]) == (str(service.pk), "Номер полиса")
    there = f"/api/v1/questions/{service.pk}/answer/"
    wrong = api.post(there, {"answers": {"policy": "много"}}, "application/json")
    assert (wrong.status_code, wrong.json()["type"].endswith("bad_answers")) == (400, True)
    assert api.post(there, {"answers": {"policy": 17}}, "application/json").status_code == 204
    shop.deliver()
    row.refresh_from_db()
    assert (row.state, row.service.answers) == ("done", {"policy": 17})
    assert api.get("/api/v1/questions/").json()["results"] == []
    assert Message.objects.filter(type="information_required").count() == 1


def test_a_plan_goes_on_when_it_hears_from_outside(shop: Shop, api: Client) -> None:
    row = bought(shop, planned(shop, WAIT, GIVE))
    assert (row.state, Task.objects.get(kind="wait").state) == ("in_progress", "waiting")
    there = f"/api/v1/fulfilments/{row.pk}/heard/"
    assert api.post(there, {"text": "Подписано"}, "application/json").status_code == 204
    again = api.post(there, {}, "application/json")
    assert (again.status_code, again.json()["type"].endswith("nothing_awaited")) == (409, True)
    shop.deliver()
    row.refresh_from_db()
    assert row.state == "done"
