"""Fulfilment: what is to be done for a service, and what became of it; what fails for good stands in the staff's queue.

`provisioning` asks the providers.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext_lazy as _

from apps.catalog.models import Product
from apps.connectors.base import ConnectorError
from apps.connectors.models import Connection
from apps.core import bulk, clock, due, events, work
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.orders import history, inventory, letters, states
from apps.orders.models import (
    OPEN_STATES,
    Fulfilment,
    FulfilmentAction,
    FulfilmentState,
    Order,
    OrderItem,
    OrderState,
    Service,
    ServiceState,
)
from apps.providers.base import NOT_SUPPORTED, Provisioned, Status
from apps.providers.services import connection_for

KIND = "orders.Fulfilment"
FULFIL = "orders.fulfil"
PATIENCE = 6
"""Attempts before staff are called; what is unknown goes on being asked about all the same."""
FAULT_POINTS = (
    "orders.placed-not-committed",
    "orders.placed",
    "orders.claimed-not-called",
    "orders.called-not-recorded",
    "orders.recorded-not-committed",
    "orders.recorded",
)
"""Every commit and call boundary of ordering and fulfilling."""
_A, _F, _S = FulfilmentAction, FulfilmentState, ServiceState
PAIR = (_A.SUSPEND, _A.RESUME)
"""What gives the customer nothing and takes nothing for good."""


def add(service: Service, action: str, **fields: Any) -> Fulfilment:
    """Writes down one thing to be done for a service, and plans it at once in the lane of who does it."""
    product = _supplied(service)
    fulfilment = Fulfilment.objects.create(
        pk=service.request_id if action == _A.PROVISION else uuid7(),
        service=service,
        action=action,
        provider=product.provider,
        connection=connection_for(product),
        created_at=clock.now(),
        **fields,
    )
    history.record(fulfilment, "", _F.QUEUED)
    plan(fulfilment, clock.wall())
    return fulfilment


def connection_of(service: Service) -> Connection | None:
    """Through which its provider is reached; None where nobody outside is asked."""
    return connection_for(_supplied(service))


def _supplied(service: Service) -> Product:
    found = Product.objects.select_related("provider__connection", "provider__test_connection")
    return found.get(pk=service.product_id)


def plan(fulfilment: Fulfilment, at: datetime) -> None:
    """When it is looked at next, by the wall clock, in its lane."""
    due.schedule(FULFIL, fulfilment.pk, at, wall=True, lane=fulfilment.connection_id)


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


def answered(fulfilment: Fulfilment, answer: Provisioned) -> UUID | None:
    """What the provider of a locked fulfilment has said; gives the order that this may have been the last of."""
    if fulfilment.state == _F.REVOKED and fulfilment.action == _A.PROVISION:
        _take_back_again(fulfilment)
    if fulfilment.state != _F.IN_PROGRESS:
        return None
    if fulfilment.action == _A.CANCEL and answer.status in {Status.CANCELED, Status.ACTIVE}:
        _taken_back(fulfilment)
    elif fulfilment.action in PAIR and answer.status == Status.ACTIVE:
        close(fulfilment, _F.DONE)
    elif answer.status == Status.ACTIVE:
        _deliver(fulfilment, answer)
        return fulfilment.order_id
    elif answer.status == Status.PENDING:
        # The provider may be asked as often as its description says.
        wait = timedelta(seconds=answer.ask_again) if answer.ask_again else backoff(fulfilment.attempts)
        later(fulfilment, _F.IN_PROGRESS, wait, "")
    else:
        reason = _("Выдать вручную") if answer.status == Status.MANUAL else _("Поставщик отозвал услугу")
        call_staff(fulfilment, reason)
    return None


def _taken_back(cancellation: Fulfilment, *, actor: str = "") -> None:
    close(cancellation, _F.REVOKED, actor=actor)
    inventory.taken_back(cancellation.service)


def _take_back_again(provision: Fulfilment) -> None:
    """The provider answers after we called it off: it may have had the cancellation first, and made it after that."""
    again = Fulfilment.objects.select_for_update(no_key=True).filter(
        service=provision.service, action=_A.CANCEL
    )
    for cancellation in again:
        history.change(cancellation, _F.QUEUED, reason=_("Поставщик ответил после отзыва"), done_at=None)
        plan(cancellation, clock.wall())


def _deliver(fulfilment: Fulfilment, answer: Provisioned, *, actor: str = "") -> None:
    held = Service.objects.select_for_update(no_key=True, of=("self",))
    service = held.select_related("customer", "subscription").get(pk=fulfilment.service_id)
    has_news = bool(answer.key and answer.key != service.key) or fulfilment.action == _A.PROVISION
    if not service.customer.erased_at:
        service.key = answer.key or service.key
        service.url = answer.url or service.url
        service.instructions = answer.instructions or service.instructions
    # Extensions come in any order: none of them shortens.
    service.active_until = max(filter(None, (service.active_until, fulfilment.period_end)), default=None)
    service.activated_at = service.activated_at or clock.now()
    # What rests is prolonged and goes on resting: its subscription wakes it.
    inventory.move(service, service.state if service.state == _S.SUSPENDED else _S.ACTIVE, actor=actor)
    close(fulfilment, _F.DONE, actor=actor)
    if not service.subscription.is_live:
        events.publish("orders.ServiceToRest", service.subscription_id)
    if has_news:
        letters.delivered(service, fulfilment)
    events.publish("orders.ServiceActivated" if has_news else "orders.ServiceExtended", service.pk)


def finish_order(order_id: UUID, *, actor: str = "") -> None:
    """Items whose last piece was delivered are completed, and the order with the last of its items."""
    order = Order.objects.select_for_update(no_key=True).get(pk=order_id)
    if order.state != OrderState.IN_PROGRESS:
        return
    unfinished = order.fulfilments.filter(item=OuterRef("pk")).exclude(state=_F.DONE)
    items = list(order.items.annotate(is_unfinished=Exists(unfinished)))
    whole = [one for one in items if one.state == OrderState.IN_PROGRESS and not one.is_unfinished]
    if whole:
        close_items(order, items, whole, OrderState.COMPLETED, actor=actor)


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
    over: dict[str, Any] = {"closed_at": clock.now()} if whole in states.CLOSED else {}
    history.change_order(order, whole, items=closed, item_state=state, reason=reason, actor=actor, **over)
    if whole in states.CLOSED:
        is_done = whole in {OrderState.COMPLETED, OrderState.PARTIAL}
        event = "orders.OrderDone" if is_done else "orders.OrderCancelled"
        events.publish(event, order.pk, customer_id=order.customer_id)


def failed(fulfilment: Fulfilment, error: ConnectorError, *, is_repeated: bool) -> None:
    """Its provider refused, or cannot be asked. `is_repeated`: an earlier request of it may have arrived."""
    if fulfilment.state == _F.REVOKED and fulfilment.action == _A.PROVISION and error.unknown:
        _take_back_again(fulfilment)
    if fulfilment.state != _F.IN_PROGRESS:
        return
    if fulfilment.attempts >= PATIENCE and _is_known_down(fulfilment):
        fulfilment.attempts = PATIENCE - 1
    is_spent = fulfilment.attempts >= PATIENCE
    # Where an earlier request may have arrived, a question that failed has settled nothing.
    if error.unknown or (error.retry and is_repeated):
        later(fulfilment, _F.UNKNOWN, backoff(fulfilment.attempts), error)
        if is_spent:
            work.open(KIND, fulfilment.pk, str(_("Поставщик не отвечает: {error}")).format(error=error))
    elif error.retry and not is_spent:
        later(fulfilment, _F.RETRY, backoff(fulfilment.attempts), error)
    elif error.code == NOT_SUPPORTED and fulfilment.action in PAIR:
        close(fulfilment, _F.DONE, reason=_("Поставщик не знает паузы"))
    else:
        call_staff(fulfilment, error)


def _is_known_down(fulfilment: Fulfilment) -> bool:
    """Whether its breaker is open: staff have that as one piece of work, and the orders wait for the provider."""
    return Connection.objects.filter(pk=fulfilment.connection_id, opened_at__isnull=False).exists()


def later(fulfilment: Fulfilment, state: str, wait: timedelta, reason: Any) -> None:
    next_at = clock.wall() + wait
    history.change(fulfilment, state, reason=reason, error=str(reason)[:500], next_at=next_at)
    plan(fulfilment, next_at)


def put_back(fulfilment: Fulfilment, wait: timedelta, *, is_repeated: bool) -> None:
    """It was claimed and not asked for: that was no attempt."""
    if fulfilment.state == _F.IN_PROGRESS:
        fulfilment.attempts -= 1
        later(fulfilment, _F.UNKNOWN if is_repeated else _F.RETRY, wait, "")


def call_staff(fulfilment: Fulfilment, reason: Any) -> None:
    history.change(fulfilment, _F.NEEDS_STAFF, reason=reason, error=str(reason)[:500], next_at=None)
    work.open(KIND, fulfilment.pk, f"{fulfilment.service.name}: {reason}")


def close(fulfilment: Fulfilment, state: str, *, reason: Any = "", actor: str = "") -> None:
    history.change(fulfilment, state, reason=reason, actor=actor, error="", next_at=None, done_at=clock.now())
    work.close(KIND, fulfilment.pk)


def retry(fulfilment: Fulfilment, *, actor: str) -> None:
    """Staff have removed the obstacle: asks the provider again, at once. Raises Refused `not_waiting`."""
    with transaction.atomic():
        fulfilment = lock(fulfilment.pk)
        if fulfilment.state not in {_F.NEEDS_STAFF, _F.RETRY, _F.UNKNOWN}:
            raise Refused("not_waiting", _("Это исполнение ничего не ждёт"))
        # An earlier request may have arrived: what is unknown stays so, and is asked about first.
        state = _F.RETRY if fulfilment.state == _F.RETRY else _F.UNKNOWN
        history.change(fulfilment, state, actor=actor, attempts=0, next_at=clock.wall())
        work.close(KIND, fulfilment.pk)
        plan(fulfilment, clock.wall())


def hand_over(
    fulfilment: Fulfilment, *, key: str = "", url: str = "", instructions: str = "", actor: str
) -> None:
    """A person did what no provider could. Raises Refused: `not_waiting`, `nothing_given`."""
    with transaction.atomic():
        fulfilment = lock(fulfilment.pk)
        if fulfilment.state != _F.NEEDS_STAFF:
            raise Refused("not_waiting", _("Выдать можно только то, что ждёт сотрудника"))
        if fulfilment.action == _A.CANCEL:
            _taken_back(fulfilment, actor=actor)
            return
        if fulfilment.action in PAIR:
            close(fulfilment, _F.DONE, actor=actor)
            return
        if fulfilment.action == _A.PROVISION and not (key or url or instructions):
            raise Refused("nothing_given", _("Укажите ключ, ссылку или инструкцию"), status=400)
        answer = Provisioned(Status.ACTIVE, key=key, url=url, instructions=instructions)
        _deliver(fulfilment, answer, actor=actor)
        if fulfilment.order_id:
            finish_order(fulfilment.order_id, actor=actor)


def revoke_open(service: Service) -> bool:
    """What is still to be done for a service is not done any more; whether the provider may know of any of it."""
    waiting = Fulfilment.objects.select_for_update(no_key=True).filter(service=service, state__in=OPEN_STATES)
    was_asked = False
    for fulfilment in waiting.exclude(action=_A.CANCEL):
        was_asked = was_asked or fulfilment.attempts > 0
        close(fulfilment, _F.REVOKED, reason=_("Подписка завершена"))
        due.cancel(FULFIL, fulfilment.pk)
    return was_asked


def backoff(attempts: int) -> timedelta:
    """30 seconds, 1, 2, 4 … minutes, an hour at most."""
    return timedelta(seconds=min(30 * 2 ** max(attempts - 1, 0), 3600))
