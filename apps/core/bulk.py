"""Many rows at once: written by COPY, read as models without ado, for the runs that bill a hundred thousand.

Constraints, triggers and defaults hold as for any INSERT; a conflict ends the whole statement.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from operator import itemgetter
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection, models, transaction
from django.db.models.base import ModelState
from django.db.models.expressions import DatabaseDefault, RawSQL

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
CHUNK = 2000
_Model = TypeVar("_Model", bound=models.Model)


def copy(
    model: type[models.Model],
    fields: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    same: Mapping[str, Any] | None = None,
) -> int:
    """Inserts rows of values in the order of `fields` (names of model fields) and says how many.

    `same`: values that all rows have, by field. Values: None, str, bool, int, Decimal, UUID, date, datetime with a
    zone, bytes; JSON as text. Raises IntegrityError as any insert does, RuntimeError outside a transaction.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("Rows are copied within the transaction that makes them true")
    find = _AS_TEXT.get
    same = same or {}
    shared = [find(type(value), _other)(value) for value in same.values()]
    lines = ["\t".join([find(type(value), _other)(value) for value in row] + shared) for row in rows]
    if not lines:
        return 0
    columns = ", ".join(f'"{_field(model, name).column}"' for name in [*fields, *same])
    with (
        connection.cursor() as cursor,
        connection.wrap_database_errors,
        cursor.copy(f'COPY "{model._meta.db_table}" ({columns}) FROM STDIN') as sink,
    ):
        for start in range(0, len(lines), CHUNK):
            sink.write("\n".join(lines[start : start + CHUNK]) + "\n")
    return len(lines)


def copy_objects(model: type[models.Model], objects: Sequence[models.Model]) -> int:
    """`copy` of unsaved objects, every column of theirs: what a model gets later is written as well."""
    fields, rows = _values(model, objects)
    return copy(model, [field.name for field in fields], rows)


def insert_new(model: type[models.Model], objects: Sequence[models.Model]) -> list[Any]:
    """Inserts those unsaved objects that conflict with no row, in one statement; gives their keys. No bytes, arrays."""
    fields, rows = _values(model, objects)
    columns = ", ".join(f'"{one.column}"' for one in fields)
    arrays = ", ".join(f"%s::{one.rel_db_type(connection)}[]" for one in fields)
    statement = (
        f'INSERT INTO "{model._meta.db_table}" ({columns}) SELECT * FROM unnest({arrays}) '  # noqa: S608
        f'ON CONFLICT DO NOTHING RETURNING "{model._meta.pk.column}"'
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [array(column) for column in zip(*rows, strict=True)])
        return [row[0] for row in cursor.fetchall()]


def _values(model: type[models.Model], objects: Sequence[models.Model]) -> tuple[list[Any], list[list[Any]]]:
    fields, read, special = _written_of(model)
    rows = []
    for one in objects:
        given = read(one.__dict__)
        values = list(given)
        for place, value in enumerate(given):
            if type(value) not in _AS_IT_IS or place in special:
                values[place] = _prepared(fields[place], value)
        rows.append(values)
    return fields, rows


@cache
def _written_of(model: type[models.Model]) -> tuple[list[Any], Callable[[Any], tuple[Any, ...]], set[int]]:
    """All columns: their fields, what reads their values of an object, and those whose values we prepare ourselves."""
    fields = list(model._meta.concrete_fields)
    special = {
        place
        for place, one in enumerate(fields)
        if isinstance(one, models.JSONField) or not type(one).get_prep_value.__module__.startswith("django.")
    }
    return fields, itemgetter(*(one.attname for one in fields)), special


_AS_IT_IS = frozenset({str, type(None), int, Decimal, UUID, date, datetime, bytes})
"""What Django's own fields leave as it is: they are asked for anything else only."""


def _field(model: type[models.Model], name: str) -> Any:
    return model._meta.get_field(name)


def _prepared(field: Any, value: Any) -> Any:
    if isinstance(value, DatabaseDefault):
        value = field.db_default
    if isinstance(field, models.JSONField):
        return None if value is None else json_text(value)
    prepared = field.get_prep_value(value)
    return str(prepared) if isinstance(prepared, str) else prepared


def update(model: type[models.Model], fields: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Sets fields of many rows in one statement: the key and the values in the order of `fields`, each."""
    if not rows:
        return
    key, targets = model._meta.pk, [_field(model, name) for name in fields]
    types = [key.rel_db_type(connection), *(one.db_type(connection) for one in targets)]
    names = ["key", *(f"value{number}" for number in range(len(targets)))]
    sets = ", ".join(f'"{one.column}" = given.{name}' for one, name in zip(targets, names[1:], strict=True))
    statement = (
        f'UPDATE "{model._meta.db_table}" SET {sets} '  # noqa: S608
        f"FROM unnest({', '.join(f'%s::{one}[]' for one in types)}) AS given({', '.join(names)}) "
        f'WHERE "{model._meta.db_table}"."{key.column}" = given.key'
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [array(column) for column in zip(*rows, strict=True)])


def update_objects(model: type[models.Model], fields: Sequence[str], objects: Iterable[models.Model]) -> None:
    """`update` of these fields (no JSON) from objects; of one that is there twice, once."""
    targets = [_field(model, name) for name in ("pk", *fields) if name != "pk"]
    rows = {
        one.pk: (one.pk, *(_prepared(field, getattr(one, field.attname)) for field in targets))
        for one in objects
    }
    update(model, fields, list(rows.values()))


def these(field: str, keys: Iterable[Any]) -> RawSQL:
    """Keys for an `…__in=` as one array of the type `field` (uuid, bigint): a thousand parameters take long."""
    return RawSQL(f"SELECT unnest(%s::{field}[])", [array(keys)])


def array(values: Iterable[Any]) -> str:
    """Values of `copy`, or UUIDs, as the text of a PostgreSQL array: the driver takes ten times as long for a list."""
    find = _IN_ARRAY.get
    return "{" + ",".join([find(type(value), _quoted)(value) for value in values]) + "}"


def json_text(value: Any) -> str:
    """A JSON column's value for `copy`."""
    return json.dumps(value, ensure_ascii=False)


def identities(model: type[models.Model], count: int) -> list[int]:
    """The next `count` values of a model's bigint key, for rows that others will point to."""
    column = [model._meta.db_table, model._meta.pk.column]
    with connection.cursor() as cursor:
        cursor.execute(_IDENTITIES, [*column, count])
        return [row[0] for row in cursor.fetchall()]


_IDENTITIES = """
WITH found AS MATERIALIZED (SELECT pg_get_serial_sequence(%s, %s)::regclass AS sequence)
SELECT nextval(sequence) FROM found, generate_series(1, %s)
"""


def _escaped(text: str) -> str:
    if "\\" in text or "\t" in text or "\n" in text or "\r" in text:
        return text.translate(_ESCAPES)
    return text


def _other(value: Any) -> str:
    if isinstance(value, str):
        return _escaped(value.value if isinstance(value, Enum) else str(value))
    raise TypeError(f"No way to copy {type(value).__name__}")


def _quoted(value: Any) -> str:
    if not isinstance(value, str | UUID):
        raise TypeError(f"No way to write {type(value).__name__} in an array")
    text = str(value.value if isinstance(value, Enum) else value)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_AS_TEXT: dict[type, Callable[[Any], str]] = {
    str: _escaped,
    type(None): lambda _value: "\\N",
    bool: lambda value: "t" if value else "f",
    bytes: lambda value: "\\\\x" + value.hex(),
    int: str,
    Decimal: str,
    UUID: lambda value: f"{value.int:032x}",
    date: date.isoformat,
    datetime: datetime.isoformat,
}
_IN_ARRAY = {**_AS_TEXT, str: _quoted, type(None): lambda _value: "NULL"}


def instances(rows: models.QuerySet[_Model]) -> list[_Model]:
    """The rows of a plain queryset (`defer`, `only` and locks hold) as models, much faster than Django makes them.

    No signal is sent, no relation is fetched along; what was left out is read when it is asked for, as ever.
    """
    columns = _columns(rows)
    return _made(rows.model, columns, rows.values_list(*columns))


def raw(model: type[_Model], statement: str, given: Mapping[str, Any]) -> list[_Model]:
    """The same of what a statement returns: all columns of a model whose fields take values as the driver has them."""
    names = {one.column: one.attname for one in model._meta.concrete_fields}
    with connection.cursor() as cursor:
        cursor.execute(statement, given)
        return _made(model, [names[one.name] for one in cursor.description], cursor.fetchall())


def _made(model: type[_Model], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[_Model]:
    found = []
    for values in rows:
        one = model.__new__(model)
        one.__dict__ = dict(zip(columns, values, strict=True))
        one._state = state = ModelState()
        state.adding, state.db = False, connection.alias
        found.append(one)
    return found


def _columns(rows: models.QuerySet[_Model]) -> list[str]:
    names, is_deferred = rows.query.deferred_loading
    fields = rows.model._meta.concrete_fields
    if is_deferred:
        return [one.attname for one in fields if one.name not in names and one.attname not in names]
    return [one.attname for one in fields if one.primary_key or one.name in names or one.attname in names]
