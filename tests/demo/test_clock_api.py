"""The clock of a sandbox by API: forward to a date with everything done on the way, for sandboxes only."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from apps.billing.models import Invoice
from apps.channels.models import ApiKey, Channel
from apps.core import clock
from apps.core.tenancy import in_partner
from apps.partners.models import Partner
from tests.orders.shop import Shop

ADDRESS = "/api/v1/clock/"


@pytest.fixture
def client_of(client_for: Any) -> Any:
    def make(partner: Partner, *scopes: str) -> Any:
        with in_partner(partner):
            _key, secret = ApiKey.issue(Channel.objects.get(code="api"), scopes or ("clock:move",))
        return client_for(partner, Authorization=f"Bearer {secret}")

    return make


def at(answer: Any) -> datetime:
    return datetime.fromisoformat(answer.json()["now"])


def test_a_month_passes_by_api(shop: Shop, client_of: Any) -> None:
    subscription = shop.buy(shop.offer(price="149.00"))
    client = client_of(shop.partner)
    before = client.get(ADDRESS).json()
    assert before["is_idle"]
    assert before["next_at"] > before["now"]
    to = clock.now() + timedelta(days=33)
    moved = client.post(ADDRESS, {"to": to.isoformat()}, content_type="application/json")
    assert moved.status_code == 200, moved.content
    assert at(moved) == to
    states = Invoice.objects.filter(subscription=subscription).order_by("pk").values_list("state", flat=True)
    assert list(states) == ["paid", "paid"]
    back = client.post(ADDRESS, {"to": before["now"]}, content_type="application/json")
    assert (back.status_code, back.json()["title"]) == (400, "clock_backwards")
    assert client.post(ADDRESS, {"to": "скоро"}, content_type="application/json").status_code == 400


def test_what_takes_too_long_goes_on_when_asked_again(
    shop: Shop, client_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription = shop.buy(shop.offer(price="149.00"))
    client, body = client_of(shop.partner), {"to": (clock.now() + timedelta(days=33)).isoformat()}
    with monkeypatch.context() as hurry:
        hurry.setattr("apps.demo.api.SECONDS", 0.0)
        begun = client.post(ADDRESS, body, content_type="application/json")
    assert (begun.status_code, begun.json()["is_idle"]) == (202, False)
    assert at(begun) < datetime.fromisoformat(body["to"])
    assert client.post(ADDRESS, body, content_type="application/json").status_code == 200
    assert Invoice.objects.filter(subscription=subscription, state="paid").count() == 2


def test_a_live_partner_has_no_clock(partner: Partner, client_of: Any) -> None:
    client = client_of(partner)
    for answer in (client.get(ADDRESS), client.post(ADDRESS, {}, content_type="application/json")):
        assert (answer.status_code, answer.json()["title"]) == (400, "not_sandbox")
    assert client_of(partner, "offers:read").get(ADDRESS).status_code == 403
