"""The life of an order and of each of its items: which of TMF622's states may follow which."""

from collections.abc import Iterable

from apps.orders.models import OrderState

_O = OrderState

ALLOWED: dict[str, frozenset[str]] = {
    _O.DRAFT: frozenset({_O.ACKNOWLEDGED, _O.REJECTED, _O.CANCELLED}),
    _O.ACKNOWLEDGED: frozenset(
        {_O.PENDING, _O.IN_PROGRESS, _O.HELD, _O.REJECTED, _O.ASSESSING, _O.CANCELLED}
    ),
    _O.PENDING: frozenset({_O.IN_PROGRESS, _O.HELD, _O.REJECTED, _O.ASSESSING, _O.CANCELLED}),
    _O.HELD: frozenset({_O.PENDING, _O.IN_PROGRESS, _O.ASSESSING, _O.FAILED, _O.CANCELLED}),
    _O.IN_PROGRESS: frozenset(
        {_O.PENDING, _O.HELD, _O.COMPLETED, _O.PARTIAL, _O.FAILED, _O.ASSESSING, _O.CANCELLED}
    ),
    # Refused, it goes on where it stood.
    _O.ASSESSING: frozenset({_O.CANCELLING, _O.ACKNOWLEDGED, _O.PENDING, _O.HELD, _O.IN_PROGRESS}),
    _O.CANCELLING: frozenset({_O.CANCELLED}),
    _O.COMPLETED: frozenset(),
    _O.PARTIAL: frozenset(),
    _O.FAILED: frozenset(),
    _O.REJECTED: frozenset(),
    _O.CANCELLED: frozenset(),
}
"""What may follow a state. Of an item, `partial` never comes."""
CLOSED = frozenset(state for state, following in ALLOWED.items() if not following)
"""States in which nothing is done any more."""


class NotAllowed(RuntimeError):
    """A state that may not follow: whoever asked for it had not looked."""


def check(was: str, becomes: str) -> None:
    """Raises NotAllowed where `becomes` may not follow `was`."""
    if becomes != was and becomes not in ALLOWED[was]:
        raise NotAllowed(f"{becomes} does not follow {was}")


def of_items(states: Iterable[str]) -> str | None:
    """What an order is, all of whose items are closed; None while one of them is not."""
    found = set(states)
    if not found or not found <= CLOSED:
        return None
    if found == {_O.COMPLETED}:
        return _O.COMPLETED
    if found == {_O.REJECTED}:
        return _O.REJECTED
    if _O.COMPLETED in found:
        return _O.PARTIAL
    return _O.FAILED if _O.FAILED in found else _O.CANCELLED
