"""Mass actions: made for a list, counted, agreed to, done row by row in the background, each row once."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps import journal
from apps.billing.mass.deeds import DEEDS
from apps.billing.mass.models import MassAction, MassRow, is_above_limit
from apps.billing.models import Subscription
from apps.billing.subscriptions import locked_with_parent
from apps.core import bulk, clock, due, mass
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.mass import MassRowState, Summary, summary

__all__ = ["Summary", "confirm", "create", "drop", "limits", "summary", "work"]
KIND = "billing.MassAction"
WORK = "billing.mass_action"
MOST = 100_000
"""Subscriptions of one action."""
FAULT_POINTS = ("billing.mass-row-not-committed", "billing.mass-row-done")
"""Every commit boundary of a row."""


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
            [
                (uuid7(), action.pk, key, MassRowState.NEW.value, Decimal("0.00"), "")
                for key, _currency in rows
            ],
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


class _Subscriptions(mass.Mass[MassAction, MassRow]):
    """Deeds done to subscriptions."""

    actions, rows, work_kind, faults = MassAction, MassRow, WORK, FAULT_POINTS
    nothing = gettext_lazy("Ни для одной подписки это сделать нельзя")
    failed = gettext_lazy("Не получилось по нашей вине: посмотрите эту подписку отдельно")

    def count(self, action: MassAction, row: MassRow) -> None:
        row.amount = DEEDS[action.kind].look(row.subscription, action.params)

    def do(self, action: MassAction, row: MassRow) -> None:
        deed = DEEDS[action.kind]
        subscription = locked_with_parent(row.subscription_id)
        now = deed.look(subscription, action.params)
        if now != row.amount:
            text = _("сумма изменилась после подтверждения: было {was}, стало {now}")
            raise Refused("sum_changed", text.format(was=row.amount, now=now))
        row.result = deed.do(subscription, action)[:300]

    def needs_second(self, action: MassAction, known: Summary) -> bool:
        return needs_second(known)

    def tell(self, verb: str, action: MassAction, actor: str, data: Mapping[str, Any]) -> None:
        journal.record(f"mass.{verb}", KIND, action.pk, actor=actor, data=dict(data))


def needs_second(known: Summary) -> bool:
    """Whether a second person has to agree: above the limit."""
    return is_above_limit(known.ready, known.total)


_mass = _Subscriptions()
confirm, drop, work = _mass.confirm, _mass.drop, _mass.work


def limits() -> tuple[int, int]:
    """Rows and roubles above which a second person has to agree."""
    return settings.MASS_ACTION_ROWS, settings.MASS_ACTION_SUM
