"""The broker of tests that start workers: TEST_BROKER_URL (RabbitMQ, Redis), else a pgmq on the test's own server.

Workers of several tests may share a broker: each has a queue of its own.
"""

import contextlib
import os
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
from kombu import Connection

from armor.postgres import prepare_broker

PORTS = {"amqp": 5672, "redis": 6379, "pgmq": 5432}


@contextmanager
def broker(database: str) -> Iterator[dict[str, str]]:
    """The environment of processes that use it; `database` is any on the server for a pgmq."""
    queue = f"armor_{uuid4().hex[:8]}"
    if url := os.environ.get("TEST_BROKER_URL"):
        yield {"BROKER_URL": url, "ARMOR_QUEUE": queue}
        with Connection(url) as connection:
            connection.default_channel.queue_delete(queue)
        return
    yield {"BROKER_URL": prepare_broker(database, queue), "ARMOR_QUEUE": queue}
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{queue}" WITH (FORCE)')


class Gate:
    """Stands between processes and a broker: while it is shut, the broker is down for them."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._behind = (parts.hostname or "127.0.0.1", parts.port or PORTS[parts.scheme])
        self._port = 0
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self.open()
        user = parts.netloc.rpartition("@")[0]
        self.url = urlunsplit(parts._replace(netloc=f"{user}@" * bool(user) + f"127.0.0.1:{self._port}"))

    def open(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def shut(self) -> None:
        """Refuses newcomers, and breaks off whoever is talking."""
        _break_off(self._listener)
        while self._pairs:
            for end in self._pairs.pop():
                _break_off(end)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _address = listener.accept()
                pair = near, socket.create_connection(self._behind)
                self._pairs.append(pair)
                threading.Thread(target=_carry, args=pair, daemon=True).start()


def _carry(near: socket.socket, far: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError), selectors.DefaultSelector() as ready:
        ready.register(near, selectors.EVENT_READ, far)
        ready.register(far, selectors.EVENT_READ, near)
        while True:
            for key, _events in ready.select():
                data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                if not data:
                    raise OSError
                key.data.sendall(data)
    _break_off(near)
    _break_off(far)


def _break_off(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
