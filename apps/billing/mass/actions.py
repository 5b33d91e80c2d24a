"""Mass actions: made for a list, counted, agreed to, done row by row in the background, each row once."""

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import OperationalError, transaction
from django.db.models import Count, Sum
from django.utils.translation import gettext as _

from apps import journal
from apps.billing.mass.deeds import DEEDS
from apps.billing.mass.models import MassAction, MassRow, MassRowState, MassState, is_above_limit
from apps.billing.models import Subscription
from apps.billing.subscriptions import locked_with_parent
from apps.core import bulk, clock, due, faults
from apps.core.errors import Refused
from apps.core.ids import uuid7

log = logging.getLogger(__name__)
KIND = "billing.MassAction"
WORK = "billing.mass_action"
MOST = 100_000
"""Subscriptions of one action."""
CHUNK, SECONDS = 200, 15.0
"""How much is done at a time, so that other work gets its turn and a lease is never outlived."""
FAULT_POINTS = ("billing.mass-row-not-committed", "billing.mass-row-done")
"""Every commit boundary of a row."""
_R, _S = MassRowState, MassState


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

    @property
    def is_above_limit(self) -> bool:
        """Whether a second person has to agree."""
        return is_above_limit(self.ready, self.total)


def create(
    *,
    kind: str,
    params: Mapping[str, Any],
    subscription_ids: Iterable[UUID],
    reason: str,
    actor: str,
) -> MassAction:
    """Fixes the list and has its sum counted in the background; nothing is done before somebody agrees.

    Raises Refused: `bad_kind`, `nothing_chosen`, `too_many`, `no_reason`, `several_currencies`, those of the deed's
    parameters.
    """
    if kind not in DEEDS:
        raise Refused("bad_kind", _("Такого массового действия нет"), status=400)
    if not reason.strip():
        raise Refused("no_reason", _("Напишите, почему: это увидят в истории подписок"), status=400)
    checked = DEEDS[kind].check(params)
    with transaction.atomic():
        found = Subscription.objects.filter(pk__in=bulk.these("uuid", set(subscription_ids)))
        rows = list(found.order_by("pk").values_list("pk", "currency"))
        _check(rows)
        action = MassAction.objects.create(
            kind=kind,
            params=checked,
            reason=reason.strip()[:200],
            size=len(rows),
            asked_by=actor[:150],
            currency=rows[0][1],
            created_at=clock.now(),
        )
        bulk.copy(
            MassRow,
            ["id", "action", "subscription", "state", "amount", "result"],
            [(uuid7(), action.pk, key, _R.NEW.value, Decimal("0.00"), "") for key, _currency in rows],
        )
        data = {"kind": kind, "size": action.size, **checked}
        journal.record("mass.asked", KIND, action.pk, actor=actor, data=data)
        due.schedule(WORK, action.pk, clock.wall(), wall=True)
    return action


def _check(rows: list[tuple[UUID, str]]) -> None:
    if not rows:
        raise Refused("nothing_chosen", _("Не выбрано ни одной подписки"), status=400)
    if len(rows) > MOST:
        raise Refused("too_many", _("Больше 100 000 подписок за раз нельзя: сузьте список"), status=400)
    if len({currency for _key, currency in rows}) > 1:
        raise Refused("several_currencies", _("В списке подписки в разных валютах"), status=400)


def summary(action: MassAction) -> Summary:
    """How far an action is, in one query."""
    rows = action.rows.values_list("state").annotate(count=Count("pk"), total=Sum("amount")).order_by()
    counts = dict.fromkeys(_R.values, 0)
    totals = dict.fromkeys(_R.values, Decimal("0.00"))
    for state, count, total in rows:
        counts[state], totals[state] = count, total or Decimal("0.00")
    return Summary(counts, totals[_R.COUNTED] + totals[_R.DONE], totals[_R.DONE])


def confirm(action_id: UUID, *, actor: str) -> MassAction:
    """Agrees to what was counted: from now on it is done. Above the limit it takes another person than who asked.

    Raises Refused: `not_ready` (also where somebody else was first), `nothing_to_do`, `second_person`.
    """
    with transaction.atomic():
        action = MassAction.objects.select_for_update().get(pk=action_id)
        if action.state != _S.READY:
            raise Refused("not_ready", _("Это действие уже подтверждено, отменено или ещё считается"))
        known = summary(action)
        if not known.ready:
            raise Refused("nothing_to_do", _("Ни для одной подписки это сделать нельзя"))
        if known.is_above_limit and (actor == action.asked_by or actor.startswith("api:")):
            raise Refused("second_person", _("Выше лимита подтверждает другой сотрудник"), status=403)
        action.state, action.confirmed_by, action.confirmed_at = _S.RUNNING, actor[:150], clock.now()
        action.save(update_fields=["state", "confirmed_by", "confirmed_at"])
        data = {"rows": known.ready, "total": str(known.total)}
        journal.record("mass.confirmed", KIND, action.pk, actor=actor, data=data)
        due.schedule(WORK, action.pk, clock.wall(), wall=True)
    return action


def drop(action_id: UUID, *, actor: str) -> MassAction:
    """Nothing more of it is done; what was done stays. Raises Refused `already_over`."""
    with transaction.atomic():
        action = MassAction.objects.select_for_update().get(pk=action_id)
        if action.state in {_S.DONE, _S.DROPPED}:
            raise Refused("already_over", _("Это действие уже завершено"))
        action.state, action.closed_at = _S.DROPPED, clock.now()
        action.save(update_fields=["state", "closed_at"])
        due.cancel(WORK, action.pk)
        journal.record("mass.dropped", KIND, action.pk, actor=actor)
    return action


def work(action_id: UUID) -> None:
    """Counts or does some of it, and comes again until all is done; taken up where a crash left it."""
    action = MassAction.objects.get(pk=action_id)
    if action.state not in {_S.COUNTING, _S.RUNNING}:
        return
    wanted = _R.NEW if action.state == _S.COUNTING else _R.COUNTED
    started = time.monotonic()
    keys = list(action.rows.filter(state=wanted).order_by("id").values_list("pk", flat=True)[:CHUNK])
    for key in keys:
        if time.monotonic() - started > SECONDS:
            break
        _one(action_id, key)
    if action.rows.filter(state=wanted).exists():
        raise due.Retry(clock.wall())
    _close(action_id, action.state)


def _close(action_id: UUID, was: str) -> None:
    with transaction.atomic():
        action = MassAction.objects.select_for_update().get(pk=action_id)
        if action.state != was:
            return
        if was == _S.COUNTING:
            action.state = _S.READY
        else:
            action.state, action.closed_at = _S.DONE, clock.now()
        action.save(update_fields=["state", "closed_at"])


def _one(action_id: UUID, row_id: UUID) -> None:
    """One row in one transaction: what it does and that it was done commit together, so that it is done once."""
    with transaction.atomic():
        # Who stops the action waits for the row under way, and none begins after it.
        action = MassAction.objects.select_for_update(of=("self",), no_key=True).get(pk=action_id)
        row = MassRow.objects.select_for_update().get(pk=row_id)
        wanted = {_S.COUNTING: _R.NEW, _S.RUNNING: _R.COUNTED}.get(_S(action.state))
        if row.state != wanted:
            return
        try:
            with transaction.atomic():
                _count(action, row) if action.state == _S.COUNTING else _do(action, row)
        except Refused as refused:
            row.state, row.result = _R.REFUSED, str(refused.message)[:300]
        except OperationalError:
            # Somebody holds what it needs: another time.
            raise
        except Exception:
            log.exception("Row %s of mass action %s failed", row_id, action_id)
            row.state, row.result = (
                _R.REFUSED,
                _("Не получилось по нашей вине: посмотрите эту подписку отдельно"),
            )
        if row.state in {_R.DONE, _R.REFUSED}:
            row.done_at = clock.now()
        row.save(update_fields=["state", "amount", "result", "done_at"])
        faults.at("billing.mass-row-not-committed")
    faults.at("billing.mass-row-done")


def _count(action: MassAction, row: MassRow) -> None:
    row.amount = DEEDS[action.kind].look(row.subscription, action.params)
    row.state = _R.COUNTED


def _do(action: MassAction, row: MassRow) -> None:
    deed = DEEDS[action.kind]
    subscription = locked_with_parent(row.subscription_id)
    now = deed.look(subscription, action.params)
    if now != row.amount:
        text = _("сумма изменилась после подтверждения: было {was}, стало {now}")
        raise Refused("sum_changed", text.format(was=row.amount, now=now))
    row.result = deed.do(subscription, action)[:300]
    row.state = _R.DONE


def limits() -> tuple[int, int]:
    """Rows and roubles above which a second person has to agree."""
    return settings.MASS_ACTION_ROWS, settings.MASS_ACTION_SUM
