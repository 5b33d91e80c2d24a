"""Start a simulator as a process of its own: for tests and for the demo."""

import subprocess
import sys
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[2]


class Simulator:
    """One simulator: `start` it on a free port, `kill` it like a crash, `start` it again on the same port.

    It stops by itself when the process that started it is gone.
    """

    def __init__(
        self, name: str, *, state: Path, args: tuple[str, ...] | list[str] = (), port: int = 0
    ) -> None:
        self.name = name
        self.state = state
        self.args = tuple(args)
        self.port = port
        self.smtp_port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Base address, without a slash at the end. Valid after `start`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """Of the running process."""
        return self.process.pid if self.process else None

    def start(self) -> str:
        """Return the base address once it answers. RuntimeError if the process ends before that."""
        self.state.mkdir(parents=True, exist_ok=True)
        errors = self.state / f"{self.name}.stderr"
        with errors.open("ab") as stderr:
            self.process = subprocess.Popen(
                self._command(), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
            )
        assert self.process.stdout is not None
        words = self.process.stdout.readline().decode().split()
        if words[1:2] != ["ready"]:
            self.kill()
            raise RuntimeError(f"{self.name} did not start: {errors.read_text()[-2000:]}")
        for address in words[2:]:
            port = int(address.rsplit(":", 1)[1])
            if address.startswith("smtp://"):
                self.smtp_port = port
            else:
                self.port = port
        return self.url

    def stop(self) -> None:
        """Ask it to end (SIGTERM) and wait."""
        if self.process is not None:
            self.process.terminate()
        self._wait()

    def kill(self) -> None:
        """End it without warning (SIGKILL) and wait."""
        if self.process is not None:
            self.process.kill()
        self._wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _command(self) -> list[str]:
        command = [sys.executable, "-m", f"apps.sandbox.{self.name}", "--exit-with-stdin"]
        command += ["--port", str(self.port), "--state", str(self.state), *self.args]
        if self.smtp_port:
            command += ["--smtp-port", str(self.smtp_port)]
        return command

    def _wait(self) -> None:
        if self.process is None:
            return
        self.process.wait(timeout=60)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process = None
