"""Activation keys: loaded once, handed out once."""

import csv
import io
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils.translation import gettext as _

from apps.core import clock, faults, work
from apps.core.tenancy import current_partner_id
from apps.providers.models import ActivationKey, KeyPool, fingerprint

LOW_STOCK = "providers.low_stock"
"""Kind of the work item of a pool that runs out; its object is `KeyPool.work_id`."""
# Two loads at once would both find a key absent; the second waits and names it as a duplicate.
_LOADING = 0x6B_65_79_73
_HEADINGS = {"ключ", "ключи", "key", "keys", "код", "code"}
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row of a file that was not loaded; the key shows its last four characters only."""

    row: int
    key: str
    reason: str

    def __str__(self) -> str:
        return _("Строка %(row)d, ключ %(key)s: %(reason)s") % {
            "row": self.row,
            "key": self.key,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Loaded:
    """How many keys a load added, and which rows it left out and why."""

    added: int
    rejected: list[Rejected]


def load(*, pool: KeyPool, content: bytes | str) -> Loaded:
    """Adds keys from a text (one a line) or a CSV (first column) to a pool.

    A key that any pool has had already, or that comes twice, is left out and named; the others are added.
    """
    rows = _rows(content)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOADING])
        fresh, rejected = _sorted_out(rows)
        now = clock.wall()
        ActivationKey.objects.bulk_create(
            [
                ActivationKey(pool=pool, value=value, fingerprint=digest, loaded_at=now)
                for digest, value in fresh.items()
            ],
            batch_size=1000,
        )
    watch_stock(pool)
    return Loaded(len(fresh), rejected)


def take(*, pool: KeyPool, request_id: UUID) -> ActivationKey | None:
    """A free key for this request, sold from now on; asked again, the same one; None if none is left.

    Any number may ask at once: each locks a key that no other has locked.
    """
    taken = _of(request_id)
    if taken is not None:
        return taken
    with transaction.atomic():
        # The same request in two workers: the second waits here, and then reads what the first has taken.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOADING, str(request_id)])
        taken = _of(request_id)
        if taken is not None:
            return taken
        free = ActivationKey.objects.filter(pool=pool, state=ActivationKey.State.FREE).order_by("pk")
        taken = free.select_for_update(skip_locked=True).first()
        if taken is None:
            return None
        taken.pool, taken.state, taken.request_id = pool, ActivationKey.State.SOLD, request_id
        taken.partner_id, taken.sold_at = current_partner_id(), clock.wall()
        taken.save(update_fields=["state", "request_id", "partner_id", "sold_at"])
    faults.at("providers.key-taken")
    watch_stock(pool)
    return taken


def revoke(request_id: UUID) -> ActivationKey | None:
    """Marks the request's key as taken back: it is never sold again. None where the request has no key."""
    ActivationKey.objects.filter(request_id=request_id).update(state=ActivationKey.State.REVOKED)
    return _of(request_id)


def watch_stock(pool: KeyPool) -> None:
    """Opens a work item of the platform while the pool is low, closes it when it is full again."""
    if pool.is_low():
        free = pool.keys.filter(state=ActivationKey.State.FREE).count()
        reason = _("Заканчиваются ключи %(pool)s: осталось %(free)d") % {"pool": pool, "free": free}
        work.open_for(None, LOW_STOCK, pool.work_id, reason)
    else:
        work.close_for(None, LOW_STOCK, pool.work_id)


def _of(request_id: UUID) -> ActivationKey | None:
    return ActivationKey.objects.filter(request_id=request_id).select_related("pool").first()


def _rows(content: bytes | str) -> list[tuple[int, str]]:
    """Row numbers and keys; empty rows and a heading are no keys."""
    text = _decoded(content) if isinstance(content, bytes) else content
    heading = text.split("\n", 1)[0]
    separator = next((mark for mark in (";", "\t", ",") if mark in heading), ";")
    rows = enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=separator), start=1)
    keys = [(number, row[0].strip()) for number, row in rows if row and row[0].strip()]
    return keys[1:] if keys and keys[0][1].lower() in _HEADINGS else keys


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1251", "replace")


def _sorted_out(rows: list[tuple[int, str]]) -> tuple[dict[bytes, str], list[Rejected]]:
    digests = {number: fingerprint(value) for number, value in rows}
    known = dict[bytes, Any]()
    wanted = list(digests.values())
    for start in range(0, len(wanted), 5000):
        keys = ActivationKey.objects.filter(fingerprint__in=wanted[start : start + 5000])
        known |= {bytes(digest): pool for digest, pool in keys.values_list("fingerprint", "pool__sku")}
    fresh: dict[bytes, str] = {}
    first_row: dict[bytes, int] = {}
    rejected = []
    for number, value in rows:
        digest = digests[number]
        if len(value) > _LONGEST:
            reason = _("длиннее %d знаков") % _LONGEST
        elif digest in known:
            reason = _("уже загружен, пул %s") % known[digest]
        elif digest in fresh:
            reason = _("повторяет строку %d") % first_row[digest]
        else:
            fresh[digest], first_row[digest] = value, number
            continue
        rejected.append(Rejected(number, f"…{value[-4:]}", reason))
    return fresh, rejected
