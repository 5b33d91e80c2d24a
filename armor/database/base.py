"""A connection that comes back to the pool forgets whose data it was last about.

Not by the pool's own `reset`: that hands every connection to a thread of the pool's, a third of a short request's time.
"""

from datetime import UTC, datetime
from typing import Any

import psycopg
from django_tenants.postgresql_backend import base
from psycopg.pq import TransactionStatus
from psycopg.types.datetime import TimestamptzLoader


class _Moments(TimestamptzLoader):
    timezone = UTC
    """What Django looks for, to know whether the reader is for its zone; the connection's own is the same."""

    def load(self, data: Any) -> datetime:
        try:
            return datetime.fromisoformat(str(data, "ascii"))
        except ValueError:
            return super().load(data)


class DatabaseWrapper(base.DatabaseWrapper):
    """Whoever gets it next and forgets to say whose data is wanted finds nobody's."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._has_schema = False
        self._reached: list[str] | None = None
        self._params: dict[str, Any] | None = None
        super().__init__(*args, **options)

    def get_connection_params(self) -> dict[str, Any]:
        """Django's, with a reader of moments that takes a third of the time of its own.

        Made once: Django asks at each connection from the pool, which wants them for a new one only.
        """
        if self._params is None:
            self._params = super().get_connection_params()
            self._params["context"].adapters.register_loader("timestamptz", _Moments)
        return self._params.copy()

    def set_tenant(self, tenant: Any, include_public: bool = True) -> None:
        """The backend's, without asking for a path that the connection has: back from where nothing was asked."""
        super().set_tenant(tenant, include_public)
        if self._reached is not None and self._reached == self._get_cursor_search_paths():
            self.search_path_set_schemas = self._reached

    def _handle_search_path(self, cursor: Any = None) -> None:
        self._has_schema = True
        super()._handle_search_path(cursor)
        self._reached = self.search_path_set_schemas

    def rollback(self) -> None:
        """Takes the search path back as well."""
        self._reached = None
        super().rollback()

    def savepoint_rollback(self, sid: str) -> None:
        """Takes the search path back as well."""
        try:
            super().savepoint_rollback(sid)
        finally:
            self._reached = None

    def close(self) -> None:
        """The next one has no path."""
        self._reached = None
        super().close()

    def _close(self) -> None:
        if self.connection is not None and self._has_schema:
            forget_schema(self.connection)
            self._has_schema = False
        super()._close()


def forget_schema(connection: Any) -> None:
    """Takes whose data a connection was last about from it; closes one that cannot be asked to."""
    try:
        # What was set within a transaction comes back with its end.
        if connection.info.transaction_status != TransactionStatus.IDLE:
            connection.rollback()
        connection.execute("RESET search_path")
        if not connection.autocommit:
            connection.commit()
    except psycopg.Error:
        # The pool makes another in its place.
        connection.close()
