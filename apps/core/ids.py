"""UUIDv7 keys: unique over all partners and ordered by time."""

import os
import time
import uuid
from datetime import UTC, datetime


def uuid7() -> uuid.UUID:
    """A UUID of version 7 (RFC 9562): 48 bits of Unix milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    return uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def floor(moment: datetime) -> uuid.UUID:
    """Below every key made at `moment` or later, above every earlier one."""
    return uuid.UUID(int=int(moment.timestamp() * 1000) << 80)


def made_at(key: uuid.UUID) -> datetime:
    """When a key of `uuid7` was made, by the wall clock, to the millisecond."""
    return datetime.fromtimestamp((key.int >> 80) / 1000, UTC)
