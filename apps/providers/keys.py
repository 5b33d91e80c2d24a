"""Activation keys: loaded once, reserved for who is about to pay, handed out once."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils.translation import gettext as _

from apps.core import bulk, clock, events, faults, work
from apps.core.fields import encrypt
from apps.core.tenancy import current_partner, current_partner_id, in_public
from apps.providers.models import ActivationKey, KeyPool, Renewal, fingerprint

LOW_STOCK = "providers.low_stock"
"""Kind of the work item of a pool that runs out; its object is `KeyPool.work_id`."""
STOCK = "providers.StockChanged"
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
        if fresh:
            _tell_of_stock(pool.pk)
    watch_stock(pool)
    return Loaded(len(fresh), rejected)


def take(*, pool: KeyPool, request_id: UUID, holder: UUID | None = None) -> ActivationKey | None:
    """A free key for this request, sold from now on; asked again, the same one; None if none is left.

    One that was reserved for `holder` comes first. Any number may ask at once: each locks a key that no other has.
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
        mine = ActivationKey.objects.filter(pool=pool).select_for_update(skip_locked=True).order_by("pk")
        was_held = None
        if holder is not None:
            was_held = mine.filter(state=ActivationKey.State.RESERVED, holder_id=holder).first()
        taken = was_held or mine.filter(state=ActivationKey.State.FREE).first()
        if taken is None:
            return None
        taken.pool, taken.state, taken.request_id = pool, ActivationKey.State.SOLD, request_id
        taken.partner_id, taken.sold_at, taken.holder_id = current_partner_id(), clock.wall(), None
        taken.save(update_fields=["state", "request_id", "partner_id", "sold_at", "holder_id"])
    faults.at("providers.key-taken")
    if was_held is None:
        # What was reserved was no stock any more.
        watch_stock(pool)
    return taken


@dataclass(frozen=True, slots=True)
class Wanted:
    """So many keys of a tariff, for an item of an order."""

    holder: UUID
    provider_id: int
    sku: str
    pieces: int


# One key is chosen by one buyer: who comes at the same time passes over it, and waits for nobody.
_LOCK = "FOR UPDATE SKIP LOCKED"
_RESERVE = """
WITH pools AS (
    SELECT wanted.*, pool.id AS pool_id, pool.low_stock
    FROM unnest(%(holders)s::uuid[], %(providers)s::bigint[], %(skus)s::text[], %(pieces)s::int[])
        AS wanted(holder, provider_id, sku, pieces)
    JOIN public.providers_keypool pool ON pool.sku = wanted.sku AND pool.is_test = %(is_test)s
    JOIN public.providers_provider supplier ON supplier.id = wanted.provider_id
    WHERE CASE WHEN pool.is_test THEN supplier.test_connection_id ELSE supplier.connection_id END IS NULL
), chosen AS MATERIALIZED (
    SELECT pools.holder, free.id FROM pools, LATERAL (
        SELECT key.id FROM public.providers_activationkey key
        WHERE key.pool_id = pools.pool_id AND key.state = 'free' ORDER BY key.id LIMIT pools.pieces {lock}
    ) free
), held AS (
    UPDATE public.providers_activationkey key
    SET state = 'reserved', holder_id = chosen.holder, partner_id = %(partner)s
    FROM chosen WHERE key.id = chosen.id AND key.state = 'free'
    RETURNING key.pool_id
)
SELECT pools.sku, pools.pool_id, pools.low_stock,
    (SELECT count(*) FROM held WHERE held.pool_id = pools.pool_id),
    (SELECT count(*) FROM (
        SELECT FROM public.providers_activationkey key
        WHERE key.pool_id = pools.pool_id AND key.state = 'free' LIMIT pools.low_stock + pools.pieces + 1
    ) free)
FROM pools
"""


def reserve(wanted: Sequence[Wanted]) -> dict[str, int]:
    """Puts free keys aside for these, each of another tariff; how many, by `sku`, in one statement.

    A tariff without a pool, or whose provider is asked elsewhere, is not in the answer: its stock is not known here.
    In the caller's transaction; nobody is waited for.
    """
    given = {
        "holders": [one.holder for one in wanted],
        "providers": [one.provider_id for one in wanted],
        "skus": [one.sku for one in wanted],
        "pieces": [one.pieces for one in wanted],
        "is_test": current_partner().is_sandbox,
        "partner": current_partner().pk,
    }
    with connection.cursor() as cursor:
        cursor.execute(_RESERVE.format(lock=_LOCK), given)
        rows = cursor.fetchall()
    for _sku, pool_id, low_stock, held, free in rows:
        if held and free - held <= low_stock:
            _tell_of_stock(pool_id)
    return {sku: held for sku, _pool, _low, held, _free in rows}


def release(holders: Sequence[UUID]) -> int:
    """What is still put aside for these may be sold to anybody; how many keys. In the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE public.providers_activationkey SET state = 'free', holder_id = NULL, partner_id = NULL"
            " WHERE holder_id = ANY(%s::uuid[]) AND state = 'reserved' RETURNING pool_id",
            [list(holders)],
        )
        pools = [pool_id for (pool_id,) in cursor.fetchall()]
    for pool_id in sorted(set(pools)):
        _tell_of_stock(pool_id)
    return len(pools)


@dataclass(frozen=True, slots=True)
class Handed:
    """A key that another system gave to a customer: for which tariff, to be known by which request."""

    provider_id: int
    sku: str
    value: str
    request_id: UUID


def take_over(handed: Sequence[Handed]) -> int:
    """Keys that customers have already: sold from now on, so that nobody gets them again; how many were taken.

    A free key of a pool is that customer's; one that somebody else has is left alone. A tariff without a pool gets
    one whose keys go on while they are paid. In the caller's transaction.
    """
    now, partner_id = clock.wall(), current_partner_id()
    by_digest = {fingerprint(one.value): one for one in handed if one.value and len(one.value) <= _LONGEST}
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOADING])
    known = ActivationKey.objects.filter(fingerprint__in=list(by_digest)).select_for_update()
    taken = 0
    for key in known.order_by("pk"):
        one = by_digest.pop(bytes(key.fingerprint))
        if key.state == ActivationKey.State.FREE:
            key.state, key.request_id = ActivationKey.State.SOLD, one.request_id
            key.partner_id, key.sold_at = partner_id, now
            key.save(update_fields=["state", "request_id", "partner_id", "sold_at"])
            taken += 1
    pools = {
        sku: _pool_of(sku, provider) for sku, provider in {(o.sku, o.provider_id) for o in by_digest.values()}
    }
    fields = ["pool", "value", "fingerprint", "state", "request_id", "partner_id", "loaded_at", "sold_at"]
    state = ActivationKey.State.SOLD.value
    rows = [
        (pools[one.sku].pk, encrypt(one.value.strip()), digest, state, one.request_id, partner_id, now, now)
        for digest, one in by_digest.items()
    ]
    return taken + bulk.copy(ActivationKey, fields, rows)


def _pool_of(sku: str, provider_id: int) -> KeyPool:
    is_test = current_partner_id() is not None and current_partner().is_sandbox
    first = {"provider_id": provider_id, "renewal": Renewal.SAME_KEY, "low_stock": 0}
    return KeyPool.objects.get_or_create(sku=sku, is_test=is_test, defaults=first)[0]


def revoke(request_id: UUID) -> ActivationKey | None:
    """Marks the request's key as taken back: it is never sold again. None where the request has no key."""
    sold = ActivationKey.objects.filter(request_id=request_id, state=ActivationKey.State.SOLD)
    sold.update(state=ActivationKey.State.REVOKED)
    return _of(request_id)


def mark_defective(request_id: UUID) -> bool:
    """The request's key does not work: it is never sold again. Whether it was of a pool."""
    mine = ActivationKey.objects.filter(request_id=request_id)
    return bool(mine.update(state=ActivationKey.State.DEFECTIVE))


def watch_stock(pool: KeyPool) -> None:
    """Opens a work item of the platform while the pool is low, closes it when it is full again."""
    if not note_stock(pool):
        with transaction.atomic():
            _tell_of_stock(pool.pk)


def note_stock(pool: KeyPool) -> bool:
    """The work item of a pool, as its stock is now; whether a key is left."""
    free = 1
    if pool.is_low():
        free = pool.keys.filter(state=ActivationKey.State.FREE).count()
        reason = _("Заканчиваются ключи %(pool)s: осталось %(free)d") % {"pool": pool, "free": free}
        work.open_for(None, LOW_STOCK, pool.work_id, reason)
    else:
        work.close_for(None, LOW_STOCK, pool.work_id)
    return free > 0


def _tell_of_stock(pool_id: int) -> None:
    """Says that a pool runs out, or was filled: who hears of it looks what is in it then."""
    with in_public():
        events.publish(STOCK, UUID(int=pool_id))


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
