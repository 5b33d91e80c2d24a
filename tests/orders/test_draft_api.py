"""A partner's system keeps an order as a draft; staff are asked what a product's rules ask of a customer."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps.billing.models import Invoice, InvoicePayment, Subscription
from apps.core import audit, clock
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.models import Due, Event
from apps.journal.models import Entry
from apps.notifications.models import Message
from apps.orders import cancelling, drafting, scheduling
from apps.orders.models import History, Order, OrderState
from apps.orders.placing import Wanted
from tests.orders.shop import Shop
from tests.orders.test_api import api, body
from tests.orders.test_console import address, staff
from tests.orders.test_rules import rule

__all__ = ["api", "staff"]
JSON = {"content_type": "application/json"}


def clean(shop: Shop) -> bool:
    wrong = [str(one) for one in audit.run([shop.partner.pk])]
    assert wrong == []
    return True


def placed(order: Any) -> int:
    return Event.objects.filter(type="orders.OrderPlaced", object_id=order.pk).count()


def test_kept_changed_and_confirmed(shop: Shop, api: Client) -> None:
    offer, other = shop.offer(price="100.00"), shop.offer(price="250.00")
    made = api.post("/api/v1/orders/", body(offer, draft=True, quantity=2), **JSON)
    assert made.status_code == 201, made.content
    said, order = made.json(), Order.objects.get()
    assert (said["state"], said["total"], said["number"], said["payment"]) == ("draft", "200.00", "", None)
    assert not Invoice.objects.exists()
    assert not Subscription.objects.exists()
    assert placed(order) == 0
    assert clean(shop)
    here = f"/api/v1/orders/{order.pk}/"
    assert api.patch(here, {"quantity": 3}, **JSON).json()["total"] == "300.00"
    both = {"items": [{"offer": offer.pk}, {"offer": other.pk}]}
    changed = api.patch(here, both, **JSON).json()
    assert (changed["total"], len(changed["items"])) == ("350.00", 2)
    refused = api.patch(here, {"quantity": 3}, **JSON)
    assert (refused.status_code, refused.json()["title"]) == (400, "too_many_items")
    assert api.patch(here, {**both, "offer": offer.pk}, **JSON).status_code == 400
    confirmed = api.post(f"{here}confirm/", **JSON, headers={"Idempotency-Key": "c-1"})
    assert confirmed.status_code == 200, confirmed.content
    said = confirmed.json()
    assert (said["state"], said["channel"], said["total"]) == ("pending", "api", "350.00")
    assert said["payment"]["confirmation_url"].startswith("http")
    assert api.post(f"{here}confirm/", **JSON, headers={"Idempotency-Key": "c-1"}).json() == said
    assert (placed(order), Invoice.objects.count(), InvoicePayment.objects.count()) == (1, 1, 1)
    # The customer is at the partner's page: no link is sent to them.
    assert not Message.objects.filter(type="order_to_pay").exists()
    for answer in (
        api.patch(here, {"quantity": 1}, **JSON),
        api.delete(here),
        api.post(f"{here}confirm/", **JSON),
    ):
        assert (answer.status_code, answer.json()["title"]) == (409, "not_a_draft")
    order.refresh_from_db()
    shop.pay(order)
    assert order.state == OrderState.COMPLETED
    assert clean(shop)


def test_dropped(shop: Shop, api: Client) -> None:
    key = api.post("/api/v1/orders/", body(shop.offer(), draft=True), **JSON).json()["id"]
    assert api.delete(f"/api/v1/orders/{key}/").status_code == 204
    gone = api.get(f"/api/v1/orders/{key}/")
    assert (gone.status_code, api.get("/api/v1/orders/").json()["results"]) == (404, [])
    assert api.delete(f"/api/v1/orders/{key}/").status_code == 404
    # Nobody had been told of it. The journal knows what it was, who wrote it and who deleted it.
    assert not Event.objects.filter(partner_id=shop.partner.pk, type__startswith="orders.").exists()
    drafted, deleted = Entry.objects.filter(object_kind="orders.Order", object_id=key).order_by("pk")
    assert (drafted.action, deleted.action) == ("order.drafted", "order.draft-deleted")
    assert (deleted.actor, deleted.data["total"]) == ("api:api", drafted.data["total"])
    assert not Due.objects.filter(object_id=key).exists()
    assert not History.objects.filter(object_id=key).exists()
    assert clean(shop)


def test_deleted_while_somebody_else_has_it_open(
    shop: Shop, api: Client, staff: Callable[[str], Client]
) -> None:
    api.post("/api/v1/orders/", body(shop.offer(), draft=True), **JSON)
    draft = Order.objects.get()
    support, finance = staff("support"), staff("finance")
    page = address("orders_order_drop_draft", draft.pk)
    assert finance.post(page).status_code == 403
    assert draft.name in support.get(page).content.decode()
    assert support.get(address("orders_order_cancel_order", draft.pk)).status_code == 403
    assert Order.objects.exists()
    done = support.post(page)
    assert done.url == address("orders_order_changelist")
    assert support.get(done.url).status_code == 200
    for late in (
        lambda: drafting.place(draft, actor="olga"),
        lambda: drafting.change(draft, asked={}, actor="olga"),
        lambda: cancelling.cancel(draft),
    ):
        with pytest.raises(Refused) as refused:
            late()
        assert (refused.value.code, refused.value.status) == ("order_gone", 404)
    scheduling.expire(draft.pk)
    assert not Order.objects.exists()
    assert clean(shop)


def test_the_price_of_a_draft_is_seen_again(shop: Shop, api: Client) -> None:
    offer = shop.offer(price="100.00")
    key = api.post("/api/v1/orders/", body(offer, draft=True), **JSON).json()["id"]
    offer.tariff.publish(price=120, period_count=1, period_unit="month")
    refused = api.post(f"/api/v1/orders/{key}/confirm/", **JSON)
    assert (refused.status_code, refused.json()["title"]) == (409, "price_changed")
    assert api.patch(f"/api/v1/orders/{key}/", {}, **JSON).json()["total"] == "120.00"
    assert api.post(f"/api/v1/orders/{key}/confirm/", **JSON).json()["total"] == "120.00"


def test_what_a_draft_cannot_be(shop: Shop, api: Client) -> None:
    offer = shop.offer()
    added = body(offer, draft=True, subscription=str(uuid7()))
    past = body(offer, draft=True, scheduled_at="2020-01-01T00:00:00Z")
    refused = [api.post("/api/v1/orders/", one, **JSON) for one in (added, past)]
    assert [(one.status_code, one.json()["title"]) for one in refused] == [
        (400, "invalid"),
        (400, "bad_date"),
    ]
    assert not Order.objects.exists()


def test_a_draft_for_a_later_day(shop: Shop, api: Client) -> None:
    offer, day = shop.offer(price="100.00"), clock.now() + timedelta(days=3)
    asked = {"draft": True, "scheduled_at": day.isoformat(), "customer": {"email": "anna@example.ru"}}
    made = api.post("/api/v1/orders/", body(offer, **asked), **JSON)
    assert (made.status_code, made.json()["state"]) == (201, "draft"), made.content
    order, here = Order.objects.get(), f"/api/v1/orders/{made.json()['id']}/"
    # What is not sent stays, the day as well; null is at once.
    assert api.patch(here, {"quantity": 2}, **JSON).json()["scheduled_at"] == made.json()["scheduled_at"]
    assert api.patch(here, {"scheduled_at": None}, **JSON).json()["scheduled_at"] is None
    other = day + timedelta(days=1)
    assert api.patch(here, {"scheduled_at": other.isoformat()}, **JSON).status_code == 200
    assert api.patch(here, {"scheduled_at": "2020-01-01T00:00:00Z"}, **JSON).status_code == 400
    keys = list(order.items.values_list("pk", flat=True))
    confirmed = api.post(f"{here}confirm/", **JSON)
    said = confirmed.json()
    assert (said["state"], said["invoice"], said["payment"]) == ("pending", None, None), confirmed.content
    assert (said["total"], bool(said["number"])) == ("200.00", True)
    assert list(order.items.values_list("pk", flat=True)) == keys
    assert (placed(order), Invoice.objects.count()) == (1, 0)
    assert clean(shop)
    shop.until(clock.local(day).date())
    order.refresh_from_db()
    assert (order.state, order.invoice) == (OrderState.PENDING, None)
    shop.until(clock.local(other).date())
    order.refresh_from_db()
    assert order.invoice is not None
    assert (placed(order), Message.objects.filter(type="order_to_pay").count()) == (1, 1)
    shop.pay(order)
    assert (order.state, order.invoice.total) == (OrderState.COMPLETED, 200)
    assert clean(shop)


def test_placed_by_staff_its_customer_gets_a_link(shop: Shop, api: Client) -> None:
    who = {"email": "anna@example.ru"}
    api.post("/api/v1/orders/", body(shop.offer(), draft=True, customer=who), **JSON)
    drafting.place(Order.objects.get(), actor="olga")
    assert Message.objects.filter(type="order_to_pay").count() == 1
    assert not InvoicePayment.objects.exists()


def test_staff_are_asked_for_age_and_region(shop: Shop, staff: Callable[[str], Client]) -> None:
    offer = rule(shop.offer(price="100.00"), min_age=18, regions=["77", "50"])
    client, add = staff("support"), address("orders_order_add")
    given = {"contact": "new@example.ru", "name": "Пётр", "offer_1": offer.pk, "quantity_1": 1}
    page = client.post(add, given).content.decode()
    assert "Клиенту есть 18 лет" in page
    assert "Московская область" in page
    assert not Order.objects.exists()
    assert client.post(add, given | {"adult": "on", "region": "other"}).status_code == 200
    assert not Order.objects.exists()
    assert client.post(add, given | {"adult": "on", "region": "77"}).status_code == 302
    draft = Order.objects.get()
    assert draft.item.terms["declared"] == {"age": 18, "region": "77"}
    edit = client.get(address("orders_order_edit_draft", draft.pk)).content.decode()
    assert 'value="77" selected' in edit
    # Whatever is changed in it, it is remembered.
    drafting.change(draft, items=[Wanted(offer.pk, 2)], asked={}, actor="olga")
    drafting.place(draft, actor="olga")
    draft.refresh_from_db()
    assert (draft.state, draft.item.quantity) == (OrderState.PENDING, 2)
