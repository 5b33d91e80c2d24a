"""Promises and deadlines are watched: before one is missed, those on duty are told; once more when it is."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.catalog.models import PlanStep
from apps.core import clock, due, events, work
from apps.notifications import staff
from apps.orders import history
from apps.orders.models import Fulfilment, FulfilmentState
from apps.orders.task_models import OPEN, Task
from apps.partners.models import StaffRole

WATCH = "orders.watch"
AHEAD = 4
"""Those on duty are told when a quarter of the time is left."""
_OVER = {FulfilmentState.DONE, FulfilmentState.REVOKED, FulfilmentState.FAILED, FulfilmentState.COMPENSATING}
ON_DUTY = (StaffRole.Role.MANAGER.value, StaffRole.Role.SUPPORT.value)


@dataclass(frozen=True, slots=True)
class Term:
    """Until when something has to be done: the promise to the customer, or a task's deadline."""

    since: datetime
    until: datetime
    task: Task | None = None

    @property
    def warn_at(self) -> datetime:
        """When it is not too late yet."""
        return self.until - (self.until - self.since) / AHEAD


def watch(fulfilment: Fulfilment) -> None:
    """Plans when a locked fulfilment is looked at for its terms; nothing where it has none."""
    if fulfilment.promised_at is None and fulfilment.step is None:
        return
    now = clock.now()
    moments = [at for term in terms(fulfilment) for at in (term.warn_at, term.until) if at > now]
    if moments:
        due.schedule(WATCH, fulfilment.pk, min(moments))


def terms(fulfilment: Fulfilment) -> Iterator[Term]:
    """What a fulfilment has to keep now."""
    if fulfilment.state in _OVER:
        return
    is_delivered = fulfilment.service.activated_at is not None
    if fulfilment.promised_at and not is_delivered:
        yield Term(fulfilment.created_at, fulfilment.promised_at)
    if fulfilment.step is not None:
        for task in fulfilment.tasks.filter(state__in=OPEN, deadline_at__isnull=False):
            yield Term(task.started_at or fulfilment.created_at, task.deadline_at, task)  # type: ignore[arg-type]


def look(fulfilment_id: UUID) -> None:
    """Due work: what is in danger, or late already, is told to those on duty. Safe to repeat."""
    with transaction.atomic():
        # The fulfilment only: the service is read, and a late word about it harms nobody.
        rows = Fulfilment.objects.select_for_update(no_key=True, of=("self",)).select_related("service")
        fulfilment = rows.filter(pk=fulfilment_id).first()
        if fulfilment is None:
            return
        now = clock.now()
        for term in terms(fulfilment):
            if term.warn_at <= now:
                _raise(fulfilment, term, is_missed=term.until <= now)
        watch(fulfilment)


def _raise(fulfilment: Fulfilment, term: Term, *, is_missed: bool) -> None:
    reason = _reason(fulfilment, term, is_missed=is_missed)
    if any(line.reason == reason for line in history.of(fulfilment)):
        return
    # A milestone of its own in the history: and by it, told once.
    history.record(fulfilment, fulfilment.state, fulfilment.state, reason=reason)
    if fulfilment.jeopardy_at is None:
        fulfilment.jeopardy_at = clock.now()
        fulfilment.save(update_fields=["jeopardy_at"])
    work.open("orders.Fulfilment", fulfilment.pk, reason, deadline_at=term.until)
    told = {
        "deadline": term.until.isoformat(),
        "is_missed": is_missed,
        "task": term.task and str(term.task.pk),
    }
    events.publish("orders.FulfilmentInJeopardy", fulfilment.pk, **told)
    about = term.task.pk if term.task else fulfilment.pk
    staff.alert(
        key=f"jeopardy:{about}:{'missed' if is_missed else 'ahead'}",
        roles=_on_duty(term.task),
        headline=str(reason),
        page=f"/admin/orders/fulfilment/{fulfilment.pk}/change/",
        reason=fulfilment.error,
        deadline=f"{clock.local(term.until):%d.%m.%Y %H:%M}",
    )


def _reason(fulfilment: Fulfilment, term: Term, *, is_missed: bool) -> str:
    what = f"{fulfilment.service.name}: {term.task}" if term.task else fulfilment.service.name
    until = f"{clock.local(term.until):%d.%m %H:%M}"
    told: Any = _("Срок прошёл {until} · {what}") if is_missed else _("Под угрозой срока {until} · {what}")
    return str(told).format(until=until, what=what)


def _on_duty(task: Task | None) -> tuple[str, ...]:
    duty = ""
    if task is not None:
        duty = PlanStep.objects.filter(pk=task.step_id).values_list("duty", flat=True).first() or ""
    return (duty,) if duty else ON_DUTY
