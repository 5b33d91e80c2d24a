"""The HTTP client's rules, against a real server that misbehaves."""

import socket
import threading
import time
from datetime import timedelta

import pytest
from django.db import transaction

from apps.connectors import breaker, http, wire
from apps.connectors.base import ConnectorError
from apps.connectors.models import Connection
from apps.core import clock
from apps.journal.models import Exchange


def refused(connection, method, url, **options):
    with pytest.raises(ConnectorError) as caught:
        http.request(connection, method, url, **options)
    return caught.value


def test_answer_and_masked_line_in_the_journal(connection, server):
    answer = http.request(
        connection,
        "POST",
        f"{server.url}/ok?token=sesame&page=2",
        json={"card": {"number": "5555555555554477"}, "amount": {"value": "299.00", "currency": "RUB"}},
        auth=("shop", "sesame"),
    )
    assert answer.json()["ok"] is True
    assert http.request(connection, "GET", f"{server.url}/404").status_code == 404
    assert http.request(connection, "GET", f"{server.url}/302").status_code == 302  # never followed
    line = Exchange.objects.get(connection_id=connection.pk, method="POST")
    kept = (line.url + line.request + line.response).replace(server.url, "")  # its port may hold any digits
    assert (line.status, line.error) == (200, "")
    assert "299.00" in kept
    assert "page=2" in kept
    assert not [told for told in ("sesame", "4477", "9161234567") if told in kept]
    connection.refresh_from_db()
    assert connection.last_ok_at is not None


@pytest.mark.parametrize("path", ["drop", "hang", "drip", "500"])
def test_a_lost_answer_is_unknown_when_writing_and_may_be_asked_again_when_reading(connection, server, path):
    url = f"{server.url}/{path}"
    write = refused(connection, "POST", url, timeout=0.3)
    read = refused(connection, "GET", url, timeout=0.3)
    assert (write.unknown, write.retry) == (True, False)
    assert (read.unknown, read.retry) == (False, True)
    assert Exchange.objects.filter(connection_id=connection.pk).exclude(error="").count() == 2


def test_what_never_arrived_is_sent_again(connection, server):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    error = refused(connection, "POST", f"http://127.0.0.1:{port}/")
    assert (error.retry, error.unknown) == (True, False)
    busy = refused(connection, "POST", f"{server.url}/429")
    assert (busy.retry, busy.unknown, busy.answer.status_code) == (True, False, 429)
    connection.refresh_from_db()
    assert "429" in connection.last_error


def test_private_addresses_are_refused_by_what_they_resolve_to(connection, server, settings):
    settings.ALLOW_PRIVATE_ADDRESSES = False
    for host in ("127.0.0.1", "localhost", "[::1]", "10.0.0.1", "[::ffff:127.0.0.1]", "169.254.169.254"):
        breaker.succeeded(connection)
        error = refused(connection, "GET", f"http://{host}:{server.server_port}/ok")
        assert (error.retry, error.unknown) == (False, False), host
    assert server.seen == []


def test_no_call_inside_a_transaction_and_none_when_switched_off(connection, server):
    with transaction.atomic(), pytest.raises(RuntimeError, match="transaction"):
        http.request(connection, "GET", f"{server.url}/ok")
    Connection.objects.filter(pk=connection.pk).update(is_enabled=False)
    connection.refresh_from_db()
    assert refused(connection, "GET", f"{server.url}/ok").retry
    with pytest.raises(ConnectorError):
        connection.open()
    assert server.seen == []


def test_breaker_leaves_a_broken_service_alone_then_lets_one_call_try(connection, server):
    for _call in range(breaker.FAILURES):
        refused(connection, "POST", f"{server.url}/500")
    assert refused(connection, "POST", f"{server.url}/ok").code == "breaker"
    assert len(server.seen) == breaker.FAILURES
    Connection.objects.filter(pk=connection.pk).update(next_try_at=clock.wall())
    breaker.forget()
    breaker.enter(connection)
    with pytest.raises(ConnectorError):
        breaker.enter(connection)
    breaker.succeeded(connection)
    assert http.request(connection, "POST", f"{server.url}/ok").status_code == 200


def test_a_drip_of_headers_ends_in_time_and_a_closed_line_is_opened_anew(connection, server):
    began = time.monotonic()
    assert refused(connection, "POST", f"{server.url}/headers", timeout=0.4).unknown
    assert time.monotonic() - began < 2
    for path in ("/ok", "/close", "/ok", "/gzip"):
        assert http.request(connection, "POST", f"{server.url}{path}").json()["ok"] is True


def test_what_cannot_be_sent_is_refused_for_good(connection, server):
    for url in ("ftp://example.org/", "http:///nobody", "no-url", f"http://{'a' * 70}.example/"):
        error = refused(connection, "GET", url)
        assert (error.retry, error.unknown) == (False, False), url
        breaker.succeeded(connection)
    error = refused(connection, "POST", f"{server.url}/ok", headers={"X-Bad": "a\r\nX-Evil: 1"})
    assert (error.retry, error.unknown) == (False, False)
    assert server.seen == []


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("64:ff9b::5db8:d822", True),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
        ("fe80::1%eth0", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),
        ("::", False),
        ("fd00::1", False),
    ],
)
def test_a_private_address_is_known_in_every_disguise(address, is_public):
    assert wire._is_public(address) is is_public


@pytest.mark.parametrize(
    "options",
    [
        {"url": "http://host:port/"},
        {"url": "file:///etc/passwd"},
        {"url": "http://\r\nevil/"},
        {"headers": {"X-Key": "a\r\nX-Evil: 1"}},
        {"headers": {"X-Key": "ключ"}},
        {"json": {"n": float("nan")}},
        {"json": {"n": object()}},
    ],
)
def test_what_no_request_can_be_made_of_is_refused_for_good(connection, server, options):
    error = refused(connection, "POST", options.pop("url", f"{server.url}/ok"), **options)
    assert (error.retry, error.unknown) == (False, False)
    assert server.seen == []


@pytest.mark.parametrize("says_length", [True, False])
def test_an_answer_that_ends_its_connection_is_read_to_its_end(connection, says_length):
    """Its headers come first, and the content when our side has long been told that this is the last of it."""
    content = b'{"ok": true}'
    length = b"Content-Length: %d\r\n" % len(content) if says_length else b""

    def answer(listening):
        heard, _address = listening.accept()
        with heard:
            heard.recv(65536)
            heard.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + length + b"\r\n")
            time.sleep(0.1)
            heard.sendall(content)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=answer, args=[listening], daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        assert http.request(connection, "POST", url).json() == {"ok": True}


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("99999999", 3600),
        ("Fri, 28 Nov 2031 10:00:00 GMT", 3600),
        ("Fri, 28 Nov 2025 10:00:00 GMT", 0),
        *((wrong, None) for wrong in ("", "soon", "-5", "1e9", "\u0661\u0662", "Fri, 28 Nov 2025 10:00:00")),
    ],
)
def test_when_to_come_again_is_read_and_never_trusted_for_long(told, seconds):
    wait = http._wait(told)
    assert wait == (None if seconds is None else timedelta(seconds=seconds))
