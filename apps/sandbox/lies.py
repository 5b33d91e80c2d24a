"""What a day's register tells wrongly, planned by the control API: the books themselves stay right."""

from collections.abc import Callable, Iterable
from typing import Any

from apps.sandbox.store import Doc, Store

KINDS = ("hidden", "copies", "amount", "fee")


class Lies:
    """Of a payment or refund by its id: not told at all, told several times, with another amount or fee."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def plan(self, about: str, lie: Doc) -> None:
        """ValueError for a lie of no known kind; an empty one tells the truth again."""
        if set(lie) - set(KINDS):
            raise ValueError(f"a register lies by {', '.join(KINDS)}")
        self._store.put("lies", about, lie or None)

    def told(self, rows: Iterable[tuple[str, Doc]], change: Callable[[Doc, Doc], Doc]) -> list[Any]:
        """Rows by id, as the register tells them; `change` writes a planned amount or fee into a row."""
        found: list[Any] = []
        for about, row in rows:
            lie = self._store.get("lies", about) or {}
            if lie.get("hidden"):
                continue
            found += [change(dict(row), lie) if lie else row] * int(lie.get("copies", 1))
        return found
