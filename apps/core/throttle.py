"""How often somebody may try: counted in the database, for there are several web processes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils.crypto import salted_hmac

from apps.core import clock
from apps.core.errors import Refused
from apps.core.models import Attempt

_LOCK = 7_410_002
KEPT = timedelta(days=1)
"""Longer than any limit looks back."""


@dataclass(frozen=True, slots=True)
class Limit:
    """So many tries of one value within so long, by the wall clock. `name` keeps limits apart."""

    name: str
    count: int
    within: timedelta


def take(tries: Sequence[tuple[Limit, str]], *, code: str, message: Any) -> list[int]:
    """Counts one try against each limit, for `forget`. Raises Refused `code` (429) where one is used up.

    `message` has a place `%(minutes)d`: how long to wait. A try that was refused is not counted: who waits may
    go on.
    """
    by_digest = {_digest(limit, value): limit for limit, value in tries}
    now = clock.wall()
    with transaction.atomic():
        for digest in sorted(by_digest):
            _lock(digest)
        for digest, limit in by_digest.items():
            if wait := _wait(digest, limit):
                minutes = math.ceil(wait.total_seconds() / 60)
                raise Refused(code, message % {"minutes": minutes}, 429, retry_after=minutes * 60)
        made = Attempt.objects.bulk_create([Attempt(digest=digest, made_at=now) for digest in by_digest])
    return [attempt.pk for attempt in made]


def forget(attempts: list[int]) -> None:
    """The tries went well: they do not count."""
    Attempt.objects.filter(pk__in=attempts).delete()


def forget_all(limit: Limit, value: str) -> None:
    """Neither do the earlier ones of this value."""
    Attempt.objects.filter(digest=_digest(limit, value)).delete()


def housekeeping() -> None:
    """Drops what no limit looks at any more."""
    Attempt.objects.filter(made_at__lt=clock.wall() - KEPT).delete()


def _wait(digest: str, limit: Limit) -> timedelta | None:
    """Until when the limit is used up; None where it is not."""
    now = clock.wall()
    recent = Attempt.objects.filter(digest=digest, made_at__gt=now - limit.within).order_by("-made_at")
    moments = list(recent.values_list("made_at", flat=True)[: limit.count])
    return moments[-1] + limit.within - now if len(moments) >= limit.count else None


def _lock(digest: str) -> None:
    """One at a time per value, so that six at once are not five each."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK, digest])


def _digest(limit: Limit, value: str) -> str:
    return salted_hmac(f"core.throttle:{limit.name}", value, algorithm="sha256").hexdigest()
