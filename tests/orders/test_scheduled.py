"""Orders for a later day: whose product is not sold on that day they wait, and whoever cannot be served is told why."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Q

from apps.billing.models import Invoice, Subscription
from apps.catalog.models import Offer, SalesStop
from apps.connectors.models import Connection
from apps.core import audit, clock, faults
from apps.core.models import Due, Event
from apps.core.tenancy import in_partner
from apps.notifications.models import Message
from apps.orders import cancelling, history, scheduling
from apps.orders.models import Order, OrderState
from apps.orders.placing import START
from apps.partners.models import Partner
from apps.providers import keys
from apps.providers.models import KeyPool
from tests.billing.test_promotions import promotion
from tests.catalog.test_sales_stops import down, works
from tests.orders.shop import Shop

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
WAITS = "Временно не продаётся"


@pytest.fixture(autouse=True)
def no_stop_is_left(shop: Shop) -> Iterator[None]:
    """What stops a sale is public, and would stand in other tests' audits."""
    yield
    down(shop, None)
    mine = Offer.objects.filter(partner=shop.partner)
    SalesStop.objects.filter(
        Q(tariff__in=mine.values("tariff")) | Q(product__in=mine.values("tariff__product"))
    ).delete()


def later(shop: Shop, offer: Offer, **options: Any) -> Order:
    return shop.order(offer, scheduled_at=clock.now() + DAY, **options)


def day_comes(shop: Shop, order: Order, *, days: int = 0) -> None:
    """Its day, or so many days after it; everything due meanwhile is done."""
    assert order.scheduled_at is not None
    shop.until(clock.local(order.scheduled_at).date() + days * DAY)
    shop.hurry()
    order.refresh_from_db()


def planned(shop: Shop, order: Order) -> datetime | None:
    rows = Due.objects.filter(partner_id=shop.partner.pk, kind=START, object_id=order.pk)
    return rows.values_list("due_at", flat=True).first()


def waits_for(order: Order) -> list[str]:
    return [one.reason for one in history.of(order) if one.was == one.became == OrderState.PENDING]


def is_clean(shop: Shop) -> bool:
    assert [str(one) for one in audit.run([shop.partner.pk])] == []
    return True


def test_what_is_not_sold_on_its_day_is_sold_once_when_it_is(shop: Shop) -> None:
    order = later(shop, shop.offer(price="149.00"))
    down(shop, clock.wall())
    day_comes(shop, order)
    assert (order.state, order.invoice, Invoice.objects.count()) == (OrderState.PENDING, None, 0)
    at = planned(shop, order)
    assert at is not None
    assert clock.wall() < at <= clock.wall() + scheduling.LATEST
    shop.hurry()
    # However often it is tried, staff read once what it waits for.
    [reason] = waits_for(order)
    assert WAITS in reason
    assert is_clean(shop)
    down(shop, None)
    shop.hurry()
    scheduling.start(order.pk)
    order.refresh_from_db()
    assert order.invoice is not None
    assert planned(shop, order) is None
    assert Message.objects.filter(type="order_to_pay").count() == 1
    shop.pay(order)
    assert (order.state, len(shop.charges())) == (OrderState.COMPLETED, 1)
    assert (Invoice.objects.count(), Subscription.objects.count()) == (1, 1)
    assert not Message.objects.filter(type="order_rejected").exists()
    assert is_clean(shop)


def test_it_is_tried_when_works_end_and_sooner_where_they_are_long(shop: Shop) -> None:
    offer, other = shop.offer(), shop.offer()
    soon, late = later(shop, offer), later(shop, other)
    short = works(offer, tariff=offer.tariff, end=timedelta(minutes=10))
    works(other, tariff=other.tariff, end=9 * HOUR)
    # In both cases it has waited for hours, and would be tried in half an hour.
    day_comes(shop, soon)
    day_comes(shop, late)
    shop.until(clock.today() + DAY, hour=9)
    shop.hurry()
    assert planned(shop, soon) == short.ends_at
    at = planned(shop, late)
    assert at is not None
    assert timedelta(minutes=29) < at - clock.wall() <= scheduling.LATEST


def test_who_waits_too_long_is_told_why(shop: Shop, settings: Any) -> None:
    settings.SCHEDULED_ORDER_DAYS = 2
    customer = shop.customer()
    customer.language = "en"
    customer.save()
    offer = shop.offer()
    order, other = later(shop, offer), later(shop, offer, customer=customer)
    works(offer, tariff=offer.tariff, end=1000 * DAY)
    day_comes(shop, order, days=1)
    other.refresh_from_db()
    assert (order.state, other.state) == (OrderState.PENDING, OrderState.PENDING)
    assert not Message.objects.filter(type="order_rejected").exists()
    day_comes(shop, order, days=3)
    other.refresh_from_db()
    assert (order.state, order.item.state, other.state) == ("rejected", "rejected", "rejected")
    assert (order.invoice, planned(shop, order), len(waits_for(order))) == (None, None, 1)
    assert order.closed_at is not None
    letters = {one.customer_ref: one for one in Message.objects.filter(type="order_rejected")}
    assert len(letters) == 2
    told = letters[order.customer_id]
    assert (told.to, order.number in told.text) == (order.customer.email, True)
    assert "продукт так и не вернулся в продажу" in told.text
    assert "Деньги за него не списаны" in told.text
    assert "has not come back on sale" in letters[customer.pk].text
    assert Event.objects.filter(type="orders.OrderCancelled", object_id=order.pk).count() == 1
    # Told once.
    scheduling.start(order.pk)
    assert Message.objects.filter(type="order_rejected").count() == 2
    assert is_clean(shop)


def test_another_price_is_a_refusal_that_is_told_at_once(shop: Shop) -> None:
    offer = shop.offer(price="149.00")
    order = later(shop, offer)
    offer.price = Decimal("200.00")
    offer.save()
    day_comes(shop, order)
    assert (order.state, waits_for(order)) == (OrderState.REJECTED, [])
    told = Message.objects.get(type="order_rejected")
    assert "цена с тех пор изменилась" in told.text
    assert is_clean(shop)


def test_keys_that_are_gone_are_waited_for(shop: Shop) -> None:
    offer = shop.offer(delivery="key", keys=3)
    order = later(shop, offer, quantity=2)
    shop.buy(offer, quantity=2)
    day_comes(shop, order)
    # One is left: the offer is sold, but not two of it.
    assert Offer.objects.on_sale(shop.partner.pk).filter(pk=offer.pk).exists()
    assert (order.state, order.invoice) == (OrderState.PENDING, None)
    [reason] = waits_for(order)
    assert "столько уже не осталось" in reason
    assert is_clean(shop)
    keys.load(pool=KeyPool.objects.get(sku=offer.tariff.code), content="FRESH-KEY")
    shop.hurry()
    order.refresh_from_db()
    shop.pay(order)
    assert order.state == OrderState.COMPLETED
    assert is_clean(shop)


@pytest.mark.parametrize(
    ("switch", "told"),
    [
        (
            lambda shop, on: Partner.objects.filter(pk=shop.partner.pk).update(
                status="testing" if on else "stopped"
            ),
            "Продажи сейчас остановлены",
        ),
        (
            lambda shop, on: Connection.objects.filter(partner=shop.partner, kind="payment").update(
                is_enabled=on
            ),
            "не настроено подключение",
        ),
    ],
    ids=["the partner's sales are stopped", "its gateway is switched off"],
)
def test_what_says_nothing_of_the_order_is_waited_out(
    shop: Shop, switch: Callable[[Shop, bool], object], told: str
) -> None:
    order = later(shop, shop.offer(price="149.00"))
    switch(shop, False)
    with in_partner(Partner.objects.get(pk=shop.partner.pk)):
        day_comes(shop, order)
    assert (order.state, order.invoice, Invoice.objects.count()) == (OrderState.PENDING, None, 0)
    [reason] = waits_for(order)
    assert told in reason
    switch(shop, True)
    with in_partner(Partner.objects.get(pk=shop.partner.pk)):
        shop.hurry()
        order.refresh_from_db()
        shop.pay(order)
    assert (order.state, len(shop.charges())) == (OrderState.COMPLETED, 1)
    assert is_clean(shop)


def test_what_costs_nothing_waits_as_well(shop: Shop) -> None:
    promotion(percent=Decimal(100))
    offer = shop.offer(price="149.00")
    order = later(shop, offer, promo_code="OSEN")
    works(offer, tariff=offer.tariff)
    day_comes(shop, order)
    assert order.state == OrderState.PENDING
    SalesStop.objects.filter(tariff=offer.tariff).update(closed_at=clock.wall())
    shop.hurry()
    order.refresh_from_db()
    assert order.total == 0
    # A card is saved for what comes; nothing is taken for this.
    shop.pay(order)
    assert (order.state, Invoice.objects.get().total) == (OrderState.COMPLETED, 0)
    assert not Message.objects.filter(type="order_rejected").exists()
    assert is_clean(shop)


@pytest.mark.parametrize("point", ["orders.placed-not-committed", "core.due-done-not-deleted"])
def test_killed_on_the_way_it_is_sold_once(shop: Shop, point: str) -> None:
    order = later(shop, shop.offer(price="149.00"))
    down(shop, clock.wall())
    shop.until(clock.local(order.scheduled_at).date())  # type: ignore[arg-type]
    with faults.crash_at("core.due-done-not-deleted"), pytest.raises(faults.Crash):
        shop.hurry()
    order.refresh_from_db()
    # Killed before it could say that it was done, the next try stands all the same.
    assert order.state == OrderState.PENDING
    assert planned(shop, order) is not None
    down(shop, None)
    with faults.crash_at(point), pytest.raises(faults.Crash):
        shop.hurry()
    shop.hurry()
    order.refresh_from_db()
    shop.pay(order)
    assert (order.state, len(shop.charges())) == (OrderState.COMPLETED, 1)
    assert (Invoice.objects.count(), len(waits_for(order))) == (1, 1)
    assert is_clean(shop)


def test_called_off_while_it_waits_it_is_not_tried(shop: Shop) -> None:
    order = later(shop, shop.offer())
    down(shop, clock.wall())
    day_comes(shop, order)
    cancelling.cancel(order, reason="Передумал")
    assert planned(shop, order) is None
    down(shop, None)
    scheduling.start(order.pk)
    order.refresh_from_db()
    assert (order.state, order.invoice) == (OrderState.CANCELLED, None)


def test_a_day_that_is_far_off_is_no_fault(shop: Shop) -> None:
    order = shop.order(shop.offer(), scheduled_at=clock.now() + 60 * DAY)
    shop.until(clock.today() + 40 * DAY)
    order.refresh_from_db()
    assert order.state == OrderState.PENDING
    assert is_clean(shop)
