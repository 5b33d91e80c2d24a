"""Bad input: each is answered clearly, in Russian on pages and as problem+json in the API, and changes nothing."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client

from apps.accounts.models import Customer
from apps.billing.models import Invoice, InvoiceState
from apps.catalog.models import Offer, Product, Tariff
from apps.channels.models import ApiKey, Channel, Scope
from apps.core import audit
from apps.core.tenancy import in_partner, in_public
from apps.ledger.models import Transfer
from apps.orders.models import Order
from apps.payments.models import Payment
from tests.conftest import make_partner
from tests.orders.shop import Shop
from tests.test_crash_points import hurry_public

PRICE_LIST = Path(__file__).parent / "catalog" / "data" / "price-list-broken.csv"
ORDERS = "/api/v1/orders/"


@pytest.fixture
def offer(shop: Shop) -> Offer:
    return shop.offer()


@pytest.fixture
def key(shop: Shop) -> str:
    return ApiKey.issue(Channel.objects.get(code="api"), Scope.values)[1]


def counted(shop: Shop) -> tuple[Any, ...]:
    """What there is of orders, money and people."""
    with in_partner(shop.partner):
        tables = tuple(table.objects.count() for table in (Customer, Order, Invoice, Payment))
        money = Transfer.objects.filter(partner_id=shop.partner.pk).count()
        return *tables, money, len(shop.gateway.register(shop=shop.partner.slug)["payments"])


def body(offer: Offer | int, **changes: Any) -> dict[str, Any]:
    """An order as a partner's system sends it."""
    number = offer if isinstance(offer, int) else offer.pk
    given = {
        "offer": number,
        "customer": {"external_id": "A-1"},
        "return_url": "https://bank.example/{order}",
    }
    return given | changes


def problem(answer: Any, status: int, title: str) -> dict[str, Any]:
    """The answer is a problem document that says so in Russian."""
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json"), (
        answer.content
    )
    document = answer.json()
    assert (document["status"], document["title"]) == (status, title), document
    assert any("а" <= letter <= "я" for letter in document["detail"].lower()), document
    return document


def form(page: Any, **changes: Any) -> dict[str, Any]:
    """The checkout page, filled in."""
    shown = page.context["form"]
    hidden = {name: shown[name].value() for name in ("request_key", "price", "currency")}
    return hidden | {"email": "anna@example.ru", "recurring": "on", "terms": "on"} | changes


def test_a_wrong_price_list(staff_client: Callable[..., Client]) -> None:
    before = (Tariff.objects.count(), Product.objects.count())
    file = SimpleUploadedFile("list.csv", PRICE_LIST.read_bytes())
    answer = staff_client().post(
        "/admin/catalog/tariff/import/", {"format": "0", "import_file": file, "resource": "0"}
    )
    page = answer.content.decode()
    assert "Ничего не записано" in page
    for number in range(3, 9):
        assert f"Строка {number}:" in page
    assert (Tariff.objects.count(), Product.objects.count()) == before


def test_an_unknown_host(client_for: Any) -> None:
    page = client_for().get("/", SERVER_NAME="nobody.localhost")
    assert page.status_code == 404
    assert "По этому адресу ничего нет" in page.content.decode()
    problem(client_for().get(ORDERS, SERVER_NAME="nobody.localhost"), 404, "unknown_host")


def test_a_wrong_tariff(shop: Shop, offer: Offer, key: str, client_for: Any) -> None:
    with in_partner(make_partner()) as other:
        theirs = Offer.objects.create(partner=other, tariff=offer.tariff)
    api, before = client_for(shop.partner, authorization=f"Bearer {key}"), counted(shop)
    for wrong in (theirs.pk, 2_000_000_000):
        problem(api.post(ORDERS, body(wrong), "application/json"), 404, "offer_closed")
        assert client_for(shop.partner).get(f"/checkout/{wrong}/").status_code == 404
    answer = problem(api.post(ORDERS, body(0), "application/json"), 400, "invalid")
    assert "offer" in answer["errors"]
    assert counted(shop) == before


def test_a_tampered_price(shop: Shop, offer: Offer, key: str, client_for: Any) -> None:
    web, before = client_for(shop.partner), counted(shop)
    page = web.get(f"/checkout/{offer.pk}/")
    for price in ("1.00", "-149.00", "NaN", "сто"):
        answer = web.post(f"/checkout/{offer.pk}/", form(page, price=price, request_key=str(uuid4())))
        assert answer.status_code == 409, price
        assert "Ничего не куплено и не списано" in answer.content.decode()
    api = client_for(shop.partner, authorization=f"Bearer {key}")
    answer = api.post(ORDERS, body(offer, expected_price="1.00"), "application/json")
    assert problem(answer, 409, "price_changed")["price"] == "149.00"
    assert counted(shop) == before


def test_a_double_click_on_pay(shop: Shop, offer: Offer, client_for: Any) -> None:
    web = client_for(shop.partner)
    filled, answers = form(web.get(f"/checkout/{offer.pk}/")), []

    def press() -> None:
        try:
            answers.append(client_for(shop.partner).post(f"/checkout/{offer.pk}/", filled))
        finally:
            connection.close()

    presses = [threading.Thread(target=press) for _ in range(4)]
    for one in presses:
        one.start()
    for one in presses:
        one.join(60)
    assert {answer.status_code for answer in answers} == {302}
    assert len({answer.url for answer in answers}) == 1
    connection.set_tenant(shop.partner)
    shop.deliver()
    assert counted(shop)[1:4] == (1, 1, 1)
    assert counted(shop)[-1] == 1


def test_forged_and_replayed_webhooks(shop: Shop, offer: Offer, client_for: Any) -> None:
    order = shop.order(offer)
    payment = order.payment()
    assert payment is not None
    web, hook = client_for(), f"/hooks/{payment.connection_id}/"

    def tell(event: str, **thing: Any) -> None:
        told = {"type": "notification", "event": event, "object": {"id": payment.gateway_id, **thing}}
        assert web.post(hook, told, "application/json").status_code == 200
        hurry_public()
        connection.set_tenant(shop.partner)
        shop.deliver()

    before = counted(shop)
    # Not paid, whatever a stranger says; nor is another amount, nor anything unknown or unreadable.
    tell("payment.succeeded", status="succeeded", paid=True)
    tell("payment.succeeded", status="succeeded", amount={"value": "1.00", "currency": "RUB"})
    tell("payment.succeeded", id="of-nobody", status="succeeded")
    assert web.post(hook, b"\x00{", "application/json").status_code == 200
    hurry_public()
    assert web.post("/hooks/2000000000/", {}, "application/json").status_code == 404
    assert counted(shop) == before
    with in_partner(shop.partner):
        payment.refresh_from_db()
        assert payment.state == "pending"
        shop.pay(order)
        paid = counted(shop)
        for _ in range(3):
            tell("payment.succeeded", status="succeeded")
        tell("payment.canceled", status="canceled")
        assert counted(shop) == paid
        assert Invoice.objects.get().state == InvoiceState.PAID
        assert [str(found) for found in audit.run([shop.partner.pk])] == []


def test_the_api_without_a_key_or_with_another_partners(shop: Shop, offer: Offer, client_for: Any) -> None:
    with in_partner(make_partner()):
        foreign = ApiKey.issue(Channel.objects.get(code="api"), Scope.values)[1]
    with in_partner(shop.partner):
        weak = ApiKey.issue(Channel.objects.get(code="api"), ["offers:read"])[1]
    before = counted(shop)
    for headers, status, title in (
        ({}, 401, "not_authenticated"),
        ({"authorization": "Bearer armor_made_up"}, 401, "authentication_failed"),
        ({"authorization": f"Bearer {foreign}"}, 401, "authentication_failed"),
        ({"authorization": f"Bearer {weak}"}, 403, "permission_denied"),
    ):
        api = client_for(shop.partner, **headers)
        problem(api.post(ORDERS, body(offer), "application/json"), status, title)
        problem(api.get(ORDERS), status, title)
    assert counted(shop) == before


def test_an_idempotency_key_with_another_body(shop: Shop, offer: Offer, key: str, client_for: Any) -> None:
    api = client_for(shop.partner, authorization=f"Bearer {key}")

    def post(**changes: Any) -> Any:
        return api.post(
            ORDERS, body(offer, **changes), "application/json", headers={"Idempotency-Key": "order-1"}
        )

    first = post()
    assert first.status_code == 201, first.content
    before = counted(shop)
    problem(post(quantity=2), 422, "idempotency_mismatch")
    assert post().json() == first.json()
    assert counted(shop) == before
    with in_public():
        assert connection.schema_name == "public"


def test_a_body_that_cannot_be_read(shop: Shop, key: str, client_for: Any) -> None:
    api, before = client_for(shop.partner, authorization=f"Bearer {key}"), counted(shop)
    assert api.post(ORDERS, b"{", "application/json").status_code == 400
    for wrong in (
        [],
        {"offer": "x"},
        {"offer": 1, "customer": "x"},
        body(1, quantity=100),
        body(1, return_url="x"),
    ):
        problem(api.post(ORDERS, wrong, "application/json"), 400, "invalid")
    assert counted(shop) == before
