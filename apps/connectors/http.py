"""The one HTTP client for calls outside: timeouts, no private addresses, a breaker, a line in the journal.

What is asked and answered are httpx's values; what goes over the wire is `wire`'s.
"""

import time
from collections.abc import Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from django.db import connection as database
from django.utils.translation import gettext as _

from apps.connectors import breaker, departures, exchange, wire
from apps.connectors.base import ConnectorError
from apps.connectors.models import Connection
from apps.core import clock

_READING = frozenset({"GET", "HEAD"})
LONGEST_WAIT = timedelta(hours=1)


def request(
    connection: Connection,
    method: str,
    url: str,
    *,
    json: Any = None,
    data: Mapping[str, Any] | None = None,
    content: bytes | None = None,
    params: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
    timeout: float = 20.0,
) -> httpx.Response:
    """Calls outside and returns the answer: any status but 429 and 5xx. `timeout` is seconds for all of it.

    Raises ConnectorError: `retry` where nothing was done there (refused connection, 429, open breaker) and
    for failed reading, `unknown` where it may have been done (no answer in time, a dropped answer, 5xx).
    Raises RuntimeError inside a transaction: claim, commit, call, record.
    """
    if database.in_atomic_block:
        raise RuntimeError("No call outside while a transaction is open")
    if not connection.is_enabled:
        raise breaker.switched_off(connection)
    connection.guard()
    try:
        sent = httpx.Request(
            method,
            url,
            json=json,
            data=dict(data) if data else None,
            content=content,
            params=params,
            headers=headers,
        )
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        # No address, or what no header and no JSON can carry: nothing has left.
        raise ConnectorError(_("Запрос не составить: %s") % error) from error
    breaker.enter(connection)
    started = time.monotonic()
    try:
        answer = _send(connection, sent, auth, timeout)
        _judge(answer)
    except ConnectorError as error:
        breaker.failed(connection, error)
        exchange.record(connection, sent, error.answer, str(error), started)
        raise
    breaker.succeeded(connection)
    exchange.record(connection, sent, answer, "", started)
    return answer


def _send(
    connection: Connection, sent: httpx.Request, auth: tuple[str, str] | None, timeout: float
) -> httpx.Response:
    reading = sent.method in _READING
    try:
        status, headers, content = wire.exchange(connection.pk, sent, auth, timeout)
    except wire.Wrong as error:
        raise ConnectorError(str(error)) from error
    except wire.NotSent as error:
        not_sent = ConnectorError(str(error), retry=True)
        not_sent.left = False
        raise not_sent from error
    except wire.NoAnswer as error:
        departures.count()
        raise ConnectorError(_("Нет ответа: %s") % error, retry=reading, unknown=not reading) from error
    departures.count()
    return httpx.Response(status, headers=headers, content=content, request=sent)


def _judge(answer: httpx.Response) -> None:
    if answer.status_code == 429:
        error = ConnectorError(_("Слишком много запросов (429)"), retry=True, code="429")
    elif answer.status_code >= 500:
        reading = answer.request.method in _READING
        code = str(answer.status_code)
        error = ConnectorError(_("Сбой у сервиса (%s)") % code, retry=reading, unknown=not reading, code=code)
    else:
        return
    error.answer = answer
    if answer.status_code in {429, 503}:
        error.wait = _wait(answer.headers.get("Retry-After", ""))
    raise error


def _wait(told: str) -> timedelta | None:
    """What a Retry-After says (RFC 9110, 10.2.3: seconds or a moment), no longer than we would wait anyway."""
    if told.isascii() and told.isdigit() and len(told) < 9:
        wait = timedelta(seconds=int(told))
    else:
        try:
            wait = parsedate_to_datetime(told) - clock.wall()
        except (ValueError, TypeError):
            return None
    return min(max(wait, timedelta()), LONGEST_WAIT)
