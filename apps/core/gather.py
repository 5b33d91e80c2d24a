"""Within a batch of like work: what is read once for all of it, and what is written for all of it at the end.

Outside of one, each reads and writes for itself at once. So a service says what it writes, and need not know how many
do it together.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import transaction

_T = TypeVar("_T")
Write = Callable[[Sequence[Any]], object]


class Apart(Exception):
    """Raised by who is given many where two of them depend on each other: they are to come one by one."""


class _Batch:
    def __init__(self) -> None:
        self.read: dict[Any, Any] = {}
        self.rows: dict[Write, list[Any]] = {}


class _Current(threading.local):
    batch: _Batch | None = None


_current = _Current()


@contextmanager
def gathering() -> Iterator[None]:
    """A batch, in the caller's transaction and for one partner; within another it is part of that.

    What was gathered is written when it ends; where it raises, nothing of it. What is to read it before that has it
    written (`flush`), and a savepoint that it rolls back takes nothing of it along. RuntimeError outside a transaction.
    """
    if _current.batch is not None:
        yield
        return
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("What a batch gathers is written in its transaction")
    _current.batch = _Batch()
    try:
        yield
        flush()
    finally:
        _current.batch = None


def is_gathering() -> bool:
    """Whether what is written now is written at the end of a batch."""
    return _current.batch is not None


def once(key: Any, read: Callable[[], _T]) -> _T:
    """What `read` gives, the same for all of a batch that ask for `key`: for what the batch itself does not change."""
    if _current.batch is None:
        return read()
    known = _current.batch.read
    if key not in known:
        known[key] = read()
    found: _T = known[key]
    return found


def at_end(write: Write, rows: Iterable[Any]) -> None:
    """Has `write`, a function of a module, called with all rows that the batch gave for it, in their order.

    A row says whose it is: the current partner may be another by then.
    """
    if not (given := list(rows)):
        return
    if _current.batch is not None:
        _current.batch.rows.setdefault(write, []).extend(given)
    else:
        write(given)


def flush(*only: Write) -> None:
    """Writes now what the batch has gathered, or what it has for `only` these: for what reads it again."""
    rows = _current.batch.rows if _current.batch is not None else {}
    # What is written may lead to more.
    while wanted := [write for write in only or rows if write in rows]:
        wanted[0](rows.pop(wanted[0]))
