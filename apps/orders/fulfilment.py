"""Fulfilment: claim, ask the provider, record; a failure is tried again, then stands in the staff's queue."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.catalog.models import Product, ProductParameter, TariffVersion
from apps.catalog.parameters import AskedAt
from apps.connectors.base import ConnectorError
from apps.core import clock, due, events, faults, work
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.orders import history, letters
from apps.orders.models import (
    OPEN_STATES,
    Fulfilment,
    FulfilmentAction,
    FulfilmentState,
    Order,
    OrderState,
    Service,
    ServiceState,
)
from apps.providers.base import ProviderConnector, Provisioned, ProvisionRequest, Status
from apps.providers.services import connector_for

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


def add(service: Service, action: str, **fields: Any) -> Fulfilment:
    """Writes down one thing to be done for a service, and plans it at once."""
    fulfilment = Fulfilment.objects.create(
        pk=service.request_id if action == _A.PROVISION else uuid7(),
        service=service,
        action=action,
        created_at=clock.now(),
        **fields,
    )
    history.record(fulfilment, "", _F.QUEUED)
    due.schedule(FULFIL, fulfilment.pk, clock.wall(), wall=True)
    return fulfilment


def fulfil(fulfilment_id: UUID) -> None:
    """Does one thing at its provider. Any number may run at once, and be killed anywhere: the request's id is one."""
    claimed = _claim(fulfilment_id)
    if claimed is None:
        return
    fulfilment, is_repeated = claimed
    faults.at("orders.claimed-not-called")
    try:
        answer = _ask(fulfilment, is_repeated=is_repeated)
    except ConnectorError as error:
        with transaction.atomic():
            _not_done(fulfilment_id, error, is_repeated=is_repeated)
        return
    faults.at("orders.called-not-recorded")
    with transaction.atomic():
        _record(fulfilment_id, answer)
        faults.at("orders.recorded-not-committed")
    faults.at("orders.recorded")


def _claim(fulfilment_id: UUID) -> tuple[Fulfilment, bool] | None:
    """The fulfilment, and whether an earlier request of it may have arrived."""
    with transaction.atomic():
        fulfilment = _locked(fulfilment_id)
        if fulfilment.state not in {_F.QUEUED, _F.RETRY, _F.UNKNOWN, _F.IN_PROGRESS}:
            return None
        if fulfilment.action == _A.EXTEND and fulfilment.service.state == _S.PENDING:
            # What is not there yet is not extended: the first request goes first.
            _later(fulfilment, _F.RETRY, timedelta(minutes=10), _("Ждёт подключения услуги"))
            return None
        if fulfilment.action == _A.PROVISION and (lacking := _lacking(fulfilment.service)):
            _call_staff(fulfilment, _("Нужны данные: {names}").format(names=", ".join(lacking)))
            return None
        if _is_overtaken(fulfilment):
            _close(fulfilment, _F.DONE, reason=_("Уже продлено на больший срок"))
            return None
        is_repeated = fulfilment.state in {_F.UNKNOWN, _F.IN_PROGRESS}
        history.change(fulfilment, _F.IN_PROGRESS, attempts=fulfilment.attempts + 1)
    return fulfilment, is_repeated


def _lacking(service: Service) -> list[str]:
    """Names of what has to be known before it can be given out, and is not yet."""
    asked = ProductParameter.objects.filter(
        product=service.product_id, asked_at=AskedAt.FULFILMENT, is_required=True
    )
    return [str(one.name) for one in asked if one.code not in service.answers]


def _is_overtaken(fulfilment: Fulfilment) -> bool:
    """A later renewal was done first: to extend now would shorten what the customer has paid for."""
    until, wanted = fulfilment.service.active_until, fulfilment.period_end
    return fulfilment.action == _A.EXTEND and bool(until and wanted and wanted < until)


def _ask(fulfilment: Fulfilment, *, is_repeated: bool) -> Provisioned:
    service = fulfilment.service
    connector = connector_for(Product.objects.select_related("provider").get(pk=service.product_id))
    if fulfilment.action == _A.CANCEL:
        return connector.cancel(service.request_id)
    period_end = _paid_until(fulfilment)
    if fulfilment.action == _A.EXTEND:
        # Named by its own id: repeated, it is the same extension.
        return connector.extend(service.request_id, extension_id=fulfilment.pk, period_end=period_end)
    if is_repeated and (found := connector.fetch(service.request_id)) is not None:
        return found
    return _provision(connector, service, period_end)


def _paid_until(fulfilment: Fulfilment) -> date:
    if fulfilment.period_end is None:
        raise ConnectorError("No period is paid")
    return fulfilment.period_end


def _provision(connector: ProviderConnector, service: Service, period_end: date) -> Provisioned:
    version = TariffVersion.objects.select_related("tariff").get(pk=service.tariff_version_id)
    return connector.provision(
        ProvisionRequest(
            request_id=service.request_id,
            sku=version.tariff.code,
            customer_ref=str(service.customer_id),
            period_end=period_end,
            parameters={**version.parameters, **_answers(service)},
        )
    )


def _answers(service: Service) -> dict[str, Any]:
    """What was answered for it: at the order and since."""
    order = Order.objects.filter(subscription=service.subscription_id).first()
    return {**(order.answers if order else {}), **service.answers}


def _record(fulfilment_id: UUID, answer: Provisioned) -> None:
    fulfilment = _locked(fulfilment_id)
    if fulfilment.state == _F.REVOKED and fulfilment.action == _A.PROVISION:
        _take_back_again(fulfilment)
    if fulfilment.state != _F.IN_PROGRESS:
        return
    if fulfilment.action == _A.CANCEL and answer.status in {Status.CANCELED, Status.ACTIVE}:
        _close(fulfilment, _F.REVOKED)
    elif answer.status == Status.ACTIVE:
        _deliver(fulfilment, answer)
    elif answer.status == Status.PENDING:
        _later(fulfilment, _F.IN_PROGRESS, _backoff(fulfilment.attempts), "")
    else:
        reason = _("Выдать вручную") if answer.status == Status.MANUAL else _("Поставщик отозвал услугу")
        _call_staff(fulfilment, reason)


def _take_back_again(provision: Fulfilment) -> None:
    """The provider answers after we called it off: it may have had the cancellation first, and made it after that."""
    again = Fulfilment.objects.select_for_update(no_key=True).filter(
        service=provision.service, action=_A.CANCEL
    )
    for cancellation in again:
        history.change(cancellation, _F.QUEUED, reason=_("Поставщик ответил после отзыва"), done_at=None)
        due.schedule(FULFIL, cancellation.pk, clock.wall(), wall=True)


def _deliver(fulfilment: Fulfilment, answer: Provisioned, *, actor: str = "") -> None:
    service = Service.objects.select_for_update(no_key=True, of=("self",)).get(pk=fulfilment.service_id)
    has_news = bool(answer.key and answer.key != service.key) or fulfilment.action == _A.PROVISION
    if not service.customer.erased_at:
        service.key = answer.key or service.key
        service.url = answer.url or service.url
        service.instructions = answer.instructions or service.instructions
    # Extensions come in any order: none of them shortens.
    service.active_until = max(filter(None, (service.active_until, fulfilment.period_end)), default=None)
    service.activated_at = service.activated_at or clock.now()
    history.change(service, _S.ACTIVE, actor=actor)
    _close(fulfilment, _F.DONE, actor=actor)
    if has_news:
        letters.delivered(service, fulfilment)
    events.publish("orders.ServiceActivated" if has_news else "orders.ServiceExtended", service.pk)
    if fulfilment.order_id:
        _finish_order(fulfilment.order_id, actor=actor)


def _finish_order(order_id: UUID, *, actor: str) -> None:
    order = Order.objects.select_for_update(no_key=True).get(pk=order_id)
    is_whole = not order.fulfilments.exclude(state=_F.DONE).exists()
    if is_whole and order.state == OrderState.IN_PROGRESS:
        history.change(order, OrderState.DONE, actor=actor, closed_at=clock.now())
        events.publish("orders.OrderDone", order.pk, customer_id=order.customer_id)


def _not_done(fulfilment_id: UUID, error: ConnectorError, *, is_repeated: bool) -> None:
    fulfilment = _locked(fulfilment_id)
    if fulfilment.state == _F.REVOKED and fulfilment.action == _A.PROVISION and error.unknown:
        _take_back_again(fulfilment)
    if fulfilment.state != _F.IN_PROGRESS:
        return
    is_spent = fulfilment.attempts >= PATIENCE
    # Where an earlier request may have arrived, a question that failed has settled nothing.
    if error.unknown or (error.retry and is_repeated):
        _later(fulfilment, _F.UNKNOWN, _backoff(fulfilment.attempts), error)
        if is_spent:
            work.open(KIND, fulfilment.pk, str(_("Поставщик не отвечает: {error}")).format(error=error))
    elif error.retry and not is_spent:
        _later(fulfilment, _F.RETRY, _backoff(fulfilment.attempts), error)
    else:
        _call_staff(fulfilment, error)


def _later(fulfilment: Fulfilment, state: str, wait: timedelta, reason: Any) -> None:
    next_at = clock.wall() + wait
    history.change(fulfilment, state, reason=reason, error=str(reason)[:500], next_at=next_at)
    due.schedule(FULFIL, fulfilment.pk, next_at, wall=True)


def _call_staff(fulfilment: Fulfilment, reason: Any) -> None:
    history.change(fulfilment, _F.NEEDS_STAFF, reason=reason, error=str(reason)[:500], next_at=None)
    work.open(KIND, fulfilment.pk, f"{fulfilment.service.name}: {reason}")


def _close(fulfilment: Fulfilment, state: str, *, reason: Any = "", actor: str = "") -> None:
    history.change(fulfilment, state, reason=reason, actor=actor, error="", next_at=None, done_at=clock.now())
    work.close(KIND, fulfilment.pk)


def retry(fulfilment: Fulfilment, *, actor: str) -> None:
    """Staff have removed the obstacle: asks the provider again, at once. Raises Refused `not_waiting`."""
    with transaction.atomic():
        fulfilment = _locked(fulfilment.pk)
        if fulfilment.state not in {_F.NEEDS_STAFF, _F.RETRY, _F.UNKNOWN}:
            raise Refused("not_waiting", _("Это исполнение ничего не ждёт"))
        # An earlier request may have arrived: what is unknown stays so, and is asked about first.
        state = _F.RETRY if fulfilment.state == _F.RETRY else _F.UNKNOWN
        history.change(fulfilment, state, actor=actor, attempts=0, next_at=clock.wall())
        work.close(KIND, fulfilment.pk)
        due.schedule(FULFIL, fulfilment.pk, clock.wall(), wall=True)


def hand_over(
    fulfilment: Fulfilment, *, key: str = "", url: str = "", instructions: str = "", actor: str
) -> None:
    """A person did what no provider could. Raises Refused: `not_waiting`, `nothing_given`."""
    with transaction.atomic():
        fulfilment = _locked(fulfilment.pk)
        if fulfilment.state != _F.NEEDS_STAFF:
            raise Refused("not_waiting", _("Выдать можно только то, что ждёт сотрудника"))
        if fulfilment.action == _A.CANCEL:
            _close(fulfilment, _F.REVOKED, actor=actor)
            return
        if fulfilment.action == _A.PROVISION and not (key or url or instructions):
            raise Refused("nothing_given", _("Укажите ключ, ссылку или инструкцию"), status=400)
        answer = Provisioned(Status.ACTIVE, key=key, url=url, instructions=instructions)
        _deliver(fulfilment, answer, actor=actor)


def revoke_open(service: Service) -> bool:
    """What is still to be done for a service is not done any more; whether the provider may know of any of it."""
    waiting = Fulfilment.objects.select_for_update(no_key=True).filter(service=service, state__in=OPEN_STATES)
    was_asked = False
    for fulfilment in waiting.exclude(action=_A.CANCEL):
        was_asked = was_asked or fulfilment.attempts > 0
        _close(fulfilment, _F.REVOKED, reason=_("Подписка завершена"))
        due.cancel(FULFIL, fulfilment.pk)
    return was_asked


def _locked(fulfilment_id: UUID) -> Fulfilment:
    # The service first, as whoever ends it locks it: in the other order the two would wait for each other.
    Service.objects.select_for_update(no_key=True).get(fulfilments=fulfilment_id)
    rows = Fulfilment.objects.select_for_update(no_key=True, of=("self",)).select_related("service")
    return rows.get(pk=fulfilment_id)


def _backoff(attempts: int) -> timedelta:
    """30 seconds, 1, 2, 4 … minutes, an hour at most."""
    return timedelta(seconds=min(30 * 2 ** max(attempts - 1, 0), 3600))
