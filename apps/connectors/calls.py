"""A call outside in a protocol other than HTTP: a breaker, health, a line in the journal, as `http.request` has."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection as database

from apps.connectors import breaker, departures, exchange
from apps.connectors.base import ConnectorError
from apps.connectors.models import Connection


@dataclass
class Said:
    """What the other side answered, for the journal."""

    status: int | None = None
    text: str = ""


@contextmanager
def call(connection: Connection, method: str, url: str, request: str = "") -> Iterator[Said]:
    """Around one call; the caller notes the answer. A refusal for good is an answer: the service works.

    Raises ConnectorError(retry) where the connection is off or its breaker open, and whatever the call raises.
    Raises RuntimeError inside a transaction: claim, commit, call, record.
    """
    if database.in_atomic_block:
        raise RuntimeError("No call outside while a transaction is open")
    if not connection.is_enabled:
        raise breaker.switched_off(connection)
    connection.guard()
    breaker.enter(connection)
    departures.count()
    said, started, problem = Said(), time.monotonic(), ""
    try:
        yield said
    except ConnectorError as error:
        problem = str(error)
        if error.retry or error.unknown:
            breaker.failed(connection, error)
        else:
            breaker.succeeded(connection)
        raise
    else:
        breaker.succeeded(connection)
    finally:
        exchange.note(
            connection,
            method=method,
            url=url,
            request=request.encode(),
            status=said.status,
            response=said.text.encode(),
            error=problem,
            started=started,
        )
