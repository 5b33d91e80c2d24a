"""The clock of a simulator: runs like the wall clock, from wherever it was last set."""

from datetime import UTC, datetime, timedelta

from apps.sandbox.store import Store


class Clock:
    """Kept in the store, so that a restarted simulator lives on in the same day."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def now(self) -> datetime:
        saved = self._store.get("clock", "clock")
        return datetime.now(UTC) + timedelta(seconds=saved["offset_seconds"] if saved else 0)

    def set(self, now: datetime | None) -> None:
        """None returns to the wall clock. A moment without a zone is taken as UTC."""
        offset = 0.0
        if now is not None:
            aware = now if now.tzinfo else now.replace(tzinfo=UTC)
            offset = (aware - datetime.now(UTC)).total_seconds()
        self._store.put("clock", "clock", {"offset_seconds": offset})


def stamp(moment: datetime) -> str:
    """`2026-11-27T05:00:00.123Z`, as Russian payment APIs write a moment."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """Read back what `stamp` wrote, or any ISO 8601 moment; ValueError if it is none."""
    parsed = datetime.fromisoformat(text)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
