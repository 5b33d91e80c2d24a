"""How many requests may have left this machine: what certainly stayed here may be sent to somebody else."""

from contextvars import ContextVar

_made: ContextVar[int] = ContextVar("departures", default=0)


def count() -> None:
    """One more may have left."""
    _made.set(_made.get() + 1)


def made() -> int:
    """How many so far, in this thread of work."""
    return _made.get()
