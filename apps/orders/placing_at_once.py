"""Single calls that come at the same moment are placed together: each costs a fraction of what it would by itself.

Who comes first places at once, and waits for nobody; who comes meanwhile waits for that, and the first of those places
all of them. Where there were several a moment ago, the first waits a moment for as many: else those who have just been
answered would come one by one again. Only what placed together is written together (`placing_many`) is: what was sold
so before.
"""

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from apps.billing.models import Collection
from apps.core.errors import Refused
from apps.core.tenancy import current_partner_id
from apps.orders.models import Order
from apps.orders.placing_many import CHUNK, Asked

Place = Callable[[Sequence[Asked]], list[Order | Refused]]
"""Places what can be placed, outside any transaction: by place, the order as it is told of, or why there is none."""
MOST_KNOWN = 10_000
PATIENCE = 0.1
"""Seconds after a placing for which the next waits for as many as there were, at most, and never longer than that took.
"""
_together: dict[tuple[int | None, int], bool] = {}
"""By partner and offer: whether its last order could have been placed with others. A hint: a wrong one costs time."""


@dataclass(slots=True)
class _Call:
    asked: Asked
    is_next: threading.Event = field(default_factory=threading.Event)
    """Set when it is placed, or is to place those that wait."""
    answer: Order | Refused | BaseException | None = None


@dataclass(slots=True)
class _Line:
    waiting: list[_Call] = field(default_factory=list)
    is_led: bool = False
    company: int = 1
    """How many there were at the last placing: those placed, and those who waited by its end."""
    until: float = 0.0
    """The moment (monotonic) until which as many are waited for."""
    is_full: threading.Event = field(default_factory=threading.Event)
    """Set when as many wait."""


_lines: dict[Hashable, _Line] = {}
_lock = threading.Lock()


def may_wait(offer_id: int | None) -> bool:
    """Whether an order of this offer is likely to be one that can be placed with others."""
    return offer_id is not None and _together.get((current_partner_id(), offer_id), False)


def learn(order: Order) -> None:
    """What an order of one product, with its items and subscriptions at hand, tells of the next of its kind."""
    items = list(order.items.all())
    begun = items[0].subscription if len(items) == 1 else None
    if begun is None or items[0].offer_id is None:
        return
    if len(_together) > MOST_KNOWN:
        _together.clear()
    is_so = begun.collection == Collection.PARTNER_REPORTS and not begun.trial_days
    _together[current_partner_id(), items[0].offer_id] = is_so


def place(name: UUID, asked: Asked, place_all: Place) -> Order:
    """Places one order, perhaps with others that came by the same `name`: theirs are placed by the same `place_all`.

    Raises Refused, and what placing it or all of them together raised.
    """
    call, line = _Call(asked), _join(name)
    with _lock:
        line.waiting.append(call)
        leads = not line.is_led
        line.is_led = True
        if len(line.waiting) >= line.company:
            line.is_full.set()
    if not leads:
        call.is_next.wait()
    if call.answer is None:
        _lead(line, place_all)
    answer = call.answer
    if isinstance(answer, BaseException):
        raise answer
    if answer is None:
        raise RuntimeError("Nobody has placed it")
    return answer


def _join(name: UUID) -> _Line:
    with _lock:
        return _lines.setdefault((current_partner_id(), name), _Line())


def _lead(line: _Line, place_all: Place) -> None:
    began = time.monotonic()
    if began < line.until:
        line.is_full.wait(line.until - began)
        began = time.monotonic()
    with _lock:
        mine, line.waiting = line.waiting[:CHUNK], line.waiting[CHUNK:]
    try:
        for one, answer in zip(mine, place_all([one.asked for one in mine]), strict=True):
            one.answer = answer
    except BaseException as error:
        # Whoever repeats it by its key finds what was placed all the same.
        for one in mine:
            one.answer = one.answer or error
        raise
    finally:
        with _lock:
            following = line.waiting[0] if line.waiting else None
            line.is_led = following is not None
            line.company = min(len(mine) + len(line.waiting), CHUNK)
            line.is_full.clear()
            ended = time.monotonic()
            line.until = ended + min(ended - began, PATIENCE) if line.company > 1 else 0.0
        for one in mine:
            one.is_next.set()
        if following is not None:
            following.is_next.set()
