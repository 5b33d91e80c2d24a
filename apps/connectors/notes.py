"""What a call leaves behind in the database: written at once, or kept until those who record it write it with it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction

from apps.core import bulk, ids
from apps.journal.models import Exchange

_kept = threading.local()
Line = dict[str, Any]
"""Of the journal, by column, all of them: as a model each would take longer to make than to write."""
Note = Line | Callable[[], Any]


def later(note: Note) -> None:
    """Writes a line of the journal, or does what writes something else; where notes are kept, it is kept."""
    kept: list[Note] | None = getattr(_kept, "notes", None)
    if kept is not None:
        kept.append(note)
    elif isinstance(note, dict):
        Exchange(**note).save(force_insert=True)
    else:
        note()


def are_kept() -> bool:
    """Whether this thread keeps its notes: then it has no business with the database."""
    return getattr(_kept, "notes", None) is not None


@contextmanager
def keeping() -> Iterator[list[Note]]:
    """Within it this thread writes nothing: what it would have written is in the list, for `write`."""
    kept: list[Note] = []
    _kept.notes = kept
    try:
        yield kept
    finally:
        _kept.notes = None


def write(notes: list[Note]) -> None:
    """Writes what was kept, in the caller's transaction and the schema that the calls were made for."""
    lines = [one for one in notes if isinstance(one, dict)]
    if lines:
        keys = ids.at([one["at"] for one in lines])
        rows = [(key, *one.values()) for key, one in zip(keys, lines, strict=True)]
        bulk.copy(Exchange, ["id", *lines[0]], rows)
    for one in notes:
        if not isinstance(one, dict):
            # A connection's row is everybody's: it is not held for as long as the payments are.
            transaction.on_commit(one, robust=True)
