"""The supervisor restarts what dies, and leaves nothing behind however it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def eventually(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def of_this_test(folder: Path) -> list[int]:
    """Living processes that carry this test's folder in their environment."""
    mark, found = f"ARMOR_TEST_FOLDER={folder}".encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (
                mark in (entry / "environ").read_bytes()
                and "\nState:\tZ" not in (entry / "status").read_text()
            ):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    env = os.environ | {"ARMOR_TEST_FOLDER": str(tmp_path), "PYTHONPATH": str(ROOT)}
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.ground.programs", str(tmp_path)],
            cwd=ROOT,
            env=env,
            stdout=said,
            stderr=said,
            text=True,
            start_new_session=True,
        )
    yield process
    process.kill()
    process.wait()
    for pid in of_this_test(tmp_path):
        os.kill(pid, signal.SIGKILL)


def said(folder: Path) -> str:
    return (folder / "said").read_text()


def pid_of(name: str, folder: Path) -> int:
    path = folder / f"{name}.pid"
    return int(path.read_text() or 0) if path.exists() else 0


def test_restarts_what_dies_and_stops_the_stubborn(supervisor: subprocess.Popen[str], tmp_path: Path) -> None:
    eventually(lambda: said(tmp_path).count("| up") == 2)
    eventually(lambda: "bad step failed with code 3" in said(tmp_path))
    assert "stepping" in said(tmp_path)
    assert "good step: done" in said(tmp_path)

    first = pid_of("stubborn", tmp_path)
    os.kill(first, signal.SIGKILL)
    eventually(lambda: pid_of("stubborn", tmp_path) not in (0, first) and said(tmp_path).count("| up") == 3)
    assert "stubborn was ended by SIGKILL" in said(tmp_path)
    # supervisor, steady, stubborn and its sleep: the first one's child is gone too
    eventually(lambda: len(of_this_test(tmp_path)) == 4)

    os.killpg(supervisor.pid, signal.SIGINT)
    assert supervisor.wait(20) == 0
    assert of_this_test(tmp_path) == []
    assert not list(tmp_path.glob("*.pid"))


def test_children_end_with_a_killed_supervisor(supervisor: subprocess.Popen[str], tmp_path: Path) -> None:
    eventually(lambda: said(tmp_path).count("| up") == 2)
    steady = pid_of("steady", tmp_path)
    supervisor.kill()
    supervisor.wait(20)
    eventually(lambda: not Path(f"/proc/{steady}").exists() or steady not in of_this_test(tmp_path))
