"""Access log of a simulator: what was asked, and whether it is in flight, answered, dropped or abandoned."""

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any

from aiohttp import web

from apps.sandbox.clock import stamp

_ids = count(1)


@dataclass
class Entry:
    """One request. `committed` turns true once the simulator has done what was asked."""

    id: int
    at: str
    request: web.BaseRequest | None
    facts: dict[str, Any]
    state: str = "in_flight"
    status: int | None = None
    fault: str | None = None
    held: bool = False
    committed: bool = False

    @property
    def connected(self) -> bool:
        transport = self.request.transport if self.request is not None else None
        return transport is not None and not transport.is_closing()

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "time": self.at,
            **self.facts,
            "state": self.state,
            "status": self.status,
            "fault": self.fault,
            "held": self.held,
            "committed": self.committed,
            "connected": self.connected,
        }


class AccessLog:
    """The last requests, newest last. `abandoned`: the client had gone before the answer was ready."""

    def __init__(self, size: int = 20_000) -> None:
        self._entries: deque[Entry] = deque(maxlen=size)

    def open(self, request: web.BaseRequest, facts: dict[str, Any]) -> Entry:
        facts = {"method": request.method, "path": request.path, **facts}
        entry = Entry(id=next(_ids), at=stamp(datetime.now(UTC)), request=request, facts=facts)
        self._entries.append(entry)
        return entry

    def close(self, entry: Entry, status: int | None) -> None:
        if entry.state == "in_flight":
            entry.state = "answered" if entry.connected and status else "abandoned"
            entry.status = status
        entry.held = False
        entry.request = None

    def clear(self) -> None:
        """Forget the finished ones."""
        keep = [entry for entry in self._entries if entry.state == "in_flight"]
        self._entries.clear()
        self._entries.extend(keep)

    def as_json(self, *, since: int = 0, limit: int = 1000, **facts: str) -> list[dict[str, Any]]:
        """Entries after id `since` whose fields equal `facts` (operation, state, …), the last `limit` of them."""
        found = (entry.as_json() for entry in self._entries if entry.id > since)
        wanted = {name: value.lower() for name, value in facts.items()}
        chosen = [
            row for row in found if all(str(row.get(name)).lower() == value for name, value in wanted.items())
        ]
        return chosen[-limit:]
