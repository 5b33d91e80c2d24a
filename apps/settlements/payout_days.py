"""For which days a transfer is: those that its purpose names, or a run of days that comes to exactly its sum. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from apps.settlements.models import GatewayDay

FARTHEST = timedelta(days=45)
"""How old a day may be that a transfer is taken to be for."""
LONGEST = 15
"""Days that one transfer pays out at most: holidays with their weekends."""
ZERO = Decimal("0.00")
_DAY = re.compile(r"(?<!\d)(\d{2})\.(\d{2})\.(\d{4}|\d{2})(?!\d)")
_FOR = re.compile(r"(?<!\w)за(?:\s+[^\W\d]+){0,3}\s*$", re.IGNORECASE)
_RANGE = re.compile(r"^\s*(?:г\.?)?\s*(?:-|–|—|по)\s*$")


@dataclass(frozen=True, slots=True)
class Named:
    """The days that a purpose names; `is_sure` where it says that it is for them, not only that a paper is of them."""

    first: date
    last: date
    is_sure: bool

    @property
    def length(self) -> int:
        return (self.last - self.first).days + 1


def days_named(purpose: str, booked: date) -> Named | None:
    """From which day to which a purpose says that it is: «за 05.11.2026», «с 05.11.2026 по 07.11.2026»."""
    found: list[tuple[date, re.Match[str]]] = []
    for match in _DAY.finditer(purpose):
        day, month, year = (int(part) for part in match.groups())
        try:
            one = date(year if year > 99 else 2000 + year, month, day)
        except ValueError:
            continue
        # A contract's own date is older than anything that is paid out.
        if booked - FARTHEST <= one <= booked:
            found.append((one, match))
    if not found:
        return None
    (first, where) = found[0]
    is_sure = bool(_FOR.search(purpose[: where.start()]))
    if len(found) > 1 and _RANGE.match(purpose[where.end() : found[1][1].start()]) and found[1][0] >= first:
        return Named(first, found[1][0], is_sure)
    return Named(first, first, is_sure) if len(found) == 1 else None


def run_of(free: Sequence[GatewayDay], amount: Decimal) -> list[GatewayDay]:
    """The oldest run of days one after another that comes to exactly an amount."""
    for start in range(len(free)):
        total = ZERO
        for end in range(start, min(start + LONGEST, len(free))):
            total += free[end].net.amount
            if total == amount:
                return list(free[start : end + 1])
    return []
