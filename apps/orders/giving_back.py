"""What could not be fulfilled is paid back: all that is left of it, once, when nothing of it stands any more."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.billing import adjusting, given_back, held, invoices, subscriptions
from apps.billing.engine import Credit
from apps.billing.models import RUNNING, CreditReason, Invoice, InvoiceState, Subscription
from apps.core import faults, work
from apps.orders import moves, states
from apps.orders.models import Fulfilment, FulfilmentAction, FulfilmentState, Order, OrderItem, OrderState

ACTOR = "fulfilment"


def give_back(fulfilment_id: UUID) -> None:
    """Due work: closes an item whose pieces have all failed, and gives its money back. Safe to repeat.

    All in one transaction. Where it cannot be known what to give back, staff are told.
    """
    with transaction.atomic():
        failed = Fulfilment.objects.select_related("service", "item__order").get(pk=fulfilment_id)
        if failed.item is None:
            _call_staff(failed, _("не исполнено, верните деньги клиенту"))
            return
        # Everybody's order: the subscription, its money, the order.
        subscription = _locked(failed.item)
        if _is_being_undone(failed.item):
            # Whose last piece fails comes here again.
            return
        if failed.item.order.invoice_id is not None and subscription is not None:
            _pay_back(invoices.locked(failed.item.order.invoice_id), subscription)
        if subscription is not None and subscription.state in RUNNING:
            subscriptions.cancel(subscription, at_period_end=False, reason="not_delivered", actor=ACTOR)
        _close(failed)
        faults.at("orders.given-back-not-committed")
    faults.at("orders.given-back")


def _call_staff(failed: Fulfilment, told: Any) -> None:
    work.open(moves.KIND, failed.pk, f"{failed.service.name}: {told}")


def _locked(item: OrderItem) -> Subscription | None:
    return subscriptions.locked_with_parent(item.subscription_id) if item.subscription_id else None


def _is_being_undone(item: OrderItem) -> bool:
    mine = Fulfilment.objects.filter(item=item, action=FulfilmentAction.PROVISION)
    return mine.exclude(state__in=[FulfilmentState.FAILED, FulfilmentState.REVOKED]).exists()


def _close(failed: Fulfilment) -> None:
    order = Order.objects.select_for_update(no_key=True).get(items=failed.item_id)
    items = list(order.items.all())
    mine = [one for one in items if one.pk == failed.item_id and one.state not in states.CLOSED]
    if mine:
        moves.close_items(order, items, mine, OrderState.FAILED, reason=failed.failure, actor=ACTOR)


def _pay_back(invoice: Invoice, subscription: Subscription) -> None:
    """All that is left of the lines of a locked invoice, by the payment that it came with."""
    lines = list(invoice.lines.all())
    mine = [one for one in lines if one.subscription_id == subscription.pk]
    if invoice.state == InvoiceState.OPEN and len(mine) == len(lines):
        # Money that was only held is let go of, and nothing was taken.
        held.let_go(subscription, actor=ACTOR)
        invoice = invoices.locked(invoice.pk)
        if invoice.state == InvoiceState.OPEN:
            invoices.void(invoice)
        return
    left = given_back.left_of_lines(invoice, mine)
    parts = [
        Credit(line=one.pk, start=one.period_start, end=one.period_end, amount=left[one.pk])
        for one in mine
        if left[one.pk] > 0 and one.period_start and one.period_end
    ]
    adjusting.credit(parts, reason=CreditReason.CANCELLATION, to_card=True, actor=ACTOR)
