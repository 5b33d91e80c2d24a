"""A query whose text is made once a process: to make it takes several times as long as to ask it.

For what every request asks; its rows are the same models that the queryset gives, with what is selected along.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar

from django.db import connection, models
from django.db.models.expressions import RawSQL
from django.db.models.query import get_related_populators

_Model = TypeVar("_Model", bound=models.Model)


class _Place:
    """Where a value that is given each time goes."""

    def __init__(self, name: str) -> None:
        self.name = name


def given(name: str) -> RawSQL:
    """In the queryset, instead of a value: what `Prepared.all` is given by this name."""
    return RawSQL("%s", [_Place(name)])


class Prepared(Generic[_Model]):
    """A queryset with `given` values, with `select_related` and annotations; what it prefetches is left out."""

    def __init__(self, make: Callable[[], models.QuerySet[_Model]]) -> None:
        self._make = make

    @cached_property
    def _compiled(self) -> "_Compiled":
        return _Compiled(self._make().query)

    def all(self, **values: Any) -> list[_Model]:
        """The rows, by these values as the driver takes them."""
        compiled = self._compiled
        with connection.cursor() as cursor:
            cursor.execute(compiled.statement, compiled.filled(values))
            rows = cursor.fetchall()
        return compiled.models(rows) if rows else []

    def first(self, **values: Any) -> _Model | None:
        """The first row, None where there is none: the queryset says how many it asks for."""
        found = self.all(**values)
        return found[0] if found else None


class _Compiled:
    """What of a query does not change, whoever asks it in whatever thread."""

    def __init__(self, query: Any) -> None:
        self._compiler = compiler = query.get_compiler(connection.alias)
        self.statement, self._params = compiler.as_sql()
        # Whose it was to be made may have ended by now: that of whoever asks.
        compiler.connection = connection
        select, info = compiler.select, compiler.klass_info
        self._model, fields = info["model"], info["select_fields"]
        self._own = slice(fields[0], fields[-1] + 1)
        self._names = [one[0].target.attname for one in select[self._own]]
        self._converters = compiler.get_converters([one[0] for one in select])
        self._annotations = list(compiler.annotation_col_map.items())
        self._populators: Any = get_related_populators(info, select, connection.alias)  # type: ignore[call-arg]

    def filled(self, values: Mapping[str, Any]) -> list[Any]:
        return [values[one.name] if isinstance(one, _Place) else one for one in self._params]

    def models(self, rows: Sequence[Sequence[Any]]) -> list[Any]:
        """As Django's own ModelIterable makes them."""
        if self._converters:
            rows = list(self._compiler.apply_converters(rows, self._converters))
        found = []
        for row in rows:
            one = self._model.from_db(connection.alias, self._names, row[self._own])
            for populator in self._populators:
                populator.populate(row, one)
            for name, place in self._annotations:
                setattr(one, name, row[place])
            found.append(one)
        return found
