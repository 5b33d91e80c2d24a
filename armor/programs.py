"""Keeps programs running: restarts what dies, prefixes what they say, leaves no process behind.

Everything happens in one thread, because a child's death signal is bound to the thread that started it.
"""

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from armor.processes import die_with_parent

TICK_SECONDS = 0.2
FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0  # seconds before a restart, doubled each time
STEADY_SECONDS = 10.0  # a program that lived this long starts again at the first delay
POLITE_SECONDS = 10.0  # from SIGTERM to SIGKILL


class Stopped(Exception):
    """Somebody asked the supervisor to stop while it was waiting."""


class StepFailed(Exception):
    """A step that must succeed ended with an error; the message names it."""


@dataclass(frozen=True)
class Program:
    """One thing to keep running. `port`: where it accepts connections once it is ready, None if nowhere."""

    name: str
    command: Sequence[str]
    port: int | None = None


@dataclass
class _Running:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    due: float = 0.0  # when to start it again
    delay: float = FIRST_DELAY
    rest: dict[int, bytes] = field(default_factory=dict)  # unfinished lines by pipe


class Supervisor:
    """Starts programs and steps in `folder` with `env`, and writes `<run_dir>/<name>.pid` for each program.

    SIGINT, SIGTERM and SIGHUP ask it to stop: a waiting method then raises Stopped. A second one kills.
    """

    def __init__(
        self,
        *,
        folder: Path,
        env: dict[str, str],
        run_dir: Path,
        output: TextIO = sys.stdout,
        polite_seconds: float = POLITE_SECONDS,
    ) -> None:
        self._polite_seconds = polite_seconds
        self._folder, self._env, self._run_dir, self._output = folder, env, run_dir, output
        self._running: dict[str, _Running] = {}
        self._selector = selectors.DefaultSelector()
        self._watched: list[Callable[[], None]] = []
        self._asked = 0
        self._width = 8

    def __enter__(self) -> "Supervisor":
        self._run_dir.mkdir(parents=True, exist_ok=True)
        self._wake, waker = socket.socketpair()
        waker.setblocking(False)
        self._waker = waker
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask)
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
        signal.set_wakeup_fd(-1)

    def say(self, text: str, name: str = "armor") -> None:
        """Prints lines with the name of who says them."""
        self._width = max(self._width, len(name))
        for line in text.splitlines():
            print(f"{name:<{self._width}} | {line}", file=self._output, flush=True)

    def start(self, program: Program) -> None:
        """Starts a program and keeps it running from now on."""
        running = _Running(program)
        self._running[program.name] = running
        self._spawn(running)

    def watch(self, check: Callable[[], None]) -> None:
        """Calls `check` several times a second, to care for something that is not a Program."""
        self._watched.append(check)

    def step(self, name: str, command: Sequence[str]) -> None:
        """Runs a command to its end while the programs go on. Raises StepFailed where it fails."""
        self.say(f"{name} …")
        began = time.monotonic()
        running = _Running(Program(name, command))
        running.process = self._popen(running)
        try:
            while running.process.poll() is None:
                self._turn()
        finally:
            _kill_group(running.process)
            self._drain(running)
        if running.process.returncode:
            raise StepFailed(f"{name} failed with code {running.process.returncode}")
        self.say(f"{name}: done in {time.monotonic() - began:.1f} s")

    def wait_for(self, ready: Callable[[], bool], *, seconds: float, what: str) -> None:
        """Polls `ready`, which must not block for long. Raises StepFailed with `what` when time is up."""
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline:
                raise StepFailed(f"{what} is not ready after {seconds:.0f} s")
            self._turn()

    def forever(self) -> None:
        """Keeps everything running until it is asked to stop."""
        while True:
            self._turn()

    def stop(self) -> None:
        """Ends all programs, politely at first; no process of them is left."""
        alive = [running for running in self._running.values() if running.process]
        for running in alive:
            if running.process and running.process.poll() is None:
                running.process.terminate()
        deadline = time.monotonic() + self._polite_seconds
        asked = self._asked
        while any(one.process and one.process.poll() is None for one in alive):
            self._read(TICK_SECONDS)
            if time.monotonic() > deadline or self._asked > asked:
                break
        for running in alive:
            if running.process:
                _kill_group(running.process)
                self._drain(running)
            self._pid_file(running).unlink(missing_ok=True)
        self._running.clear()

    # How it is done

    def _ask(self, number: int, frame: object) -> None:
        self._asked += 1

    def _turn(self) -> None:
        self._read(TICK_SECONDS)
        if self._asked:
            raise Stopped
        for check in self._watched:
            check()
        for running in self._running.values():
            self._care_for(running)

    def _care_for(self, running: _Running) -> None:
        now = time.monotonic()
        if running.process is None:
            if now >= running.due:
                self._spawn(running)
            return
        if running.process.poll() is None:
            return
        _kill_group(running.process)  # what it started must not go on beside its successor
        self._drain(running)
        code, running.process = running.process.returncode, None
        running.delay = FIRST_DELAY if now - running.started > STEADY_SECONDS else running.delay
        running.due = now + running.delay
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        self.say(f"{running.program.name} {how}; starts again in {running.delay:g} s")
        running.delay = min(running.delay * 2, LONGEST_DELAY)

    def _spawn(self, running: _Running) -> None:
        running.process = self._popen(running)
        running.started = time.monotonic()
        self._pid_file(running).write_text(f"{running.process.pid}\n")

    def _popen(self, running: _Running) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            list(running.program.command),
            cwd=self._folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which ends the others in order
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self._selector.register(process.stdout, selectors.EVENT_READ, running)
        return process

    def _pid_file(self, running: _Running) -> Path:
        return self._run_dir / f"{running.program.name}.pid"

    def _read(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            if key.data is None:
                self._wake.recv(4096)
            elif not self._forward(key.fd, key.data):
                self._selector.unregister(key.fileobj)

    def _forward(self, pipe: int, running: _Running) -> bool:
        """Prints the whole lines that have come. False at the end of the pipe."""
        try:
            data = os.read(pipe, 65536)
        except BlockingIOError:
            return True
        lines = (running.rest.pop(pipe, b"") + data).split(b"\n")
        if data and lines[-1]:
            running.rest[pipe] = lines[-1]
        for line in lines[:-1] if data else lines:
            if line.strip():
                self.say(line.decode(errors="replace"), running.program.name)
        return bool(data)

    def _drain(self, running: _Running) -> None:
        pipe = running.process.stdout if running.process else None
        if pipe is None or pipe.closed:
            return
        while self._forward(pipe.fileno(), running) and _has_more(pipe.fileno()):
            pass
        if pipe in [key.fileobj for key in self._selector.get_map().values()]:
            self._selector.unregister(pipe)
        pipe.close()


def _has_more(pipe: int) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        return bool(selector.select(0))


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Ends the program and whatever it started; each program leads a process group of its own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    process.wait()


def accepts(port: int) -> bool:
    """Whether something accepts connections on this port of the loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
