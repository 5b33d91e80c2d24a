"""Providers in lanes: many are asked at a time, whoever hangs or dies delays its own orders, and each is made once."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from apps.catalog.models import Offer, Product
from apps.connectors import lanes as connections
from apps.connectors.models import Connection
from apps.core import clock, due, faults, lane_runner
from apps.core.tasks import run_once
from apps.core.tenancy import in_partner
from apps.orders.models import Fulfilment, Order, Service
from apps.payments import payments
from apps.providers.models import Provider
from apps.sandbox.control import Control
from apps.sandbox.process import Simulator
from tests.conftest import eventually
from tests.orders.shop import Shop

MANY = 6


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    connections._kept.clear()


@pytest.fixture
def other_provider(tmp_path: Path) -> Iterator[Control]:
    """A second provider, in a process of its own."""
    with Simulator("provider", state=tmp_path) as simulator:
        control = Control(simulator.url)
        yield control
        control.close()


def lane_of(shop: Shop) -> int:
    key = shop.provider.test_connection_id
    assert key is not None
    return int(key)


def supplied_by(shop: Shop, control: Control) -> tuple[Offer, int]:
    """An offer of a provider of its own, and its lane."""
    connection = Connection.objects.create(
        kind="provider",
        connector="apps.providers.http_provider.HttpProvider",
        name=f"second of {shop.partner.slug}",
        config={"base_url": control.base_url, "token": "test"},
        partner=shop.partner,
        is_test=True,
        legal_entity=shop.partner.legal_entity,
    )
    code = f"{shop.partner.slug}-second"
    offer = shop.offer()
    Product.objects.filter(pk=offer.tariff.product_id).update(
        provider=Provider.objects.create(code=code, name=code, test_connection=connection)
    )
    return offer, connection.pk


def bought(shop: Shop, *offers: Offer) -> list[Order]:
    """Orders that are paid; their providers are to be asked now."""
    orders = []
    for offer in offers:
        order = shop.order(offer)
        payment = order.payment()
        assert payment is not None
        payment.refresh_from_db()
        shop.gateway.pay(payment.confirmation_url)
        payments.settle(payment.pk)
        orders.append(order)
    while run_once(partner_id=shop.partner.pk, lanes=False):
        pass
    return orders


def run(*lanes: int, seconds: float = 60) -> None:
    """A runner of these lanes, until nothing is left; one that is shut is held for as many seconds."""
    runner, find = lane_runner.Runner(), due.lanes_due
    runner._find_due = lambda besides: [one for one in find(besides) if one in lanes]
    runner.run(seconds)


def given(shop: Shop, orders: list[Order]) -> int:
    """How many of them are done."""
    with in_partner(shop.partner):
        return Order.objects.filter(pk__in=[one.pk for one in orders], state="completed").count()


def test_each_of_many_is_made_once(shop: Shop, provider_sim: Control) -> None:
    orders = bought(shop, *[shop.offer()] * MANY)
    waiting = list(Fulfilment.objects.values_list("state", "provider", "connection"))
    assert waiting == [("queued", shop.provider.pk, lane_of(shop))] * MANY
    run(lane_of(shop))
    assert given(shop, orders) == MANY
    with in_partner(shop.partner):
        made = set(Service.objects.values_list("request_id", flat=True))
        assert Service.objects.filter(state="active").exclude(url="", key="").count() == MANY
        assert set(Fulfilment.objects.values_list("state", "attempts")) == {("done", 1)}
    theirs = [one["request_id"] for one in provider_sim.register()["activations"]]
    assert sorted(one for one in theirs if one in {str(key) for key in made}) == sorted(map(str, made))


def test_one_that_hangs_delays_its_own_orders_only(shop: Shop, other_provider: Control) -> None:
    second, quick = supplied_by(shop, other_provider)
    slow = bought(shop, *[shop.offer()] * MANY)
    others = bought(shop, *[second] * MANY)
    shop_provider_hangs(shop, seconds=5)
    thread = threading.Thread(target=run, args=(lane_of(shop), quick))
    thread.start()
    eventually(lambda: given(shop, others) == MANY)
    assert given(shop, slow) == 0
    thread.join()
    assert given(shop, slow) == MANY


def shop_provider_hangs(shop: Shop, *, seconds: float) -> None:
    """Each of its answers comes so late."""
    config = Connection.objects.get(pk=lane_of(shop)).config
    control = Control(config["base_url"])
    control.fault("delay", times=10**6, match={"operation": "activate"}, seconds=seconds)
    control.close()


@pytest.mark.parametrize("point", ["core.lane-claimed-not-called", "core.lane-called-not-recorded"])
def test_a_crash_in_a_lane_loses_and_doubles_nothing(shop: Shop, provider_sim: Control, point: str) -> None:
    orders = bought(shop, *[shop.offer()] * 3)
    with pytest.raises(faults.Crash), faults.crash_at(point):
        run(lane_of(shop))
    with in_partner(shop.partner):
        assert set(Fulfilment.objects.values_list("state", flat=True)) == {"in_progress"}
    run(lane_of(shop))
    assert given(shop, orders) == 3
    with in_partner(shop.partner):
        mine = {str(one) for one in Service.objects.values_list("request_id", flat=True)}
    theirs = [one["request_id"] for one in provider_sim.register()["activations"]]
    assert sorted(one for one in theirs if one in mine) == sorted(mine)


def test_a_provider_that_says_when_to_come_again_is_left_alone_till_then(
    shop: Shop, provider_sim: Control
) -> None:
    provider_sim.fault("http_429", times=1, match={"operation": "activate"}, seconds=1800)
    [order] = bought(shop, shop.offer())
    run(lane_of(shop))
    with in_partner(shop.partner):
        row = Fulfilment.objects.get()
        assert (row.state, row.attempts) == ("retry", 1)
        assert row.next_at is not None
        assert timedelta(minutes=29) < row.next_at - clock.wall() <= timedelta(minutes=30)
    shop.hurry()
    assert given(shop, [order]) == 1


def test_who_is_reached_in_another_way_since_goes_on_in_that_lane(
    shop: Shop, other_provider: Control
) -> None:
    offer, there = supplied_by(shop, other_provider)
    [order] = bought(shop, shop.offer())
    Provider.objects.filter(pk=shop.provider.pk).update(test_connection=there)
    run(lane_of(shop))
    assert given(shop, [order]) == 0
    run(there)
    assert given(shop, [order]) == 1
    assert offer.tariff.product.provider_id is not None
