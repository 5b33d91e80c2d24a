"""The embedded PostgreSQL: made once, survives kill -9, two side by side, ends with whoever started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from armor.postgres import EmbeddedPostgres, PostgresError, ensure_database, prepare_broker

ROOT = Path(__file__).resolve().parents[2]


def value(dsn: str, query: str) -> object:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(query)
        row = cursor.fetchone() if cursor.description else None
        return row and row[0]


def answers(dsn: str) -> bool:
    try:
        return value(dsn, "SELECT 1") == 1
    except psycopg.OperationalError:
        return False


def test_data_survives_kill_and_the_address_stays(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "pg") as server:
        value(server.dsn(), "CREATE TABLE kept AS SELECT 'ё' AS letter")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        address = server.dsn()
        deadline = time.monotonic() + 10
        while server.pid and time.monotonic() < deadline:
            time.sleep(0.02)
        server.start()
        assert server.dsn() == address
        assert value(server.dsn(), "SELECT letter FROM kept") == "ё"
        assert value(server.dsn(), "SELECT lower('ЖЁ')") == "жё"
        assert value(server.dsn(), "SHOW fsync") == "on"

        with pytest.raises(PostgresError, match="embedded PostgreSQL does not start"):
            impatient(tmp_path / "pg").start()
        assert value(server.dsn(), "SELECT 1") == 1
    assert server.pid is None


def impatient(root: Path) -> EmbeddedPostgres:
    """A second server on the same folder, which gives up at once."""
    second = EmbeddedPostgres(root)
    second.patience = 0.0
    return second


def test_two_beside_each_other_with_a_broker(tmp_path: Path) -> None:
    with (
        EmbeddedPostgres(tmp_path / "one", durable=False) as one,
        EmbeddedPostgres(tmp_path / "two", durable=False) as two,
    ):
        assert one.port != two.port
        ensure_database(one.dsn(), "armor")
        ensure_database(one.dsn(), "armor")
        address = prepare_broker(one.dsn("armor"))
        assert address == prepare_broker(one.dsn("armor"))
        assert address.startswith("pgmq://")
        assert address.endswith("/broker")
        assert value(one.dsn("broker"), "SELECT pgmq.create('letters')") is not None
        assert value(two.dsn(), "SELECT count(*) FROM pg_database WHERE datname = 'armor'") == 0


def test_ends_with_a_killed_starter(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "armor.postgres", "--root", str(tmp_path / "pg"), "--fast"]
    starter = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    dsn = starter.stdout.readline().strip()
    assert value(dsn, "SELECT 1") == 1
    starter.kill()
    starter.wait(20)
    starter.stdout.close()
    deadline = time.monotonic() + 30
    while answers(dsn):
        assert time.monotonic() < deadline, "still answers"
        time.sleep(0.05)
    with EmbeddedPostgres(tmp_path / "pg", durable=False) as again:
        assert value(again.dsn(), "SELECT 1") == 1
