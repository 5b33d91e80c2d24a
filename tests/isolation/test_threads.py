"""A crowd over small pools, in a web server, a worker and 16 threads at once: nobody sees another partner's data.

The control build, which forgets whose data it is about, must leak. `make soak` has ISOLATION_OPERATIONS=100000.
"""

import json
import os
import subprocess
import sys
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.conf import settings

from apps.sandbox.process import Simulator
from armor.postgres import prepare_broker
from tests.database import on

OPERATIONS = int(os.environ.get("ISOLATION_OPERATIONS", "800"))
FORGETFUL = 400
POOL = 4


@pytest.fixture(scope="module")
def seen(
    tmp_path_factory: pytest.TempPathFactory,
    yookassa_process: Simulator,
    provider_process: Simulator,
    mailbox_process: Simulator,
) -> dict[str, Any]:
    """What a crowd saw of the product and of the control build, on a database of its own, with its queue in it."""
    server, name = os.environ["TEST_DATABASE_URL"], f"armor_crowd_{uuid4().hex[:8]}"
    url, folder = on(server, name), tmp_path_factory.mktemp("crowd")
    command = [sys.executable, "-W", "ignore", "-m", "tests.isolation"]
    command += ["--operations", str(OPERATIONS), "--forgetful", str(FORGETFUL)]
    command += ["--gateway", yookassa_process.url, "--provider", provider_process.url]
    command += ["--mailbox", f"{mailbox_process.url},{mailbox_process.smtp_port}"]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{os.environ["ARMOR_TEST_TEMPLATE"]}"')
        environment = {
            **os.environ,
            "DATABASE_URL": url,
            "BROKER_URL": prepare_broker(url, name),
            "ARMOR_DB_POOL": str(POOL),
            "ARMOR_WEB_PROCESSES": "1",
            "ARMOR_VAR": str(folder),
            "ARMOR_LOG_LEVEL": "ERROR",
            "ISOLATION_SEEN": str(folder / "seen"),
        }
        done = subprocess.run(
            command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, timeout=2 * 3600
        )
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    assert done.returncode == 0, done.stderr[-5000:]
    sys.stderr.write(f"{done.stdout}\n")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_nobody_in_a_crowd_sees_another_partner(seen: dict[str, Any]) -> None:
    product = seen["product"]
    assert product["operations"] == OPERATIONS // 16 * 16
    wrong = ("service.leak", "web.leak", "worker.leak", "pool.dirty", "service.missing", "web.missing")
    assert {name: product[name] for name in wrong if name in product} == {}
    for well in ("service.right", "web.right", "worker.right", "web.refused", "pool.clean", "sales"):
        assert product[well] > 0, well
    assert product["services"] == product["sales"] + 2
    assert product["letters"] >= product["services"]
    assert product["crossed"] == product["violations"] == []


def test_the_control_build_leaks(seen: dict[str, Any]) -> None:
    for leak in ("service.leak", "web.leak", "worker.leak", "pool.dirty"):
        assert seen["control"].get(leak, 0) > 0, leak
