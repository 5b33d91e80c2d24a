"""Corners of billing where money was once wrong, or nothing came of what was asked."""

from apps.billing import subscriptions
from apps.billing.models import Subscription, SubscriptionState
from tests.billing.test_lifecycle_rests import addon_offer
from tests.orders.shop import Shop

_S = SubscriptionState


def test_ended_at_once_while_an_addon_is_not_paid_yet(shop: Shop) -> None:
    parent = shop.buy(shop.offer())
    order = shop.order(addon_offer(shop), customer=parent.customer, parent=parent)
    subscriptions.cancel(parent, at_period_end=False, actor="test")
    shop.pay(order)
    addon = Subscription.objects.get(parent=parent)
    assert addon.state == _S.CANCELLED
    # What was paid on a page that was open already goes back in full.
    payment = order.payment()
    assert payment is not None
    assert payment.given_back() == payment.amount
