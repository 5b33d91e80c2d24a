"""The API over HTTP: an order is placed, paid, delivered, read, cancelled; what is wrong is a problem document."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.channels.models import ApiKey, Channel
from apps.core import audit, clock, faults
from apps.journal import idempotency
from apps.journal.models import IdempotentAnswer
from apps.orders.models import Order
from tests.orders.shop import Shop

SCOPES = (
    "orders:read",
    "orders:write",
    "subscriptions:read",
    "subscriptions:write",
    "invoices:read",
)


@pytest.fixture
def api(shop: Shop, client_for: Callable[..., Client]) -> Client:
    channel = Channel.objects.get(code="api")
    _key, text = ApiKey.issue(channel, SCOPES)
    return client_for(shop.partner, Authorization=f"Bearer {text}")


def body(offer: Any, **changes: Any) -> dict[str, Any]:
    return {
        "offer": offer.pk,
        "customer": {"external_id": "client-1042"},
        "return_url": "https://bank.example/{order}",
        **changes,
    }


def test_an_order_by_api(shop: Shop, api: Client) -> None:
    offer = shop.offer()
    sent = {"data": body(offer, expected_price="149.00"), "content_type": "application/json"}
    answer = api.post("/api/v1/orders/", **sent, headers={"Idempotency-Key": "k-1"})
    assert answer.status_code == 201, answer.content
    order = answer.json()
    assert order["payment"]["confirmation_url"].startswith("http")
    assert (order["channel"], order["state"]) == ("api", "pending")
    again = api.post("/api/v1/orders/", **sent, headers={"Idempotency-Key": "k-1"})
    assert (again.json()["id"], Order.objects.count()) == (order["id"], 1)
    other = {**sent, "data": body(offer, quantity=2)}
    assert api.post("/api/v1/orders/", **other, headers={"Idempotency-Key": "k-1"}).status_code == 422

    shop.pay(Order.objects.get())
    order = api.get(f"/api/v1/orders/{order['id']}/").json()
    assert (order["state"], order["services"][0]["state"]) == ("completed", "active")
    assert [row["id"] for row in api.get("/api/v1/orders/?state=completed").json()["results"]] == [
        order["id"]
    ]
    assert api.get("/api/v1/orders/?state=cancelled").json()["results"] == []
    [invoice] = api.get(f"/api/v1/invoices/?subscription={order['subscription']}").json()["results"]
    assert (invoice["order"], invoice["state"]) == (order["id"], "paid")
    document = api.get(f"/api/v1/invoices/{invoice['id']}/pdf/", headers={"Accept": "application/pdf"})
    assert document.content.startswith(b"%PDF-")
    address = f"/api/v1/subscriptions/{order['subscription']}/"
    assert api.post(address + "cancel/", {}, content_type="application/json").json()["cancel_at_period_end"]
    assert not api.post(address + "resume/").json()["cancel_at_period_end"]


def test_the_way_to_pay_is_the_customer_s(shop: Shop, api: Client) -> None:
    offer = shop.offer()
    asked = f"/api/v1/orders/instruments/?offer={offer.pk}"
    assert api.get(asked).json() == {"instruments": ["bank_card", "sbp"]}
    assert api.get("/api/v1/orders/instruments/?offer=999999").status_code == 404
    sent = {"content_type": "application/json"}
    for wrong in ("partner", "cash"):
        refused = api.post("/api/v1/orders/", body(offer, instrument=wrong), **sent)
        assert (refused.status_code, refused.json()["title"]) == (409, "instrument_not_offered")
    assert Order.objects.count() == 0
    answer = api.post("/api/v1/orders/", body(offer, instrument="sbp"), **sent)
    assert (answer.status_code, answer.json()["payment"]["instrument"]) == (201, "sbp")
    shop.gateway.pay_sbp(answer.json()["payment"]["confirmation_url"])


def test_what_is_wrong_is_a_problem_and_changes_nothing(
    shop: Shop, api: Client, client_for: Callable[..., Client]
) -> None:
    offer = shop.offer()
    for status, code, data in (
        (409, "price_changed", body(offer, expected_price="1.00")),
        (404, "offer_closed", {**body(offer), "offer": 987654321}),
        (400, "invalid", body(offer, quantity=0)),
        (400, "no_contact", body(offer, customer={})),
        (400, "invalid", body(offer, return_url="javascript:alert(1)")),
    ):
        answer = api.post("/api/v1/orders/", data, content_type="application/json")
        assert (answer.status_code, answer.json()["title"]) == (status, code), answer.content
        assert answer["Content-Type"] == "application/problem+json"
    stranger = client_for(shop.partner)
    assert stranger.post("/api/v1/orders/", body(offer), content_type="application/json").status_code == 401
    assert not Order.objects.exists()


@pytest.mark.parametrize("point", ["journal.begun-not-done", "journal.done-not-kept"])
def test_a_request_that_died_is_repeated_and_done_once(shop: Shop, api: Client, point: str) -> None:
    sent = {"data": body(shop.offer()), "content_type": "application/json"}

    def ask() -> Any:
        return api.post("/api/v1/orders/", **sent, headers={"Idempotency-Key": "k-1"})

    with faults.crash_at(point), pytest.raises(faults.Crash):
        ask()
    assert ask().status_code == 409
    IdempotentAnswer.objects.update(created_at=clock.wall() - idempotency.STUCK * 2)
    first, again = ask(), ask()
    assert (first.status_code, again.json()["id"]) == (201, first.json()["id"])
    assert Order.objects.count() == 1
    assert list(audit.run([shop.partner.pk])) == []
