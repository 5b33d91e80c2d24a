"""Takes incoming messages in a process of its own: a burst of them costs little, and pages do not wait for it.

An ASGI application of one address, `/hooks/<connection>/` of the public host. What comes while others are being stored
is stored next, together, and each sender is answered when its message is committed. Anything else is not found: the
proxy in front leads nothing else here.
"""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from apps.connectors import hooks
from apps.connectors.hooks import Came
from apps.core import wake

log = logging.getLogger(__name__)
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MOST = 100
"""Messages stored in one statement."""
MOST_BYTES = 64 * 1024 * 1024
"""Of messages that come in or wait to be stored; more are sent away for a moment, and come again."""
EACH_BYTES = 4096
"""What a message takes besides its headers and its body."""
BODY_SECONDS = 5.0
"""In which a message has come whole."""
ALIVE_SECONDS = 3.0
"""In which the thread and the database answer, or nobody is sent here."""
WAKE_SECONDS = 0.02
"""For which whoever reads messages is told once of all that were stored."""
KEPT_SECONDS = 60.0
"""For which a connection to the database is kept here; then its pool may renew it."""
_ADDRESS = re.compile(r"/hooks/(\d{1,18})/", re.ASCII)


class Answer(NamedTuple):
    """Status, text, type of the text, and further headers."""

    status: int
    text: str = ""
    content_type: str = "text/plain; charset=utf-8"
    more: tuple[tuple[bytes, bytes], ...] = ()


WELL = Answer(200, "ok")
NOT_FOUND = Answer(404)
NOT_ALLOWED = Answer(405, more=((b"allow", ", ".join(hooks.METHODS).encode()),))
TOO_SLOW = Answer(408)
TOO_LONG = Answer(413)
NOT_NOW = Answer(503, more=((b"retry-after", b"5"),))


class Intake:
    """The application: one loop that talks to senders, one thread that talks to the database."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="intake")
        # A broker that hangs keeps no message waiting.
        self._waker = ThreadPoolExecutor(1, thread_name_prefix="intake-wake")
        self._waiting: list[tuple[Came, asyncio.Future[Answer]]] = []
        self._bytes = 0
        self._writer: asyncio.Task[None] | None = None
        self._wakes = False
        self._connected = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close"})
        elif scope["path"] == "/healthz":
            await _send(await self._health(), send)
        elif answer := await self._answer(scope, receive):
            await _send(answer, send)

    async def _health(self) -> Answer:
        """Whether messages are stored now: by the thread that does it, in the database."""
        asked = asyncio.get_running_loop().run_in_executor(self._thread, self._is_well)
        try:
            return WELL if await asyncio.wait_for(asked, ALIVE_SECONDS) else NOT_NOW
        except TimeoutError:
            return NOT_NOW

    async def _answer(self, scope: Scope, receive: Receive) -> Answer | None:
        """None where the sender has gone."""
        headers = _headers(scope)
        found = _ADDRESS.fullmatch(scope["path"])
        query = scope["query_string"].decode("latin-1")
        if found is None or not _is_public(headers.get("host", "")) or "%00" in query:
            return NOT_FOUND
        if scope["method"] not in hooks.METHODS:
            return NOT_ALLOWED
        if hooks.length_of(headers.get("content-length", "0")) > hooks.MAX_BYTES:
            return TOO_LONG
        taken = EACH_BYTES + len(query) + sum(len(name) + len(value) for name, value in headers.items())
        body = bytearray()
        self._bytes += taken
        try:
            async with asyncio.timeout(BODY_SECONDS):
                is_whole = False
                while not is_whole:
                    part = await receive()
                    if part["type"] == "http.disconnect":
                        return None
                    body += part.get("body", b"")
                    if len(body) > hooks.MAX_BYTES:
                        return TOO_LONG
                    is_whole = not part.get("more_body")
            self._bytes += len(body)
            taken += len(body)
            if self._bytes > MOST_BYTES:
                return NOT_NOW
            return await self._stored(Came(int(found[1]), scope["method"], query, headers, bytes(body)))
        except TimeoutError:
            return TOO_SLOW
        finally:
            self._bytes -= taken

    async def _stored(self, came: Came) -> Answer:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((came, answered))
        if self._writer is None:
            self._writer = loop.create_task(self._write())
        return await answered

    async def _write(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                answers = await self._tried([came for came, _answered in batch])
                if answers is None:
                    # The database is away: nobody is kept waiting, not those either who were not tried yet.
                    batch, self._waiting = batch + self._waiting, []
                    answers = [NOT_NOW] * len(batch)
                for (_came, answered), answer in zip(batch, answers, strict=True):
                    # Who has gone meanwhile is not answered; its message is stored all the same.
                    if not answered.done():
                        answered.set_result(answer)
        finally:
            self._writer = None

    async def _tried(self, came: Sequence[Came]) -> list[Answer] | None:
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(self._thread, self._store, came)
        except Exception:
            log.exception("%d messages were not stored", len(came))
            return None
        if answers and not self._wakes:
            self._wakes = True
            loop.call_later(WAKE_SECONDS, self._wake)
        return answers

    def _wake(self) -> None:
        self._wakes = False
        self._waker.submit(wake.now)

    def _is_well(self) -> bool:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except Exception:
            self._let_go()
            return False
        return True

    def _store(self, came: Sequence[Came]) -> list[Answer] | None:
        """None where the database is away. Raises nothing."""
        for _time in range(2):
            had = connection.connection
            try:
                return self._store_now(came)
            except (OperationalError, InterfaceError):
                is_lost = had is not None and had.closed
                self._let_go()
                if not is_lost:
                    return None
                # It has died since; what is stored already only counts one copy more.
            except Exception:
                self._let_go()
                if len(came) > 1:
                    return self._store_singly(came)
                log.exception("A message to connection %s was not stored", came[0].connection_id)
                return [NOT_NOW]
        return None

    def _store_singly(self, came: Sequence[Came]) -> list[Answer] | None:
        """One that cannot be stored takes no other with it."""
        answers: list[Answer] = []
        for one in came:
            stored = self._store([one])
            if stored is None:
                return None
            answers += stored
        return answers

    def _store_now(self, came: Sequence[Came]) -> list[Answer]:
        if time.monotonic() - self._connected > KEPT_SECONDS:
            self._let_go()
            self._connected = time.monotonic()
        with wake.held():
            return [Answer(200, *answer) if answer else NOT_FOUND for answer in hooks.take(came)]

    def _let_go(self) -> None:
        try:
            connection.close()
        except Exception:
            connection.connection = None


def _headers(scope: Scope) -> dict[str, str]:
    """As the web has them: joined where one came twice; without those that a proxy could be taken in by."""
    headers: dict[str, str] = {}
    for raw_name, raw in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw.decode("latin-1")
        if "_" not in name:
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def _is_public(host: str) -> bool:
    return host.rsplit(":", 1)[0].lower().rstrip(".") == settings.PUBLIC_HOST


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _send(answer: Answer, send: Send) -> None:
    body = answer.text.encode()
    head = [(b"content-type", answer.content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": [*head, *answer.more]})
    await send({"type": "http.response.body", "body": body})
