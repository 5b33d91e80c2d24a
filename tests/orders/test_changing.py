"""Another tariff or quantity is an order of kind `change`: it says what was asked for, and what became of it."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.test import Client

from apps.billing import changes, subscriptions
from apps.billing.models import Subscription
from apps.core import audit
from apps.core.errors import Refused
from apps.orders import cancelling, changing, history
from apps.orders.control import timeline
from apps.orders.models import ItemAction, Order, OrderItem, OrderKind, OrderState
from tests.orders.races import atomic
from tests.orders.shop import GOOD, Shop
from tests.orders.test_console import address, staff
from tests.planted import execute, found

__all__ = ["staff"]
D = Decimal


def change_of(subscription: Subscription) -> Order:
    return Order.objects.get(kind=OrderKind.CHANGE, items__subscription=subscription)


def clean(shop: Shop) -> bool:
    wrong = [str(one) for one in audit.run([shop.partner.pk])]
    assert wrong == []
    return True


def test_what_is_dearer_waits_for_its_money(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="100.00"))
    made = changes.change(
        subscription=subscription, quantity=3, return_url="https://shop.example/", actor="olga"
    )
    shop.deliver()
    order = change_of(subscription)
    item = order.item
    assert (order.state, order.actor, order.invoice, order.total) == (
        OrderState.PENDING,
        "olga",
        made.invoice,
        made.invoice.total if made.invoice else None,
    )
    assert (item.action, item.quantity, item.subscription) == (ItemAction.MODIFY, 3, subscription)
    assert order.number
    assert clean(shop)
    shop.pay(order, card=GOOD)
    assert order.state == OrderState.COMPLETED
    assert {one.became for one in history.of(order)} == {
        "acknowledged",
        "pending",
        "in_progress",
        "completed",
    }
    assert timeline.of(order, None).facts
    assert clean(shop)


def test_what_is_cheaper_comes_when_the_period_is_over(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="100.00"), quantity=3)
    changes.change(subscription=subscription, quantity=2, actor="customer")
    shop.deliver()
    order = change_of(subscription)
    assert (order.state, order.total) == (OrderState.PENDING, 0)
    assert clean(shop)
    assert subscription.current_period_end
    shop.until(subscription.current_period_end)
    order.refresh_from_db()
    assert order.state == OrderState.COMPLETED
    assert clean(shop)


def test_what_is_asked_last_counts(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="100.00"), quantity=3)
    for quantity in (2, 1):
        changes.change(subscription=subscription, quantity=quantity, actor="customer")
        shop.deliver()
    got = Order.objects.filter(kind=OrderKind.CHANGE).order_by("pk").values_list("items__quantity", "state")
    assert list(got) == [(2, "cancelled"), (1, "pending")]
    assert clean(shop)
    subscriptions.cancel(subscription, at_period_end=False, actor="olga")
    shop.deliver()
    assert set(Order.objects.filter(kind=OrderKind.CHANGE).values_list("state", flat=True)) == {"cancelled"}
    assert clean(shop)


def test_a_change_is_called_off_by_its_order(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="100.00"), quantity=2)
    changes.change(subscription=subscription, quantity=1, actor="customer")
    changes_to_pay = shop.buy(shop.offer(price="100.00"))
    changes.change(subscription=changes_to_pay, quantity=2, return_url="https://shop.example/")
    shop.deliver()
    for one in (subscription, changes_to_pay):
        order = change_of(one)
        asked = cancelling.cancel(order, reason="Передумали", actor="olga")
        order.refresh_from_db()
        assert (order.state, asked.kind, asked.state) == ("cancelled", OrderKind.CANCEL, "completed")
        assert changes.waiting_for(one.pk) is None
        with pytest.raises(Refused, match="order_closed"):
            cancelling.cancel(order, actor="olga")
    shop.deliver()
    assert clean(shop)


def test_heard_twice_it_is_one_order(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="100.00"), quantity=2)
    changes.change(subscription=subscription, quantity=1, actor="customer")
    shop.deliver()
    order = change_of(subscription)
    atomic(changing.ordered, subscription.pk, changing.source_of(order.item).pk, "customer")()
    assert Order.objects.filter(kind=OrderKind.CHANGE).count() == 1


def test_staff_see_it(shop: Shop, staff: Callable[[str], Client]) -> None:
    subscription = shop.buy(shop.offer(price="100.00"), quantity=2)
    changes.change(subscription=subscription, quantity=1, actor="customer")
    shop.deliver()
    order, client = change_of(subscription), staff("support")
    assert (
        order.number
        in client.get(address("orders_order_changelist"), {"kind__exact": "change"}).content.decode()
    )
    for name in ("change", "way"):
        assert client.get(address(f"orders_order_{name}", order.pk)).status_code == 200
    assert (
        client.post(address("orders_order_cancel_order", order.pk), {"reason": "Передумали"}).status_code
        == 302
    )
    order.refresh_from_db()
    assert order.state == OrderState.CANCELLED


CORRUPTIONS = [
    (
        "orders.change-is-what-billing-says",
        "UPDATE orders_orderitem SET state = 'completed' WHERE action = 'modify';"
        " UPDATE orders_order SET state = 'completed' WHERE kind = 'change'",
    ),
    (
        "orders.change-is-what-billing-says",
        "UPDATE orders_orderitem SET state = 'held' WHERE action = 'modify'",
    ),
    (
        "orders.change-is-what-billing-says",
        "UPDATE billing_subscriptionphase SET dropped_at = created_at WHERE kind = 'change'",
    ),
]


def test_the_auditor_knows_what_was_changed(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="100.00"), quantity=2)
    changes.change(subscription=subscription, quantity=1, actor="customer")
    shop.deliver()
    assert OrderItem.objects.filter(action=ItemAction.MODIFY).exists()
    for rule, sql in CORRUPTIONS:
        assert found(rule, partial(execute, sql)), sql
    assert subscription.current_period_end
    shop.until(subscription.current_period_end + timedelta(days=1))
    assert clean(shop)
