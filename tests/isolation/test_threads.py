"""A crowd over small pools, in a web server, a worker and 16 threads at once: nobody sees another partner's data.

The control build, which forgets whose data it is about, must leak. `make soak` has ISOLATION_OPERATIONS=100000.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.conf import settings

from apps.sandbox.process import Simulator
from armor.postgres import prepare_broker
from tests.database import on

OPERATIONS = int(os.environ.get("ISOLATION_OPERATIONS", "1600"))
POOL = 4
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def crowd(
    tmp_path: Path, yookassa_process: Simulator, provider_process: Simulator, mailbox_process: Simulator
) -> Iterator[Run]:
    """Lets a crowd in on a database of its own, with its queue in it, and tells what was seen."""
    server, name = os.environ["TEST_DATABASE_URL"], f"armor_crowd_{uuid4().hex[:8]}"
    url = on(server, name)
    outside = ["--gateway", yookassa_process.url, "--provider", provider_process.url]
    outside += ["--mailbox", f"{mailbox_process.url},{mailbox_process.smtp_port}"]

    def run(*words: str, **more: str) -> dict[str, Any]:
        environment = {
            **os.environ,
            "DATABASE_URL": url,
            "BROKER_URL": prepare_broker(url, name),
            "ARMOR_DB_POOL": str(POOL),
            "ARMOR_WEB_PROCESSES": "1",
            "ARMOR_VAR": str(tmp_path),
            "ARMOR_LOG_LEVEL": "ERROR",
            "ISOLATION_SEEN": str(tmp_path / "seen"),
            **more,
        }
        command = [sys.executable, "-W", "ignore", "-m", "tests.isolation", *outside, *words]
        done = subprocess.run(
            command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, timeout=2 * 3600
        )
        assert done.returncode == 0, done.stderr[-5000:]
        sys.stderr.write(f"{done.stdout}\n")
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{os.environ["ARMOR_TEST_TEMPLATE"]}"')
        yield run
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def test_nobody_in_a_crowd_sees_another_partner(crowd: Run) -> None:
    seen = crowd("--operations", str(OPERATIONS))
    assert seen["operations"] == OPERATIONS // 16 * 16
    wrong = ("service.leak", "web.leak", "worker.leak", "pool.dirty", "service.missing", "web.missing")
    assert {name: seen[name] for name in wrong if name in seen} == {}
    for well in ("service.right", "web.right", "worker.right", "web.refused", "pool.clean", "sales"):
        assert seen[well] > 0, well
    assert seen["services"] == seen["sales"] + 2
    assert seen["letters"] >= seen["services"]
    assert seen["crossed"] == seen["violations"] == []


def test_the_control_build_leaks(crowd: Run) -> None:
    seen = crowd("--operations", "800", "--forgets", ISOLATION_FORGETS="1")
    for leak in ("service.leak", "web.leak", "worker.leak", "pool.dirty"):
        assert seen.get(leak, 0) > 0, leak
