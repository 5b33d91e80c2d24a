"""Work that calls outside, side by side: each connection is a lane of its own slots, held by one process at a time.

A lane's work is claimed in batches, called in threads, and recorded in batches as answers come; a lane whose other side
hangs fills its own slots only. Here stands what such work is; `lane_runner` does it, `lane_leases` says who may.
Everything may be done again, as any due work.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Limits:
    """What the other side allows: calls at a time, and calls begun in a second (None: any)."""

    in_flight: int = 30
    per_second: float | None = None


class PutBack(Exception):
    """Stands in the place of an answer where the call was not made and may be made later."""


class Steps(ABC):
    """Work of one kind in three steps, each for many objects of the current partner at once; any may be run again.

    A plan is all that a call needs of the database.
    """

    @abstractmethod
    def claim(self, object_ids: Sequence[UUID]) -> dict[UUID, Any]:
        """Commits that these are on their way, and gives their plans; one without has nothing to be called."""

    def refused(self, plans: Sequence[Any]) -> dict[int, Exception]:
        """Asked right before the calls begin: those not to be made after all, by place, with why."""
        return {}

    @abstractmethod
    def call(self, plan: Any) -> Any:
        """Calls outside, in a thread, without the database. What it raises is its answer."""

    @abstractmethod
    def record(self, answers: Sequence[tuple[Any, Any]]) -> None:
        """Writes down (plan, answer or Exception) each, in one transaction. Where it raises, each comes by itself."""


_steps: dict[str, Steps] = {}
_limits: list[Callable[[int], Limits]] = []


def steps(kind: str, made: Steps) -> None:
    """Registers how a kind of due work is done in a lane."""
    _steps[kind] = made


def steps_of(kind: str) -> Steps:
    """How a kind is done in a lane. Raises LookupError where nobody has said it."""
    try:
        return _steps[kind]
    except KeyError:
        raise LookupError(f"{kind} has no steps") from None


def limits(function: Callable[[int], Limits]) -> Callable[[int], Limits]:
    """Registers the function that tells a lane's limits as they are now. It is asked often: it keeps what it reads."""
    _limits[:] = [function]
    return function


def limits_of(lane: int) -> Limits:
    """A lane's limits as they are now."""
    return _limits[0](lane) if _limits else Limits()
