"""A subscription that somebody cancelled, as an order of kind `cancel`: what is to be disconnected, and since when.

Billing decides (`billing.subscriptions.cancel`); the order follows the subscription: it waits for the last paid day,
is done while providers take back what they gave, and is off where the cancellation was withdrawn. Whatever was heard,
the subscription is read again.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from apps.billing import periods, subscriptions
from apps.billing.models import RUNNING, Subscription
from apps.core.errors import Refused
from apps.orders import history, moves, placing, states
from apps.orders.models import (
    Fulfilment,
    FulfilmentAction,
    ItemAction,
    Order,
    OrderItem,
    OrderKind,
    OrderState,
)

SOURCE = "source"
"""In the terms of its items: by which cancellation of billing it was made; later ones are greater."""
_O = OrderState


def ordered(
    subscription_id: UUID, *, source: str, asked_at: datetime, family: Sequence[UUID], actor: str
) -> None:
    """Writes the order of a cancellation, once: an item for the subscription and for each add-on that goes with it.

    In the caller's transaction.
    """
    subscription = subscriptions.locked(subscription_id)
    key = f"leave:{source}"
    if not Order.objects.filter(request_key=key).exists():
        with_it = Subscription.objects.filter(pk__in=family).exclude(pk=subscription_id).order_by("pk")
        _write(subscription, list(with_it), key, source, asked_at, actor)
    follow(subscription_id)


def _write(
    lead: Subscription, addons: list[Subscription], key: str, source: str, asked_at: datetime, actor: str
) -> None:
    order = Order(
        kind=OrderKind.CANCEL,
        customer_id=lead.customer_id,
        legal_entity_id=lead.legal_entity_id,
        total=0,
        currency=lead.currency,
        channel_id=lead.channel_id,
        channel_code=lead.channel_code,
        request_key=key,
        actor=actor[:100],
        created_at=asked_at,
    )
    order.save(force_insert=True)
    OrderItem.objects.bulk_create(
        OrderItem(
            order=order,
            position=position,
            action=ItemAction.DELETE,
            offer_id=one.offer_id,
            product_id=one.product_id,
            tariff_version_id=one.tariff_version_id,
            name=one.name,
            quantity=one.quantity,
            price=one.price,
            total=0,
            terms={SOURCE: source},
            subscription=one,
        )
        for position, one in enumerate([lead, *addons], 1)
    )
    history.record(order, "", order.state, reason=lead.cancel_reason, actor=actor)
    placing.number(order)


def follow(subscription_id: UUID) -> None:
    """Orders that disconnect it, and are not over, are what its state says. Safe to repeat."""
    mine = of_subscriptions().filter(subscription=subscription_id).exclude(state__in=states.CLOSED)
    for key in sorted(mine.values_list("order", flat=True)):
        _follow(Order.objects.select_for_update(no_key=True).get(pk=key))


def of_subscriptions() -> QuerySet[OrderItem]:
    """Items of orders that disconnect subscriptions; those of orders that call off another order are none."""
    return OrderItem.objects.filter(action=ItemAction.DELETE, order__cancels=None)


def outcome(lead: OrderItem, subscription: Subscription) -> str:
    """What an order is by the subscription of its first item, but for what providers have not taken back yet."""
    last = of_subscriptions().filter(subscription=subscription).order_by("-terms__source").first()
    if last is None or last.terms[SOURCE] != lead.terms[SOURCE] or subscription.cancelled_at is None:
        return _O.CANCELLED
    return _O.PENDING if subscription.state in RUNNING else _O.COMPLETED


def withdraw(order: Order, *, actor: str) -> Order:
    """The subscription goes on. Raises Refused: `order_closed`, `is_cancellation` (it calls an order off)."""
    if order.cancels_id is not None:
        raise Refused("is_cancellation", _("Это отмена другого заказа: её не отменяют"))
    if order.state != _O.PENDING:
        raise Refused("order_closed", _("Заказ уже закрыт: %s") % order.get_state_display())
    with transaction.atomic():
        lead = order.item
        assert lead.subscription is not None  # of such an order every item has one
        subscriptions.uncancel(lead.subscription, actor=actor)
        follow(lead.subscription.pk)
        order.refresh_from_db()
    return order


def _follow(order: Order) -> None:
    items = list(order.items.order_by("position"))
    if order.state in states.CLOSED:
        return
    subscription = items[0].subscription
    assert subscription is not None  # of such an order every item has one
    becomes = outcome(items[0], subscription)
    if becomes == _O.COMPLETED:
        _disconnect(order, items)
        return
    if becomes == _O.CANCELLED:
        moves.end_cancellation(order, items, becomes, reason=_("Подписка продолжается"))
        return
    until = periods.midnight(subscription.ends_on) if subscription.ends_on else None
    if (order.state, order.scheduled_at) != (becomes, until):
        history.change_order(order, becomes, items=items, scheduled_at=until)


def _disconnect(order: Order, items: list[OrderItem]) -> None:
    """It has ended: what its providers are asked to take back is this order's, and it is done with the last of that."""
    if order.state != _O.IN_PROGRESS:
        history.change_order(order, _O.IN_PROGRESS, items=items)
    for item in items:
        asked = Fulfilment.objects.filter(
            service__subscription=item.subscription_id, action=FulfilmentAction.CANCEL, item=None
        )
        asked.update(order=order, item=item)
    moves.finish_cancellation(order)
