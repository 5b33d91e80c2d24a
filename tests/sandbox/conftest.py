"""Simulators as processes, a shop that receives webhooks, and polling instead of sleeping."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from apps.sandbox.control import Control
from apps.sandbox.process import Simulator

SHOP, SECRET = "100500", "test_secret"


def eventually(ask: Callable[[], Any], *, within: float = 30.0) -> Any:
    """The first true answer; AssertionError with the last one if none came in time."""
    deadline = time.monotonic() + within
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"still {answer!r}"
        time.sleep(0.02)
    return answer


class Hooks:
    """A shop's webhook address: remembers what came, answers with `status`."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.status = 200
        hooks = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hooks.received.append(json.loads(body))
                self.send_response(hooks.status)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hooks/"

    def of(self, payment_id: str) -> list[tuple[str, str]]:
        """(event, status in the body) of what came about a payment and its refunds."""
        return [
            (row["event"], row["object"]["status"])
            for row in list(self.received)
            if payment_id in (row["object"]["id"], row["object"].get("payment_id"))
        ]


@pytest.fixture(scope="module")
def hooks() -> Iterator[Hooks]:
    hooks = Hooks()
    yield hooks
    hooks.server.shutdown()
    hooks.server.server_close()


@pytest.fixture(scope="module")
def yookassa_process(tmp_path_factory: pytest.TempPathFactory, hooks: Hooks) -> Iterator[Simulator]:
    args = ("--shop", f"{SHOP}:{SECRET}", "--webhook-url", hooks.url)
    with Simulator("yookassa", state=tmp_path_factory.mktemp("yookassa"), args=args) as process:
        yield process


@pytest.fixture
def yookassa(yookassa_process: Simulator) -> Iterator[Control]:
    control = Control(yookassa_process.url)
    yield control
    control.clear()
    control.set_clock(None)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"
