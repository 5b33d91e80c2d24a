"""A masked line in the journal for each call outside, in the schema that the call was made for."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

import httpx

from apps.connectors import masking, notes
from apps.connectors.models import Connection
from apps.core import clock

_about: ContextVar[UUID | None] = ContextVar("about", default=None)


@contextmanager
def about(object_id: UUID) -> Iterator[None]:
    """Calls made within it are about an object: its page shows them."""
    token = _about.set(object_id)
    try:
        yield
    finally:
        _about.reset(token)


def record(
    connection: Connection, sent: httpx.Request, answer: httpx.Response | None, error: str, started: float
) -> None:
    """Writes the line of a call over HTTP; `started` is of time.monotonic()."""
    note(
        connection,
        method=sent.method,
        url=str(sent.url),
        request=sent.content,
        status=answer.status_code if answer is not None else None,
        response=answer.content if answer is not None else b"",
        error=error,
        started=started,
    )


def note(
    connection: Connection,
    *,
    method: str,
    url: str,
    request: bytes,
    status: int | None,
    response: bytes,
    error: str,
    started: float,
) -> None:
    """Writes the line of a call in any protocol."""
    notes.later(
        {
            "at": clock.wall(),
            "about": _about.get(),
            "connection_id": connection.pk,
            "method": method,
            "url": masking.url(url)[:500],
            "request": masking.body(request).replace("\0", ""),
            "status": status,
            "response": masking.body(response).replace("\0", ""),
            "error": masking.text(error)[:200],
            "milliseconds": int((time.monotonic() - started) * 1000),
        }
    )
