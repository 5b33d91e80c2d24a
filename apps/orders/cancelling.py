"""An order is to be cancelled: an order of kind `cancel` asks for it, and it is decided under everybody's locks.

What is not paid is called off; of what is paid, the items that were not delivered go back in full. What was delivered
stays: a subscription is cancelled by its own rules. Where a person is at work on an item, a person decides.
"""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.billing import invoices, subscriptions
from apps.billing.models import RUNNING, Invoice, InvoiceState, Subscription, SubscriptionState
from apps.core import clock, events, work
from apps.core.errors import Refused
from apps.orders import changing, fulfilment, history, moves, scheduling, services, states
from apps.orders.models import (
    ENDED_STATES,
    Fulfilment,
    FulfilmentState,
    ItemAction,
    Order,
    OrderItem,
    OrderKind,
    OrderState,
    Service,
)

KIND = "orders.Order"
_O = OrderState


def cancel(order: Order, *, reason: str = "", actor: str = "", decided: bool = False) -> Order:
    """Asks for an order to be cancelled; gives the order of kind `cancel`, `completed` where it was done at once.

    It stays `in_progress`, and the order `assessing_cancellation`, where staff are at work on an item and `decided` is
    not said. Asked again meanwhile, it is the same one. Raises Refused: `order_closed`, `order_delivered`,
    and `nothing_planned` of a change that holds already.
    """
    if order.kind == OrderKind.CHANGE:
        return _change_undone(order, reason, actor)
    with transaction.atomic():
        mine, order = _locked(order)
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
        _mine, order = _locked(order)
        if order.state != _O.ASSESSING:
            raise Refused("not_asked", _("Отменить этот заказ никто не просил"))
        history.change(order, _O.IN_PROGRESS, reason=reason, actor=actor)
        for asked in order.cancellations.filter(state=_O.IN_PROGRESS):
            _answer(asked, _O.FAILED, reason=reason, actor=actor)
        work.close(KIND, order.pk)
        # What was delivered meanwhile may have been the last of it.
        fulfilment.finish_order(order.pk, actor=actor)


def _locked(order: Order) -> tuple[list[Subscription], Order]:
    """The order and all that decides of it, in everybody's order: subscriptions, invoice, what is done, the order."""
    begun = OrderItem.objects.filter(order=order, subscription__isnull=False).values("subscription")
    rows = Subscription.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=begun)
    mine = list(rows.order_by("pk"))
    list(Invoice.objects.select_for_update(no_key=True).filter(order=order).values_list("pk"))
    fulfilment.locked(Fulfilment.objects.filter(order=order).values_list("pk", flat=True))
    return mine, scheduling.locked(order.pk)


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


def _call_off(order: Order, mine: list[Subscription], reason: Any, actor: str) -> None:
    """Nothing of it was paid: a charge on its way comes back when it comes."""
    invoice = order.invoice
    if invoice is not None and invoice.state == InvoiceState.OPEN:
        invoices.void(invoice)
    for one in mine:
        one.refresh_from_db(fields=["state"])
        if one.state == SubscriptionState.PENDING:
            subscriptions.end(one, SubscriptionState.ENDED, "cancelled")
    scheduling.drop(order, reason=reason, actor=actor)


def _give_back(order: Order, mine: list[Subscription], reason: Any, actor: str) -> None:
    """All that was not delivered is off, and its money goes back in full."""
    items = list(order.items.all())
    over = [one for one in items if one.state not in states.CLOSED]
    keys = {one.subscription_id for one in over}
    theirs = [one for one in mine if one.pk in keys]
    given = Service.objects.select_for_update(no_key=True).filter(subscription__in=theirs)
    for service in given.exclude(state__in=ENDED_STATES).order_by("pk"):
        services.switch_off(service, reason)
    moves.close_items(order, items, over, _O.CANCELLED, reason=reason, actor=actor)
    work.close(KIND, order.pk)
    for one in theirs:
        if one.state in RUNNING:
            subscriptions.undo(one, actor=actor)


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
    items = list(asked.items.all())
    now = clock.now()
    history.change_order(asked, state, items=items, reason=reason, actor=actor, closed_at=now)
    event = "orders.CancellationDone" if state == _O.COMPLETED else "orders.CancellationRefused"
    events.publish(event, asked.pk, customer_id=asked.customer_id)


def find(order_id: UUID) -> Order:
    """An order that can be cancelled. Raises Order.DoesNotExist."""
    return Order.objects.exclude(kind=OrderKind.CANCEL).get(pk=order_id)
