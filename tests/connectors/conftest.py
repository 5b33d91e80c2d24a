"""A tiny real server that misbehaves by path, and a connection to it."""

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from apps.connectors.models import Connection
from apps.core.tenancy import in_public

ECHO = "tests.connectors.echo.Echo"


class Server(ThreadingHTTPServer):
    """Notes what it was asked; `/hang` holds its answer until the test lets go."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str, bytes]] = []
        self.let_go = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what these tests want."""


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path, body))
        path = self.path.split("?")[0]
        if path == "/drop":
            self.connection.close()
        elif path == "/hang":
            self.server.let_go.wait(60)
        elif path == "/drip":
            self._drip()
        elif path == "/headers":
            self._drip_headers()
        else:
            status = int(path[1:]) if path[1:].isdigit() else 200
            self._answer(status, {"token": "sesame", "phone": "+79161234567", "ok": True})

    do_POST = do_GET

    def _answer(self, status: int, said: Any) -> None:
        content = json.dumps(said).encode()
        self.send_response(status)
        if self.path == "/gzip":
            content = gzip.compress(content)
            self.send_header("Content-Encoding", "gzip")
        # Said to nobody: the client finds its line closed when it needs it again.
        self.close_connection = self.path == "/close"
        if status == 302:
            self.send_header("Location", "/ok")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        while not self.server.let_go.wait(0.05):
            self.wfile.write(b" ")
            self.wfile.flush()

    def _drip_headers(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not self.server.let_go.wait(0.05):
            self.wfile.write(b"X-More: 1\r\n")
            self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield found
        found.let_go.set()
        found.shutdown()


@pytest.fixture
def connection(settings: Any, partner: Any, server: Server) -> Connection:
    """The partner's own connection to the server; the partner's schema is set."""
    settings.CONNECTORS = [*settings.CONNECTORS, ECHO]
    with in_public():
        return Connection.objects.create(
            kind="channel",
            connector=ECHO,
            name="Эхо",
            partner=partner,
            config={"url": server.url, "password": "sesame"},
        )
