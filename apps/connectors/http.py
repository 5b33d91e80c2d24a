"""The one HTTP client for calls outside: timeouts, no private addresses, a breaker, a line in the journal."""

import atexit
import functools
import ipaddress
import os
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any

import httpcore
import httpx
from django.conf import settings
from django.db import connection as database
from django.utils.translation import gettext as _

from apps.connectors import breaker, exchange
from apps.connectors.base import ConnectorError
from apps.connectors.models import Connection

MAX_BYTES = 5 * 1024 * 1024
CONNECT_SECONDS = 5.0
# Nothing has left this machine when one of these comes; after any other error it may have arrived.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_WRONG = (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError)
_READING = frozenset({"GET", "HEAD"})


class PrivateAddress(httpcore.ConnectError):
    """The address is not one of the public internet."""


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
        raise ConnectorError(_("Подключение «%s» выключено") % connection.name, retry=True)
    breaker.enter(connection)
    sent = httpx.Request(
        method,
        url,
        json=json,
        data=dict(data) if data else None,
        content=content,
        params=params,
        headers=headers,
    )
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
    sent.extensions = {"timeout": httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)).as_dict()}
    try:
        answer = _client(connection).send(sent, auth=auth or httpx.USE_CLIENT_DEFAULT, stream=True)
        try:
            content = _read(answer, time.monotonic() + timeout)
        finally:
            answer.close()
    except _WRONG as error:
        raise ConnectorError(str(error)) from error
    except _NOT_SENT as error:
        refused = isinstance(error.__cause__, PrivateAddress)
        raise ConnectorError(str(error) or type(error).__name__, retry=not refused) from error
    except httpx.HTTPError as error:
        raise ConnectorError(_("Нет ответа: %r") % error, retry=reading, unknown=not reading) from error
    # The content is decoded already, so what described its transfer no longer holds.
    kept = [(k, v) for k, v in answer.headers.items() if k not in {"content-encoding", "content-length"}]
    return httpx.Response(answer.status_code, headers=kept, content=content, request=sent)


def _read(answer: httpx.Response, deadline: float) -> bytes:
    content = bytearray()
    for part in answer.iter_bytes():
        content += part
        # The client's own timeout is per read: a slow drip would hold a worker for ever.
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("The answer did not end in time")
        if len(content) > MAX_BYTES:
            raise httpx.ReadError(f"The answer is longer than {MAX_BYTES} bytes")
    return bytes(content)


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
    raise error


class _PublicOnly(httpcore.SyncBackend):
    """Resolves a name itself and connects to what it resolved: the name cannot change its mind in between."""

    def connect_tcp(self, host: str, port: int, *args: Any, **options: Any) -> httpcore.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        addresses = [str(address[4][0]) for address in found]
        if not settings.ALLOW_PRIVATE_ADDRESSES and not all(map(_is_public, addresses)):
            raise PrivateAddress(f"{host} is a private address")
        for address in addresses[:-1]:
            try:
                return super().connect_tcp(address, port, *args, **options)
            except httpcore.ConnectError:
                continue
        return super().connect_tcp(addresses[-1], port, *args, **options)


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    found = mapped or found
    return found.is_global and not found.is_multicast


# One small pool per connection: a slow service cannot take another's places, and a large shared pool is slow
# (55 requests a second with 200 connections in one). By process: a socket must not be shared after a fork.
_clients: dict[tuple[int, int | None], httpx.Client] = {}
_lock = threading.Lock()


@atexit.register
def _close() -> None:
    # Its own only: what a parent opened before a fork is the parent's to close.
    for (process, _connection), client in _clients.items():
        if process == os.getpid():
            client.close()


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Read once: the list of authorities takes longer to read than a request takes."""
    return httpx.create_ssl_context()


def _client(connection: Connection) -> httpx.Client:
    key = (os.getpid(), connection.pk)
    with _lock:
        if key not in _clients:
            limits = httpx.Limits(max_connections=20, max_keepalive_connections=10)
            transport = httpx.HTTPTransport(verify=_trusted(), limits=limits)
            # httpx has no public way to name a network backend; a test would fail if this one were ignored.
            transport._pool._network_backend = _PublicOnly()
            _clients[key] = httpx.Client(transport=transport, trust_env=False, follow_redirects=False)
        return _clients[key]
