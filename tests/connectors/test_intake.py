"""The process that takes messages, started as production starts it: what it answers for is stored, once, as it came."""

import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest
from django.conf import settings as platform
from django.db import connection as database
from django.db import transaction
from django.test import Client

from apps.callcenters.incoming import IncomingCalls
from apps.connectors import hooks, webhooks
from apps.connectors import intake as application
from apps.connectors.models import Connection, InboundMessage
from apps.core.models import Due
from apps.core.tenancy import in_public
from armor.ports import free_port
from armor.processes import die_with_parent
from armor.programs import accepts
from armor.supervisor import intake_program
from tests.conftest import eventually


class Intake:
    """The process, on a port of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.host = f"{platform.PUBLIC_HOST}:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.client = httpx.Client(timeout=60, trust_env=False, verify=False)

    def start(self, **environment: str) -> None:
        self.process = subprocess.Popen(
            list(intake_program(self.port).command),
            env=os.environ | {"ARMOR_PORT": str(self.port)} | environment,
            stdout=sys.stderr,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
        until = time.monotonic() + 60
        while not (accepts(self.port) and self._answers()):
            assert self.process.poll() is None, "it has ended"
            assert time.monotonic() < until, "it does not answer"
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            return self.client.get(f"http://127.0.0.1:{self.port}/").status_code == 404
        except httpx.TransportError:
            return False  # Over a connection to the one before.

    def kill(self, how: int = signal.SIGKILL) -> None:
        assert self.process is not None
        if how == signal.SIGKILL:
            os.killpg(self.process.pid, how)
        else:
            self.process.send_signal(how)
        self.process.wait(30)

    def post(self, connection_id: int, content: Any = b"{}", **given: Any) -> httpx.Response:
        headers = {"Host": self.host, "Content-Type": "application/json", **given.pop("headers", {})}
        url = f"http://127.0.0.1:{self.port}/hooks/{connection_id}/{given.pop('query', '')}"
        return self.client.request(given.pop("method", "POST"), url, content=content, headers=headers)

    def raw(self, sent: bytes, *, until: bytes = b"") -> bytes:
        """What is answered to these bytes, until the connection is closed or this has come."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as line:
            line.sendall(sent)
            got = b""
            while part := line.recv(65536):
                got += part
                if until and until in got:
                    break
            return got


@pytest.fixture(scope="module")
def process() -> Iterator[Intake]:
    made = Intake()
    made.start()
    yield made
    made.kill()


@pytest.fixture
def intake(process: Intake) -> Intake:
    """It, alive, whatever the test before has done to it."""
    if process.process is None or process.process.poll() is not None:
        process.start()
    return process


def line() -> Connection:
    with in_public():
        return Connection.objects.create(
            kind="callcenter",
            connector="apps.callcenters.incoming.IncomingCalls",
            name=f"Приём {uuid4()}",
            config={"secret": "sesame"},
        )


@pytest.fixture
def connection() -> Connection:
    return line()


@pytest.fixture(autouse=True)
def _leaves_nothing() -> Iterator[None]:
    """Nobody reads what came here, and it would stand before others' messages."""
    before = set(InboundMessage.objects.values_list("pk", flat=True))
    yield
    left = InboundMessage.objects.exclude(pk__in=before)
    Due.objects.filter(kind=webhooks.TASK, object_id__in=left.values("pk")).delete()
    left.delete()


def kept(connection: Connection) -> list[InboundMessage]:
    return list(InboundMessage.objects.filter(connection=connection).order_by("received_at", "pk"))


def numbers(connection: Connection) -> set[int]:
    return {json.loads(one.body)["number"] for one in kept(connection)}


def test_a_burst_is_stored_whole_and_a_reader_is_told(intake: Intake, connection: Connection) -> None:
    def send(number: int) -> int:
        return intake.post(connection.pk, json.dumps({"number": number})).status_code

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(send, range(300))) == {200}
    rows = kept(connection)
    assert len(rows) == 300
    assert numbers(connection) == set(range(300))
    planned = Due.objects.filter(kind=webhooks.TASK, object_id__in=[one.pk for one in rows])
    assert planned.count() == 300


def test_copies_that_come_together_are_one_message(intake: Intake, connection: Connection) -> None:
    """Some of them within one statement, some in the web at the same moment."""
    client = Client(headers={"host": platform.PUBLIC_HOST})

    def by_web(_number: int) -> int:
        try:
            with in_public():
                return client.post(f"/hooks/{connection.pk}/", b"{}", "application/json").status_code
        finally:
            database.close()

    with ThreadPoolExecutor(12) as pool, ThreadPoolExecutor(2) as web:
        here = web.map(by_web, range(20))
        there = pool.map(lambda _number: intake.post(connection.pk).status_code, range(60))
        assert {*here, *there} == {200}
    assert [one.copies for one in kept(connection)] == [79]


def test_many_of_the_same_from_two_sides_do_not_lock_each_other_out(intake: Intake) -> None:
    """Each statement waits for the locks of its messages: in one order, whoever sends them."""
    ours = line()
    said = [json.dumps({"number": number}) for number in range(40)]
    other = Intake()
    other.start()
    try:
        with ThreadPoolExecutor(24) as pool:
            to = [
                (where, one)
                for pair in zip(said, reversed(said), strict=True)
                for where, one in zip((intake, other), pair, strict=True)
            ]
            answers = pool.map(lambda one: one[0].post(ours.pk, one[1]).status_code, to * 3)
            assert set(answers) == {200}
    finally:
        other.kill()
    rows = kept(ours)
    assert (len(rows), sum(one.copies for one in rows)) == (40, 200)


def test_what_is_stored_is_what_the_web_would_have_stored(intake: Intake) -> None:
    mine, webs = line(), line()
    headers = {"x-word": "открой".encode().decode("latin-1"), "x-sign": "a,b", "x-empty": ""}
    body, query = "тело \x00 ".encode() + bytes(range(256)), "?a=1&a=%D1%8F&b"
    client = Client(headers={"host": intake.host})
    given: dict[str, Any] = {
        f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()
    }
    with in_public():
        sent = client.put(f"/hooks/{webs.pk}/{query}", body, "text/plain", **given)
    assert sent.status_code == 200
    lines = [f"PUT /hooks/{mine.pk}/{query} HTTP/1.1".encode(), f"Host: {intake.host}".encode()]
    lines += [b"X-Word: " + "открой".encode(), b"X-Sign: a", b"X-Sign: b", b"X-Empty:", b"X_Sign: forged"]
    lines += [b"Content-Type: text/plain", b"Content-Length: %d" % len(body), b"Connection: close", b"", body]
    assert intake.raw(b"\r\n".join(lines)).startswith(b"HTTP/1.1 200 ")
    [ours], [theirs] = kept(mine), kept(webs)
    assert (ours.method, ours.query, ours.body) == (theirs.method, theirs.query, theirs.body)
    found, wanted = dict(ours.headers), dict(theirs.headers)
    found.pop("connection")
    wanted.pop("cookie", None)
    assert found | {"x-sign": found["x-sign"].replace(", ", ",")} == wanted
    assert ours.raw().headers["x-sign"] == "a,b"


def test_in_chunks_after_a_hundred_and_one_after_another(intake: Intake, connection: Connection) -> None:
    head = f"POST /hooks/{connection.pk}/ HTTP/1.1\r\nHost: {intake.host}\r\n".encode()
    chunked = head + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n2\r\n1}\r\n0\r\n\r\n'
    plain = head + b'Connection: close\r\nContent-Length: 7\r\n\r\n{"a":2}'
    assert intake.raw(chunked + plain).count(b"HTTP/1.1 200 ") == 2
    asked = head + b"Content-Length: 7\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", intake.port), timeout=30) as one:
        one.sendall(asked)
        assert one.recv(4096).startswith(b"HTTP/1.1 100 ")
        one.sendall(b'{"a":3}')
        assert one.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert [one.body for one in kept(connection)] == ['{"a":1}', '{"a":2}', '{"a":3}']


def test_what_is_no_message_to_a_connection_of_ours_is_refused(
    intake: Intake, connection: Connection
) -> None:
    assert intake.post(connection.pk, headers={"Host": f"bank.{intake.host}"}).status_code == 404
    assert intake.post(connection.pk, query="?a=%00").status_code == 404
    assert intake.post(2_000_000_000).status_code == 404
    assert intake.post(10**17).status_code == 404
    for path in (
        "/",
        "/hooks/",
        f"/hooks/{connection.pk}",
        f"//hooks/{connection.pk}/",
        "/admin/",
        "/hooks/١/",
    ):
        answer = intake.client.post(f"http://127.0.0.1:{intake.port}{path}", headers={"Host": intake.host})
        assert answer.status_code == 404, path
    refused = intake.post(connection.pk, method="DELETE")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, POST, PUT")
    assert kept(connection) == []


def test_a_body_too_large_is_refused_however_it_is_sent(intake: Intake, connection: Connection) -> None:
    big = b"x" * (hooks.MAX_BYTES + 1)

    def parts() -> Iterator[bytes]:
        for at in range(0, len(big), 5000):
            yield big[at : at + 5000]

    for content in (big, parts()):
        try:
            assert intake.post(connection.pk, content).status_code == 413
        except httpx.TransportError:
            pass  # Refused before all of it was sent.
    assert kept(connection) == []
    assert intake.post(connection.pk, big[1:]).status_code == 200
    assert len(kept(connection)[0].body) == hooks.MAX_BYTES


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /hooks/{}/ HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET",
        b"POST /hooks/{}/ HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 7\r\n\r\n{}     ",
        b"POST /hooks/{}/ HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n{}",
        b"POST /hooks/{}/ HTTP/1.1\r\nHost: h\r\n" + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
        b"POST /hooks/{}/ HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    ],
)
def test_what_is_no_honest_request_stores_nothing(
    intake: Intake, connection: Connection, said: bytes
) -> None:
    said = said.replace(b"{}/ ", f"{connection.pk}/ ".encode()).replace(
        b"Host: h", f"Host: {intake.host}".encode()
    )
    try:
        answer = intake.raw(said + b"\r\n\r\n")
    except ConnectionError:
        answer = b""
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer
    assert b" 200 " not in answer
    assert kept(connection) == []
    assert intake.post(connection.pk).status_code == 200


def test_who_goes_away_in_the_middle_disturbs_nobody(intake: Intake, connection: Connection) -> None:
    head = f"POST /hooks/{connection.pk}/ HTTP/1.1\r\nHost: {intake.host}\r\nContent-Length: 100\r\n\r\n"
    for _time in range(20):
        with socket.create_connection(("127.0.0.1", intake.port), timeout=30) as gone:
            gone.sendall(head.encode() + b"{")
    assert intake.post(connection.pk).status_code == 200
    assert [one.body for one in kept(connection)] == ["{}"]


def test_the_database_lets_it_go_and_nothing_is_lost(intake: Intake, connection: Connection) -> None:
    # Of this process none is to be let go.
    database.close()
    database.close_pool()
    assert intake.post(connection.pk, b'{"number": 0}').status_code == 200
    with database.cursor() as cursor:
        for number in range(1, 4):
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() AND query ~ 'connectors_store'"
            )
            assert cursor.fetchone()[0] >= 1
            assert intake.post(connection.pk, json.dumps({"number": number})).status_code == 200
    assert numbers(connection) == {0, 1, 2, 3}


def test_while_the_database_is_away_each_is_sent_away_soon(intake: Intake, connection: Connection) -> None:
    """In a few seconds: a sender that hears nothing within ten does not know that it is to come again."""
    away = Intake()
    away.start(DATABASE_URL=f"postgresql://armor@127.0.0.1:{free_port()}/armor")
    away.client.timeout = 10
    try:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _number: away.post(connection.pk), range(8)))
        assert {(one.status_code, one.headers["retry-after"]) for one in answers} == {(503, "5")}
        assert away.client.get(f"http://127.0.0.1:{away.port}/healthz").status_code == 503
    finally:
        away.kill()
    assert intake.client.get(f"http://127.0.0.1:{intake.port}/healthz").status_code == 200
    assert kept(connection) == []


def test_a_statement_that_waits_for_a_lock_ends(connection: Connection) -> None:
    """As behind a migration: nobody waits for it to the end, and all goes on after it."""
    hasty = Intake()
    hasty.start(PGOPTIONS="-c statement_timeout=1s")
    try:
        with transaction.atomic(), database.cursor() as cursor:
            cursor.execute("LOCK TABLE connectors_inboundmessage IN ACCESS EXCLUSIVE MODE")
            assert hasty.post(connection.pk).status_code == 503
        assert hasty.post(connection.pk).status_code == 200
    finally:
        hasty.kill()
    assert len(kept(connection)) == 1


def test_a_body_that_drips_is_not_waited_for(intake: Intake, connection: Connection) -> None:
    head = f"POST /hooks/{connection.pk}/ HTTP/1.1\r\nHost: {intake.host}\r\nContent-Length: 9\r\n\r\n{{"
    assert intake.raw(head.encode(), until=b"\r\n\r\n").startswith(b"HTTP/1.1 408 ")
    assert kept(connection) == []


def test_the_web_takes_a_message_in_chunks_too(connection: Connection) -> None:
    """Its length is not told before: Django itself takes nothing of it."""
    given: dict[str, Any] = {"HTTP_TRANSFER_ENCODING": "chunked"}

    def sent(body: bytes) -> int:
        content = io.BytesIO(body)
        with in_public():
            client = Client(headers={"host": platform.PUBLIC_HOST})
            answer = client.generic("POST", f"/hooks/{connection.pk}/", **given, **{"wsgi.input": content})
        return answer.status_code

    assert sent(b'{"a":1}') == 200
    assert sent(b"x" * (hooks.MAX_BYTES + 1)) == 413
    assert [one.body for one in kept(connection)] == ['{"a":1}']


def test_what_its_connector_cannot_acknowledge_is_stored_and_answered(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(_message: Any) -> Any:
        raise KeyError("InvId")

    monkeypatch.setattr(IncomingCalls, "acknowledge", raises)
    came = [hooks.Came(connection.pk, "POST", "", {}, b"{}")]
    with in_public():
        assert hooks.take(came) == [("OK", "text/plain")]
    assert [one.copies for one in kept(connection)] == [0]


def test_whatever_befalls_the_thread_who_comes_next_is_served(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within this process, where what never happens can be made to."""
    app, store = application.Intake(), application.Intake._store

    async def send(body: bytes) -> int:
        scope = {"type": "http", "path": f"/hooks/{connection.pk}/", "method": "POST", "query_string": b""}
        scope["headers"] = [(b"host", platform.PUBLIC_HOST.encode())]
        said: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def answer(part: Any) -> None:
            said.append(part)

        await app(scope, receive, answer)
        return int(said[0]["status"])

    async def both() -> list[int]:
        monkeypatch.setattr(application.Intake, "_store", lambda *_given: 1 / 0)
        first = await asyncio.wait_for(send(b"1"), 30)
        monkeypatch.setattr(application.Intake, "_store", store)
        answers = [first, await asyncio.wait_for(send(b"2"), 30)]
        await asyncio.get_running_loop().run_in_executor(app._thread, app._let_go)
        return answers

    assert asyncio.run(both()) == [503, 200]
    assert app._bytes == 0
    assert [one.body for one in kept(connection)] == ["2"]


def test_one_that_cannot_be_stored_takes_no_other_with_it(intake: Intake, connection: Connection) -> None:
    """Its connection was deleted a moment ago, and it is still remembered here."""
    broken = line()
    assert intake.post(broken.pk).status_code == 200
    InboundMessage.objects.filter(connection=broken).delete()
    with transaction.atomic(), database.cursor() as cursor:
        # As nobody can in the product.
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("DELETE FROM connectors_connection WHERE id = %s", [broken.pk])

    def send(number: int) -> tuple[bool, int]:
        is_broken = number % 8 == 0
        to = broken if is_broken else connection
        return is_broken, intake.post(to.pk, json.dumps({"number": number})).status_code

    with ThreadPoolExecutor(16) as pool:
        answers = set(pool.map(send, range(64)))
    assert {status for is_broken, status in answers if is_broken} <= {404, 503}
    assert {status for is_broken, status in answers if not is_broken} == {200}
    assert numbers(connection) == {number for number in range(64) if number % 8}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_in_the_middle_and_what_it_answered_for_is_there(
    intake: Intake, connection: Connection, how: signal.Signals
) -> None:
    answered: set[int] = set()
    stop = threading.Event()

    def send(first: int) -> None:
        number = first
        while not stop.is_set():
            try:
                if intake.post(connection.pk, json.dumps({"number": number})).status_code == 200:
                    answered.add(number)
            except httpx.TransportError:
                pass
            number += 8

    senders = [threading.Thread(target=send, args=[first]) for first in range(8)]
    for one in senders:
        one.start()
    for _time in range(2):
        before = len(answered)
        while len(answered) < before + 40:
            time.sleep(0.01)
        intake.kill(how)
        intake.start()
    stop.set()
    for one in senders:
        one.join(60)
    assert len(answered) >= 80
    assert answered <= numbers(connection)
    assert all(one.copies == 0 for one in kept(connection)), "nobody has sent one twice"


def test_health_tells_whether_it_is_there(intake: Intake, settings: Any) -> None:
    settings.INTAKE_URL = f"http://{intake.host}"
    client = Client(headers={"host": platform.PUBLIC_HOST})

    def told() -> Any:
        with in_public():
            return client.get("/healthz?part=intake").json()["parts"].get("intake")

    assert told() == "ok"
    intake.kill()
    eventually(lambda: told() == "silent")
    settings.INTAKE_URL = ""
    assert told() is None
