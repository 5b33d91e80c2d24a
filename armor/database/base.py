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
        super().__init__(*args, **options)

    def get_connection_params(self) -> dict[str, Any]:
        """Django's, with a reader of moments that takes a third of the time of its own."""
        params: dict[str, Any] = super().get_connection_params()
        params["context"].adapters.register_loader("timestamptz", _Moments)
        return params

    def _handle_search_path(self, cursor: Any = None) -> None:
        self._has_schema = True
        super()._handle_search_path(cursor)

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
