"""One deed for many objects: the list is fixed, looked at, agreed to, and done row by row in the background, each once.

An app has its own tables of actions and rows (`Action`, `Row`), and says in a `Mass` what looking and doing is.
"""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from django.db import OperationalError, models, transaction
from django.db.models import Count, Sum
from django.utils.translation import gettext_lazy as _

from apps.core import clock, due, faults
from apps.core.errors import Refused
from apps.core.models import UUIDModel
from apps.core.money import amount_field, currency_field

log = logging.getLogger(__name__)
CHUNK, SECONDS = 200, 15.0
"""How much is done at a time, so that other work gets its turn and a lease is never outlived."""


class MassState(models.TextChoices):
    COUNTING = "counting", _("Считаем")
    READY = "ready", _("Ждёт подтверждения")
    RUNNING = "running", _("Выполняется")
    DONE = "done", _("Выполнено")
    DROPPED = "dropped", _("Отменено")


class MassRowState(models.TextChoices):
    NEW = "new", _("Ещё не посчитано")
    COUNTED = "counted", _("Посчитано")
    DONE = "done", _("Сделано")
    REFUSED = "refused", _("Отказано")


_S, _R = MassState, MassRowState


class Action(UUIDModel):
    """One deed for a list that was fixed when it was made. Its rows point to it as `action`, and are its `rows`."""

    State = MassState

    params = models.JSONField(default=dict)
    reason = models.CharField(_("почему"), max_length=200)
    state = models.CharField(
        _("состояние"), max_length=10, choices=MassState.choices, default=MassState.COUNTING
    )
    size = models.PositiveIntegerField(_("строк"), default=0)
    # Who asked for it, and who agreed: above the limit another person.
    asked_by = models.CharField(_("кто начал"), max_length=150)
    confirmed_by = models.CharField(_("кто подтвердил"), max_length=150, blank=True)
    currency = currency_field()
    created_at = models.DateTimeField(_("создано"))
    confirmed_at = models.DateTimeField(_("подтверждено"), null=True, blank=True)
    closed_at = models.DateTimeField(_("завершено"), null=True, blank=True)

    class Meta:
        abstract = True
        ordering: ClassVar[list[str]] = ["-id"]


class Row(UUIDModel):
    """One object of an action: what it would come to, and what became of it."""

    State = MassRowState

    state = models.CharField(
        _("состояние"), max_length=10, choices=MassRowState.choices, default=MassRowState.NEW
    )
    # Given away, given back, or to be paid: what was seen before anybody agreed.
    amount = amount_field(_("сумма"), default=Decimal("0.00"))
    result = models.CharField(_("результат"), max_length=300, blank=True)
    done_at = models.DateTimeField(_("когда"), null=True, blank=True)

    class Meta:
        abstract = True
        ordering: ClassVar[list[str]] = ["id"]


@dataclass(frozen=True, slots=True)
class Summary:
    """How far an action is: how many rows in which state, and the sums of what is to be and what was done."""

    counts: dict[str, int]
    total: Decimal
    done: Decimal

    @property
    def ready(self) -> int:
        """Rows that would be done, or were."""
        return self.counts[_R.COUNTED] + self.counts[_R.DONE]

    @property
    def finished(self) -> int:
        """Rows that nothing more is to be done with."""
        return self.counts[_R.DONE] + self.counts[_R.REFUSED]


def summary(action: Any) -> Summary:
    """How far an action is, in one query."""
    rows = action.rows.values_list("state").annotate(count=Count("pk"), total=Sum("amount")).order_by()
    counts = dict.fromkeys(_R.values, 0)
    totals = dict.fromkeys(_R.values, Decimal("0.00"))
    for state, count, total in rows:
        counts[state], totals[state] = count, total or Decimal("0.00")
    return Summary(counts, totals[_R.COUNTED] + totals[_R.DONE], totals[_R.DONE])


def progress(action: Any, known: Summary) -> tuple[int, int]:
    """How many rows this stage is over with, and how much that is of a hundred."""
    finished = known.finished
    if action.state == _S.COUNTING:
        finished = action.size - known.counts[_R.NEW]
    elif action.state == _S.READY:
        finished = action.size
    return finished, round(100 * finished / action.size) if action.size else 100


_A = TypeVar("_A", bound=Action)
_Row = TypeVar("_Row", bound=Row)


class Mass(ABC, Generic[_A, _Row]):
    """What the actions of one kind are, and how they are done: any number of processes may die at any moment."""

    actions: type[_A]
    rows: type[_Row]
    work_kind: str
    """Its due work, which calls `work`."""
    faults: tuple[str, str]
    """Crash points: a row is done and not committed, and committed."""
    nothing: Any
    """Said where no row can be done."""
    failed: Any
    """Said of a row that failed through our own fault."""

    @abstractmethod
    def count(self, action: _A, row: _Row) -> None:
        """Sets what a row would come to. Raises Refused where it cannot be done."""

    @abstractmethod
    def do(self, action: _A, row: _Row) -> None:
        """Does it, in the caller's transaction, and sets `row.result`. Raises Refused."""

    @abstractmethod
    def tell(self, verb: str, action: _A, actor: str, data: Mapping[str, Any]) -> None:
        """Writes into the journal that it was `confirmed` or `dropped`."""

    def where(self, row: _Row) -> AbstractContextManager[Any]:
        """Whose data a row is about; as a rule that of who is current."""
        return nullcontext()

    def needs_second(self, action: _A, known: Summary) -> bool:
        """Whether another person than who asked has to agree."""
        return False

    def confirm(self, action_id: UUID, *, actor: str) -> _A:
        """Agrees to what was counted: from now on it is done.

        Raises Refused: `not_ready` (also where somebody else was first), `nothing_to_do`, `second_person`.
        """
        with transaction.atomic():
            action = self._locked(action_id)
            if action.state != _S.READY:
                raise Refused("not_ready", _("Это действие уже подтверждено, отменено или ещё считается"))
            known = summary(action)
            if not known.ready:
                raise Refused("nothing_to_do", self.nothing)
            if self.needs_second(action, known) and (actor == action.asked_by or actor.startswith("api:")):
                raise Refused("second_person", _("Выше лимита подтверждает другой сотрудник"), status=403)
            action.state, action.confirmed_by, action.confirmed_at = _S.RUNNING, actor[:150], clock.now()
            action.save(update_fields=["state", "confirmed_by", "confirmed_at"])
            self.tell("confirmed", action, actor, {"rows": known.ready, "total": str(known.total)})
            due.schedule(self.work_kind, action.pk, clock.wall(), wall=True)
        return action

    def drop(self, action_id: UUID, *, actor: str) -> _A:
        """Nothing more of it is done; what was done stays. Raises Refused `already_over`."""
        with transaction.atomic():
            action = self._locked(action_id)
            if action.state in {_S.DONE, _S.DROPPED}:
                raise Refused("already_over", _("Это действие уже завершено"))
            action.state, action.closed_at = _S.DROPPED, clock.now()
            action.save(update_fields=["state", "closed_at"])
            due.cancel(self.work_kind, action.pk)
            self.tell("dropped", action, actor, {})
        return action

    def work(self, action_id: UUID) -> None:
        """Counts or does some of it, and comes again until all is done; taken up where a crash left it."""
        action = self._manager().get(pk=action_id)
        if action.state not in {_S.COUNTING, _S.RUNNING}:
            return
        wanted = _R.NEW if action.state == _S.COUNTING else _R.COUNTED
        started = time.monotonic()
        left: Any = action.rows.filter(state=wanted)
        for row in left.order_by("id")[:CHUNK]:
            if time.monotonic() - started > SECONDS:
                break
            with self.where(row):
                self._one(action_id, row.pk)
        if left.exists():
            raise due.Retry(clock.wall())
        self._close(action_id, action.state)

    def _manager(self) -> Any:
        return self.actions._default_manager

    def _locked(self, action_id: UUID) -> _A:
        found: _A = self._manager().select_for_update(of=("self",), no_key=True).get(pk=action_id)
        return found

    def _close(self, action_id: UUID, was: str) -> None:
        with transaction.atomic():
            action = self._locked(action_id)
            if action.state != was:
                return
            if was == _S.COUNTING:
                action.state = _S.READY
            else:
                action.state, action.closed_at = _S.DONE, clock.now()
            action.save(update_fields=["state", "closed_at"])

    def _one(self, action_id: UUID, row_id: UUID) -> None:
        """One row in one transaction: what it does and that it was done commit together, so that it is done once."""
        with transaction.atomic():
            # Who stops the action waits for the row under way, and none begins after it.
            action = self._locked(action_id)
            row: _Row = self.rows._default_manager.select_for_update(of=("self",)).get(pk=row_id)
            if row.state != {_S.COUNTING: _R.NEW, _S.RUNNING: _R.COUNTED}.get(_S(action.state)):
                return
            with self._said(row), transaction.atomic():
                if action.state == _S.COUNTING:
                    self.count(action, row)
                    row.state = _R.COUNTED
                else:
                    self.do(action, row)
                    row.state = _R.DONE
            if row.state in {_R.DONE, _R.REFUSED}:
                row.done_at = clock.now()
            row.save(update_fields=["state", "amount", "result", "done_at"])
            faults.at(self.faults[0])
        faults.at(self.faults[1])

    @contextmanager
    def _said(self, row: _Row) -> Iterator[None]:
        """What goes wrong stands in the row, and stops none of the others."""
        try:
            yield
        except Refused as refused:
            row.state, row.result = _R.REFUSED, str(refused.message)[:300]
        except OperationalError:
            # Somebody holds what it needs: another time.
            raise
        except Exception:
            log.exception("Row %s of a mass action failed", row.pk)
            row.state, row.result = _R.REFUSED, str(self.failed)[:300]
