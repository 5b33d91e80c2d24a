"""Where a simulation happens: our web server and the simulators, those that run already or ones of its own."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from apps.demo.connect import Addresses, connect
from apps.sandbox.process import Simulator


@dataclass(frozen=True)
class World:
    """Base address of our web server, and where the simulators are."""

    base_url: str
    outside: Addresses
    has_workers: bool
    """False: nobody but the simulation does the platform's due work."""


@contextmanager
def world(*, base_url: str = "") -> Iterator[World]:
    """A running system at `base_url`, or a web server in a thread and simulators as processes, for as long as needed.

    Connections are led to the simulators, but those of a running system not to ones that were started here.
    """
    with ExitStack() as stack:
        are_up = bool(settings.SANDBOX_URLS.get("yookassa"))
        outside = Addresses() if are_up else stack.enter_context(_simulators())
        address = base_url.rstrip("/") or stack.enter_context(_web_server())
        if are_up or not base_url:
            connect(outside, webhooks_to=address)
        yield World(address, outside, has_workers=bool(base_url))


@contextmanager
def _simulators() -> Iterator[Addresses]:
    with ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="armor-simulate-")))
        started = {
            name: stack.enter_context(Simulator(name, state=state))
            for name in ("yookassa", "smsaero", "provider", "mailbox")
        }
        urls = {name: simulator.url for name, simulator in started.items()}
        yield Addresses(urls, started["mailbox"].smtp_port)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the summary says what happened."""


@contextmanager
def _web_server() -> Iterator[str]:
    server = make_server("127.0.0.1", 0, get_wsgi_application(), server_class=_Server, handler_class=_Quiet)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{settings.PUBLIC_HOST}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
