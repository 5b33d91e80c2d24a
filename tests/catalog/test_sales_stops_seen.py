"""Stop-sale where people and systems meet it: storefront, feed, API, console; by a real breaker, and in a race."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from apps.catalog import stops
from apps.catalog.models import Offer, SalesStop
from apps.channels.models import ApiKey, Channel
from apps.connectors import breaker
from apps.connectors import lanes as connections
from apps.connectors.base import ConnectorError
from apps.connectors.models import Connection
from apps.core import audit, clock
from apps.core.models import WorkItem
from apps.core.tasks import run_once
from apps.core.tenancy import in_partner, in_public
from apps.orders.models import Order
from apps.payments import payments
from apps.providers.models import Provider
from apps.sandbox.control import Control
from tests.catalog.test_sales_stops import down, works
from tests.orders.races import atomic
from tests.orders.shop import Shop
from tests.orders.test_api import body
from tests.orders.test_lanes import lane_of, run


@pytest.fixture
def staff(client_for: Callable[..., Client]) -> Client:
    client = client_for()
    client.force_login(User.objects.create_superuser(f"admin-{uuid4()}"))
    session = client.session
    session["host"] = client.defaults["SERVER_NAME"]
    session.save()
    return client


@pytest.fixture
def api(shop: Shop, client_for: Callable[..., Client]) -> Client:
    _key, text = ApiKey.issue(Channel.objects.get(code="api"), ["offers:read", "orders:write"])
    return client_for(shop.partner, Authorization=f"Bearer {text}")


@pytest.fixture(autouse=True)
def _fresh() -> None:
    breaker.forget()
    connections._kept.clear()


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:{name}", urlconf="armor.urls_public", args=args)


def test_the_storefront_says_it_and_sells_nothing(shop: Shop, client_for: Callable[..., Client]) -> None:
    offer, browser = shop.offer(), client_for(shop.partner)
    product, checkout = f"/product/{offer.tariff.product.code}/", f"/checkout/{offer.pk}/"
    assert checkout in browser.get(product).content.decode()
    stop = works(offer)
    shown = browser.get(product).content.decode()
    when = f"{clock.local(stop.ends_at):%d.%m.%Y %H:%M}"  # type: ignore[arg-type]
    assert (checkout in shown, f"ожидаем {when}" in shown) == (False, True)
    assert "временно не продаётся" in browser.get("/").content.decode()
    refused = browser.get(checkout)
    assert (refused.status_code, when in refused.content.decode()) == (409, True)
    assert f"expect it {when}" in browser.get(product, headers={"accept-language": "en"}).content.decode()
    SalesStop.objects.filter(pk=stop.pk).delete()
    Provider.objects.filter(pk=shop.provider.pk).update(sells_when_down=True)
    down(shop, clock.wall())
    shown = browser.get(product).content.decode()
    assert (checkout in shown, "обещаем до" in shown) == (True, True)
    assert "обещаем до" in browser.get(checkout).content.decode()


def test_api_and_feed(shop: Shop, api: Client) -> None:
    offer = shop.offer()
    address, order = f"/api/v1/offers/{offer.pk}/", body(offer)

    def availability() -> Any:
        [listed] = api.get("/api/v1/offers/").json()["results"]
        assert listed["availability"]["state"] == api.get(address).json()["availability"]["state"]
        return listed["availability"]

    def feed() -> str:
        answer = api.get("/feeds/web.yml")
        assert "max-age=5" in answer["Cache-Control"]
        return answer.content.decode()

    assert availability() == {"state": "open", "until": None, "promised_at": None, "message": ""}
    assert 'available="true"' in feed()
    stop = works(offer)
    closed = availability()
    assert (closed["state"], closed["promised_at"]) == ("stopped", None)
    assert closed["until"]
    assert 'available="false"' in feed()
    refused = api.post("/api/v1/orders/", order, "application/json")
    assert (refused.status_code, refused.json()["title"]) == (409, "offer_stopped")
    assert refused.json()["until"] == stop.ends_at.isoformat()  # type: ignore[union-attr]
    SalesStop.objects.filter(pk=stop.pk).update(ends_at=clock.wall())
    assert availability()["state"] == "open"
    assert api.post("/api/v1/orders/", order, "application/json").status_code == 201
    Provider.objects.filter(pk=shop.provider.pk).update(sells_when_down=True)
    down(shop, clock.wall())
    assert availability()["state"] == "late"
    assert availability()["promised_at"]


def test_a_breaker_closes_remembers_and_opens(shop: Shop, provider_sim: Control) -> None:
    """Live partners go through the provider's own connection; the shop's stands in for it."""
    line = Connection.objects.get(pk=lane_of(shop))
    Provider.objects.filter(pk=shop.provider.pk).update(connection=line)
    offer, token = shop.offer(), shop.partner.slug
    Connection.objects.filter(pk=line.pk).update(config={**line.config, "token": token})
    line.refresh_from_db()
    provider_sim.switch(on=False, account=token)
    for _try in range(breaker.FAILURES):
        with pytest.raises(ConnectorError):
            line.open().check()
    assert not Offer.objects.on_sale(shop.partner.pk).filter(pk=offer.pk).exists()
    _deliver()
    stop = SalesStop.objects.get(provider=shop.provider, closed_at=None)
    line.refresh_from_db()
    assert (stop.cause, stop.starts_at) == ("circuit", line.opened_at)
    with in_public():
        queued = WorkItem.objects.filter(kind="catalog.sales_stop", object_id=stops.work_id(stop))
        assert queued.exists()
    provider_sim.switch(on=True, account=token)
    with breaker.by_hand():
        line.open().check()
    assert Offer.objects.on_sale(shop.partner.pk).filter(pk=offer.pk).exists()
    _deliver()
    stop.refresh_from_db()
    assert stop.closed_at is not None
    with in_public():
        assert not queued.exists()
    assert [str(one) for one in audit.run([shop.partner.pk])] == []


def _deliver() -> None:
    """The platform's own news."""
    with in_public():
        while run_once():
            pass


def test_an_order_of_the_moment_of_closing_is_delivered_when_it_is_back(shop: Shop) -> None:
    offer = shop.offer()
    order = shop.order(offer)
    down(shop, clock.wall() + timedelta(hours=1))
    breaker.forget()
    payment = order.payment()
    assert payment is not None
    payment.refresh_from_db()
    shop.gateway.pay(payment.confirmation_url)
    payments.settle(payment.pk)
    while run_once(partner_id=shop.partner.pk, lanes=False):
        pass
    # It holds the lane as long as its breaker is open, and would wait with it.
    run(lane_of(shop), seconds=1)
    with in_partner(shop.partner):
        assert Order.objects.get(pk=order.pk).state == "in_progress"
    down(shop, None)
    breaker.forget()
    connections._kept.clear()
    run(lane_of(shop))
    with in_partner(shop.partner):
        assert Order.objects.get(pk=order.pk).state == "completed"


def test_staff_plan_works_and_end_them(shop: Shop, staff: Client) -> None:
    offer = shop.offer()
    begin = clock.local(clock.wall() - timedelta(hours=1))
    end = begin + timedelta(hours=5)
    form = {"cause": "works", "provider": shop.provider.pk, "note": "Обновление у поставщика"}
    form |= {"starts_at_0": f"{begin:%d.%m.%Y}", "starts_at_1": f"{begin:%H:%M}"}
    both = form | {"ends_at_0": f"{end:%d.%m.%Y}", "ends_at_1": f"{end:%H:%M}"}
    add = page("catalog_salesstop_add")
    for wrong in (form, both | {"product": offer.tariff.product_id}, both | {"provider": ""}):
        assert staff.post(add, wrong).status_code == 200
    mine = SalesStop.objects.filter(provider=shop.provider)
    assert not mine.exists()
    assert staff.post(add, both).status_code == 302
    stop = mine.get()
    assert stop.made_by.startswith("admin-")
    assert not Offer.objects.on_sale(shop.partner.pk).filter(pk=offer.pk).exists()
    listed = staff.get(page("catalog_salesstop_changelist")).content.decode()
    assert "Продажи закрыты" in listed
    staff.get(page("catalog_salesstop_end_now", stop.pk))
    assert Offer.objects.on_sale(shop.partner.pk).filter(pk=offer.pk).exists()
    assert "Закончилась" in staff.get(page("catalog_salesstop_changelist")).content.decode()
    # What comes and goes by itself is not ended by hand.
    own = SalesStop.objects.create(cause="circuit", provider=shop.provider)
    staff.get(page("catalog_salesstop_end_now", own.pk))
    own.refresh_from_db()
    assert own.closed_at is None
    # Of others' tests the audit sees it, too.
    SalesStop.objects.filter(pk=own.pk).update(closed_at=clock.wall())


def test_a_provider_led_to_another_connection_sells_again(shop: Shop, staff: Client) -> None:
    """Its breaker was the other's: nothing would ever close the stop in the history and in the queue."""
    line = Connection.objects.get(pk=lane_of(shop))
    long_ago = clock.wall() - timedelta(hours=1)
    spare_of = {**vars(line), "id": None, "is_test": False, "opened_at": None, "next_try_at": None}
    spare_of = {one.attname: spare_of[one.attname] for one in Connection._meta.concrete_fields}
    broken, spare = [Connection.objects.create(**spare_of | {"name": f"Линия {uuid4()}"}) for _one in "12"]
    Connection.objects.filter(pk=broken.pk).update(opened_at=long_ago, next_try_at=long_ago)
    Provider.objects.filter(pk=shop.provider.pk).update(connection=broken)
    atomic(breaker.tell, broken.pk)()
    _deliver()
    stop = SalesStop.objects.get(provider=shop.provider)
    assert (stop.starts_at, stop.closed_at) == (long_ago, None)
    change = page("providers_provider_change", shop.provider.pk)
    form = staff.get(change).context["adminform"].form
    sent = {name: form[name].value() for name in form.fields if form[name].value() not in {None, False}}
    assert staff.post(change, sent | {"connection": spare.pk}).status_code == 302
    # What is on its way is nobody's fault.
    assert [str(one) for one in audit.run([shop.partner.pk])] == []
    _deliver()
    stop.refresh_from_db()
    assert stop.closed_at is not None
    with in_public():
        queued = WorkItem.objects.filter(kind="catalog.sales_stop", object_id=stops.work_id(stop))
        assert not queued.exists()
    assert [str(one) for one in audit.run([shop.partner.pk])] == []
