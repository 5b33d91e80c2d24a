"""A gateway's register as a file of its cabinet: read, split by day, each day compared."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.connectors.models import Connection
from apps.core import work
from apps.core.errors import Refused
from apps.payments import registers
from apps.payments.gateway import RegisterEntry
from apps.payments.registers import BadRegister
from apps.settlements import gateway_terms, reconciliation
from apps.settlements.comparing import today_of, zone_of
from apps.settlements.models import GatewayDay

KIND = "settlements.GatewayTerms"
LARGEST = 20 * 1024 * 1024
"""Bytes of a file."""
MOST_DAYS = 92
"""Days that one file may be of."""


@dataclass(slots=True)
class Uploaded:
    """What became of a file: its days as they stand now, and those that are closed and stay as they were."""

    days: list[GatewayDay] = field(default_factory=list)
    closed: list[date] = field(default_factory=list)
    lines: int = 0
    is_known: bool = True
    """Whether every line stood there already."""


def upload(
    connection_id: int,
    content: bytes,
    *,
    name: str,
    first: date | None = None,
    last: date | None = None,
    actor: str,
) -> Uploaded:
    """Compares every day of a file, which has all of each; `first` and `last` where its ends have no operation.

    The same file again changes nothing but what became known here meanwhile. Raises Refused: `bad_register` with row
    and column, `bad_days`.
    """
    connection = Connection.objects.select_related("legal_entity").get(pk=connection_id)
    entries = _read(connection, content)
    days = registers.days_of(entries, zone_of(connection))
    wanted = _span(days, first, last, today_of(connection))
    done = Uploaded(lines=len(entries))
    for day in wanted:
        _one(done, connection, day, days.get(day, []), name, actor)
    _neighbours(connection, wanted, actor)
    for row in done.days:
        row.refresh_from_db()
    work.close_for(None, KIND, gateway_terms.terms_of(connection).pk)
    data = {"lines": done.lines, "days": [str(day) for day in wanted]}
    journal.record(
        "gateway-register.loaded", KIND, gateway_terms.terms_of(connection).pk, actor=actor, data=data
    )
    return done


def _read(connection: Connection, content: bytes) -> list[RegisterEntry]:
    dialect = connection.connector_class.register_dialect  # type: ignore[attr-defined]
    if dialect is None:
        raise Refused("bad_register", _("Этот шлюз отдаёт реестр сам: нажмите «Сверить»"), status=400)
    if len(content) > LARGEST:
        raise Refused("bad_register", _("Файл больше %d МБ") % (LARGEST // 2**20), status=400)
    try:
        columns = registers.columns_of(gateway_terms.terms_of(connection).columns)
        return registers.read(content, dialect, columns=columns)
    except BadRegister as error:
        raise Refused("bad_register", str(error), status=400) from error


def _span(
    days: dict[date, list[RegisterEntry]], first: date | None, last: date | None, today: date
) -> list[date]:
    start, end = first or min(days, default=None), last or max(days, default=None)
    if start is None or end is None:
        raise Refused("bad_days", _("В файле нет операций: укажите, за какие он дни"), status=400)
    if start > end or (end - start).days >= MOST_DAYS:
        raise Refused("bad_days", _("Дни реестра: от одного до %d подряд") % MOST_DAYS, status=400)
    if outside := [day for day in days if not start <= day <= end]:
        raise Refused("bad_days", _("В файле есть операции за %s") % f"{min(outside):%d.%m.%Y}", status=400)
    if end > today:
        raise Refused("bad_days", _("День %s ещё не наступил") % f"{end:%d.%m.%Y}", status=400)
    return [start + timedelta(days=number) for number in range((end - start).days + 1)]


def _one(
    done: Uploaded,
    connection: Connection,
    day: date,
    entries: Sequence[RegisterEntry],
    name: str,
    actor: str,
) -> None:
    known = GatewayDay.objects.filter(connection=connection, day=day).first()
    if known is not None and known.state == GatewayDay.State.CLOSED:
        done.closed.append(day)
        return
    done.is_known = done.is_known and known is not None and _same(known, entries)
    done.days.append(
        reconciliation.check(connection.pk, day, entries=entries, source=name or "—", actor=actor)
    )


def _same(known: GatewayDay, entries: Sequence[RegisterEntry]) -> bool:
    lines = known.lines.values_list("entry", "gateway_id", "amount", "fee", "at")
    return list(lines) == [(one.kind, one.gateway_id, one.amount.amount, one.fee, one.at) for one in entries]


def _neighbours(connection: Connection, days: Sequence[date], actor: str) -> None:
    """What ours settled about midnight may stand in the day before or after, which has come with this file only."""
    around = {days[0] - timedelta(days=1), *days, days[-1] + timedelta(days=1)}
    rows = GatewayDay.objects.filter(
        connection=connection,
        day__in=around,
        state=GatewayDay.State.OPEN,
        differences__kind="missing_there",
    ).distinct()
    for row in rows:
        reconciliation.check(
            connection.pk, row.day, entries=reconciliation.stored(row), source=row.source, actor=actor
        )
