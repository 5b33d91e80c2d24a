"""Months of incoming messages: made ahead, dropped after 90 days."""

from datetime import date, datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from psycopg import sql

from apps.connectors.models import InboundMessage
from apps.core import clock, due
from apps.core.models import WorkItem

TABLE = "connectors_inboundmessage"
KEPT = timedelta(days=90)
TASK = "connectors.partitions"
TASK_ID = UUID(int=0)


def maintain() -> None:
    """Makes this and the next two months, drops months past their 90 days, and plans itself for tomorrow."""
    now = clock.wall()
    months = _existing()
    start = now.date().replace(day=1)
    for _ahead in range(3):
        if start not in months:
            _create(start)
        start = _next(start)
    _drop_before(months, now - KEPT)
    due.schedule(TASK, TASK_ID, now + timedelta(days=1), wall=True)


def _drop_before(months: dict[date, str], moment: datetime) -> None:
    with connection.cursor() as cursor:
        for start, name in months.items():
            if _next(start) <= moment.date():
                cursor.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
        # What a month did not catch stands in the default partition; the oldest month goes by row.
        cursor.execute(
            sql.SQL("DELETE FROM {} WHERE received_at < %s").format(sql.Identifier(TABLE)), [moment]
        )
    # Nobody can look any more at what a message said.
    there = InboundMessage.objects.filter(pk=OuterRef("object_id"))
    WorkItem.objects.filter(~Exists(there), partner_id=None, kind="connectors.inbound").delete()


def _create(start: date) -> None:
    # A month cannot be made while the default partition holds its rows: they move in the same
    # transaction, through a table that is attached afterwards.
    name, until = f"{TABLE}_{start:%Y%m}", _next(start)
    parts = {
        "table": sql.Identifier(TABLE),
        "default": sql.Identifier(f"{TABLE}_default"),
        "month": sql.Identifier(name),
        "start": sql.Literal(f"{start} 00:00:00+00"),
        "until": sql.Literal(f"{until} 00:00:00+00"),
    }
    statement = """
        CREATE TABLE {month} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
        WITH moved AS (
            DELETE FROM {default} WHERE received_at >= {start} AND received_at < {until} RETURNING *
        ) INSERT INTO {month} SELECT * FROM moved;
        ALTER TABLE {table} ATTACH PARTITION {month} FOR VALUES FROM ({start}) TO ({until})
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql.SQL(statement).format(**parts))


def _existing() -> dict[date, str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [TABLE]
        )
        names = [row[0] for row in cursor.fetchall()]
    return {
        datetime.strptime(name[-6:], "%Y%m").date(): name  # noqa: DTZ007
        for name in names
        if name[-6:].isdigit()
    }


def _next(month: date) -> date:
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)
