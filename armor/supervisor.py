"""Everything on this machine with one command: `python -m armor.supervisor` (make run).

Embedded PostgreSQL (unless DATABASE_URL), the message queue in it (unless BROKER_URL), simulators of the
outside world, migrations, the demo's first filling, then web, intake, workers and beat; until Ctrl-C.
"""

import fcntl
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import TextIO

import psycopg
from psycopg import sql

from armor import running
from armor.ports import free_port, is_free
from armor.postgres import EmbeddedPostgres, PostgresError, ensure_database, prepare_broker
from armor.programs import Program, StepFailed, Stopped, Supervisor, accepts

BASE = Path(__file__).resolve().parent.parent
VAR = Path(os.environ.get("ARMOR_VAR") or BASE / "var").absolute()
BIN = Path(sys.executable).parent
HEALTH_SECONDS = 600
SEEDED = "armor: the demo has been seeded"
SIMULATORS = ("yookassa", "smsaero", "provider", "mailbox")
TOGETHER = ("tbank", "cloudpayments", "robokassa", "atol", "partner")
"""Simulators in one process, `others`: five more processes would take five times its memory."""


class CannotStart(Exception):
    """What stands in the way, in one line."""


def main() -> int:
    """Runs until Ctrl-C. Returns 0 then, 1 where something could not be started."""
    try:
        with _only_one(), _embedded() as server:
            database, broker = _addresses(server)
            env, programs = _plan(database, broker)
            run_dir = VAR / "run"
            with running.known(VAR, env), Supervisor(folder=BASE, env=env, run_dir=run_dir) as supervisor:
                if server:
                    supervisor.watch(partial(_keep_alive, server, supervisor))
                return _run(supervisor, programs, database)
    except (CannotStart, PostgresError, psycopg.Error) as error:
        print(f"armor: {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return 0


def _run(supervisor: Supervisor, programs: dict[str, Program], database: str) -> int:
    try:
        _start_all(supervisor, programs, database)
        supervisor.forever()
    except Stopped:
        supervisor.say("stopping …")
        return 0
    except StepFailed as error:
        supervisor.say(str(error))
        return 1
    return 0


def _start_all(supervisor: Supervisor, programs: dict[str, Program], database: str) -> None:
    outside = (*SIMULATORS, "others")
    for name in outside:
        supervisor.start(programs[name])
    for name in outside:
        port = programs[name].port
        assert port is not None
        supervisor.wait_for(partial(accepts, port), seconds=120, what=name)
    supervisor.step("migrate", [sys.executable, "manage.py", "migrate_all", "--progress"])
    if os.environ.get("ARMOR_SEED", "1") != "0" and not _is_seeded(database):
        supervisor.step("seed", [sys.executable, "manage.py", "seed_demo"])
        _remember_seeded(database)
    # Ports may differ from those of the last start.
    supervisor.step("connect", [sys.executable, "manage.py", "sandbox_connect"])
    for name in ("web", "intake", "worker", "lanes", "beat"):
        supervisor.start(programs[name])
    port = programs["web"].port
    assert port is not None
    healthy = _healthy(port)
    supervisor.wait_for(healthy.is_set, seconds=HEALTH_SECONDS, what="/healthz")
    supervisor.say(_welcome(port, programs))


def _plan(database: str, broker: str) -> tuple[dict[str, str], dict[str, Program]]:
    """The environment that all programs share, and the programs by name."""
    web = _web_port()
    ports: dict[str, int] = {}
    for number, name in enumerate((*SIMULATORS, "smtp", *TOGETHER, "intake"), start=1):
        ports[name] = free_port(web + number, taken=frozenset(ports.values()) | {web})
    env = os.environ | {
        "DATABASE_URL": database,
        "BROKER_URL": broker,
        "DJANGO_SETTINGS_MODULE": "armor.settings",
        "PYTHONUNBUFFERED": "1",
        "ARMOR_VAR": str(VAR),
        "ARMOR_PORT": str(web),
        "ARMOR_SMTP_PORT": str(ports["smtp"]),
        "ARMOR_INTAKE_URL": f"http://{os.environ.get('ARMOR_PUBLIC_HOST', 'localhost')}:{ports['intake']}",
        **{
            f"ARMOR_{name.upper()}_URL": f"http://127.0.0.1:{ports[name]}"
            for name in (*SIMULATORS, *TOGETHER)
        },
    }
    programs = [_simulator(name, ports) for name in SIMULATORS] + [
        _others(ports),
        web_program(web),
        intake_program(ports["intake"]),
        worker_program(without_lanes=True),
        lanes_program(),
        beat_program(),
    ]
    return env, {program.name: program for program in programs}


def _simulator(name: str, ports: dict[str, int]) -> Program:
    extra = ["--smtp-port", str(ports["smtp"])] if name == "mailbox" else []
    command = [sys.executable, "-m", f"apps.sandbox.{name}", "--port", str(ports[name])]
    return Program(name, [*command, "--state", str(VAR / "sandbox"), *extra], port=ports[name])


def _others(ports: dict[str, int]) -> Program:
    wanted = [f"{name}:{ports[name]}" for name in TOGETHER]
    command = [sys.executable, "-m", "apps.sandbox", *wanted, "--state", str(VAR / "sandbox")]
    # They open one after the other: the last one's port tells that all are there.
    return Program("others", command, port=ports[TOGETHER[-1]])


def web_program(port: int) -> Program:
    """The web server on a port of this machine; as many processes as the environment says, 2 by default."""
    host = os.environ.get("ARMOR_HOST", "127.0.0.1")
    size = os.environ.get("ARMOR_WEB_PROCESSES", "2")
    options = ["--worker-class=gthread", "--threads=8", f"--workers={size}"]
    times = ["--timeout=120", "--graceful-timeout=8", "--max-requests=20000", "--max-requests-jitter=2000"]
    quiet = ["--no-control-socket", "--log-level=warning"]
    command = [str(BIN / "gunicorn"), "armor.wsgi", f"--bind={host}:{port}", *options, *times, *quiet]
    return Program("web", command, port=port)


def intake_program(port: int) -> Program:
    """Takes gateways' and providers' messages; whatever else comes there is not found."""
    host = os.environ.get("ARMOR_HOST", "127.0.0.1")
    options = ["--worker-class=asgi", "--workers=1", "--timeout=120", "--graceful-timeout=3"]
    quiet = ["--no-control-socket", "--log-level=warning"]
    command = [str(BIN / "gunicorn"), "armor.intake", f"--bind={host}:{port}", *options, *quiet]
    return Program("intake", command, port=port)


def worker_program(*, without_lanes: bool = False, queue: str = "") -> Program:
    """Celery's worker; what calls outside is left to `lanes_program`, where there is one."""
    size = os.environ.get("ARMOR_WORKER_PROCESSES", "2")
    lonely = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    options = ["--loglevel=WARNING", f"--concurrency={size}", "--prefetch-multiplier=1", *lonely]
    if without_lanes:
        options.append(f"--queues={queue or _queue()}")
    return Program("worker", [sys.executable, "-m", "celery", "-A", "armor", "worker", *options])


def lanes_program(queue: str = "") -> Program:
    """Celery's worker of the lanes: one process that calls outside in threads, so that no other work waits for it."""
    lonely = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    mine = f"--queues={queue or _queue()}_lanes"
    options = ["--loglevel=WARNING", "--pool=threads", "--concurrency=1", mine, *lonely]
    return Program("lanes", [sys.executable, "-m", "celery", "-A", "armor", "worker", *options])


def _queue() -> str:
    return os.environ.get("ARMOR_QUEUE", "armor")


def beat_program() -> Program:
    """Celery's beat, its schedule in the database."""
    options = ["--loglevel=WARNING", "--scheduler=django", "--pidfile="]
    return Program("beat", [sys.executable, "-m", "celery", "-A", "armor", "beat", *options])


def _web_port() -> int:
    try:
        port = int(os.environ.get("ARMOR_PORT") or 8000)
    except ValueError:
        raise CannotStart("ARMOR_PORT must be a number") from None
    if not is_free(port):
        raise CannotStart(f"port {port} is taken; choose another: ARMOR_PORT={port + 100} make run")
    return port


@contextmanager
def _only_one() -> Iterator[None]:
    """Two supervisors over one var/ would fight for its database."""
    VAR.mkdir(parents=True, exist_ok=True)
    with (VAR / "supervisor.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(f"already running: process {_content(file)}") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _content(file: TextIO) -> str:
    file.seek(0)
    return file.read().strip()


@contextmanager
def _embedded() -> Iterator[EmbeddedPostgres | None]:
    """A server of our own, or None where DATABASE_URL names another."""
    if os.environ.get("DATABASE_URL"):
        yield None
        return
    print("armor: starting the embedded PostgreSQL …", flush=True)
    with EmbeddedPostgres(VAR / "pg") as server:
        _write_pid(server)
        yield server


def _addresses(server: EmbeddedPostgres | None) -> tuple[str, str]:
    """Addresses of the database and of the broker, from the environment or in the embedded server."""
    database = os.environ.get("DATABASE_URL", "")
    if server:
        ensure_database(server.dsn(), "armor")
        database = server.dsn("armor")
    return database, os.environ.get("BROKER_URL") or prepare_broker(database)


def _keep_alive(server: EmbeddedPostgres, supervisor: Supervisor) -> None:
    if server.pid is None:
        supervisor.say("ended; starts again on its data", "postgres")
        server.start()
        _write_pid(server)


def _write_pid(server: EmbeddedPostgres) -> None:
    (VAR / "run").mkdir(parents=True, exist_ok=True)
    (VAR / "run" / "postgres.pid").write_text(f"{server.pid}\n")


def _is_seeded(database: str) -> bool:
    query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
    with psycopg.connect(database) as connection:
        return connection.execute(query).fetchone() == (SEEDED,)


def _remember_seeded(database: str) -> None:
    """The mark lives and dies with the database itself, as its comment."""
    with psycopg.connect(database, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, sql.Literal(SEEDED)))


def _healthy(port: int) -> Event:
    """Set once /healthz answers 200; asked in a thread, because an answer under load may take seconds."""
    healthy = Event()

    def ask() -> None:
        while not healthy.wait(0.3):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=60) as answer:
                    if answer.status == 200:
                        healthy.set()
            except (urllib.error.URLError, OSError):
                continue

    Thread(target=ask, daemon=True).start()
    return healthy


def _welcome(port: int, programs: dict[str, Program]) -> str:
    logins = VAR / "demo-logins.txt"
    lines = [
        "ARMOR is ready.",
        f"  Console      http://localhost:{port}/admin/",
        f"  Partners     http://<slug>.localhost:{port}/",
        f"  API          http://localhost:{port}/api/docs/",
        f"  Letters      http://localhost:{programs['mailbox'].port}/",
        f"  Messages     http://localhost:{programs['smsaero'].port}/",
        f"  Payments     http://localhost:{programs['yookassa'].port}/",
        *(logins.read_text(encoding="utf-8").splitlines() if logins.exists() else []),
        "Ctrl-C stops everything; the data stays in var/.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
