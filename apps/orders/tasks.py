"""What people do about a fulfilment: take its tasks, finish them or give them up, write and file what belongs there."""

import hashlib
from pathlib import PurePath
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.catalog.models import StepKind, Undo
from apps.core import clock, pictures, work
from apps.core.errors import Refused
from apps.orders import fulfilment, history, moves, steps
from apps.orders.models import OPEN_STATES, Fulfilment, FulfilmentState
from apps.orders.task_models import OPEN, Task, TaskNote, TaskState

KIND = "orders.Task"
LARGEST = 5 * 1024 * 1024
"""Bytes of one file."""
_F, _T = FulfilmentState, TaskState


def claim(task: Task, *, actor: str, take_over: bool = False) -> Task:
    """It is `actor`'s from now on. Raises Refused: `not_waiting`, `task_taken` unless it is taken over."""
    with transaction.atomic():
        task, _fulfilment = _locked(task)
        _must_wait(task)
        _must_be_free(task, "" if take_over else actor, take_over=take_over)
        if task.owner == actor:
            return task
        state = task.state if task.state == _T.COMPENSATING else _T.ACTIVE
        history.change(task, state, actor=actor, owner=actor[:150], claimed_at=clock.now())
        _note("task.claimed", task, actor)
    return task


def release(task: Task, *, actor: str) -> Task:
    """It is anybody's again. Raises Refused: `not_waiting`, `task_taken` (it is somebody else's)."""
    with transaction.atomic():
        task, _fulfilment = _locked(task)
        _must_wait(task)
        _must_be_free(task, actor)
        state = task.state if task.state == _T.COMPENSATING else _T.WAITING
        history.change(task, state, actor=actor, owner="", claimed_at=None)
        _note("task.released", task, actor)
    return task


def complete(task: Task, *, actor: str, comment: str = "") -> Task:
    """It is done, or, of what is undone, undone: the fulfilment goes on.

    Raises Refused: `not_waiting`, `task_taken`, `held`.
    """
    with transaction.atomic():
        task, row = _locked(task)
        if row.state == _F.HELD:
            raise Refused("held", _("Исполнение отложено: сначала продолжите его"))
        _must_wait(task)
        _must_be_free(task, actor)
        if comment.strip():
            _write(row, task, actor, text=comment.strip()[:2000])
        task.owner, task.claimed_at = task.owner or actor[:150], task.claimed_at or clock.now()
        task.save(update_fields=["owner", "claimed_at"])
        if task.state == _T.COMPENSATING:
            steps.compensated(task, actor=actor)
            history.change(row, _F.COMPENSATING, actor=actor, error="", next_at=clock.wall())
            work.close(moves.KIND, row.pk)
            moves.plan(row, clock.wall())
        elif order_id := fulfilment.advance(row, actor=actor):
            moves.finish_order(order_id, actor=actor)
        _note("task.completed", task, actor)
    return task


def fail(task: Task, reason: str, *, actor: str) -> None:
    """It cannot be done: the fulfilment has failed for good, and what was done is undone.

    Raises Refused as `fulfilment.fail`, and `task_taken`.
    """
    with transaction.atomic():
        row = Fulfilment.objects.get(pk=task.fulfilment_id)
        fulfilment.locked(fulfilment.pieces(row))
        task = Task.objects.get(pk=task.pk)
        _must_wait(task)
        _must_be_free(task, actor)
        if task.state == _T.COMPENSATING:
            raise Refused("not_open", _("Это уже отменяется: пропустите шаг или отметьте его сделанным"))
        fulfilment.fail(row, reason, actor=actor)
        _note("task.failed", task, actor, reason)


def heard(fulfilment_id: UUID, *, told: str = "", actor: str = "") -> bool:
    """Somebody outside has spoken: what was waited for is done. False where nothing is waited for; safe to repeat."""
    with transaction.atomic():
        row = moves.lock(fulfilment_id)
        task = steps.current(row)
        is_waited = task is not None and task.kind == StepKind.WAIT and task.state in {_T.WAITING, _T.ACTIVE}
        if task is None or not is_waited or row.state == _F.HELD:
            return False
        if told:
            _write(row, task, actor, text=told[:2000])
        if order_id := fulfilment.advance(row, actor=actor):
            moves.finish_order(order_id, actor=actor)
    return True


def comment(row: Fulfilment, text: str, *, actor: str, task: Task | None = None) -> TaskNote:
    """Writes something down about a fulfilment, or one of its tasks. Raises Refused `no_text`."""
    if not text.strip():
        raise Refused("no_text", _("Напишите что-нибудь"), status=400)
    return _write(row, task, actor, text=text.strip()[:2000])


def attach(
    row: Fulfilment, *, name: str, content: bytes, actor: str, text: str = "", task: Task | None = None
) -> TaskNote:
    """Files something with a fulfilment. Raises Refused `bad_file`: too large, empty, or of a kind nobody can look at.

    A picture (PNG, JPEG, WebP), a PDF, or a plain text in UTF-8: by what it is, not by what it is called.
    """
    kind = _type_of(content)
    return _write(
        row,
        task,
        actor,
        text=text.strip()[:2000],
        content=content,
        file_name=PurePath(name.replace("\\", "/")).name[-120:] or "file",
        file_type=kind,
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _type_of(content: bytes) -> str:
    if not content:
        raise Refused("bad_file", _("Файл пуст"), status=400)
    if len(content) > LARGEST:
        raise Refused("bad_file", _("Файл тяжелее 5 МБ"), status=400)
    if content.startswith(b"%PDF-"):
        return "application/pdf"
    try:
        return pictures.checked(content, max_kib=LARGEST // 1024)
    except ValidationError:
        pass
    try:
        is_text = "\0" not in content.decode()
    except UnicodeDecodeError:
        is_text = False
    if not is_text:
        raise Refused("bad_file", _("Нужен PDF, картинка PNG, JPEG или WebP, или текст в UTF-8"), status=400)
    return "text/plain; charset=utf-8"


def _write(row: Fulfilment, task: Task | None, actor: str, **fields: Any) -> TaskNote:
    if row.service.customer.erased_at:
        raise Refused("customer_erased", _("Данные этого клиента стёрты"))
    made = TaskNote.objects.create(fulfilment=row, task=task, at=clock.now(), actor=actor[:150], **fields)
    action = "fulfilment.file" if made.file_name else "fulfilment.comment"
    # What people write may be personal: the journal knows only that they did.
    journal.record(action, moves.KIND, row.pk, actor=actor, data={"note": str(made.pk)})
    return made


def _locked(task: Task) -> tuple[Task, Fulfilment]:
    """A task as it stands now, under the lock of its fulfilment."""
    row = moves.lock(task.fulfilment_id)
    return Task.objects.get(pk=task.pk), row


def _must_wait(task: Task) -> None:
    by_people = task.state in {_T.WAITING, _T.ACTIVE} and task.kind in {StepKind.MANUAL, StepKind.WAIT}
    undone_by_people = task.state == _T.COMPENSATING and task.undo == Undo.MANUAL
    if not (by_people or undone_by_people):
        raise Refused("not_waiting", _("Эта задача сейчас никого не ждёт"))


def _must_be_free(task: Task, actor: str, *, take_over: bool = False) -> None:
    if task.owner and task.owner != actor and not take_over:
        raise Refused("task_taken", _("Задачу взял {owner}").format(owner=task.owner))


def mine(actor: str) -> QuerySet[Task]:
    """Open tasks of one member of staff, and those that nobody has taken yet, the most urgent first."""
    rows = Task.objects.filter(state__in=OPEN).filter(Q(owner=actor) | Q(owner=""))
    rows = rows.filter(fulfilment__state__in=OPEN_STATES).select_related("fulfilment__service")
    return rows.order_by("deadline_at", "pk")


def _note(action: str, task: Task, actor: str, reason: str = "") -> None:
    data = {"fulfilment": str(task.fulfilment_id), **({"reason": reason} if reason else {})}
    journal.record(action, KIND, task.pk, actor=actor, data=data)
