"""A customer's account by API and console: its own partner's only, for any period, as files too."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from django.test import Client

from apps.billing import statements
from apps.channels.models import ApiKey, Channel
from apps.core import clock
from tests.orders.shop import Shop


@pytest.fixture
def api(shop: Shop, client_for: Callable[..., Client]) -> Callable[..., Any]:
    _key, secret = ApiKey.issue(Channel.objects.get(code="web"), ["invoices:read"])
    client = client_for(shop.partner, Authorization=f"Bearer {secret}")
    return lambda path, **asked: client.get(path, asked)


def test_a_statement_by_api(shop: Shop, api: Callable[..., Any]) -> None:
    subscription = shop.buy(shop.offer(price="149.00"))
    path = f"/api/v1/statements/{subscription.customer_id}/"
    [one] = api(path).json()
    shown = [(entry["debit"], entry["credit"], entry["balance"]) for entry in one["entries"]]
    assert shown == [("149.00", "0.00", "149.00"), ("0.00", "149.00", "0.00")]
    assert (one["opening"], one["closing"], one["on_balance"]) == ("0.00", "0.00", "0.00")
    assert api(path + "xlsx/").content.startswith(b"PK")
    assert api(path + "pdf/").content.startswith(b"%PDF")
    [later] = api(path, since="2030-01-01", until="2030-01-31").json()
    assert (later["entries"], later["closing"]) == ([], "0.00")


@pytest.mark.parametrize(
    "asked",
    [{"since": "2030-02-30"}, {"since": "2030-01-02", "until": "2030-01-01"}, {"since": "1999-01-01"}],
)
def test_a_bad_period_is_said_in_words(shop: Shop, api: Callable[..., Any], asked: dict[str, str]) -> None:
    customer = shop.customer()
    for ending in ("", "xlsx/", "pdf/"):
        answer = api(f"/api/v1/statements/{customer.pk}/{ending}", **asked)
        assert (answer.status_code, answer.json()["title"]) == (400, "bad_period")
        assert answer.json()["errors"]["since"]
    assert api("/api/v1/partner-statement/", **asked).status_code == 400


@pytest.mark.parametrize("key", ["01938e2a-7b11-7d01-9c33-6b1d7a0e2f42", "nobody"])
def test_nobodys_statement(shop: Shop, api: Callable[..., Any], key: str) -> None:
    for ending in ("", "xlsx/", "pdf/"):
        answer = api(f"/api/v1/statements/{key}/{ending}")
        assert (answer.status_code, answer.json()["title"]) == (404, "not_found")


def test_an_unpaid_and_a_void_invoice(shop: Shop) -> None:
    order = shop.order(shop.offer(price="149.00"))
    today = clock.today()
    [one] = statements.of(order.customer, since=today, until=today)
    assert (one.closing, one.debit) == (D("149.00"), D("149.00"))
    # Nobody pays in time: the payment's page and the invoice lapse.
    shop.until(today + timedelta(days=5))
    # The gateway is asked by the wall clock.
    shop.hurry()
    shop.until(today.replace(year=today.year + 1))
    [one] = statements.of(order.customer, since=today, until=clock.today())
    assert (one.closing, len(one.entries)) == (D("0.00"), 2)
    assert one.entries[1].title.startswith("Аннулирован счёт")


def test_the_partners_own_account_by_api(shop: Shop, api: Callable[..., Any]) -> None:
    shop.buy(shop.offer(price="122.00"))
    [one] = api("/api/v1/partner-statement/").json()
    # The partner's own gateway holds the money, so the partner owes it.
    assert (one["collected"], one["closing"]) == ("122.00", "-122.00")
    [product] = one["products"]
    assert (product["sold"], product["vat"], product["paid"]) == ("122.00", "22.00", "122.00")
