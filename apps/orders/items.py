"""One item of an order by itself: it cannot be delivered, and its money goes back while the others are."""

from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.billing import subscriptions
from apps.billing.models import RUNNING
from apps.core.errors import Refused
from apps.orders import fulfilment, moves, services
from apps.orders.models import ENDED_STATES, Order, OrderItem, OrderState, Service


def cancel_item(item: OrderItem, *, reason: Any, actor: str = "") -> Order:
    """One item of an order will not be delivered: its services go off, its line is credited and its money goes back.

    The others are delivered as they were; the order is `partial` or `failed` when all are over. What was given of it
    already is taken back at the provider. Raises Refused `item_closed` where it is not being fulfilled.
    """
    with transaction.atomic():
        if item.subscription_id is None:
            raise Refused("item_closed", _("По этой позиции ничего не исполняется"))
        subscription = subscriptions.locked_with_parent(item.subscription_id)
        fulfilment.locked(item.fulfilments.values_list("pk", flat=True))
        order = Order.objects.select_for_update(no_key=True).get(pk=item.order_id)
        items = list(order.items.all())
        [mine] = [one for one in items if one.pk == item.pk]
        if mine.state not in {OrderState.IN_PROGRESS, OrderState.HELD}:
            raise Refused("item_closed", _("Эта позиция уже закрыта или ещё не оплачена"))
        given = Service.objects.select_for_update(no_key=True).filter(subscription=subscription)
        for service in given.exclude(state__in=ENDED_STATES).order_by("pk"):
            services.switch_off(service, reason)
        moves.close_items(order, items, [mine], OrderState.FAILED, reason=reason, actor=actor)
        if subscription.state in RUNNING:
            subscriptions.undo(subscription, actor=actor)
    return order
