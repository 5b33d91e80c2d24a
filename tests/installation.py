"""A whole installation on this machine, as `make run` starts it: each part a process that can be killed -9."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from apps.sandbox.control import Control
from apps.sandbox.process import Simulator
from armor.ports import free_port
from armor.postgres import EmbeddedPostgres, ensure_database, prepare_broker
from armor.processes import die_with_parent
from armor.programs import Program, accepts
from armor.supervisor import beat_program, intake_program, lanes_program, web_program, worker_program

ROOT = Path(__file__).resolve().parent.parent
QUICK = {"ARMOR_IN_FLIGHT_SECONDS": "5", "ARMOR_LEASE_SECONDS": "10"}
"""What waits minutes for a dead worker waits seconds here."""

WORKERS = {"worker", "lanes"}


class Installation:
    """PostgreSQL, web, intake, worker, beat and simulators of its own, on free ports, everything in one folder.

    The workers, `worker` and `lanes`, wait for their first `start`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = EmbeddedPostgres(folder / "pg")
        self.simulators = {
            name: Simulator(name, state=folder / "sandbox") for name in ("yookassa", "provider", "mailbox")
        }
        self.web_port = free_port()
        self.intake_port = free_port(taken=frozenset({self.web_port}))
        self.fallen: list[str] = []
        """Parts that ended unasked and were started again, as the supervisor would."""
        self._queue = f"armor_{self.web_port}"
        workers = [worker_program(without_lanes=True, queue=self._queue), lanes_program(self._queue)]
        self._programs = [
            web_program(self.web_port),
            intake_program(self.intake_port),
            *workers,
            beat_program(),
        ]
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        try:
            self._start_all()
        except BaseException:
            self._stop_all()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_all()

    @property
    def gateway(self) -> Control:
        """The controls of its YooKassa."""
        return self._gateway

    def kill(self, part: str) -> None:
        """kill -9 of a part with all its processes; it stays down until `start`."""
        if part == "postgres":
            assert self.server.pid is not None
            os.kill(self.server.pid, signal.SIGKILL)
            self.until(lambda: self.server.pid is None, what="PostgreSQL is dead")
            return
        process = self._running.pop(part)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self, part: str) -> None:
        """Asks a part to end, as an operator who restarts it does: PostgreSQL breaks off what is under way."""
        if part == "postgres":
            self.server.stop()
            return
        process = self._running.pop(part)
        process.terminate()
        process.wait(60)
        _end_group(process)

    def start(self, part: str) -> None:
        """Starts a part that is down; web and PostgreSQL answer when this returns."""
        if part == "postgres":
            self.server.start()
            return
        program = next(one for one in self._programs if one.name == part)
        self._running[part] = self._spawn(program)
        port = program.port
        if port is not None:
            self.until(lambda: accepts(port), what=f"{part} answers")

    def until(self, check: Callable[[], Any], *, what: str, seconds: float = 180) -> Any:
        """Polls until `check()` is true, caring for the parts meanwhile; gives its value."""
        deadline = time.monotonic() + seconds
        while not (value := check()):
            assert time.monotonic() < deadline, f"{what}: not in {seconds:.0f} s; see {self.folder}"
            self._care()
            time.sleep(0.05)
        return value

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Answers of the database itself, asked over a connection of its own."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []

    def run(self, *arguments: str) -> Any:
        """Runs a Python program of the project in this installation; gives the JSON of its last line, if it is."""
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        last = (done.stdout.strip().splitlines() or [""])[-1]
        return json.loads(last) if last[:1] in {"{", "["} else last

    def run_without_worker(self, *arguments: str) -> Any:
        """The same while no worker runs: for whoever lives through a past, which a worker would take for today."""
        for part in WORKERS & self._running.keys():
            self.kill(part)
        answer = self.run(*arguments)
        for part in WORKERS:
            self.start(part)
        return answer

    # How it is done

    def _start_all(self) -> None:
        self.server.start()
        ensure_database(self.server.dsn(), "armor")
        self.database = self.server.dsn("armor")
        urls = {name: simulator.start() for name, simulator in self.simulators.items()}
        self._gateway, self.provider = Control(urls["yookassa"]), Control(urls["provider"])
        self.env = os.environ | {
            "DATABASE_URL": self.database,
            "BROKER_URL": os.environ.get("TEST_BROKER_URL") or prepare_broker(self.database),
            "ARMOR_QUEUE": self._queue,
            "DJANGO_SETTINGS_MODULE": "armor.settings",
            "PYTHONUNBUFFERED": "1",
            "ARMOR_VAR": str(self.folder),
            "ARMOR_PORT": str(self.web_port),
            "ARMOR_INTAKE_URL": f"http://localhost:{self.intake_port}",
            "ARMOR_SMTP_PORT": str(self.simulators["mailbox"].smtp_port),
            **{f"ARMOR_{name.upper()}_URL": url for name, url in urls.items()},
            **QUICK,
        }
        self.run("manage.py", "migrate_all")
        for part in ("web", "intake", "beat"):
            self.start(part)

    def _stop_all(self) -> None:
        for part in list(self._running):
            self.kill(part)
        for simulator in self.simulators.values():
            simulator.stop()
        self.server.stop()

    def _spawn(self, program: Program) -> subprocess.Popen[bytes]:
        with (self.folder / f"{program.name}.log").open("ab") as said:
            return subprocess.Popen(
                list(program.command),
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,  # what it starts is killed with it
                preexec_fn=die_with_parent(signal.SIGKILL),
            )

    def _care(self) -> None:
        """What ended by itself starts again: beat and worker may give up while PostgreSQL is down."""
        for part, process in list(self._running.items()):
            if process.poll() is None:
                continue
            self.fallen.append(f"{part} ended with {process.returncode}")
            _end_group(process)
            program = next(one for one in self._programs if one.name == part)
            self._running[part] = self._spawn(program)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends what a dead part has left behind."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
