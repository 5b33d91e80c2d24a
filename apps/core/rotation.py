"""Encrypts all that is stored with the newest key while everybody reads and writes: an old key can be dropped.

Each value changes only if it still is what was read, and a row that somebody holds is come back to: nobody waits.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.conf import settings
from django.db import connection

from apps.core import fields
from apps.core.tenancy import in_partner, in_public

ROUNDS, PAUSE_SECONDS = 50, 0.1
"""How often a row that others hold is tried, and how long after: five seconds are more than a transaction takes."""


@dataclass
class Done:
    """How many values were looked at, and what became of those that the newest key had not written."""

    seen: int = 0
    renewed: int = 0
    held: int = 0
    """Somebody held their rows all the time."""
    unreadable: int = 0
    """None of the keys has written them."""

    def add(self, other: "Done") -> None:
        """Counts another table in."""
        self.seen += other.seen
        self.renewed += other.renewed
        self.held += other.held
        self.unreadable += other.unreadable


@dataclass(frozen=True)
class Column:
    """An encrypted column of a table of the current schema."""

    table: str
    key: str
    key_type: str
    name: str

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"


def run(size: int = 500, pause: float = 0.0) -> Iterator[tuple[str, Done]]:
    """Goes through the public schema and every partner's; for each, its name and what was done. Commits by batch.

    `size`: values in a batch; `pause`: seconds after each.
    """
    with in_public():
        yield "public", _schema(columns(settings.SHARED_APPS), size, pause)
        partners = list(apps.get_model("partners.Partner").objects.order_by("pk"))
    for partner in partners:
        with in_partner(partner):
            done = _schema(columns(settings.TENANT_APPS), size, pause)
        yield partner.slug, done


def columns(app_names: list[str]) -> list[Column]:
    """Encrypted columns of some apps, by their models."""
    labels = {name.rpartition(".")[2] for name in app_names}
    return [
        Column(model._meta.db_table, str(key.column), str(key.db_type(connection)), str(field.column))
        for model in apps.get_models()
        if model._meta.app_label in labels and model._meta.managed and not model._meta.proxy
        for key in [model._meta.pk]
        for field in model._meta.local_fields
        if isinstance(field, fields.EncryptedField)
    ]


def _schema(found: list[Column], size: int, pause: float) -> Done:
    total = Done()
    for column in found:
        for page in _pages(column, size):
            total.add(_renew(column, page))
            time.sleep(pause)
    return total


def _pages(column: Column, size: int) -> Iterator[list[tuple[Any, str]]]:
    page = _rows(column, "true", [], size)
    while page:
        yield page
        page = _rows(column, f'"{column.key}" > %s', [page[-1][0]], size)


def _renew(column: Column, page: list[tuple[Any, str]]) -> Done:
    done = Done(seen=len(page))
    for number in range(ROUNDS):
        stale = [(key, text) for key, text in page if not is_newest(text)]
        fresh = [(key, text, again) for key, text in stale if (again := _anew(text)) is not None]
        done.unreadable = max(done.unreadable, len(stale) - len(fresh))
        if not fresh:
            return done
        time.sleep(PAUSE_SECONDS if number else 0)
        done.renewed += _write(column, fresh)
        keys = [key for key, _text, _again in fresh]
        page = _rows(column, f'"{column.key}" = ANY(%s::{column.key_type}[])', [keys], len(keys))
    done.held = sum(not is_newest(text) for _key, text in page)
    return done


def _write(column: Column, fresh: list[tuple[Any, str, str]]) -> int:
    """Those that are still what was read, and whose rows nobody holds; how many they were."""
    keys, before, after = (list(one) for one in zip(*fresh, strict=True))
    sql = (
        f'WITH free AS MATERIALIZED (SELECT "{column.key}" AS key FROM "{column.table}" '  # noqa: S608
        f'WHERE "{column.key}" = ANY(%s::{column.key_type}[]) FOR NO KEY UPDATE SKIP LOCKED) '
        f'UPDATE "{column.table}" AS t SET "{column.name}" = v.after '
        f"FROM unnest(%s::{column.key_type}[], %s::text[], %s::text[]) AS v(key, before, after) "
        f'JOIN free USING (key) WHERE t."{column.key}" = v.key AND t."{column.name}" = v.before'
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [keys, keys, before, after])
        return int(cursor.rowcount)


def _rows(column: Column, which: str, given: list[Any], limit: int) -> list[tuple[Any, str]]:
    """Keys and stored texts in the order of keys; empty texts are not encrypted."""
    sql = (  # Names are of our own models.
        f'SELECT "{column.key}", "{column.name}" FROM "{column.table}" '  # noqa: S608
        f'WHERE {which} AND "{column.name}" <> \'\' ORDER BY "{column.key}" LIMIT {limit:d}'
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        return cursor.fetchall()


def is_newest(text: str) -> bool:
    """Whether the newest key has written it."""
    try:
        Fernet(settings.ENCRYPTION_KEYS[0]).decrypt(text.encode())
    except InvalidToken:
        return False
    return True


def _anew(text: str) -> str | None:
    try:
        return fields.encrypt(fields.decrypt(text))
    except ValueError:
        return None
