"""What becomes of an order when its moment comes: a scheduled one is sold, a forgotten draft is called off."""

from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from apps.core import clock, due, events
from apps.core.errors import Refused
from apps.orders import history, letters, placing
from apps.orders.models import History, Order, OrderItem, OrderState
from apps.orders.placing import How, Wanted
from apps.orders.rules import Declared

EXPIRE = "orders.expire"
DRAFT_DAYS = timedelta(days=30)
"""How long a draft waits for somebody to place it."""
PASSING = frozenset({"offer_stopped", "sold_out", "sales_stopped", "no_connection"})
"""Refusals that say nothing of the order itself: what was accepted waits until they are over."""
SOONEST, LATEST = timedelta(minutes=1), timedelta(minutes=30)
"""Between two tries of an order that waits: a quarter of what it has waited, within these."""


def start(order_id: UUID) -> None:
    """Sells a scheduled order as it was accepted, or rejects it with the reason. Safe to repeat.

    While its product is not sold for a while it is tried again, for `settings.SCHEDULED_ORDER_DAYS` at most.
    """
    with transaction.atomic():
        order = _rows(order_id).first()
        if order is None or order.state != OrderState.PENDING or order.invoice_id is not None:
            return
        try:
            with transaction.atomic():
                sell(order)
        except Refused as refusal:
            order.refresh_from_db()
            if not (refusal.code in PASSING and _put_off(order, refusal)):
                reject(order, refusal)
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


def accept(order: Order) -> None:
    """Takes a locked draft whose day is to come, as `placing.accept`. Raises Refused, as `place_order`."""
    placing.check_known(order.customer)
    items = list(order.items.all())
    wanted = [Wanted(one.offer_id, one.quantity, one.price, one.answers) for one in items]
    placing.accept(order, wanted, how_of(order, items), keys=[one.pk for one in items])


def morning(day: date) -> datetime:
    """When what is ordered for a day begins: at eight, in the partner's zone."""
    return datetime.combine(day, time(8), tzinfo=clock.zone())


def how_of(order: Order, items: list[OrderItem]) -> How:
    """What was chosen beside the products when it was accepted."""
    declared: dict[str, Any] = next((one.terms["declared"] for one in items if one.terms.get("declared")), {})
    return How(declared=Declared(**declared), **order.asked)


def _put_off(order: Order, refusal: Refused) -> bool:
    """Plans the next try of a locked order; False where it has waited long enough."""
    now, wall = clock.now(), clock.wall()
    waiting = History.objects.filter(object_id=order.pk, was=order.state, became=order.state)
    since = waiting.order_by("pk").values_list("at", flat=True).first()
    if since is None:
        # Staff see on its page what it waits for; the customer is told how it ends.
        history.record(order, order.state, order.state, reason=refusal.message)
        since = now
    left = since + timedelta(days=settings.SCHEDULED_ORDER_DAYS) - now
    if left <= timedelta(0):
        return False
    wait = min(max((now - since) / 4, SOONEST), LATEST, left)
    if until := refusal.extra.get("until"):
        # Never later: it is sold from that moment on; but sooner, for a stop is ended by hand, too.
        wait = min(wait, max(datetime.fromisoformat(until) - wall, SOONEST))
    # Stops and breakers go by the wall clock.
    due.schedule(placing.START, order.pk, wall + wait, wall=True)
    return True


def reject(order: Order, refusal: Refused) -> None:
    """A locked order that cannot be sold as it was accepted; its customer, who waits for it, is told why."""
    items = list(order.items.all())
    history.change_order(
        order, OrderState.REJECTED, items=items, reason=refusal.message, closed_at=clock.now()
    )
    letters.order_rejected(order, refusal)
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
