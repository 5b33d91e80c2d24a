"""What must hold of what was paid for: delivered once, or given back once, or somebody has it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal
from uuid import UUID

from django.db.models import Q

from apps.billing import given_back
from apps.billing.models import RUNNING, InvoiceState
from apps.core import audit
from apps.core.models import Delivery, Due
from apps.core.tenancy import current_partner_id
from apps.orders.models import OPEN_STATES, Fulfilment, FulfilmentState, OrderItem, OrderState
from apps.orders.steps import GIVE_BACK
from apps.orders.task_models import OPEN, Task, TaskState

_F = FulfilmentState


@audit.rule("orders.paid-item-settled", of=(OrderItem, Fulfilment))
def paid_item_settled() -> Iterator[str]:
    """Each item that was given out or failed ended in one way: all of it delivered, or all of it undone and paid back.

    What has not ended is open (`orders.open-is-planned` says who has it), or its money is planned to go back.
    """
    mine = current_partner_id()
    told = set(Delivery.objects.filter(partner_id=mine).values_list("event__object_id", flat=True))
    due = set(Due.objects.filter(partner_id=mine, kind=GIVE_BACK).values_list("object_id", flat=True))
    pieces: dict[UUID, list[Fulfilment]] = defaultdict(list)
    rows = Fulfilment.objects.filter(action="provision", item__isnull=False).select_related("service")
    for one in rows.order_by("pk"):
        pieces[one.item_id].append(one)  # type: ignore[index]
    items = OrderItem.objects.filter(pk__in=list(pieces)).select_related("order__invoice", "subscription")
    items = items.exclude(subscription__in=told).exclude(order__invoice__in=told)
    for item in items.order_by("order", "position"):
        for wrong in _wrong(item, pieces[item.pk], due):
            yield f"Order {item.order.number}, item {item.position}: {wrong}"


def _wrong(item: OrderItem, pieces: list[Fulfilment], due: set[UUID]) -> Iterable[str]:
    states = {one.state for one in pieces}
    is_over = not states & set(OPEN_STATES)
    for one in pieces:
        if one.state == _F.DONE and one.service.activated_at is None:
            yield f"{one.pk} is done, and its service was never on"
        if one.state == _F.FAILED and not one.service.is_over:
            yield f"{one.pk} has failed, and its service is {one.service.state}"
    if _F.FAILED in states and _F.DONE in states:
        yield "a part was delivered, and another is given back"
    if item.state == OrderState.IN_PROGRESS and is_over and not due & {one.pk for one in pieces}:
        yield f"all of it is {', '.join(sorted(states))}, and nobody closes it"
    if item.state == OrderState.COMPLETED and _F.FAILED in states:
        yield "it is completed, and has failed"
    if item.state == OrderState.FAILED:
        yield from _not_given_back(item, states)


def _not_given_back(item: OrderItem, states: set[str]) -> Iterable[str]:
    if states - {_F.FAILED, _F.REVOKED, _F.COMPENSATING}:
        yield "it has failed, and a part of it has not"
    if item.subscription is not None and item.subscription.state in RUNNING:
        yield "it has failed, and its subscription runs"
    invoice = item.order.invoice
    if invoice is None or invoice.state not in {InvoiceState.OPEN, InvoiceState.PAID}:
        return
    lines = [one for one in invoice.lines.all() if one.subscription_id == item.subscription_id]
    left = sum(given_back.left_of_lines(invoice, lines).values(), Decimal(0))
    if left:
        yield f"it has failed, and {left} was not given back"


@audit.rule("orders.tasks-follow-their-fulfilment", of=(Task,))
def tasks_follow_their_fulfilment() -> Iterator[str]:
    """What is done has no step to be done, what is undone none that stands; an open one stands at one step."""
    rows = Task.objects.select_related("fulfilment").order_by("fulfilment", "position")
    for task in rows.filter(fulfilment__state=_F.DONE).exclude(state__in=[TaskState.DONE, TaskState.SKIPPED]):
        yield f"Fulfilment {task.fulfilment_id} is done, and its step {task.position} is {task.state}"
    for task in rows.filter(fulfilment__state__in=[_F.FAILED, _F.REVOKED]):
        if task.state in {TaskState.PENDING, *OPEN} or task.has_effect:
            yield f"Fulfilment {task.fulfilment_id} is undone, and its step {task.position} is {task.state}"
    planned = Fulfilment.objects.filter(step__isnull=False, state__in=OPEN_STATES)
    at_a_step = Q(tasks__state__in=OPEN)
    for row in planned.exclude(pk__in=planned.filter(at_a_step).values("pk")).exclude(state=_F.COMPENSATING):
        yield f"Fulfilment {row.pk} is {row.state}, and stands at no step"
