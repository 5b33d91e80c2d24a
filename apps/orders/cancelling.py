"""An order is to be cancelled: an order of kind `cancel` asks for it, and it is decided under everybody's locks.

What is not paid is called off; of what is paid, the items that were not delivered go back in full. What was delivered
stays: a subscription is cancelled by its own rules. Where a person is at work on an item, a person decides.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.billing import invoices, subscriptions
from apps.billing.models import RUNNING, InvoiceState, Subscription, SubscriptionState
from apps.core import clock, work
from apps.core.errors import Refused
from apps.orders import changing, fulfilment, giving_back, history, leaving, moves, scheduling, states
from apps.orders.models import (
    FulfilmentState,
    ItemAction,
    Order,
    OrderItem,
    OrderKind,
    OrderState,
)

KIND = "orders.Order"
_O = OrderState


def cancel(order: Order, *, reason: str = "", actor: str = "", decided: bool = False) -> Order:
    """Asks for an order to be cancelled; gives the order of kind `cancel`, `completed` where it was done at once.

    It stays `in_progress`, and the order `assessing_cancellation`, where staff are at work on an item and `decided` is
    not said. Asked again meanwhile, it is the same one. Of an order that disconnects a subscription it is that order:
    the subscription goes on. Raises Refused: `order_closed`, `order_delivered`, `nothing_planned` of a change that
    holds already, `is_cancellation` of an order that calls another off.
    """
    if order.kind == OrderKind.CANCEL:
        return leaving.withdraw(order, actor=actor)
    if order.kind == OrderKind.CHANGE:
        return _change_undone(order, reason, actor)
    with transaction.atomic():
        order, mine = giving_back.locked(order.pk)
        asked = order.cancellations.filter(state=_O.IN_PROGRESS).first()
        if order.state in states.CLOSED:
            raise Refused("order_closed", _("Заказ уже закрыт: %s") % order.get_state_display())
        if order.state in {_O.ACKNOWLEDGED, _O.PENDING, _O.DRAFT} and not _is_paid(order):
            asked = asked or _asked(order, reason, actor)
            _call_off(order, mine, reason or _("Отменён по просьбе"), actor)
            _answer(asked, _O.COMPLETED, actor=actor)
            return asked
        if not _undelivered(order):
            raise Refused("order_delivered", _("Заказ уже исполнен: отключите подписку"))
        asked = asked or _asked(order, reason, actor)
        if decided or not _is_in_hands(order):
            _give_back(order, mine, reason or _("Отменён по просьбе"), actor)
            _answer(asked, _O.COMPLETED, actor=actor)
        elif order.state != _O.ASSESSING:
            history.change(order, _O.ASSESSING, reason=reason, actor=actor)
            work.open(KIND, order.pk, str(_("Просят отменить заказ {number}")).format(number=order.number))
    return asked


def cancel_item(item: OrderItem, *, reason: Any, actor: str = "") -> Order:
    """One item of an order will not be delivered: it is given back while the others go on as they were.

    The order is `partial` or `failed` when all are over. Raises Refused `item_closed` where it is not being fulfilled.
    """
    with transaction.atomic():
        order, begun = giving_back.locked(item.order_id)
        item.refresh_from_db()
        if item.subscription_id is None or item.state not in {_O.IN_PROGRESS, _O.HELD}:
            raise Refused("item_closed", _("Эта позиция уже закрыта или ещё не оплачена"))
        giving_back.give_back(order, [item], begun, state=_O.FAILED, reason=reason, actor=actor)
    return order


def _change_undone(order: Order, reason: str, actor: str) -> Order:
    """Today's terms go on."""
    with transaction.atomic():
        changing.cancel(order, actor=actor)
        asked = _asked(order, reason, actor)
        _answer(asked, _O.COMPLETED, actor=actor)
    return asked


def refuse(order: Order, *, reason: str, actor: str) -> None:
    """Staff do not cancel it: it goes on. Raises Refused `not_asked`."""
    with transaction.atomic():
        order, _mine = giving_back.locked(order.pk)
        if order.state != _O.ASSESSING:
            raise Refused("not_asked", _("Отменить этот заказ никто не просил"))
        history.change(order, _O.IN_PROGRESS, reason=reason, actor=actor)
        for asked in order.cancellations.filter(state=_O.IN_PROGRESS):
            _answer(asked, _O.FAILED, reason=reason, actor=actor)
        work.close(KIND, order.pk)
        # What was delivered meanwhile may have been the last of it.
        fulfilment.finish_order(order.pk, actor=actor)


def _is_paid(order: Order) -> bool:
    """Whether its money came, or its period was granted, and only the news of it is still on its way."""
    if order.invoice is None:
        return False
    begun = order.items.filter(subscription__state__in=RUNNING).exists()
    return begun or order.invoice.state in {InvoiceState.PAID, InvoiceState.REFUNDED}


def _undelivered(order: Order) -> list[OrderItem]:
    return [one for one in order.items.all() if one.state not in states.CLOSED]


def _is_in_hands(order: Order) -> bool:
    """Whether a person is at work on something of it: they know whether it can still be stopped."""
    return order.fulfilments.filter(state=FulfilmentState.NEEDS_STAFF).exists()


def _call_off(order: Order, begun: Mapping[UUID, Subscription], reason: Any, actor: str) -> None:
    """Nothing of it was paid: a charge on its way comes back when it comes."""
    invoice = order.invoice
    if invoice is not None and invoice.state == InvoiceState.OPEN:
        invoices.void(invoice)
    for one in begun.values():
        one.refresh_from_db(fields=["state"])
        if one.state == SubscriptionState.PENDING:
            subscriptions.end(one, SubscriptionState.ENDED, "cancelled")
    scheduling.drop(order, reason=reason, actor=actor)


def _give_back(order: Order, begun: Mapping[UUID, Subscription], reason: Any, actor: str) -> None:
    """All that was not delivered is off, and its money goes back in full."""
    giving_back.give_back(order, _undelivered(order), begun, state=_O.CANCELLED, reason=reason, actor=actor)
    work.close(KIND, order.pk)


def _asked(order: Order, reason: str, actor: str) -> Order:
    """The order of kind `cancel`, with an item to be deleted for each of the order's."""
    asked = Order.objects.create(
        kind=OrderKind.CANCEL,
        state=_O.IN_PROGRESS,
        cancels=order,
        customer_id=order.customer_id,
        legal_entity_id=order.legal_entity_id,
        total=0,
        currency=order.currency,
        channel_id=order.channel_id,
        channel_code=order.channel_code,
        actor=actor,
        created_at=clock.now(),
    )
    OrderItem.objects.bulk_create(
        OrderItem(
            order=asked,
            position=one.position,
            action=ItemAction.DELETE,
            offer_id=one.offer_id,
            product_id=one.product_id,
            tariff_version_id=one.tariff_version_id,
            name=one.name,
            quantity=one.quantity,
            price=one.price,
            total=0,
            subscription_id=one.subscription_id,
            state=_O.IN_PROGRESS,
        )
        for one in order.items.all()
    )
    accepted, going = _O.ACKNOWLEDGED, _O.IN_PROGRESS
    history.record_many([(asked, "", accepted), (asked, accepted, going)], reason=reason, actor=actor)
    return asked


def _answer(asked: Order, state: str, *, reason: Any = "", actor: str = "") -> None:
    moves.end_cancellation(asked, list(asked.items.all()), state, reason=reason, actor=actor)
