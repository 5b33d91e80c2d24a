"""What becomes of an order when its moment comes: a scheduled one is sold, a forgotten draft is called off."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from apps.core import clock, due, events
from apps.core.errors import Refused
from apps.orders import history, letters, placing
from apps.orders.models import Order, OrderItem, OrderState
from apps.orders.placing import How, Wanted
from apps.orders.rules import Declared

EXPIRE = "orders.expire"
DRAFT_DAYS = timedelta(days=30)
"""How long a draft waits for somebody to place it."""


def start(order_id: UUID) -> None:
    """Sells a scheduled order as it was accepted, or rejects it with the reason. Safe to repeat."""
    with transaction.atomic():
        order = _rows(order_id).first()
        if order is None or order.state != OrderState.PENDING or order.invoice_id is not None:
            return
        try:
            with transaction.atomic():
                sell(order)
        except Refused as refusal:
            order.refresh_from_db()
            reject(order, str(refusal.message))
            return
        order.refresh_from_db()
        if order.invoice is not None and letters.is_to_be_paid(order.invoice):
            # Nobody is at a payment page now: who ordered days ago has to be told.
            letters.order_to_pay(order)


def sell(order: Order) -> None:
    """Sells a locked order that waited, at the prices its items were quoted at. Raises Refused, as `place_order`."""
    items = list(order.items.all())
    wanted = [Wanted(one.offer_id, one.quantity, one.price, one.answers) for one in items]
    placing.place(order, wanted, how_of(order, items), keys=[one.pk for one in items])


def how_of(order: Order, items: list[OrderItem]) -> How:
    """What was chosen beside the products when it was accepted."""
    declared: dict[str, Any] = next((one.terms["declared"] for one in items if one.terms.get("declared")), {})
    return How(declared=Declared(**declared), **order.asked)


def reject(order: Order, reason: str) -> None:
    """A locked order that cannot be sold as it was accepted."""
    items = list(order.items.all())
    now = clock.now()
    history.change_order(order, OrderState.REJECTED, items=items, reason=reason, closed_at=now)
    events.publish("orders.OrderCancelled", order.pk, customer_id=order.customer_id)


def expire(order_id: UUID) -> None:
    """A draft that nobody has placed in time is called off."""
    with transaction.atomic():
        order = _rows(order_id).first()
        if order is not None and order.state == OrderState.DRAFT:
            drop(order, reason=_("Черновик не оформлен в срок"))


def drop(order: Order, *, reason: object, actor: str = "") -> None:
    """A locked order that was not sold yet is off: nothing of it was billed."""
    items = list(order.items.all())
    history.change_order(
        order, OrderState.CANCELLED, items=items, reason=reason, actor=actor, closed_at=clock.now()
    )
    due.cancel(placing.START, order.pk)
    due.cancel(EXPIRE, order.pk)
    events.publish("orders.OrderCancelled", order.pk, customer_id=order.customer_id)


def locked(order_id: UUID) -> Order:
    """The order as it stands now, locked. Raises Refused `order_gone` where it was a draft, and is deleted."""
    order = _rows(order_id).first()
    if order is None:
        raise Refused("order_gone", _("Этого заказа больше нет: черновик удалён"), status=404)
    return order


def _rows(order_id: UUID) -> QuerySet[Order]:
    return Order.objects.select_for_update(no_key=True).filter(pk=order_id)
