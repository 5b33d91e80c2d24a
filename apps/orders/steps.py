"""The steps of a plan: begun one after another, and undone from the last to the first where one fails for good.

Everything here is done under the lock of the fulfilment, in the caller's transaction.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet
from django.utils.translation import gettext_lazy as _

from apps.catalog.models import PlanStep, StepKind, Undo
from apps.connectors.models import Connection
from apps.core import clock, due, work
from apps.orders import history, letters, moves, watching
from apps.orders.models import Fulfilment, FulfilmentAction, FulfilmentState
from apps.orders.task_models import CURRENT, Task, TaskState
from apps.providers.services import connection_to

GIVE_BACK = "orders.give_back"
_A, _F, _T, _K = FulfilmentAction, FulfilmentState, TaskState, StepKind


def begin(fulfilment: Fulfilment, plan_id: int) -> None:
    """Writes down the tasks of a plan, and begins the first. Its first waiting step is planned."""
    rows = PlanStep.objects.filter(plan=plan_id).order_by("position")
    Task.objects.bulk_create(
        Task(
            fulfilment=fulfilment,
            step=one,
            position=one.position,
            kind=one.kind,
            name=one.name,
            undo=one.undo,
        )
        for one in rows
    )
    advance(fulfilment)


def current(fulfilment: Fulfilment) -> Task | None:
    """The task that the state of a fulfilment is about; None where it follows no plan."""
    if fulfilment.step is None:
        return None
    return fulfilment.tasks.get(position=fulfilment.step)


def current_among(task_ids: Iterable[UUID]) -> QuerySet[Task]:
    """Those that the state of their fulfilments is about now: what their providers say of them is listened to."""
    rows = Task.objects.filter(pk__in=list(task_ids), position=F("fulfilment__step"))
    return rows.select_related("fulfilment__service").order_by("fulfilment")


def finish(fulfilment: Fulfilment, state: str = _T.DONE, *, actor: str = "", reason: Any = "") -> bool:
    """Its current task is done, or skipped: begins the next. True where it was the last: all is done."""
    task = current(fulfilment)
    if task is None:
        return True
    history.change(task, state, actor=actor, reason=reason, error="", done_at=clock.now())
    work.close(moves.KIND, fulfilment.pk)
    return advance(fulfilment)


def advance(fulfilment: Fulfilment) -> bool:
    """Begins what comes next, up to the first step that waits for somebody. True where nothing is left."""
    for task in fulfilment.tasks.filter(state=_T.PENDING).order_by("position"):
        fulfilment.step, fulfilment.attempts = task.position, 0
        if _begin(fulfilment, task):
            return False
    return True


def _begin(fulfilment: Fulfilment, task: Task) -> bool:
    """Whether it takes time: a letter is written at once."""
    step = PlanStep.objects.select_related("provider").get(pk=task.step_id)
    now = clock.now()
    until = now + timedelta(minutes=step.minutes) if step.minutes else None
    if task.kind == _K.NOTIFY:
        letters.step(fulfilment, task, step)
        history.change(task, _T.DONE, started_at=now, done_at=now)
        return False
    if task.kind == _K.MANUAL:
        history.change(task, _T.WAITING, started_at=now, deadline_at=until)
        moves.call_staff(fulfilment, task.name, deadline_at=until)
    elif task.kind == _K.WAIT:
        history.change(task, _T.WAITING, started_at=now, deadline_at=until)
        _wait(fulfilment, task)
    else:
        history.change(task, _T.ACTIVE, started_at=now, deadline_at=until)
        fulfilment.connection = connection_of(fulfilment, task, step)
        _queue(fulfilment)
    return True


def _queue(fulfilment: Fulfilment) -> None:
    history.change(fulfilment, _F.QUEUED, error="", next_at=clock.wall())
    moves.plan(fulfilment, clock.wall())
    watching.watch(fulfilment)


def _wait(fulfilment: Fulfilment, task: Task) -> None:
    """Somebody outside is to speak; by its deadline it stands with staff."""
    history.change(fulfilment, _F.IN_PROGRESS, reason=task.name, error="", next_at=task.deadline_at)
    moves.plan_no_more(fulfilment)
    watching.watch(fulfilment)
    if task.deadline_at is not None and task.deadline_at <= clock.now():
        # It was held past its time: nothing watches that any more.
        told = f"{fulfilment.service.name}: {task.name}"
        work.open(moves.KIND, fulfilment.pk, told, deadline_at=task.deadline_at)


def resume(fulfilment: Fulfilment, *, actor: str) -> None:
    """Takes a held plan up where it was: what is with people goes back to them, a call is asked about."""
    task = current(fulfilment)
    assert task is not None  # only what follows a plan comes here
    if task.kind == _K.MANUAL:
        moves.call_staff(fulfilment, task.name, deadline_at=task.deadline_at, actor=actor)
    elif task.kind == _K.WAIT:
        work.close(moves.KIND, fulfilment.pk)
        _wait(fulfilment, task)


def connection_of(fulfilment: Fulfilment, task: Task, step: PlanStep | None = None) -> Connection | None:
    """Through which connection a task is done here and now. None: by our own pools, by people, or not at all."""
    if task.kind == _K.PROVISION:
        return moves.connection_of(fulfilment.service)
    provider = step.provider if step is not None else provider_of(task)
    return None if provider is None else connection_to(provider)


def provider_of(task: Task) -> Any:
    """Who does a task, where that is another provider than the product's own."""
    return PlanStep.objects.select_related("provider").get(pk=task.step_id).provider


def asked(task: Task) -> None:
    """A call about it is on its way."""
    task.attempts += 1
    task.save(update_fields=["attempts"])


def fail(fulfilment: Fulfilment, reason: Any, *, actor: str = "", for_good: bool = True) -> None:
    """What was done of it is undone from now on. `for_good`: its money goes back in the end."""
    history.change(
        fulfilment,
        _F.COMPENSATING,
        reason=reason,
        actor=actor,
        error="",
        failure=fulfilment.failure or str(reason)[:500],
        next_at=clock.wall(),
        attempts=fulfilment.attempts if fulfilment.step is None else 0,
        failed_at=fulfilment.failed_at or (clock.now() if for_good else None),
        done_at=None,
    )
    work.close(moves.KIND, fulfilment.pk)
    due.cancel(watching.WATCH, fulfilment.pk)
    if fulfilment.step is not None:
        for task in fulfilment.tasks.filter(state__in=[*CURRENT, _T.PENDING]):
            was_begun = task.state in CURRENT
            history.change(
                task,
                _T.FAILED if was_begun else _T.SKIPPED,
                actor=actor,
                reason=reason,
                error=str(reason)[:500] if was_begun else "",
                done_at=clock.now(),
            )
    moves.plan(fulfilment, clock.wall())


def undo(fulfilment: Fulfilment) -> Task | None:
    """Undoes step after step, from the last; gives the task whose provider is to be called for it, if one is.

    Where nothing is left, it has failed, or is revoked where nobody gave it up. Safe to repeat.
    """
    if fulfilment.step is None:
        if _is_taken_back(fulfilment, was_asked=fulfilment.attempts > 0):
            _undone(fulfilment)
        return None
    for task in fulfilment.tasks.order_by("-position"):
        if not task.has_effect:
            continue
        if task.state != _T.COMPENSATING:
            history.change(task, _T.COMPENSATING, error="", owner="")
            history.change(fulfilment, _F.COMPENSATING, step=task.position, attempts=0, error="")
        if task.kind == _K.PROVISION:
            if not _is_taken_back(fulfilment, was_asked=True):
                return None
            compensated(task)
        elif task.undo == Undo.MANUAL:
            told = _("Отменить: {name}").format(name=task.name)
            moves.call_staff(fulfilment, told, state=_F.COMPENSATING)
            return None
        else:
            return task
    _undone(fulfilment)
    return None


def undo_again(fulfilment: Fulfilment, task: Task) -> None:
    """What was undone was made all the same, as a late answer tells: it is undone once more."""
    history.change(task, _T.COMPENSATING, reason=_("Поставщик ответил после отмены"), done_at=None)
    history.change(
        fulfilment, _F.COMPENSATING, step=task.position, attempts=0, next_at=clock.wall(), done_at=None
    )
    moves.plan(fulfilment, clock.wall())


def is_with_people(fulfilment: Fulfilment) -> bool:
    """Whether its current step is no call: a person does it, or somebody outside speaks."""
    task = current(fulfilment)
    return task is not None and task.state in CURRENT and task.kind in {_K.MANUAL, _K.WAIT}


def compensated(task: Task, *, actor: str = "", reason: Any = "") -> None:
    """Nothing of a task stands any more."""
    history.change(task, _T.COMPENSATED, actor=actor, reason=reason, error="", done_at=clock.now())


def _is_taken_back(fulfilment: Fulfilment, *, was_asked: bool) -> bool:
    """Has its provider take the product back; False until it has."""
    moves.take_back(fulfilment.service, fulfilment.failure, was_asked=was_asked)
    made = Fulfilment.objects.filter(service=fulfilment.service_id, action=_A.CANCEL)
    return not made.exclude(state=_F.REVOKED).exists()


def _undone(fulfilment: Fulfilment) -> None:
    # Also where the provision was not even begun: the customer waits for nothing any more.
    moves.take_back(fulfilment.service, fulfilment.failure, was_asked=False)
    moves.close(fulfilment, _F.FAILED if fulfilment.failed_at else _F.REVOKED, reason=fulfilment.failure)
    if fulfilment.failed_at:
        due.schedule(GIVE_BACK, fulfilment.pk, clock.wall(), wall=True)
