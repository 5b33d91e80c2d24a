"""Dunning, pay links, refusals and recovered revenue, by API and on the reports' page."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps.billing.models import Invoice, Subscription
from apps.channels.models import ApiKey, Channel
from apps.core import clock
from apps.payments.models import PaymentMethod
from tests.orders.shop import BROKE_LATER, Shop

SCOPES = ["subscriptions:read", "subscriptions:write", "invoices:read"]


@pytest.fixture
def api(shop: Shop, client_for: Any) -> Client:
    _key, secret = ApiKey.issue(Channel.objects.get(code="api"), SCOPES)
    client: Client = client_for(shop.partner, Authorization=f"Bearer {secret}")
    return client


def test_what_is_done_about_a_debt(shop: Shop, api: Client, client_for: Any) -> None:
    subscription = shop.buy(shop.offer(), card=BROKE_LATER)
    address = f"/api/v1/subscriptions/{subscription.pk}/dunning/"
    before = api.get(address).json()
    assert (before["state"], before["amount"], before["policy"]["name"]) == ("none", None, "Обычная")
    end = subscription.current_period_end
    shop.until(end)
    seen = api.get(address).json()
    assert (seen["state"], seen["decline_class"], seen["reason"]) == (
        "running",
        "funds",
        "insufficient_funds",
    )
    assert (seen["next_action"], seen["next_date"]) == ("retry", str(end + timedelta(days=1)))
    assert [one["day"] for one in seen["policy"]["steps"]] == [0, 1, 3, 5, 5]
    invoice = Invoice.objects.get(purpose="renewal")
    assert api.get(f"/api/v1/invoices/{invoice.pk}/dunning/").json()["invoice"] == str(invoice.pk)
    link = api.get(f"/api/v1/invoices/{invoice.pk}/pay-link/").json()
    path = link["url"].partition(shop.partner.host)[2].partition("/")[2]
    assert client_for(shop.partner).get(f"/{path}").status_code == 200
    assert link["last_date"] == str(clock.today() + timedelta(days=30))
    shop.until(end + timedelta(days=5))
    assert api.get(address).json()["state"] == "lost"
    closed = api.get(f"/api/v1/invoices/{invoice.pk}/pay-link/")
    assert (closed.status_code, closed.json()["title"]) == (409, "invoice_closed")


def test_a_refusal_by_api_is_evidence(shop: Shop, api: Client) -> None:
    subscription = shop.buy(shop.offer())
    [listed] = api.get(f"/api/v1/payment-methods/?customer={subscription.customer_id}").json()["results"]
    assert (listed["title"], listed["is_active"]) == (subscription.method.title, True)
    address = f"/api/v1/payment-methods/{listed['id']}/refuse/"
    assert api.post(address, {"ip": "nowhere"}, "application/json").status_code == 400
    for _time in range(2):
        answer = api.post(address, {"ip": "203.0.113.9"}, "application/json")
        assert (answer.status_code, answer.json()["refused_how"]) == (200, "api")
    method = PaymentMethod.objects.get()
    assert (method.refused_ip, method.refused_by) == ("203.0.113.9", "api:api")


def test_support_says_how_the_customer_refused(shop: Shop, staff: Any) -> None:
    method = shop.buy(shop.offer()).method
    support = staff(shop.partner, "support")
    url = f"/admin/payments/paymentmethod/{method.pk}/refuse/"
    assert "по телефону" in support.get(url).content.decode()
    assert support.post(url, {"how": "call_centre"}).status_code == 302
    method.refresh_from_db()
    assert (method.refused_how, method.refused_by) == ("call_centre", support.user.get_username())


def test_recovered_revenue_adds_up(shop: Shop, api: Client, staff: Any) -> None:
    # Each is charged on a day of its own: a planned decline meets the one that it is meant for.
    lost = shop.buy(shop.offer(price="149.00"), card=BROKE_LATER)
    saved, running = (
        shop.buy(shop.offer(price=price, period_count=days, period_unit="day"))
        for price, days in (("149.00", 27), ("99.00", 40))
    )
    since, end = saved.current_period_end, lost.current_period_end
    assert since < end
    shop.gateway.fault("decline", reason="issuer_unavailable", match={"shop": shop.partner.slug})
    shop.until(end + timedelta(days=6))
    assert {Subscription.objects.get(pk=one.pk).state for one in (lost, saved)} == {"ended", "active"}
    shop.gateway.fault("decline", reason="insufficient_funds", match={"shop": shop.partner.slug})
    shop.until(running.current_period_end)
    span = f"since={since}&until={end + timedelta(days=40)}"
    lines = api.get(f"/api/v1/recovery/?{span}").json()
    sums = {
        name: sum(float(one[name]) for one in lines) for name in ("failed", "recovered", "lost", "running")
    }
    assert sums == {"failed": 397.0, "recovered": 149.0, "lost": 149.0, "running": 99.0}
    assert {one["decline"].split()[0] for one in lines} >= {"Не", "Технический"}
    finance = staff(shop.partner, "finance")
    page = finance.get(f"/admin/reports/recovery/?{span}&by=decline").content.decode()
    assert "Технический сбой" in page
    assert "50.0" in page.replace("50,0", "50.0")
    file = finance.get(f"/admin/reports/recovery/?{span}&format=xlsx")
    assert file.content[:2] == b"PK"
    # A sandbox is left out of the platform's own report.
    assert (
        "за этот период"
        in staff(None, "finance").get(f"/admin/reports/recovery/?{span}").content.decode().lower()
    )
