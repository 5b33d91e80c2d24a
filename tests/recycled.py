"""Schemas of partners that a test is done with, emptied and used again: making one anew takes a fifth of a second."""

from collections.abc import Callable
from functools import cache
from typing import Any

from django.db import DatabaseError, connection, transaction

from apps.core.tenancy import in_public
from apps.partners import schemas
from apps.partners.models import Partner

_free: list[str] = []
_lent: dict[str, str] = {}
"""What each schema was called before it was a partner's: it is again where that was rolled back."""

# Whatever a test did to a schema: only one that is like the template is used again.
_SHAPE = """
SELECT md5(string_agg(part, ';' ORDER BY part COLLATE "C")) FROM (
    SELECT concat_ws(' ', c.relname, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attidentity,
        i.indisunique, i.indisvalid) AS part
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_index i ON i.indexrelid = c.oid
    WHERE c.relnamespace = to_regnamespace(%(schema)s) AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT concat_ws(' ', c.relname, t.tgenabled, count(*), string_agg(
        CASE WHEN t.tgisinternal THEN '' ELSE t.tgname || t.tgtype || md5(p.prosrc) END, ',' ORDER BY t.tgname))
    FROM pg_class c JOIN pg_trigger t ON t.tgrelid = c.oid JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE c.relnamespace = to_regnamespace(%(schema)s) GROUP BY c.relname, t.tgenabled
    UNION ALL
    SELECT concat_ws(' ', conname, contype, convalidated, conkey,
        CASE WHEN contype = 'c' THEN pg_get_constraintdef(oid) END)
    FROM pg_constraint WHERE connamespace = to_regnamespace(%(schema)s)
) AS parts
"""
# Who wrote the catalogue's rows of a schema: where nobody has since it was looked through, it is as it was then.
_WRITTEN = """
WITH of_schema AS MATERIALIZED (
    SELECT oid, xmin AS writer FROM pg_class WHERE relnamespace = to_regnamespace(%(schema)s)
), written AS (
    SELECT writer FROM of_schema
    UNION ALL SELECT a.xmin FROM pg_attribute a JOIN of_schema s ON s.oid = a.attrelid
    UNION ALL SELECT i.xmin FROM pg_index i JOIN of_schema s ON s.oid = i.indexrelid
    UNION ALL SELECT t.xmin FROM pg_trigger t JOIN of_schema s ON s.oid = t.tgrelid
    UNION ALL SELECT xmin FROM pg_constraint WHERE connamespace = to_regnamespace(%(schema)s)
    UNION ALL SELECT xmin FROM pg_proc WHERE pronamespace IN (to_regnamespace(%(schema)s), 'public'::regnamespace)
)
SELECT to_regnamespace(%(schema)s)::oid, count(*), sum(writer::text::bigint), max(writer::text::bigint) FROM written
"""
_CHILDREN = """
SELECT parent.relname, child.relname, own.attname, theirs.attname
FROM pg_constraint k
JOIN pg_class parent ON parent.oid = k.confrelid JOIN pg_class child ON child.oid = k.conrelid
JOIN pg_attribute theirs ON theirs.attrelid = parent.oid AND theirs.attnum = k.confkey[1]
JOIN pg_attribute own ON own.attrelid = child.oid AND own.attnum = k.conkey[1]
WHERE k.contype = 'f' AND k.connamespace = 'public'::regnamespace AND parent.oid <> child.oid
    AND NOT child.relispartition
"""
_OWNED = """
SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND a.attname = 'partner_id'
"""


ANEW: Callable[[str], None] = schemas.build
"""As the product makes a schema."""


def build(schema: str) -> None:
    """In place of `schemas.build`: a schema that was given back, or else a new one."""
    if not _free:
        ANEW(schema)
        return
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER SCHEMA "{_free[-1]}" RENAME TO "{schema}"')
    _lent[schema] = _free.pop()


def give_back(partner: Partner) -> None:
    """Takes a partner out of the platform with all its rows, and keeps its schema, if that is as it was made."""
    free = f"free_{partner.schema_name}"
    with in_public():
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                if not _is_as_made(cursor, partner.schema_name):
                    _take_again(cursor, partner.schema_name)
                    return
                # For superusers only: nobody asks what refers to a row, or who keeps it.
                cursor.execute("SET LOCAL session_replication_role = replica; SET LOCAL lock_timeout = '3s'")
                _delete_public(cursor, partner.pk)
                _empty(cursor, partner.schema_name)
                cursor.execute(f'ALTER SCHEMA "{partner.schema_name}" RENAME TO "{free}"')
        except DatabaseError:
            return  # Somebody still works with it, or this server's user may not: it stays where it is.
        _free.append(free)


def _take_again(cursor: Any, schema: str) -> None:
    """Of a partner whose making was rolled back: its schema is as it was lent."""
    lent = _lent.pop(schema, None)
    cursor.execute("SELECT to_regnamespace(%s) IS NULL AND to_regnamespace(%s) IS NOT NULL", [schema, lent])
    if lent and cursor.fetchone()[0]:
        _free.append(lent)


def _empty(cursor: Any, schema: str) -> None:
    tables = [f'"{schema}"."{name}"' for name in _tables()]
    if used := _filled(cursor, dict.fromkeys(tables, "true"), {}):
        cursor.execute("; ".join(f"DELETE FROM {name}" for name in used))


def _filled(cursor: Any, tables: dict[str, str], values: dict[str, Any]) -> list[str]:
    """Those of the tables that have rows under their condition: few have, and each DELETE would cost a statement."""
    asked = (
        f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name} WHERE {where})" for name, where in tables.items()
    )
    cursor.execute(" UNION ALL ".join(asked), values)
    return [name for (name,) in cursor.fetchall()]


_seen: dict[int, tuple[int, ...]] = {}
"""By schema, which keeps its number when it is renamed: who had written its catalogue when it was like the template."""


def _is_as_made(cursor: Any, schema: str) -> bool:
    cursor.execute(_WRITTEN, {"schema": schema})
    number, *written = cursor.fetchone()
    if _seen.get(number) == tuple(written):
        return True
    if number is None or _shape(cursor, schema) != _shape_of_template():
        return False
    _seen[number] = tuple(written)
    return True


def _shape(cursor: Any, schema: str) -> str:
    cursor.execute(_SHAPE, {"schema": schema})
    return str(cursor.fetchone()[0])


@cache
def _shape_of_template() -> str:
    with connection.cursor() as cursor:
        return _shape(cursor, schemas.TEMPLATE)


@cache
def _tables() -> list[str]:
    """Of a partner's schema: all that begin empty."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename <> 'django_migrations'",
            [schemas.TEMPLATE],
        )
        return [name for (name,) in cursor.fetchall()]


def _delete_public(cursor: Any, key: int) -> None:
    # The ledger refuses even superusers who copy rows.
    cursor.execute("ALTER TABLE ledger_transfer DISABLE TRIGGER USER")
    # What a provider is reached by stays: all tests share the catalogue.
    cursor.execute(
        "UPDATE connectors_connection c SET partner_id = NULL FROM providers_provider p"
        " WHERE c.partner_id = %s AND c.id IN (p.connection_id, p.test_connection_id)",
        [key],
    )
    for table in _filled(cursor, dict.fromkeys(_owned(), "partner_id = %(key)s"), {"key": key}):
        _delete(cursor, table, "partner_id", [key])
    _delete(cursor, "partners_partner", "id", [key])
    # Messages went with their connections; that nobody knew what they were about stands with nobody's partner.
    cursor.execute(
        "DELETE FROM core_workitem w WHERE kind = 'connectors.inbound' AND partner_id IS NULL"
        " AND NOT EXISTS (SELECT FROM connectors_inboundmessage m WHERE m.id = w.object_id)"
    )
    cursor.execute(
        "ALTER TABLE ledger_transfer ENABLE ALWAYS TRIGGER ledger_transfer_refuses,"
        " ENABLE ALWAYS TRIGGER ledger_transfer_open"
    )


def _delete(cursor: Any, table: str, column: str, values: list[Any]) -> None:
    """Deletes rows of the public schema, and what refers to them."""
    children = _children().get(table, [])
    keys = sorted({key for *_child, key in children} or {column})
    cursor.execute(f"DELETE FROM {table} WHERE {column} = ANY(%s) RETURNING {', '.join(keys)}", [values])
    rows = cursor.fetchall()
    if not rows or not children:
        return
    gone = {key: [row[number] for row in rows] for number, key in enumerate(keys)}
    where: dict[str, list[str]] = {}
    for child, own, key in children:
        where.setdefault(child, []).append(f"{own} = ANY(%({key})s)")
    left = set(_filled(cursor, {child: " OR ".join(each) for child, each in where.items()}, gone))
    for child, own, key in children:
        if child in left:
            _delete(cursor, child, own, gone[key])


@cache
def _children() -> dict[str, list[tuple[str, str, str]]]:
    """By table of the public schema, what refers to it: the table, its column, the column it refers to."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_CHILDREN)
        for parent, child, own, key in cursor.fetchall():
            found.setdefault(parent, []).append((child, own, key))
    return found


@cache
def _owned() -> list[str]:
    """The tables of the public schema with rows of partners."""
    with connection.cursor() as cursor:
        cursor.execute(_OWNED)
        return [name for (name,) in cursor.fetchall()]
