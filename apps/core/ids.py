"""UUIDv7 keys: unique over all partners and ordered by time."""

import os
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

_MARKS = 0x7 << 76 | 0x2 << 62
"""Version and variant, and where they stand."""
_RANDOM = (1 << 80) - 1 & ~(0xF << 76 | 0x3 << 62)


def uuid7() -> uuid.UUID:
    """A UUID of version 7 (RFC 9562): 48 bits of Unix milliseconds, then 74 random bits."""
    known = (time.time_ns() // 1_000_000 & (1 << 48) - 1) << 80 | _MARKS
    return uuid.UUID(int=known | int.from_bytes(os.urandom(10), "big") & _RANDOM)


def many(count: int) -> list[uuid.UUID]:
    """So many of one millisecond, in no order among themselves: half the time of one after another."""
    known = (time.time_ns() // 1_000_000 & (1 << 48) - 1) << 80 | _MARKS
    random, number = os.urandom(10 * count), int.from_bytes
    return [
        uuid.UUID(int=known | number(random[at : at + 10], "big") & _RANDOM)
        for at in range(0, 10 * count, 10)
    ]


def at(moments: Sequence[datetime]) -> list[uuid.UUID]:
    """A key of each moment, to the millisecond: in one go what would have been made one after another."""
    random, number = os.urandom(10 * len(moments)), int.from_bytes
    return [
        uuid.UUID(
            int=floor(moment).int | _MARKS | number(random[10 * place : 10 * place + 10], "big") & _RANDOM
        )
        for place, moment in enumerate(moments)
    ]


def floor(moment: datetime) -> uuid.UUID:
    """Below every key made at `moment` or later, above every earlier one."""
    return uuid.UUID(int=int(moment.timestamp() * 1000) << 80)


def made_at(key: uuid.UUID) -> datetime:
    """When a key of `uuid7` was made, by the wall clock, to the millisecond."""
    return datetime.fromtimestamp((key.int >> 80) / 1000, UTC)
