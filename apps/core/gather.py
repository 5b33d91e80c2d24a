"""Within a batch of like work: what is read once for all of it, and what is written for all of it at the end.

Outside of one, each reads and writes for itself at once. So a service says what it writes, and need not know how many
do it together.
"""

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from functools import cache
from operator import itemgetter
from typing import Any, TypeVar

from django.db import models, transaction

from apps.core import bulk

log = logging.getLogger(__name__)
_T = TypeVar("_T")
Write = Callable[[Sequence[Any]], object]


class Apart(Exception):
    """Raised by who is given many where two of them depend on each other: they are to come one by one."""


class Stage(IntEnum):
    """What of a batch is written when. Numbers are given as late as can be: others wait for theirs till commit."""

    FIRST, NUMBERS, NUMBERED = range(3)


class _Batch:
    def __init__(self, *, inserts: bool) -> None:
        self.inserts = inserts
        self.read: dict[Any, Any] = {}
        self.rows: dict[tuple[Stage, Write], list[Any]] = {}
        self.fresh: set[tuple[type[models.Model], Any]] = set()

    def next_of(self, only: Collection[Write]) -> tuple[Stage, Write] | None:
        """What is to be written next: of the earliest stage what came first; of `only` these, where there are any."""
        wanted = [key for key in self.rows if not only or key[1] in only]
        return min(wanted, key=itemgetter(0), default=None)


class _Current(threading.local):
    batch: _Batch | None = None


_current = _Current()


@contextmanager
def gathering(*, inserts: bool = False) -> Iterator[None]:
    """A batch, in the caller's transaction and for one partner; within another it is part of that.

    `inserts`: new rows too are written at its end (`insert`): for work that asks no statement for what it has made.
    What was gathered is written when it ends; where it raises, nothing of it. What is to read it before that has it
    written (`flush`), and a savepoint that it rolls back takes nothing of it along. RuntimeError outside a transaction.
    """
    if _current.batch is not None:
        yield
        return
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("What a batch gathers is written in its transaction")
    _current.batch = _Batch(inserts=inserts)
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


def at_end(write: Write, rows: Iterable[Any], stage: Stage = Stage.FIRST) -> None:
    """Has `write`, a function of a module, called with all rows that the batch gave for it, in their order.

    A row says whose it is: the current partner may be another by then.
    """
    if not (given := list(rows)):
        return
    if _current.batch is not None:
        _current.batch.rows.setdefault((stage, write), []).extend(given)
    else:
        write(given)


def flush(*only: Write) -> None:
    """Writes now what the batch has gathered, or what it has for `only` these: for what reads it again."""
    batch = _current.batch
    # What is written may lead to more.
    while batch is not None and (key := batch.next_of(only)):
        key[1](batch.rows.pop(key))


def is_inserting() -> bool:
    """Whether new rows too are written at the end of a batch."""
    return _current.batch is not None and _current.batch.inserts


def insert(one: models.Model, stage: Stage = Stage.FIRST) -> None:
    """Writes a new row, whose key is known, at once; with the others of its model at the end of a batch that `inserts`.

    What is set in the object before that is written as well (`save`); no statement of the batch finds it till then.
    """
    if _current.batch is None or not _current.batch.inserts:
        one.save(force_insert=True)
        return
    _current.batch.fresh.add((type(one), one.pk))
    at_end(_inserter(type(one)), [one], stage)


def insert_many(rows: Sequence[models.Model]) -> None:
    """`insert` of several rows of one model: in one statement, where it is at once."""
    if not is_inserting():
        type(rows[0])._default_manager.bulk_create(rows)
        return
    for one in rows:
        insert(one)


def at_hand(one: models.Model, related: str, rows: Sequence[models.Model]) -> None:
    """Has what points to a row at hand as if it had been read: for what has just been made, and is not written yet."""
    read = getattr(one, related).all()
    read._result_cache, read._prefetch_done = list(rows), True
    one.__dict__.setdefault("_prefetched_objects_cache", {})[related] = read


def is_unwritten(one: models.Model) -> bool:
    """Whether this row is one that the batch has yet to insert."""
    return _current.batch is not None and (type(one), one.pk) in _current.batch.fresh


def save(one: models.Model, fields: Sequence[str]) -> None:
    """Saves these fields; of a row that is yet to be inserted, with that."""
    if not is_unwritten(one):
        one.save(update_fields=list(fields))


@cache
def _inserter(model: type[models.Model]) -> Write:
    def write(made: Sequence[Any]) -> None:
        bulk.copy_objects(model, made)
        for one in made:
            one._state.adding = False
            if _current.batch is not None:
                _current.batch.fresh.discard((model, one.pk))

    return write


def halved(
    items: Sequence[_T], together: Callable[[Sequence[_T]], object], alone: Callable[[_T], object]
) -> None:
    """Does `together` with all of them in one transaction and batch; where that raises, with each half of them.

    What comes down to one is done `alone`: it has its own transaction, and what it raises is raised.
    """
    if len(items) <= 1:
        for one in items:
            alone(one)
        return
    try:
        with transaction.atomic(), gathering(inserts=True):
            together(items)
    except Exception as error:
        log.info("%d are done in halves: %r", len(items), error)
        middle = len(items) // 2
        halved(items[:middle], together, alone)
        halved(items[middle:], together, alone)
