"""What of an order will not be delivered is off, and its money goes back: one way, whoever decided it and why."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.billing import subscriptions
from apps.billing.models import Invoice, Subscription
from apps.core import faults, work
from apps.orders import fulfilment, moves, scheduling, services, states
from apps.orders.models import (
    ENDED_STATES,
    Fulfilment,
    FulfilmentAction,
    FulfilmentState,
    Order,
    OrderItem,
    OrderState,
    Service,
)

ACTOR = "fulfilment"


def locked(order_id: UUID) -> tuple[Order, dict[UUID, Subscription]]:
    """An order with what it has begun, all that decides of it locked, in everybody's order: subscriptions, invoice,
    what is done for it, the order."""
    begun = OrderItem.objects.filter(order=order_id, subscription__isnull=False)
    mine = subscriptions.locked_many(key for key in begun.values_list("subscription", flat=True) if key)
    list(Invoice.objects.select_for_update(no_key=True).filter(order=order_id).values_list("pk"))
    fulfilment.locked(Fulfilment.objects.filter(order=order_id).values_list("pk", flat=True))
    return scheduling.locked(order_id), mine


def give_back(
    order: Order,
    over: Sequence[OrderItem],
    begun: Mapping[UUID, Subscription],
    *,
    state: str,
    reason: Any,
    actor: str = "",
) -> None:
    """These items of an order that is `locked` end in `state`, and never cost anything (`subscriptions.undo`).

    What was given of them is taken back at the provider. Of what is closed already the money alone goes back.
    """
    theirs = [begun[key] for one in over if (key := one.subscription_id) is not None]
    given = Service.objects.select_for_update(no_key=True).filter(subscription__in=theirs)
    for service in given.exclude(state__in=ENDED_STATES).order_by("pk"):
        services.switch_off(service, reason)
    items = list(order.items.all())
    keys = {one.pk for one in over}
    if closed := [one for one in items if one.pk in keys and one.state not in states.CLOSED]:
        moves.close_items(order, items, closed, state, reason=reason, actor=actor)
    for one in theirs:
        subscriptions.undo(one, actor=actor)


def give_back_failed(fulfilment_id: UUID) -> None:
    """Due work: gives an item back whose pieces have all failed. Safe to repeat.

    All in one transaction. Where it cannot be known what to give back, staff are told.
    """
    with transaction.atomic():
        failed = Fulfilment.objects.select_related("service", "item").get(pk=fulfilment_id)
        if failed.item is None:
            told = _("не исполнено, верните деньги клиенту")
            work.open(moves.KIND, failed.pk, f"{failed.service.name}: {told}")
            return
        order, begun = locked(failed.item.order_id)
        if _is_being_undone(failed.item):
            # Whose last piece fails comes here again.
            return
        give_back(order, [failed.item], begun, state=OrderState.FAILED, reason=failed.failure, actor=ACTOR)
        faults.at("orders.given-back-not-committed")
    faults.at("orders.given-back")


def _is_being_undone(item: OrderItem) -> bool:
    mine = Fulfilment.objects.filter(item=item, action=FulfilmentAction.PROVISION)
    return mine.exclude(state__in=[FulfilmentState.FAILED, FulfilmentState.REVOKED]).exists()
