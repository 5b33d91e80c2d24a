"""Another tariff or quantity of a subscription as an order of kind `change`: what was asked for, and what became of it.

Billing decides and charges (`billing.changes`); the order follows the row that a change stands by there: what waits
for money, or terms to come. Whatever was heard, that row is read again.
"""

from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.billing import changes, subscriptions
from apps.billing.arrangements import ChangeState, SubscriptionChange
from apps.billing.models import RUNNING, Invoice, Subscription, SubscriptionPhase
from apps.core import clock
from apps.core.errors import Refused
from apps.orders import history, placing, states
from apps.orders.models import ItemAction, Order, OrderItem, OrderKind, OrderState

SOURCE = "source"
"""In the terms of its item: the row of billing that the change stands by."""
_O = OrderState


def ordered(subscription_id: UUID, source: UUID, actor: str) -> None:
    """Writes the order of a change, once. In the caller's transaction."""
    subscription = subscriptions.locked(subscription_id)
    key = f"change:{source}"
    if Order.objects.filter(request_key=key).exists():
        return
    wanted = _source(source)
    invoice = wanted.invoice if isinstance(wanted, SubscriptionChange) else None
    order = Order(
        kind=OrderKind.CHANGE,
        customer_id=subscription.customer_id,
        legal_entity_id=subscription.legal_entity_id,
        total=invoice.total if invoice else Decimal(0),
        currency=subscription.currency,
        state=_O.PENDING,
        channel_id=subscription.channel_id,
        channel_code=subscription.channel_code,
        invoice=invoice,
        request_key=key,
        actor=actor[:100],
        created_at=wanted.created_at,
    )
    order.save(force_insert=True)
    item = OrderItem.objects.create(
        order=order,
        action=ItemAction.MODIFY,
        offer_id=wanted.offer_id,
        product_id=subscription.product_id,
        tariff_version_id=wanted.tariff_version_id,
        name=_name(wanted, invoice),
        quantity=wanted.quantity,
        price=wanted.price if isinstance(wanted, SubscriptionPhase) else order.total,
        total=order.total,
        terms={SOURCE: str(source)},
        subscription=subscription,
        state=_O.PENDING,
    )
    history.record_many([(order, "", _O.ACKNOWLEDGED), (order, _O.ACKNOWLEDGED, _O.PENDING)], actor=actor)
    placing.number(order)
    _follow(order, item, wanted)


def follow(subscription_id: UUID) -> None:
    """The subscription's changes that are not over are what billing says of them. Safe to repeat."""
    mine = OrderItem.objects.filter(subscription=subscription_id, action=ItemAction.MODIFY)
    for item in mine.exclude(state__in=states.CLOSED).order_by("pk"):
        order = Order.objects.select_for_update(no_key=True).get(pk=item.order_id)
        item.refresh_from_db()
        if item.state not in states.CLOSED:
            _follow(order, item, _source(UUID(item.terms[SOURCE])))


def cancel(order: Order, *, actor: str) -> None:
    """Today's terms go on: what was planned does not come, what waits for money is not paid any more.

    Raises Refused: `order_closed`, and `nothing_planned` where it holds already.
    """
    with transaction.atomic():
        subscription: Subscription | None = order.item.subscription
        if subscription is None or order.state in states.CLOSED:
            raise Refused("order_closed", _("Заказ уже закрыт: %s") % order.get_state_display())
        changes.undo(subscription=subscription, actor=actor)
        follow(subscription.pk)


def outcome(source: SubscriptionChange | SubscriptionPhase) -> str:
    """What an order is, by the row that its change stands by."""
    if isinstance(source, SubscriptionChange):
        found = {ChangeState.WAITING: _O.PENDING, ChangeState.APPLIED: _O.COMPLETED}
        return found.get(ChangeState(source.state), _O.CANCELLED)
    if source.start_date <= clock.today() and (source.dropped_at is None):
        return _O.COMPLETED
    return _O.CANCELLED if source.dropped_at else _O.PENDING


def source_of(item: OrderItem) -> SubscriptionChange | SubscriptionPhase:
    """The row of billing that an item of action `modify` stands by. Raises SubscriptionPhase.DoesNotExist."""
    return _source(UUID(item.terms[SOURCE]))


def _source(key: UUID) -> SubscriptionChange | SubscriptionPhase:
    waiting = SubscriptionChange.objects.select_related("invoice").filter(pk=key).first()
    return waiting or SubscriptionPhase.objects.get(pk=key)


def _name(wanted: SubscriptionChange | SubscriptionPhase, invoice: Invoice | None) -> str:
    if isinstance(wanted, SubscriptionPhase):
        return wanted.name
    return str(invoice.lines.order_by("position")[0].description)[:300] if invoice else ""


def _follow(order: Order, item: OrderItem, source: SubscriptionChange | SubscriptionPhase) -> None:
    becomes = outcome(source)
    if becomes == _O.PENDING and item.subscription is not None and item.subscription.state not in RUNNING:
        # It ended before its new terms came.
        becomes = _O.CANCELLED
    if becomes == order.state:
        return
    if becomes == _O.COMPLETED:
        history.change_order(order, _O.IN_PROGRESS, items=[item])
    history.change_order(order, becomes, items=[item], closed_at=clock.now())
