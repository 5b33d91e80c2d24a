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
                if _shape(cursor, partner.schema_name) != _shape_of_template():
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
    cursor.execute(
        " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in tables)
    )
    if used := [name for (name,) in cursor.fetchall()]:
        cursor.execute("; ".join(f"DELETE FROM {name}" for name in used))


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
    for table in _owned():
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
    keys = sorted({key for _child, _own, key in children} or {column})
    cursor.execute(f"DELETE FROM {table} WHERE {column} = ANY(%s) RETURNING {', '.join(keys)}", [values])
    if rows := cursor.fetchall():
        for child, own, key in children:
            _delete(cursor, child, own, [row[keys.index(key)] for row in rows])


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
