"""Faults on demand: each waits for a request that matches it, happens `times` times, and is gone."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any

_ids = count(1)


@dataclass
class Fault:
    """One planned misbehaviour. `match` holds an operation ("any" for all), a metadata subset, or other facts.

    `every`: of the requests that match only each so-many-th meets it; `met` counts those that did.
    """

    kind: str
    times: int = 1
    match: dict[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    reason: str | None = None
    committed: bool = False
    before: bool = False
    copies: int = 2
    altered: dict[str, Any] = field(default_factory=dict)
    every: int = 1
    seen: int = field(default=0, init=False)
    met: int = field(default=0, init=False)
    id: int = field(default_factory=lambda: next(_ids))

    def matches(self, facts: dict[str, Any]) -> bool:
        for name, wanted in self.match.items():
            if name == "operation":
                if wanted not in ("any", facts.get("operation")):
                    return False
            elif name == "metadata":
                metadata = facts.get("metadata") or {}
                if any(metadata.get(key) != value for key, value in wanted.items()):
                    return False
            elif facts.get(name) != wanted:
                return False
        return True


class Faults:
    """The planned faults, oldest first. They live in memory: a restart clears them."""

    def __init__(self, kinds: Iterable[str]) -> None:
        self.kinds = frozenset(kinds)
        self._planned: list[Fault] = []

    def plan(self, body: dict[str, Any]) -> Fault:
        """Add a fault. ValueError for an unknown kind or field."""
        if body.get("kind") not in self.kinds:
            raise ValueError(f"kind must be one of: {', '.join(sorted(self.kinds))}")
        try:
            fault = Fault(**{name: value for name, value in body.items() if name != "id"})
        except TypeError as error:
            raise ValueError(str(error)) from error
        self._planned.append(fault)
        return fault

    def take(
        self,
        kinds: Iterable[str],
        facts: dict[str, Any],
        *,
        committed: bool | None = None,
        before: bool | None = None,
        named: bool = False,
    ) -> Fault | None:
        """The first fault of these kinds that matches, used up by one; `named`: it must name the operation."""
        wanted = set(kinds)
        for fault in self._planned:
            if fault.kind not in wanted or not fault.matches(facts):
                continue
            if named and fault.match.get("operation") != facts.get("operation"):
                continue
            if committed is not None and fault.committed != committed:
                continue
            if before is not None and fault.before != before:
                continue
            fault.seen += 1
            if fault.seen % fault.every:
                continue
            fault.met += 1
            fault.times -= 1
            if fault.times <= 0:
                self._planned.remove(fault)
            return fault
        return None

    def clear(self) -> None:
        self._planned.clear()

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self._planned]
