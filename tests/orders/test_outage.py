"""One of ten providers is down for a while: nobody waits for it but its own, nothing is lost or doubled, sales close.

DOWN_SECONDS makes it long: `make soak` does.
"""

import os
import threading
import time
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection

from apps.catalog.models import Offer, Product, SalesStop
from apps.connectors import breaker
from apps.connectors import lanes as connections
from apps.connectors.models import Connection
from apps.core import audit, clock, due, lane_runner
from apps.core.models import Due, WorkItem
from apps.core.tasks import run_once
from apps.core.tenancy import in_partner, in_public
from apps.orders.fulfilment import FULFIL, KIND, PATIENCE
from apps.orders.models import Fulfilment, Order, Service
from apps.providers.models import Provider
from apps.sandbox.control import Control
from tests.conftest import eventually
from tests.orders.shop import Shop
from tests.orders.test_lanes import bought

TEN, EACH = 10, 2
BACKLOG = 8
"""Orders that the one which is down is behind with at least."""
DOWN_SECONDS = float(os.environ.get("DOWN_SECONDS", "6"))


@dataclass(frozen=True)
class Supplier:
    """One of the ten: an account of its own at the simulator, and a lane."""

    account: str
    lane: int
    offer: Offer
    provider: Provider


@pytest.fixture
def suppliers(shop: Shop, provider_sim: Control) -> list[Supplier]:
    made = []
    for number in range(TEN):
        account, offer = f"{shop.partner.slug}-{number}", shop.offer(price=f"{100 + number}.00")
        line = Connection.objects.create(
            kind="provider",
            connector="apps.providers.http_provider.HttpProvider",
            name=account,
            config={"base_url": provider_sim.base_url, "token": account},
            partner=shop.partner,
            is_test=True,
            legal_entity=shop.partner.legal_entity,
            # One after another: what is made in which order is to be seen.
            in_flight=1,
        )
        provider = Provider.objects.create(code=account, name=account, test_connection=line, connection=line)
        Product.objects.filter(pk=offer.tariff.product_id).update(provider=provider)
        made.append(Supplier(account, line.pk, offer, provider))
    return made


@contextmanager
def at_work(*lanes: int) -> Iterator[None]:
    """A process of lanes runs, with these."""
    breaker.forget()
    connections._kept.clear()
    stop, find = threading.Event(), due.lanes_due

    def work() -> None:
        while not stop.is_set():
            runner = lane_runner.Runner(stop)
            runner._find_due = lambda besides: [one for one in find(besides) if one in lanes]
            runner.run()
            stop.wait(0.05)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def done(shop: Shop, orders: list[Order]) -> int:
    """How many of them are delivered; the platform's own work goes on meanwhile."""
    for partner_id in (None, shop.partner.pk):
        with in_public():
            while run_once(partner_id=partner_id, lanes=False):
                pass
    with in_partner(shop.partner):
        return Order.objects.filter(pk__in=[one.pk for one in orders], state="completed").count()


def one_by_one(shop: Shop, offer: Offer, count: int) -> list[Order]:
    """Orders each of which is paid and wanted before the next."""
    return [order for _number in range(count) for order in bought(shop, offer)]


def in_order(turns: Sequence[int]) -> int:
    """How many of them come in order, if the others are left out."""
    ends: list[int] = []
    for turn in turns:
        place = bisect(ends, turn)
        ends[place : place + 1] = [turn]
    return len(ends)


def soon(check: Callable[[], bool]) -> None:
    eventually(check, seconds=120)


def on_sale(shop: Shop) -> set[int]:
    with in_partner(shop.partner):
        return set(Offer.objects.on_sale(shop.partner.pk).values_list("pk", flat=True))


def test_nine_of_ten_do_not_wait_for_the_one_that_is_down(
    shop: Shop, provider_sim: Control, suppliers: list[Supplier]
) -> None:
    dead, others = suppliers[3], suppliers[:3] + suppliers[4:]
    provider_sim.switch(on=False, account=dead.account)
    behind = one_by_one(shop, dead.offer, BACKLOG)
    sold: list[Order] = []
    with at_work(*(one.lane for one in suppliers)):
        until = time.monotonic() + DOWN_SECONDS
        while time.monotonic() < until or not sold:
            sold.extend(bought(shop, *[one.offer for one in others for _ in range(EACH)]))
            # Each of them is there while the one is down, though its orders were first.
            soon(lambda: done(shop, sold) == len(sold))
            # In a long outage a few of them at a time are enough.
            time.sleep(0 if DOWN_SECONDS < 60 else 20)
            assert done(shop, behind) == 0
        soon(lambda: on_sale(shop) == {one.offer.pk for one in others})
        soon(lambda: done(shop, []) == 0 and SalesStop.objects.filter(provider=dead.provider).exists())
        assert SalesStop.objects.get(provider=dead.provider).closed_at is None
        provider_sim.switch(on=True, account=dead.account)
        soon(lambda: done(shop, behind) == BACKLOG)
        soon(lambda: on_sale(shop) == {one.offer.pk for one in suppliers})
        stop = SalesStop.objects.get(provider=dead.provider)
        soon(
            lambda: done(shop, []) == 0 and SalesStop.objects.filter(pk=stop.pk, closed_at=None).count() == 0
        )
        sold.extend(behind)
    made = provider_sim.register(account=dead.account)["activations"]
    with in_partner(shop.partner):
        wanted = [str(one) for one in Service.objects.order_by("pk").values_list("request_id", flat=True)]
        theirs = Counter(
            one["request_id"]
            for supplier in suppliers
            for one in provider_sim.register(account=supplier.account)["activations"]
        )
        assert theirs == Counter(wanted)
        # Its backlog is done in the order in which it was paid, but for one that the lane may have in hand.
        turns = [wanted.index(one["request_id"]) for one in made]
        assert in_order(turns) >= len(turns) - 1, turns
        assert set(Fulfilment.objects.values_list("state", flat=True)) == {"done"}
        paid = sum((one.total for one in sold), Decimal(0))
        assert sum(Decimal(one["amount"]) for one in shop.charges()) == paid
        assert [str(one) for one in audit.run([shop.partner.pk])] == []
    assert not WorkItem.objects.filter(partner_id=shop.partner.pk, kind=KIND).exists()


def test_orders_of_a_provider_known_to_be_down_do_not_go_to_staff(
    shop: Shop, suppliers: list[Supplier]
) -> None:
    """Each try of an order costs it an attempt; in an hour they would all be spent."""
    one = suppliers[0]
    [order] = bought(shop, one.offer)
    Connection.objects.filter(pk=one.lane).update(config={"base_url": "http://127.0.0.1:9", "token": "x"})
    with in_partner(shop.partner):
        Fulfilment.objects.update(attempts=PATIENCE, state="retry")
        for _number in range(breaker.FAILURES + 2):
            with in_public():
                Due.objects.filter(kind=FULFIL, partner_id=shop.partner.pk).update(due_at=order.created_at)
                Connection.objects.filter(pk=one.lane).update(
                    opened_at=order.created_at, next_try_at=order.created_at
                )
            breaker.forget()
            run_once(partner_id=shop.partner.pk)
        row = Fulfilment.objects.get()
        assert (row.state, row.attempts) == ("retry", PATIENCE - 1)


def test_what_was_put_off_is_done_at_once_and_in_order(
    shop: Shop, provider_sim: Control, suppliers: list[Supplier]
) -> None:
    """The longer one has waited, the later its next try: the first to pay would be the last to get."""
    one = suppliers[0]
    orders = one_by_one(shop, one.offer, 4)
    with in_public():
        mine = Due.objects.filter(kind=FULFIL, partner_id=shop.partner.pk)
        for number, row in enumerate(mine.order_by("-object_id")):
            mine.filter(pk=row.pk).update(due_at=clock.wall() + timedelta(minutes=30 + number))
        down = Connection.objects.filter(pk=one.lane)
        down.update(opened_at=clock.wall(), next_try_at=clock.wall() + timedelta(hours=1))
    breaker.close(Connection.objects.get(pk=one.lane), actor="anna")
    assert done(shop, orders) == 0
    with at_work(one.lane):
        soon(lambda: done(shop, orders) == len(orders))
    made = [row["request_id"] for row in provider_sim.register(account=one.account)["activations"]]
    with in_partner(shop.partner):
        assert made == [str(key) for key in Fulfilment.objects.order_by("pk").values_list("pk", flat=True)]
