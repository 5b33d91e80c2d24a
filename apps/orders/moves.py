"""Where a fulfilment stands: written down, locked, planned, put off, put before staff, closed."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef

from apps.catalog.models import Product
from apps.connectors.models import Connection
from apps.core import bulk, clock, due, events, gather, ids, work
from apps.orders import history, inventory, states, watching
from apps.orders.models import (
    GONE_STATES,
    Fulfilment,
    FulfilmentAction,
    FulfilmentState,
    Order,
    OrderItem,
    OrderState,
    Service,
)
from apps.providers import services
from apps.providers.services import connection_for

KIND = "orders.Fulfilment"
FULFIL = "orders.fulfil"
PATIENCE = 6
"""Attempts before staff are called; what is unknown goes on being asked about all the same."""
_A, _F = FulfilmentAction, FulfilmentState


def create(service: Service, action: str, *, at_end: bool = False, **fields: Any) -> Fulfilment:
    """Writes down one thing to be done for a service; nothing is planned yet.

    `at_end`: with others of its batch, where there is one (`gather`).
    """
    product = product_of(service)
    made = Fulfilment(
        pk=service.request_id if action == _A.PROVISION else ids.uuid7(),
        service=service,
        action=action,
        provider=product.provider,
        connection=connection_for(product),
        created_at=clock.now(),
        failure="",
        **fields,
    )
    if at_end and gather.is_gathering():
        gather.at_end(_insert, [made])
    else:
        made.save(force_insert=True)
    history.record(made, "", _F.QUEUED)
    return made


def _insert(made: Sequence[Fulfilment]) -> None:
    bulk.copy_objects(Fulfilment, made)


def product_of(service: Service) -> Product:
    """What it is, with who supplies it."""
    rows = Product.objects.select_related("provider__connection", "provider__test_connection")
    return gather.once(("orders.product", service.product_id), lambda: rows.get(pk=service.product_id))


def connection_of(service: Service) -> Connection | None:
    """Through which its provider is reached; None where nobody outside is asked."""
    return connection_for(product_of(service))


def plan(fulfilment: Fulfilment, at: datetime) -> None:
    """When it is looked at next, by the wall clock, in its lane."""
    due.schedule(FULFIL, fulfilment.pk, at, wall=True, lane=fulfilment.connection_id)


def plan_no_more(fulfilment: Fulfilment) -> None:
    """Nobody looks at it by itself any more."""
    due.cancel(FULFIL, fulfilment.pk)


def locked(fulfilment_ids: Iterable[UUID]) -> list[Fulfilment]:
    """Fulfilments as they stand now, locked after their services, both in the order of their ids."""
    wanted = bulk.these("uuid", fulfilment_ids)
    # The service first, as whoever ends it locks it: in the other order the two would wait for each other.
    services = Service.objects.select_for_update(no_key=True).filter(
        pk__in=Fulfilment.objects.filter(pk__in=wanted).values("service")
    )
    held = {one.pk: one for one in services.order_by("pk")}
    rows = Fulfilment.objects.select_for_update(no_key=True).filter(pk__in=wanted).order_by("pk")
    found = list(rows)
    for one in found:
        one.service = held[one.service_id]
    return found


def lock(fulfilment_id: UUID) -> Fulfilment:
    """One of them. Raises Fulfilment.DoesNotExist."""
    found = locked([fulfilment_id])
    if not found:
        raise Fulfilment.DoesNotExist(fulfilment_id)
    return found[0]


def later(fulfilment: Fulfilment, state: str, wait: timedelta, reason: Any) -> None:
    """Put off, in `state`."""
    next_at = clock.wall() + wait
    history.change(fulfilment, state, reason=reason, error=str(reason)[:500], next_at=next_at)
    plan(fulfilment, next_at)
    watching.watch(fulfilment)


def put_back(fulfilment: Fulfilment, wait: timedelta | None = None, *, is_repeated: bool) -> None:
    """It was claimed and not asked for: that was no attempt. Without `wait` it takes the place that it had."""
    if wait is None:
        wait = ids.made_at(fulfilment.pk) - clock.wall()
    if fulfilment.state == _F.IN_PROGRESS:
        fulfilment.attempts -= 1
        later(fulfilment, _F.UNKNOWN if is_repeated else _F.RETRY, wait, "")
    elif fulfilment.state == _F.COMPENSATING:
        later(fulfilment, _F.COMPENSATING, wait, "")


def call_staff(
    fulfilment: Fulfilment,
    reason: Any,
    *,
    state: str = _F.NEEDS_STAFF,
    deadline_at: datetime | None = None,
    actor: str = "",
) -> None:
    """It waits for a person, in the queue."""
    history.change(fulfilment, state, reason=reason, actor=actor, error=str(reason)[:500], next_at=None)
    work.open(KIND, fulfilment.pk, f"{fulfilment.service.name}: {reason}", deadline_at=deadline_at)
    watching.watch(fulfilment)


def close(
    fulfilment: Fulfilment, state: str, *, reason: Any = "", actor: str = "", at_end: bool = False
) -> None:
    """Nothing of it is to be done any more. `at_end`: see `history.change_at_end`."""
    change = history.change_at_end if at_end else history.change
    change(fulfilment, state, reason=reason, actor=actor, error="", next_at=None, done_at=clock.now())
    work.close(KIND, fulfilment.pk)
    if fulfilment.promised_at is not None:
        due.cancel(watching.WATCH, fulfilment.pk)


def call_off(fulfilment: Fulfilment) -> None:
    """A closed one, of what is, is wanted no more: where its provider's people were asked, they need not decide."""
    if fulfilment.attempts and fulfilment.connection_id is None and fulfilment.step is None:
        service = fulfilment.service
        services.call_off(product_of(service), service.request_id, fulfilment.pk, fulfilment.action)


def taken_back(cancellation: Fulfilment, *, reason: Any = "", actor: str = "") -> None:
    """The provider has taken its own back; what is undone step by step has waited for that."""
    close(cancellation, _F.REVOKED, reason=reason, actor=actor)
    inventory.taken_back(cancellation.service)
    if cancellation.order_id is not None:
        finish_cancellation(Order.objects.select_for_update(no_key=True).get(pk=cancellation.order_id))
    waiting = Fulfilment.objects.filter(
        service=cancellation.service_id, action=_A.PROVISION, state=_F.COMPENSATING
    )
    for one in waiting:
        plan(one, clock.wall())


def take_back(service: Service, reason: Any, *, was_asked: bool) -> None:
    """A locked service is over; what the provider gave, or may have given, is taken back there. Safe to repeat."""
    if service.is_over:
        return
    is_at_provider = was_asked or service.activated_at is not None
    inventory.end(service, is_at_provider=is_at_provider, reason=reason)
    events.publish("orders.ServiceOff", service.pk)
    if is_at_provider:
        made = create(service, _A.CANCEL)
        plan(made, clock.wall())


def finish_order(order_id: UUID, *, actor: str = "") -> None:
    """Items whose last piece was delivered are completed, and the order with the last of its items."""
    finish_orders([order_id], actor=actor)


def finish_orders(order_ids: Iterable[UUID], *, actor: str = "") -> None:
    """`finish_order` of many, in the order of their ids."""
    history.saved()
    wanted = bulk.these("uuid", order_ids)
    rows = Order.objects.select_for_update(no_key=True).filter(pk__in=wanted).order_by("pk")
    live = [one for one in rows if one.state == OrderState.IN_PROGRESS]
    unfinished = Fulfilment.objects.filter(item=OuterRef("pk"), order=OuterRef("order")).exclude(
        state=_F.DONE
    )
    found = OrderItem.objects.filter(order__in=bulk.these("uuid", [one.pk for one in live]))
    items: dict[UUID, list[Any]] = defaultdict(list)
    for item in found.annotate(is_unfinished=Exists(unfinished)).order_by("order_id", "position"):
        items[item.order_id].append(item)
    for order in live:
        whole = [
            one for one in items[order.pk] if one.state == OrderState.IN_PROGRESS and not one.is_unfinished
        ]
        if whole:
            close_items(order, items[order.pk], whole, OrderState.COMPLETED, actor=actor)


def close_items(
    order: Order,
    items: Sequence[OrderItem],
    closed: Sequence[OrderItem],
    state: str,
    *,
    reason: Any = "",
    actor: str = "",
) -> None:
    """Some of all `items` of a locked order are over, in `state`; with the last of them the order is, and says so."""
    others = [one.state for one in items if one not in closed]
    whole = states.of_items([*others, state]) or order.state
    if order.state == OrderState.ASSESSING and whole != order.state:
        # Decided, whoever it was that decided.
        is_off = whole == OrderState.CANCELLED
        history.change(order, OrderState.CANCELLING if is_off else OrderState.IN_PROGRESS, actor=actor)
    over: dict[str, Any] = {"closed_at": clock.now()} if whole in states.CLOSED else {}
    history.change_order(order, whole, items=closed, item_state=state, reason=reason, actor=actor, **over)
    if whole in states.CLOSED:
        is_done = whole in {OrderState.COMPLETED, OrderState.PARTIAL}
        event = "orders.OrderDone" if is_done else "orders.OrderCancelled"
        events.publish(event, order.pk, customer_id=order.customer_id)


def finish_cancellation(order: Order) -> None:
    """A locked order that disconnects is completed with the last service that its providers have taken back."""
    history.saved()
    items = list(order.items.all())
    theirs = Service.objects.filter(subscription__in=[one.subscription_id for one in items])
    if order.state == OrderState.IN_PROGRESS and not theirs.exclude(state__in=GONE_STATES).exists():
        end_cancellation(order, items, OrderState.COMPLETED)


def end_cancellation(
    order: Order, items: Sequence[OrderItem], state: str, *, reason: Any = "", actor: str = ""
) -> None:
    """A locked order of kind `cancel` is over, in `state`, and says so."""
    history.change_order(order, state, items=items, reason=reason, actor=actor, closed_at=clock.now())
    event = "orders.CancellationDone" if state == OrderState.COMPLETED else "orders.CancellationRefused"
    events.publish(event, order.pk, customer_id=order.customer_id)


def backoff(fulfilment: Fulfilment) -> timedelta:
    """30 seconds, 1, 2, 4 … minutes, an hour at most, each a quarter more or less.

    The same for the same fulfilment and attempt: a replay takes the same time. After an outage what failed together
    does not come back together.
    """
    base = min(30 * 2 ** max(fulfilment.attempts - 1, 0), 3600)
    digest = hashlib.blake2b(f"{fulfilment.pk}:{fulfilment.attempts}".encode(), digest_size=4).digest()
    return timedelta(seconds=base * (0.75 + 0.5 * int.from_bytes(digest, "big") / 2**32))
