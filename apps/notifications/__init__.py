"""Messages to customers: written in the transaction that made them true, sent after it, never twice."""

from typing import Any

__all__ = ["forget", "send"]


def __getattr__(name: str) -> Any:
    # `notifications.send(…)` without loading models before Django is ready.
    if name in __all__:
        from apps.notifications import outbox

        return getattr(outbox, name)
    raise AttributeError(name)
