"""Cancelling a subscription is an order of kind `cancel`: what is to be disconnected, and what became of it."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from django.test import Client

from apps.billing import retention, subscriptions
from apps.billing.models import Subscription, SubscriptionState
from apps.core import audit, clock
from apps.core.errors import Refused
from apps.core.models import Event
from apps.orders import cancelling, handlers, history
from apps.orders.control import timeline
from apps.orders.models import Fulfilment, ItemAction, Order, OrderItem, OrderKind, OrderState
from apps.sandbox.control import Control
from tests.orders.races import atomic
from tests.orders.shop import Shop
from tests.orders.test_console import address, staff
from tests.planted import execute, found

__all__ = ["staff"]


def leave_of(subscription: Subscription) -> Order:
    """The last order that disconnects it."""
    mine = Order.objects.filter(kind=OrderKind.CANCEL, items__subscription=subscription)
    return mine.order_by("-pk")[0]


def steps_of(order: Order) -> list[str]:
    return [one.became for one in history.of(order)]


def clean(shop: Shop) -> bool:
    wrong = [str(one) for one in audit.run([shop.partner.pk])]
    assert wrong == []
    return True


def test_it_waits_for_the_last_paid_day(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="100.00"), quantity=2)
    retention.leave(subscription, at_period_end=True, reason="dear", actor="customer")
    shop.deliver()
    order = leave_of(subscription)
    item = order.item
    assert (order.state, order.actor, order.total, order.number != "") == ("pending", "customer", 0, True)
    assert (item.action, item.quantity, item.subscription) == (ItemAction.DELETE, 2, subscription)
    assert subscription.current_period_end
    assert order.scheduled_at
    assert clock.local(order.scheduled_at).date() == subscription.current_period_end
    assert history.of(order)[0].reason == "Дорого"
    assert clean(shop)
    shop.until(subscription.current_period_end)
    order.refresh_from_db()
    assert (order.state, order.item.state) == (OrderState.COMPLETED, OrderState.COMPLETED)
    assert steps_of(order) == ["acknowledged", "pending", "in_progress", "completed"]
    made = Fulfilment.objects.filter(order=order)
    assert set(made.values_list("action", "state")) == {("cancel", "revoked")}
    assert len(made) == 2
    assert clean(shop)


def test_it_is_done_when_the_provider_has_taken_back(shop: Shop, provider_sim: Control) -> None:
    subscription = shop.buy(shop.offer(price="100.00"))
    provider_sim.fault("http_503", match={"operation": "cancel"})
    subscriptions.cancel(subscription, at_period_end=False, reason="Переезд", actor="olga")
    shop.deliver()
    order = leave_of(subscription)
    assert (order.state, order.scheduled_at) == (OrderState.IN_PROGRESS, None)
    [asked] = order.fulfilments.all()
    assert asked.state == "unknown"
    assert asked.item == order.item
    assert any(one.exchange for one in timeline.of(order, None).facts)
    assert clean(shop)
    shop.hurry()
    order.refresh_from_db()
    assert order.state == OrderState.COMPLETED
    assert steps_of(order) == ["acknowledged", "in_progress", "completed"]
    assert clean(shop)


def test_whoever_stays_has_it_cancelled(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="100.00"))
    for _time in range(2):
        # On a clock that stands still.
        subscriptions.cancel(subscription, actor="customer")
        shop.deliver()
        order = leave_of(subscription)
        subscriptions.uncancel(subscription, actor="customer")
        shop.deliver()
        order.refresh_from_db()
        assert (order.state, steps_of(order)[-1]) == ("cancelled", "cancelled")
    subscriptions.cancel(subscription, actor="customer")
    shop.deliver()
    made = Order.objects.filter(kind=OrderKind.CANCEL).order_by("pk").values_list("state", flat=True)
    assert list(made) == ["cancelled", "cancelled", "pending"]
    # Not waited for after all: it is the same order.
    subscriptions.cancel(subscription, at_period_end=False, actor="olga")
    shop.deliver()
    assert list(made.all()) == ["cancelled", "cancelled", "completed"]
    assert clean(shop)


def test_the_order_of_news_does_not_matter(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="100.00"))
    subscriptions.cancel(subscription, actor="customer")
    subscriptions.uncancel(subscription, actor="customer")
    subscriptions.cancel(subscription, actor="customer")
    news = Event.objects.filter(type="billing.SubscriptionCancelled", object_id=subscription.pk)
    for one in [*news.order_by("-pk"), *news]:
        atomic(handlers.write_what_is_disconnected, one)()
    shop.deliver()
    orders = Order.objects.filter(kind=OrderKind.CANCEL)
    assert sorted(orders.values_list("state", flat=True)) == ["cancelled", "pending"]
    assert clean(shop)


def test_addons_are_items_of_it(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="100.00"))
    extra = shop.buy(shop.offer(price="50.00"), customer=subscription.customer, parent=subscription)
    subscriptions.cancel(subscription, at_period_end=False, actor="olga")
    shop.deliver()
    order = leave_of(subscription)
    assert [one.subscription for one in order.items.all()] == [subscription, extra]
    assert order.state == OrderState.COMPLETED
    assert Fulfilment.objects.filter(order=order).count() == 2
    assert Order.objects.filter(kind=OrderKind.CANCEL).count() == 1
    assert clean(shop)


def test_what_fails_or_is_not_paid_is_no_such_order(shop: Shop) -> None:
    order = shop.order(shop.offer(price="100.00"))
    cancelling.cancel(order, actor="olga")
    shop.deliver()
    assert not Order.objects.filter(kind=OrderKind.CANCEL, cancels=None).exists()


def test_it_is_withdrawn_by_its_order(shop: Shop, staff: Callable[[str], Client]) -> None:
    subscription = shop.buy(shop.offer(price="100.00"))
    subscriptions.cancel(subscription, actor="customer")
    shop.deliver()
    order, client = leave_of(subscription), staff("support")
    listed = client.get(address("orders_order_changelist"), {"kind__exact": "cancel"}).content.decode()
    assert order.number in listed
    for name in ("change", "way"):
        assert client.get(address(f"orders_order_{name}", order.pk)).status_code == 200
    # Not «Отменить заказ»: of an order that calls off nobody knows what that would do.
    assert client.get(address("orders_order_cancel_order", order.pk)).status_code == 403
    page = address("orders_order_let_go_on", order.pk)
    assert "Подписка пойдёт дальше" in client.get(page).content.decode()
    assert client.post(page, {"reason": "Передумал"}).status_code == 302
    order.refresh_from_db()
    subscription.refresh_from_db()
    assert (order.state, subscription.state) == (OrderState.CANCELLED, SubscriptionState.ACTIVE)
    assert not subscription.cancel_at_period_end
    with pytest.raises(Refused, match="order_closed"):
        cancelling.cancel(order, actor="olga")
    assert clean(shop)


def test_an_order_that_calls_off_another_is_not_called_off(shop: Shop) -> None:
    order = shop.order(shop.offer(price="100.00"))
    asked = cancelling.cancel(order, actor="olga")
    with pytest.raises(Refused, match="is_cancellation"):
        cancelling.cancel(asked, actor="olga")


CORRUPTIONS = [
    (
        "orders.cancellation-is-what-billing-says",
        "UPDATE orders_orderitem SET state = 'completed' WHERE action = 'delete'",
    ),
    (
        "orders.cancellation-is-what-billing-says",
        "UPDATE orders_orderitem SET state = 'completed' WHERE action = 'delete';"
        " UPDATE orders_order SET state = 'completed' WHERE kind = 'cancel'",
    ),
    ("orders.cancellation-is-what-billing-says", "UPDATE billing_subscription SET cancelled_at = NULL"),
    ("orders.cancellation-is-what-billing-says", "UPDATE billing_subscription SET state = 'cancelled'"),
]


def test_the_auditor_knows_what_is_disconnected(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="100.00"))
    subscriptions.cancel(subscription, actor="customer")
    shop.deliver()
    assert OrderItem.objects.filter(action=ItemAction.DELETE, state="pending").exists()
    for rule, sql in CORRUPTIONS:
        assert found(rule, partial(execute, sql)), sql
    assert subscription.current_period_end
    shop.until(subscription.current_period_end + timedelta(days=1))
    assert clean(shop)
