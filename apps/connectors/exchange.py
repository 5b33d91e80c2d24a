"""A masked line in the journal for each call outside, in the schema that the call was made for."""

import time

import httpx

from apps.connectors import masking
from apps.connectors.models import Connection
from apps.core import clock
from apps.journal.models import Exchange


def record(
    connection: Connection, sent: httpx.Request, answer: httpx.Response | None, error: str, started: float
) -> None:
    """Writes the line; `started` is of time.monotonic()."""
    Exchange.objects.create(
        at=clock.wall(),
        connection_id=connection.pk,
        method=sent.method,
        url=masking.url(str(sent.url))[:500],
        request=masking.body(sent.content),
        status=answer.status_code if answer is not None else None,
        response=masking.body(answer.content) if answer is not None else "",
        error=error[:200],
        milliseconds=int((time.monotonic() - started) * 1000),
    )
