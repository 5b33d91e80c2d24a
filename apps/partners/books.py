"""The books of a legal entity are closed up to a day: what comes later is posted to the first open one."""

from collections.abc import Iterable
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.core import clock
from apps.core.errors import Refused
from apps.partners.models import LegalEntity

KIND = "partners.LegalEntity"
_LOCK = 7205760
"""The advisory lock of closing, with the entity's id; the database's triggers share it (migration 0004)."""


def open_day(entity_id: int | None, day: date) -> date:
    """`day`, or the first open one of the entity's books where that day is closed."""
    return open_days([entity_id], day)[entity_id]


def open_days(entity_ids: Iterable[int | None], day: date) -> dict[int | None, date]:
    """`open_day` for many legal entities, in one query."""
    found: dict[int | None, date] = dict.fromkeys(entity_ids, day)
    closed = LegalEntity.objects.filter(pk__in=[key for key in found if key], closed_until__gte=day)
    for key, until in closed.values_list("pk", "closed_until"):
        if until is not None:
            found[key] = until + timedelta(days=1)
    return found


def close(entity: LegalEntity, *, until: date, actor: str) -> LegalEntity:
    """Closes the books up to and with a day; waits for whoever is posting to it right now.

    Raises Refused: `not_over` for a day that is not over in the entity's zone, `closed_already`.
    """
    with transaction.atomic():
        entity = _locked(entity)
        if until >= clock.wall().astimezone(_zone(entity)).date():
            raise Refused("not_over", _("Закрыть можно только дни, которые прошли"), status=400)
        if entity.closed_until and until <= entity.closed_until:
            raise Refused("closed_already", _("Этот период уже закрыт"))
        return _set(entity, until, actor=actor, reason="")


def reopen(entity: LegalEntity, *, until: date | None, reason: str, actor: str) -> LegalEntity:
    """Opens the days after `until` again (all, without it). Raises Refused: `not_closed`, `no_reason`."""
    if not reason.strip():
        raise Refused("no_reason", _("Укажите, почему период открывается снова"), status=400)
    with transaction.atomic():
        entity = _locked(entity)
        if entity.closed_until is None or (until is not None and until >= entity.closed_until):
            raise Refused("not_closed", _("Эти дни и так открыты"))
        return _set(entity, until, actor=actor, reason=reason)


def _set(entity: LegalEntity, until: date | None, *, actor: str, reason: str) -> LegalEntity:
    data = {"until": str(until or ""), "was": str(entity.closed_until or ""), "reason": reason}
    entity.closed_until, entity.closed_at = until, clock.wall() if until else None
    entity.save(update_fields=["closed_until", "closed_at"])
    journal.record("books.reopened" if reason else "books.closed", KIND, entity.pk, actor=actor, data=data)
    return entity


def _locked(entity: LegalEntity) -> LegalEntity:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK, entity.pk])
    return LegalEntity.objects.select_for_update().get(pk=entity.pk)


def _zone(entity: LegalEntity) -> ZoneInfo:
    return ZoneInfo(entity.time_zone)
