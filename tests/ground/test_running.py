"""manage.py works on what `make run` has started in its folder, and on nothing else."""

import os
import stat
from pathlib import Path

import pytest

from armor import running

ADDRESSES = {
    "DATABASE_URL": "postgresql://armor:secret@127.0.0.1:1/armor",
    "ARMOR_YOOKASSA_URL": "http://127.0.0.1:2",
    "PATH": "/elsewhere",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, and an environment that is put back."""
    for name in (*ADDRESSES, "ARMOR_VAR"):
        if name != "PATH":
            monkeypatch.setenv(name, "")
            monkeypatch.delenv(name)
    return tmp_path


def test_addresses_are_known_while_the_programs_run(folder: Path) -> None:
    path = folder / "var" / "run" / "environment"
    with running.known(folder / "var", ADDRESSES):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        before = os.environ["PATH"]
        running.join(folder)
        assert os.environ["DATABASE_URL"] == ADDRESSES["DATABASE_URL"]
        assert os.environ["ARMOR_YOOKASSA_URL"] == ADDRESSES["ARMOR_YOOKASSA_URL"]
        assert os.environ["PATH"] == before
    assert not path.exists()


def test_a_database_of_the_environment_comes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://other/db")
    with running.known(folder / "var", ADDRESSES):
        running.join(folder)
    assert os.environ["DATABASE_URL"] == "postgresql://other/db"
    assert "ARMOR_YOOKASSA_URL" not in os.environ


def test_where_nothing_runs_nothing_is_taken(folder: Path) -> None:
    running.join(folder)
    assert "DATABASE_URL" not in os.environ
