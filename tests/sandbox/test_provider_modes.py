"""A provider is slow, flaps, lies, doubles, loses its answer, limits or takes its time, account by account."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from apps.sandbox.control import Control
from apps.sandbox.process import Simulator
from tests.sandbox.conftest import eventually

BODY = {"sku": "AV-1", "customer_ref": "c1", "period_end": "2026-12-27"}


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with Simulator("provider", state=tmp_path_factory.mktemp("modes")) as one:
        yield one


class Account:
    """One of its customers: asks, and sees what became of it there."""

    def __init__(self, simulator: Simulator, token: str) -> None:
        self.token, self.control = token, Control(simulator.url)
        headers = {"Authorization": f"Bearer {token}"}
        self.api = httpx.Client(base_url=f"{simulator.url}/v1", headers=headers, timeout=60, verify=False)

    def mode(self, name: str, **options: Any) -> None:
        self.control.mode(self.token, name, **options)

    def ask(self, key: str) -> httpx.Response:
        return self.api.post("/activations", json={"request_id": f"{self.token}-{key}", **BODY})

    def made(self) -> list[str]:
        rows = self.control.register(account=self.token)["activations"]
        return [one["request_id"].removeprefix(f"{self.token}-") for one in rows]


@pytest.fixture
def account(simulator: Simulator, request: pytest.FixtureRequest) -> Account:
    return Account(simulator, request.node.name)


@pytest.fixture
def other(simulator: Simulator, account: Account) -> Account:
    """Another one, to whom it behaves well whatever it does to the first."""
    return Account(simulator, f"{account.token}-other")


def test_synchronous(account: Account) -> None:
    account.mode("flapping", up=0.001, down=1000)
    eventually(lambda: account.ask("1").status_code == 503)
    account.mode("synchronous")
    assert (account.ask("1").status_code, account.ask("1").json()["status"]) == (201, "active")


def test_asynchronous_by_polling(account: Account, other: Account) -> None:
    account.mode("asynchronous", seconds=0.3)
    taken_on = account.ask("1").json()
    assert (taken_on["status"], taken_on["key"], other.ask("1").json()["status"]) == (
        "pending",
        None,
        "active",
    )
    assert eventually(lambda: account.api.get(f"/activations/{account.token}-1").json()["key"])


def test_slow(account: Account, other: Account) -> None:
    account.mode("slow", seconds=600)
    with pytest.raises(httpx.ReadTimeout):
        account.api.get("/ping", timeout=0.5)
    assert other.ask("1").status_code == 201
    assert account.made() == []


def test_flapping(account: Account, other: Account) -> None:
    account.mode("flapping", up=0.2, down=0.2)
    for _round in range(2):
        eventually(lambda: account.api.get("/ping").status_code == 503)
        eventually(lambda: account.api.get("/ping").status_code == 200)
    assert other.ask("1").status_code == 201


def test_lying(account: Account, other: Account) -> None:
    account.mode("lying")
    answers = [account.ask(key) for key in ("1", "2", "3", "4")]
    assert [one.status_code // 100 for one in answers] == [2] * 4
    # One lie is of what was not done, the next of what was.
    assert [sorted(one.json()) for one in (answers[1], answers[3])] == [["error"], ["error"]]
    assert account.made() == ["1", "3", "4"]
    assert [other.ask(key).status_code for key in ("1", "2")] == [201, 201]


def test_losing(account: Account) -> None:
    account.mode("losing")
    account.ask("1")
    with pytest.raises(httpx.TransportError):
        account.ask("2")
    assert account.made() == ["1", "2"]
    assert account.ask("2").status_code == 200


def test_rate_limiting(account: Account, other: Account) -> None:
    account.mode("rate_limiting", per_second=2)
    answers = [account.ask(str(number)) for number in range(6)]
    refused = [one for one in answers if one.status_code == 429]
    assert refused
    assert {one.headers["retry-after"] for one in refused} == {"1"}
    assert [other.ask(str(number)).status_code for number in range(6)] == [201] * 6
    time.sleep(float(refused[-1].headers["retry-after"]))
    assert account.ask("again").status_code == 201


class Told(BaseHTTPRequestHandler):
    """Takes callbacks."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.headers["X-Signature"], body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Told)
    server.got = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("name", "copies"), [("asynchronous", 1), ("duplicating", 2)])
def test_callbacks(account: Account, receiver: HTTPServer, name: str, copies: int) -> None:
    account.mode(name, callback_url=f"http://127.0.0.1:{receiver.server_port}/told/")
    account.ask("1")
    assert eventually(lambda: len(account.control.told(account.token)) == copies)
    for signature, body in receiver.got:  # type: ignore[attr-defined]
        assert signature == hmac.new(account.token.encode(), body, hashlib.sha256).hexdigest()
        assert (json.loads(body)["request_id"], json.loads(body)["status"]) == (
            f"{account.token}-1",
            "active",
        )
    assert len(receiver.got) == copies  # type: ignore[attr-defined]
    assert account.made() == ["1"]


def test_a_mode_outlives_a_restart_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    with Simulator("provider", state=tmp_path) as simulator:
        control = Control(simulator.url)
        control.mode("a", "asynchronous", seconds=600)
        for wrong in ({"name": "moody"}, {"name": "slow", "every": 2}, {"name": "slow", "seconds": 0}):
            with pytest.raises(httpx.HTTPStatusError):
                control.mode("a", **wrong)
        control.close()
        simulator.kill()
        simulator.start()
        assert Account(simulator, "a").ask("1").json()["status"] == "pending"
