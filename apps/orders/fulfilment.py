"""Fulfilment: what is to be done for a service, what became of it, and what staff do about it.

`provisioning` asks the providers, `steps` knows plans, `moves` how a fulfilment moves, `tasks` what people do.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.catalog.models import StepKind
from apps.connectors import masking
from apps.connectors.base import ConnectorError
from apps.connectors.models import Connection
from apps.core import clock, events, faults, work
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.notifications import staff
from apps.orders import history, inventory, letters, missing, moves, steps, watching
from apps.orders.control import timing
from apps.orders.models import (
    TO_DO_STATES,
    Fulfilment,
    FulfilmentAction,
    FulfilmentState,
    Service,
    ServiceState,
)
from apps.orders.moves import (
    FULFIL,
    KIND,
    PATIENCE,
    backoff,
    connection_of,
    finish_order,
    later,
    lock,
    locked,
    plan,
    put_back,
)
from apps.orders.task_models import Task, TaskNote, TaskState
from apps.partners.models import StaffRole
from apps.providers.base import NOT_SUPPORTED, Provisioned, Status

__all__ = [
    "FULFIL", "KIND", "PATIENCE", "backoff", "connection_of", "finish_order", "later", "lock", "locked", "plan",
    "put_back",
]  # fmt: skip
FAULT_POINTS = (
    "orders.placed-not-committed",
    "orders.placed",
    "orders.claimed-not-called",
    "orders.called-not-recorded",
    "orders.recorded-not-committed",
    "orders.recorded",
)
"""Every commit and call boundary of ordering and fulfilling."""
UNDO_POINTS = (
    "orders.given-up-not-committed",
    "orders.given-up",
    "orders.given-back-not-committed",
    "orders.given-back",
)
"""Those of giving up for good, besides the calls that undo."""
_A, _F, _S = FulfilmentAction, FulfilmentState, ServiceState
PAIR = (_A.SUSPEND, _A.RESUME)
"""What gives the customer nothing and takes nothing for good."""
_BY_HAND: dict[str, Any] = {
    _A.EXTEND: _("Продлить вручную"),
    _A.CANCEL: _("Отключить вручную"),
    _A.SUSPEND: _("Приостановить вручную"),
    _A.RESUME: _("Возобновить вручную"),
}
NEW = (_A.PROVISION, _A.REPLACE)
"""What gives the customer something new."""


def add(service: Service, action: str, *, plan_id: int | None = None, **fields: Any) -> Fulfilment:
    """Writes down one thing to be done for a service, and plans it at once in the lane of who does it.

    `plan_id`: in these steps. `promised_at`: what the customer was told, and is watched from now on.
    """
    made = moves.create(service, action, at_end=plan_id is None, **fields)
    if plan_id is None:
        plan(made, clock.wall())
        if made.promised_at is not None:
            # Its provider may be down, and never tried.
            watching.watch(made)
    else:
        steps.begin(made, plan_id)
    return made


def answered(
    fulfilment: Fulfilment, answer: Provisioned, *, task: Task | None = None, is_undo: bool = False
) -> UUID | None:
    """What the provider of a locked fulfilment has said; gives the order that this may have been the last of.

    `task`: about which step it was asked; `is_undo`: to take that step back.
    """
    if is_undo:
        _undo_answered(fulfilment, answer, task)
        return None
    _keep_given_up(fulfilment, task)
    if fulfilment.state != _F.IN_PROGRESS or not _is_about(fulfilment, task):
        return None
    if fulfilment.action == _A.CANCEL and answer.status == Status.CANCELED:
        moves.taken_back(fulfilment)
    elif fulfilment.action == _A.CANCEL and answer.status == Status.ACTIVE:
        failed(fulfilment, _still_there(), is_repeated=True, task=task)
    elif fulfilment.action in PAIR and answer.status == Status.ACTIVE:
        moves.close(fulfilment, _F.DONE)
    elif answer.status == Status.ACTIVE:
        return _done(fulfilment, answer, task)
    elif answer.status == Status.PENDING:
        # The provider may be asked as often as its description says.
        wait = timedelta(seconds=answer.ask_again) if answer.ask_again else backoff(fulfilment)
        _wait_for(fulfilment, wait, answer.question)
    else:
        by_hand = _BY_HAND.get(fulfilment.action, _("Выдать вручную"))
        moves.call_staff(
            fulfilment, by_hand if answer.status == Status.MANUAL else _("Поставщик отозвал услугу")
        )
    return None


def _wait_for(fulfilment: Fulfilment, wait: timedelta, question: str) -> None:
    """Its provider has it. What that one asks stands with staff, who answer it there."""
    asked = (
        str(_("Поставщик спрашивает: {question}")).format(question=masking.text(question)) if question else ""
    )
    if asked and asked[:500] != fulfilment.error:
        work.open(KIND, fulfilment.pk, f"{fulfilment.service.name}: {asked}")
    later(fulfilment, _F.IN_PROGRESS, wait, asked)


def _still_there() -> ConnectorError:
    """It was to be taken back, and its provider says that the customer has it: it is asked again, then staff are."""
    return ConnectorError(str(_("Поставщик не сказал, что услуга отозвана")), unknown=True)


def _is_about(fulfilment: Fulfilment, task: Task | None) -> bool:
    """Whether an answer is about what the fulfilment waits for; what was skipped meanwhile is not."""
    return fulfilment.step == (task.position if task else None)


def _keep_given_up(fulfilment: Fulfilment, task: Task | None) -> None:
    """A provider answers after we called it off: it may have had the cancellation first, and made it after that."""
    if fulfilment.action not in NEW or fulfilment.state in {*TO_DO_STATES, _F.DONE}:
        return
    if task is None or task.kind == StepKind.PROVISION:
        _take_back_again(fulfilment)
        return
    made = Task.objects.get(pk=task.pk)
    if made.state == TaskState.COMPENSATED:
        steps.undo_again(fulfilment, made)


def _take_back_again(provision: Fulfilment) -> None:
    again = Fulfilment.objects.select_for_update(no_key=True).filter(
        service=provision.service, action=_A.CANCEL
    )
    for cancellation in again:
        history.change(cancellation, _F.QUEUED, reason=_("Поставщик ответил после отзыва"), done_at=None)
        plan(cancellation, clock.wall())


def _undo_answered(fulfilment: Fulfilment, answer: Provisioned, task: Task | None) -> None:
    if fulfilment.state != _F.COMPENSATING or task is None or not _is_about(fulfilment, task):
        return
    if answer.status == Status.CANCELED:
        steps.compensated(Task.objects.get(pk=task.pk))
        later(fulfilment, _F.COMPENSATING, timedelta(0), "")
    elif answer.status == Status.ACTIVE:
        _undo_failed(fulfilment, _still_there(), task)
    elif answer.status == Status.PENDING:
        later(fulfilment, _F.COMPENSATING, backoff(fulfilment), "")
    else:
        moves.call_staff(fulfilment, _("Отменить вручную"), state=_F.COMPENSATING)


def _done(fulfilment: Fulfilment, answer: Provisioned, task: Task | None, *, actor: str = "") -> UUID | None:
    """A step is done; gives the order, where it was the last."""
    if task is None or task.kind == StepKind.PROVISION:
        _deliver(fulfilment, answer, actor=actor)
    return advance(fulfilment, actor=actor)


def advance(
    fulfilment: Fulfilment, *, state: str = TaskState.DONE, reason: Any = "", actor: str = ""
) -> UUID | None:
    """The current step of a locked fulfilment is done, or skipped: the next begins, or all of it is done.

    Gives the order that this may have been the last piece of (`finish_order`).
    """
    if not steps.finish(fulfilment, state, actor=actor, reason=reason):
        return None
    moves.close(fulfilment, _F.DONE, actor=actor, at_end=is_usual(fulfilment))
    return fulfilment.order_id


def is_usual(fulfilment: Fulfilment) -> bool:
    """Whether it follows no plan, and nothing else of its service asks the database how it stands."""
    return fulfilment.step is None and fulfilment.action in {_A.PROVISION, _A.EXTEND}


def _deliver(fulfilment: Fulfilment, answer: Provisioned, *, actor: str = "") -> None:
    service = fulfilment.service
    has_news = bool(answer.key and answer.key != service.key) or fulfilment.action in NEW
    if not service.customer.erased_at:
        service.key = answer.key or service.key
        service.url = answer.url or service.url
        service.instructions = answer.instructions or service.instructions
    # Extensions come in any order: none of them shortens.
    service.active_until = max(filter(None, (service.active_until, fulfilment.period_end)), default=None)
    service.activated_at = service.activated_at or clock.now()
    # What rests is prolonged and goes on resting: its subscription wakes it.
    state = service.state if service.state == _S.SUSPENDED else _S.ACTIVE
    inventory.move(service, state, actor=actor, at_end=is_usual(fulfilment))
    if not service.subscription.is_live:
        events.publish("orders.ServiceToRest", service.subscription_id)
    if fulfilment.action == _A.REPLACE and service.active_until != fulfilment.period_end:
        # It was extended while the new key was on its way.
        add(service, _A.EXTEND, period_end=service.active_until)
    if has_news:
        letters.delivered(service, fulfilment)
    if has_news:
        events.publish(timing.EVENT, service.pk, **timing.told(fulfilment))
    else:
        events.publish("orders.ServiceExtended", service.pk)


def failed(
    fulfilment: Fulfilment,
    error: ConnectorError,
    *,
    is_repeated: bool,
    task: Task | None = None,
    is_undo: bool = False,
) -> None:
    """Its provider refused, or cannot be asked. `is_repeated`: an earlier request of it may have arrived."""
    if is_undo:
        _undo_failed(fulfilment, error, task)
        return
    if error.unknown:
        _keep_given_up(fulfilment, task)
    if fulfilment.state != _F.IN_PROGRESS or not _is_about(fulfilment, task):
        return
    if fulfilment.attempts >= PATIENCE and _is_known_down(fulfilment):
        fulfilment.attempts = PATIENCE - 1
    is_spent = fulfilment.attempts >= PATIENCE
    # Where an earlier request may have arrived, a question that failed has settled nothing.
    if error.unknown or (error.retry and is_repeated):
        later(fulfilment, _F.UNKNOWN, _wait(fulfilment, error), error)
        if is_spent:
            work.open(KIND, fulfilment.pk, str(_("Поставщик не отвечает: {error}")).format(error=error))
    elif error.retry and not is_spent:
        later(fulfilment, _F.RETRY, _wait(fulfilment, error), error)
    elif error.code == NOT_SUPPORTED and fulfilment.action in PAIR:
        moves.close(fulfilment, _F.DONE, reason=_("Поставщик не знает паузы"))
    else:
        moves.call_staff(fulfilment, error)


def _wait(fulfilment: Fulfilment, error: ConnectorError) -> timedelta:
    """Ours, or as long as its provider has asked for, where that is longer."""
    return max(backoff(fulfilment), error.wait or timedelta())


def _is_known_down(fulfilment: Fulfilment) -> bool:
    """Whether its breaker is open: staff have that as one piece of work, and the orders wait for the provider."""
    line = fulfilment.connection_id
    return line is not None and Connection.objects.filter(pk=line, opened_at__isnull=False).exists()


def _undo_failed(fulfilment: Fulfilment, error: ConnectorError, task: Task | None) -> None:
    if fulfilment.state != _F.COMPENSATING or not _is_about(fulfilment, task):
        return
    if error.retry or error.unknown:
        # To take back may be asked again at any time.
        later(fulfilment, _F.COMPENSATING, _wait(fulfilment, error), error)
        if fulfilment.attempts >= PATIENCE:
            work.open(KIND, fulfilment.pk, str(_("Не отменяется у поставщика: {error}")).format(error=error))
    else:
        moves.call_staff(fulfilment, error, state=_F.COMPENSATING)


def need_information(fulfilment: Fulfilment, names: list[str]) -> None:
    """A locked fulfilment waits until the customer, or staff for them, tell what its product has to know."""
    reason = _("Нужны данные: {names}").format(names=", ".join(names))
    was_asked = fulfilment.state == _F.INFORMATION_REQUIRED
    moves.call_staff(fulfilment, reason, state=_F.INFORMATION_REQUIRED)
    if not was_asked:
        missing.ask(fulfilment, names)


def retry(fulfilment: Fulfilment, *, actor: str, reason: str = "") -> None:
    """Staff have removed the obstacle: asks the provider again, at once. Raises Refused `not_waiting`."""
    with transaction.atomic():
        fulfilment = lock(fulfilment.pk)
        waits = {_F.NEEDS_STAFF, _F.RETRY, _F.UNKNOWN, _F.INFORMATION_REQUIRED, _F.COMPENSATING}
        if fulfilment.state not in waits or steps.is_with_people(fulfilment):
            raise Refused("not_waiting", _("Это исполнение ничего не ждёт"))
        _go_on(fulfilment, actor=actor)
        _note("fulfilment.retried", fulfilment, actor, reason)


def _go_on(fulfilment: Fulfilment, *, actor: str) -> None:
    # An earlier request may have arrived: what is unknown stays so, and is asked about first.
    state = {_F.RETRY: _F.RETRY, _F.COMPENSATING: _F.COMPENSATING}.get(fulfilment.state)  # type: ignore[call-overload]
    if state is None:
        state = _F.UNKNOWN if fulfilment.attempts else _F.QUEUED
    # One attempt stays: what may have arrived is taken back, if it comes to that.
    attempts = min(fulfilment.attempts, 1)
    history.change(fulfilment, state, actor=actor, attempts=attempts, next_at=clock.wall())
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
            moves.taken_back(fulfilment, actor=actor)
            return
        if fulfilment.action in PAIR:
            moves.close(fulfilment, _F.DONE, actor=actor)
            return
        task = steps.current(fulfilment)
        if task is not None and task.kind != StepKind.PROVISION:
            raise Refused("not_waiting", _("Сейчас идёт другой шаг: {name}").format(name=task.name))
        if fulfilment.action in NEW and not (key or url or instructions):
            raise Refused("nothing_given", _("Укажите ключ, ссылку или инструкцию"), status=400)
        if task is not None:
            # Whatever a person gave stands somewhere, and is taken back if it comes to that.
            steps.asked(task)
        answer = Provisioned(Status.ACTIVE, key=key, url=url, instructions=instructions)
        if order_id := _done(fulfilment, answer, task, actor=actor):
            finish_order(order_id, actor=actor)


def hold(fulfilment: Fulfilment, reason: str, *, actor: str) -> None:
    """Nothing of it is done until it is resumed. Raises Refused: `no_reason`, `not_open`.

    What is on its way all the same is asked about then: its answer is not lost.
    """
    _must_say(reason)
    with transaction.atomic():
        fulfilment = lock(fulfilment.pk)
        if fulfilment.state not in TO_DO_STATES or fulfilment.state == _F.HELD:
            raise Refused("not_open", _("Отложить можно только то, что ещё исполняется"))
        if fulfilment.action not in {_A.PROVISION, _A.EXTEND}:
            raise Refused("not_open", _("Откладывают только выдачу и продление"))
        moves.plan_no_more(fulfilment)
        moves.call_staff(
            fulfilment, _("Отложено: {reason}").format(reason=reason), state=_F.HELD, actor=actor
        )
        _note("fulfilment.held", fulfilment, actor, reason)


def resume(fulfilment: Fulfilment, *, actor: str, reason: str = "") -> None:
    """Goes on from where it was held. Raises Refused `not_held`."""
    with transaction.atomic():
        fulfilment = lock(fulfilment.pk)
        if fulfilment.state != _F.HELD:
            raise Refused("not_held", _("Это исполнение не отложено"))
        fulfilment.error = ""
        if steps.is_with_people(fulfilment):
            steps.resume(fulfilment, actor=actor)
        else:
            _go_on(fulfilment, actor=actor)
        _note("fulfilment.resumed", fulfilment, actor, reason)


def skip(fulfilment: Fulfilment, reason: str, *, actor: str) -> None:
    """Its current step is left out, or, while steps are undone, the undoing of it. Raises Refused: `no_reason`,
    `not_open`, `not_skippable` (without a plan, and what the customer has bought: that is handed over)."""
    _must_say(reason)
    with transaction.atomic():
        fulfilment = lock(fulfilment.pk)
        if fulfilment.state == _F.COMPENSATING:
            _skip_undoing(fulfilment, reason, actor)
        else:
            _skip_step(fulfilment, reason, actor)
        _note("fulfilment.skipped", fulfilment, actor, reason)


def _skip_step(fulfilment: Fulfilment, reason: str, actor: str) -> None:
    if fulfilment.state not in TO_DO_STATES or fulfilment.state == _F.HELD:
        raise Refused(
            "not_open", _("Пропустить можно только шаг, который идёт: отложенное сначала продолжите")
        )
    task = steps.current(fulfilment)
    if task is None or task.kind == StepKind.PROVISION:
        raise Refused(
            "not_skippable", _("Без выдачи исполнения нет: выдайте вручную или признайте неисполнимым")
        )
    moves.plan_no_more(fulfilment)
    if order_id := advance(fulfilment, state=TaskState.SKIPPED, reason=reason, actor=actor):
        finish_order(order_id, actor=actor)


def _skip_undoing(fulfilment: Fulfilment, reason: str, actor: str) -> None:
    task = steps.current(fulfilment)
    if task is None or task.kind == StepKind.PROVISION:
        for one in Fulfilment.objects.select_for_update(no_key=True).filter(
            service=fulfilment.service_id, action=_A.CANCEL
        ):
            one.service = fulfilment.service
            moves.plan_no_more(one)
            moves.taken_back(one, reason=reason, actor=actor)
    elif task.state == TaskState.COMPENSATING:
        steps.compensated(task, actor=actor, reason=reason)
    work.close(KIND, fulfilment.pk)
    plan(fulfilment, clock.wall())


def fail(fulfilment: Fulfilment, reason: str, *, actor: str) -> None:
    """It will not be fulfilled: what was done of its item is undone from the last step, then its money goes back.

    Raises Refused: `no_reason`, `not_open`, `not_provision` (an extension: cancel the subscription instead).
    """
    _must_say(reason)
    with transaction.atomic():
        held = {one.pk: one for one in locked({fulfilment.pk, *pieces(fulfilment)})}
        fulfilment = held[fulfilment.pk]
        if fulfilment.action != _A.PROVISION:
            raise Refused(
                "not_provision", _("Не исполнить можно только заказ: подписку отмените на её странице")
            )
        if fulfilment.state not in TO_DO_STATES:
            raise Refused("not_open", _("Это уже исполнено или отменяется"))
        for one in held.values():
            if one.state in {*TO_DO_STATES, _F.DONE}:
                why = (
                    reason
                    if one.pk == fulfilment.pk
                    else _("Не исполнена другая часть: {reason}").format(reason=reason)
                )
                steps.fail(one, why, actor=actor)
        _note("fulfilment.failed", fulfilment, actor, reason)
        faults.at("orders.given-up-not-committed")
    faults.at("orders.given-up")


def pieces(fulfilment: Fulfilment) -> list[UUID]:
    """Provisions of all that was bought with it: it is delivered whole, or its money goes back whole."""
    if fulfilment.item_id is None:
        return [fulfilment.pk]
    mine = Fulfilment.objects.filter(item=fulfilment.item_id, action=_A.PROVISION)
    return list(mine.values_list("pk", flat=True))


def escalate(
    fulfilment: Fulfilment, *, to: str, comment: str, actor: str, deadline_at: datetime | None = None
) -> None:
    """Puts it before those with the role `to` (`StaffRole.Role`), by letter and in the queue. Raises Refused:
    `no_reason`, `no_such_role`, `not_open`."""
    _must_say(comment)
    if to not in StaffRole.Role.values:
        raise Refused("no_such_role", _("Такой роли нет"), status=400)
    with transaction.atomic():
        fulfilment = lock(fulfilment.pk)
        if fulfilment.state not in {*TO_DO_STATES, _F.COMPENSATING}:
            raise Refused("not_open", _("Это уже исполнено или отменено"))
        task = steps.current(fulfilment)
        deadline_at = deadline_at or (task.deadline_at if task else None) or fulfilment.promised_at
        TaskNote.objects.create(
            fulfilment=fulfilment,
            task=task,
            at=clock.now(),
            actor=actor,
            text=comment[:2000],
        )
        told = str(_("Передано: {what} · {comment}")).format(what=fulfilment.service.name, comment=comment)
        work.open(KIND, fulfilment.pk, told, deadline_at=deadline_at)
        staff.alert(
            key=f"escalated:{fulfilment.pk}:{uuid7()}",
            roles=[to],
            headline=told[:200],
            page=f"/admin/orders/fulfilment/{fulfilment.pk}/change/",
            reason=fulfilment.error,
            deadline=f"{clock.local(deadline_at):%d.%m.%Y %H:%M}" if deadline_at else "",
        )
        _note("fulfilment.escalated", fulfilment, actor, comment, to=to)


def _must_say(reason: str) -> None:
    if not reason.strip():
        raise Refused("no_reason", _("Напишите почему"), status=400)


def _note(action: str, fulfilment: Fulfilment, actor: str, reason: str = "", **more: str) -> None:
    data = {**({"reason": reason} if reason else {}), **more}
    journal.record(action, KIND, fulfilment.pk, actor=actor, data=data)


def revoke_open(service: Service) -> bool:
    """What is still to be done for a service is not done any more; whether the provider may know of any of it."""
    waiting = Fulfilment.objects.select_for_update(no_key=True).filter(service=service)
    was_asked, over = False, _("Подписка завершена")
    for fulfilment in waiting.filter(state__in=[*TO_DO_STATES, _F.COMPENSATING]).exclude(action=_A.CANCEL):
        fulfilment.service = service
        was_asked = was_asked or _may_be_there(fulfilment)
        if fulfilment.state == _F.COMPENSATING:
            continue
        if fulfilment.step is None:
            moves.close(fulfilment, _F.REVOKED, reason=over)
            moves.plan_no_more(fulfilment)
            if fulfilment.action in {_A.EXTEND, *PAIR}:
                moves.call_off(fulfilment)
        else:
            steps.fail(fulfilment, over, for_good=False)
    return was_asked


def _may_be_there(fulfilment: Fulfilment) -> bool:
    if fulfilment.step is None:
        return fulfilment.attempts > 0
    return fulfilment.tasks.filter(kind=StepKind.PROVISION, attempts__gt=0).exists()
