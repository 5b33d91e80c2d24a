"""Corruptions planted past code and triggers, found by their rule, and taken back."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from apps.core import audit

ROOT = Path(__file__).resolve().parent


@contextmanager
def taken_back() -> Iterator[None]:
    """Inside, nothing guards the tables; outside, nothing has happened."""
    with transaction.atomic():
        execute("SET CONSTRAINTS ALL IMMEDIATE; SET LOCAL session_replication_role = replica")
        # The ledger's fires for replicas as well.
        execute("ALTER TABLE ledger_transfer DISABLE TRIGGER ledger_transfer_refuses")
        yield
        transaction.set_rollback(True)


def execute(sql: str) -> None:
    """Runs SQL as it stands."""
    with connection.cursor() as cursor:
        cursor.execute(sql)


def found(rule: str, corrupt: Callable[[], Any]) -> list[str]:
    """What a rule says once its corruption is planted; silent before."""
    with taken_back():
        assert _said(rule) == [], rule
        corrupt()
        return _said(rule)


def _said(rule: str) -> list[str]:
    # That the ledger is not guarded is our own doing.
    return [text for text in audit.says(rule) if "ledger_transfer_refuses" not in text]


def corrupted_rules() -> set[str]:
    """Rules for which some test plants a corruption: the first of each entry of its CORRUPTIONS."""
    files = [file for file in ROOT.rglob("test_*.py") if re.search(r"^CORRUPTIONS\b", file.read_text(), re.M)]
    names = [".".join(file.relative_to(ROOT.parent).with_suffix("").parts) for file in files]
    entries = [entry for name in names for entry in import_module(name).CORRUPTIONS]
    return {entry if isinstance(entry, str) else entry[0] for entry in entries}
