"""Files of an old system as a test writes them, and the short way from a file to subscriptions."""

import csv
import io
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from apps.billing.moving import batches, loading, reading
from apps.billing.moving.models import BaseBatch, BaseImport
from apps.billing.moving.reading import COLUMNS, OLD_CHARGES, Column
from apps.connectors.models import Connection
from tests.orders.shop import Shop


def as_csv(rows: Iterable[Mapping[str, Any]], columns: tuple[Column, ...] = COLUMNS) -> bytes:
    """A file of these rows, keyed by the names of columns; dates as Russians write them."""
    rows = list(rows)
    used = [column for column in columns if any(column.key in row for row in rows) or column.is_required]
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=";")
    writer.writerow([column.heading for column in used])
    for row in rows:
        writer.writerow([_text(row.get(column.key, "")) for column in used])
    return out.getvalue().encode("utf-8-sig")


def old_csv(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """What the old system charged."""
    return as_csv(rows, OLD_CHARGES)


def _text(value: Any) -> str:
    return f"{value:%d.%m.%Y}" if isinstance(value, date) else str(value)


def gateway(shop: Shop) -> Connection:
    """The gateway shop that a partner's customers pay at."""
    return Connection.objects.get(partner=shop.partner, kind="payment")


def look(content: bytes, *, has_gateway: bool = True) -> loading.Look:
    """The dry run of a file."""
    return loading.look(reading.dataset("base.csv", content), has_gateway=has_gateway)


def load(shop: Shop, rows: Iterable[Mapping[str, Any]]) -> BaseImport:
    """Looks at a file and loads it."""
    return loading.load(name="base.csv", look=look(as_csv(rows)), connection=gateway(shop), actor="anna")


def move(count: int, *, size: int = batches.SIZE) -> list[BaseBatch]:
    """Moves the next rows that wait, now."""
    made = batches.plan(count=count, size=size, actor="anna")
    for batch in made:
        batches.move(batch.pk)
        batch.refresh_from_db()
    return made
