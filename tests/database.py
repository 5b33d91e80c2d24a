"""The suite's databases, as a pytest plugin: one server, one prepared template, a copy of it per worker.

It runs before Django's settings are read. With TEST_DATABASE_URL (a server on which databases may be made) it uses
that server; otherwise it starts an embedded one.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

ROOT = Path(__file__).resolve().parent.parent
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
_server = None
_own = f"armor_test_{WORKER or 'main'}_{os.getpid()}"


def on(url: str, database: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(url)._replace(path="/" + database))


def _fingerprint() -> str:
    digest = hashlib.sha256()
    files = [
        *ROOT.glob("apps/*/migrations/*.py"),
        ROOT / "armor/settings.py",
        ROOT / "apps/partners/schemas.py",
    ]
    for file in sorted(files):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _template(url: str) -> str:
    """Makes, once per state of the migrations, the database that all workers copy."""
    name = f"armor_template_{_fingerprint()}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(7001)")
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            return name
        sys.stderr.write("Preparing the test database …\n")
        connection.execute(f'DROP DATABASE IF EXISTS "{name}_new" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}_new"')
        environment = {**os.environ, "DATABASE_URL": on(url, name + "_new"), "BROKER_URL": ""}
        command = [sys.executable, "manage.py", "migrate_all"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise pytest.UsageError(f"migrate_all failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        connection.execute(f'ALTER DATABASE "{name}_new" RENAME TO "{name}"')
    return name


def _prepare() -> None:
    global _server
    if not os.environ.get("TEST_DATABASE_URL"):
        from armor.postgres import EmbeddedPostgres

        _server = EmbeddedPostgres(Path(tempfile.mkdtemp(prefix="armor-pg-")) / "pg", durable=False)
        _server.start()
        os.environ["TEST_DATABASE_URL"] = _server.dsn("postgres")
    url = os.environ["TEST_DATABASE_URL"]
    if not WORKER:
        os.environ["ARMOR_TEST_TEMPLATE"] = _template(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{_own}" TEMPLATE "{os.environ["ARMOR_TEST_TEMPLATE"]}"')
    os.environ["DATABASE_URL"] = on(url, _own)
    os.environ["BROKER_URL"] = ""


def pytest_unconfigure() -> None:
    url = os.environ["TEST_DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{_own}" WITH (FORCE)')
    if _server is not None:
        _server.stop()


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "armor.settings")
os.environ["ARMOR_VAR"] = tempfile.mkdtemp(prefix="armor-var-")
# Whitenoise warns of a folder of static files that is not there.
Path(os.environ["ARMOR_VAR"], "static").mkdir()
_prepare()
