"""A connection as a lane: what its service allows now, and work that calls through it."""

import time
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from apps.connectors import breaker, notes
from apps.connectors.models import Connection
from apps.core import gather, lanes

FRESH_SECONDS = 5.0
SHUT = lanes.Limits(0)
ONE = 1
_kept: dict[int, tuple[float, lanes.Limits]] = {}


@lanes.limits
def limits(lane: int) -> lanes.Limits:
    """The connection's limits, read every few seconds; none begins while its breaker is open, then one at a time."""
    at, found = _kept.get(lane, (-FRESH_SECONDS, SHUT))
    if time.monotonic() - at >= FRESH_SECONDS:
        connection = Connection.objects.filter(pk=lane).first()
        # Work of a connection that is no more, or of an unknown service, ends with its own error.
        try:
            found = connection.limits if connection else lanes.Limits(ONE)
        except LookupError:
            found = lanes.Limits(ONE)
        _kept[lane] = time.monotonic(), found
    places = breaker.places(lane)
    return found if places is None else lanes.Limits(min(places, found.in_flight), found.per_second)


@dataclass(frozen=True, slots=True)
class _Told:
    """An answer, and what its call has to leave in the database."""

    answer: Any
    notes: list[notes.Note]


class Calls(lanes.Steps):
    """Calls that leave lines of the journal and notes about their connection: those are written with the answers."""

    @abstractmethod
    def go_out(self, plan: Any) -> Any:
        """The call itself, without the database."""

    @abstractmethod
    def conclude(self, answers: Sequence[tuple[Any, Any]]) -> object:
        """Writes down (plan, answer or Exception) each, in the caller's transaction, in one batch (`gather`)."""

    def call(self, plan: Any) -> _Told:
        with notes.keeping() as kept:
            try:
                return _Told(self.go_out(plan), kept)
            except Exception as error:
                return _Told(error, kept)

    def record(self, answers: Sequence[tuple[Any, Any]]) -> None:
        told = [(plan, one if isinstance(one, _Told) else _Told(one, [])) for plan, one in answers]
        with transaction.atomic(), gather.gathering():
            self.conclude([(plan, one.answer) for plan, one in told])
            notes.write([note for _plan, one in told for note in one.notes])
