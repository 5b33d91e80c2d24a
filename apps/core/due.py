"""Due work: everything that will have to happen, or that calls outside, as rows claimed under a lease."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection, transaction

from apps.core import bulk, clock, faults, gather, models, wake, work
from apps.core.events import PATIENCE, backoff
from apps.core.tenancy import (
    current_partner,
    current_partner_id,
    in_partner,
    in_public,
    partners,
    plain_cursor,
)

log = logging.getLogger(__name__)
Task = Callable[[UUID], None]
Batch = Callable[[Sequence[UUID]], None]
_tasks: dict[str, Task] = {}
_batches: dict[str, tuple[Batch, int]] = {}
_ahead: set[str] = set()
LEASE = timedelta(seconds=settings.LEASE_SECONDS)
"""Longer than any task: a task's outside calls have time-outs far below it."""


class Retry(Exception):
    """Raised by a task that is to be tried again at `at` (wall clock), without counting as a failure."""

    def __init__(self, at: datetime) -> None:
        super().__init__(at)
        self.at = at


def task(kind: str) -> Callable[[Task], Task]:
    """Registers the function that does `kind`. It runs outside any transaction and may be run again."""

    def register(function: Task) -> Task:
        _tasks[kind] = function
        return function

    return register


def batch(kind: str, size: int = 1000, *, ahead: bool = False) -> Callable[[Batch], Batch]:
    """Registers a function that does `kind` for many objects of one partner (or of none) at once, up to `size`.

    `ahead`: somebody waits for it, it goes before others that are claimed with it.

    Where it raises, each is done by itself: one that fails delays nobody. It may be run again, as any task.
    """

    def register(function: Batch) -> Batch:
        _batches[kind] = (function, size)
        if ahead:
            _ahead.add(kind)
        _tasks[kind] = lambda object_id: function([object_id])
        return function

    return register


def kinds(app: str = "") -> list[str]:
    """Every registered kind, or those of one app."""
    return sorted(kind for kind in _tasks if kind.startswith(f"{app}.") or not app)


def schedule(
    kind: str, object_id: UUID, at: datetime, *, wall: bool = False, lane: int | None = None
) -> None:
    """Plans `kind` for an object, replacing its earlier plan, in the caller's transaction.

    `wall=False`: `at` is of the partner's clock (periods, notices, deadlines). `wall=True`: of the wall clock
    (outside calls, backoff, sweeps). `lane`: the connection that it calls outside through, under whose limits it is
    then done (`lanes`).
    """
    if kind not in _tasks:
        raise LookupError(f"No due task {kind}")
    partner_id = current_partner_id()
    on_own_clock = not wall and partner_id is not None and current_partner().is_sandbox
    gather.at_end(_write, [(partner_id, kind, object_id, (at, on_own_clock, lane))])


def schedule_many(kind: str, planned: Iterable[tuple[UUID, datetime, int | None]]) -> None:
    """`schedule` for many objects at once by the wall clock: (object id, moment, lane) each."""
    if kind not in _tasks:
        raise LookupError(f"No due task {kind}")
    partner_id = current_partner_id()
    gather.at_end(_write, [(partner_id, kind, key, (at, False, lane)) for key, at, lane in planned])


_Plan = tuple[datetime, bool, int | None]


def _write(wanted: Sequence[tuple[int | None, str, UUID, _Plan | None]]) -> None:
    """Plans, or that there is none any more; of several for the same object the last one holds."""
    last = {(partner, kind, object_id): plan for partner, kind, object_id, plan in wanted}
    for partner_id in {partner for (partner, *_key), plan in last.items() if plan is None}:
        over = [key[1:] for key, plan in last.items() if plan is None and key[0] == partner_id]
        _take_back(partner_id, over)
    planned = [(*key, *plan) for key, plan in last.items() if plan is not None]
    if not planned:
        return
    with plain_cursor() as cursor:
        cursor.execute(_SCHEDULE, [bulk.array(column) for column in zip(*planned, strict=True)])
    now = clock.wall()
    for is_lane in {
        lane is not None for *_key, at, own_clock, lane in planned if at <= now and not own_clock
    }:
        wake.after_commit(is_lane)


# In the order of the keys: two who plan the same at once would wait for each other.
_SCHEDULE = """
INSERT INTO public.core_due AS due (partner_id, kind, object_id, due_at, is_sandbox, lane, attempts, error)
SELECT planned.*, 0, ''
FROM unnest(%s::bigint[], %s::text[], %s::uuid[], %s::timestamptz[], %s::boolean[], %s::bigint[])
    AS planned (partner_id, kind, object_id, due_at, is_sandbox, lane)
ORDER BY object_id, kind
ON CONFLICT (partner_id, kind, object_id) DO UPDATE SET due_at = excluded.due_at, lane = excluded.lane,
    is_sandbox = excluded.is_sandbox, attempts = 0, error = '', lease = NULL, leased_until = NULL
"""


def schedule_new(
    kind: str, planned: Iterable[tuple[UUID, datetime]], *, wall: bool = False, lane: int | None = None
) -> None:
    """`schedule` for many objects at once that have no plan of this kind yet: IntegrityError where one has."""
    if kind not in _tasks:
        raise LookupError(f"No due task {kind}")
    partner_id = current_partner_id()
    on_own_clock = not wall and partner_id is not None and current_partner().is_sandbox
    now = clock.wall()
    rows = list(planned)
    same = {"partner_id": partner_id, "kind": kind, "is_sandbox": on_own_clock, "attempts": 0, "error": ""}
    bulk.copy(models.Due, ["object_id", "due_at"], rows, same=same | {"lane": lane})
    if not on_own_clock and any(at <= now for _object_id, at in rows):
        wake.after_commit(lane is not None)


def cancel(kind: str, object_id: UUID) -> None:
    """Takes a plan back; one that is running ends by itself and re-reads state."""
    cancel_many(kind, [object_id])


def cancel_many(kind: str, object_ids: Iterable[UUID]) -> None:
    """`cancel` for many objects at once."""
    partner_id = current_partner_id()
    gather.at_end(_write, [(partner_id, kind, key, None) for key in object_ids])


def _take_back(partner_id: int | None, plans: Iterable[tuple[str, UUID]]) -> None:
    kinds, keys = zip(*plans, strict=True)
    of_partner = "IS NULL" if partner_id is None else "= %(partner)s"
    given = {
        "partner": partner_id,
        "kinds": bulk.array(kinds),
        "keys": bulk.array(keys),
        "patience": PATIENCE,
    }
    with plain_cursor() as cursor:
        cursor.execute(_CANCEL.format(of_partner=of_partner), given)
        failed = dict(cursor.fetchall())
    if failed:
        # Staff need not look any more at what failed and is not to be done.
        done(partner_id, None, failed)


_CANCEL = """
WITH gone AS (
    DELETE FROM public.core_due USING unnest(%(kinds)s::text[], %(keys)s::uuid[]) AS over (kind, object_id)
    WHERE partner_id {of_partner} AND core_due.kind = over.kind AND core_due.object_id = over.object_id
    RETURNING id, core_due.object_id, attempts
)
SELECT id, object_id FROM gone WHERE attempts >= %(patience)s
"""


def claim(
    limit: int = 20, *, partner_id: int | None = None, until: datetime | None = None, lanes: bool = True
) -> list[models.Due]:
    """Takes up to `limit` rows whose moment has come, under one lease, in one statement.

    Without `until`, what goes by the wall clock; with it, what goes by one sandbox partner's clock. The platform's
    workers leave work with a lane to those who hold it (`lanes=False`): whoever works by hand does it one by one.
    """
    now = clock.wall()
    partner = ("" if partner_id is None else _OF_PARTNER) + ("" if lanes else " AND lane IS NULL")
    sql = _CLAIM.format(own_clock="" if until else "NOT", partner=partner)
    values = {"now": now, "until": until or now, "partner": partner_id, "limit": limit}
    rows = bulk.raw(models.Due, sql, {**values, "lease": uuid4(), "leased_until": now + LEASE})
    # What an UPDATE returns has no order.
    return sorted(rows, key=lambda row: (row.kind not in _ahead, row.due_at, row.pk))


# MATERIALIZED: a plan that ran the choice again for each row would take more than the limit.
_CLAIM = """
WITH ready AS MATERIALIZED (
    SELECT id FROM core_due
    WHERE {own_clock} is_sandbox AND due_at <= %(until)s AND (leased_until IS NULL OR leased_until < %(now)s) {partner}
    ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE core_due SET lease = %(lease)s, leased_until = %(leased_until)s
FROM ready WHERE core_due.id = ready.id RETURNING core_due.*
"""
_OF_PARTNER = "AND partner_id = %(partner)s"


def waiting(*alive: str) -> bool:
    """Whether anything is due or to be delivered by the wall clock; says which parts are alive. One round trip."""
    with plain_cursor() as cursor:
        cursor.execute(_WAITING, {"now": clock.wall(), "alive": list(alive)})
        return bool(cursor.fetchone()[0])


# Parts in order: two who wrote them in another order would wait for each other.
_WAITING = """
WITH beat AS (
    INSERT INTO public.core_heartbeat (part, seen_at)
    SELECT part, %(now)s FROM unnest(%(alive)s::text[]) AS part ORDER BY part
    ON CONFLICT (part) DO UPDATE SET seen_at = excluded.seen_at
)
SELECT EXISTS (
    SELECT FROM public.core_due
    WHERE NOT is_sandbox AND lane IS NULL AND due_at <= %(now)s
        AND (leased_until IS NULL OR leased_until < %(now)s)
) OR EXISTS (SELECT FROM public.core_delivery WHERE next_at <= %(now)s)
"""


def run(row: models.Due, along: set[int] | None = None) -> bool:
    """Does one claimed row; True where it was done. A failure is put off, and stands in the queue in the end.

    With one of a kind that is done in batches it claims and does more of the same partner: `along` gets their keys,
    they need not be asked about any more. False as well where the row is no longer ours: those before it took longer
    than the lease or had it in their batch, or it was planned anew.
    """
    faults.at("core.due-claimed")
    where = _renewed(row)
    if where is None:
        return False
    with where:
        # What failed before is done alone, so as not to break the others' batch again.
        if row.kind not in _batches or row.attempts:
            return _run_one(row)
        more = _more_like(row)
        if along is not None:
            along.update(more)
        if _run_batch(row, more):
            return True
        others = models.Due.objects.filter(pk__in=bulk.these("bigint", more), lease=row.lease)
        alone = [row, *others.order_by("due_at", "pk")]
    tried = [_run_alone(one) for one in alone]
    return tried[0]


def _run_alone(row: models.Due) -> bool:
    where = _renewed(row)
    if where is None:
        return False
    with where:
        return _run_one(row)


def _run_batch(row: models.Due, more: dict[int, UUID]) -> bool:
    """Does a row and others like it, of the current partner, at once; False where that failed."""
    function, _size = _batches[row.kind]
    rows = {row.pk: row.object_id, **more}
    try:
        function(list(rows.values()))
    except Exception as error:
        log.warning("%d of %s are done one by one: %r", len(rows), row.kind, error)
        return False
    faults.at("core.due-done-not-deleted")
    done(row.partner_id, row.lease, rows)
    return True


def _run_one(row: models.Due) -> bool:
    return finish(row, lambda: _tasks[row.kind](row.object_id))


def finish(row: models.Due, work: Callable[[], object]) -> bool:
    """Does the work of a claimed row, and takes the row away; a failure is put off."""
    try:
        work()
    except Retry as again:
        _held(row).update(due_at=again.at, lease=None, leased_until=None, is_sandbox=False)
        return True
    except Exception as error:
        log.exception("%s of %s failed", row.kind, row.object_id)
        _postpone(row, error)
        return False
    faults.at("core.due-done-not-deleted")
    done(row.partner_id, row.lease, {row.pk: row.object_id})
    return True


def _more_like(row: models.Due) -> dict[int, UUID]:
    """Objects by row: more of the current partner, kind and clock whose moment has come, under the same lease."""
    now = clock.wall()
    values = {
        "now": now,
        "until": clock.now() if row.is_sandbox else now,
        "partner": row.partner_id,
        "kind": row.kind,
        "is_sandbox": row.is_sandbox,
        "lease": row.lease,
        "leased_until": now + LEASE,
        "id": row.pk,
        "limit": _batches[row.kind][1] - 1,
    }
    of_partner = "partner_id IS NULL" if row.partner_id is None else "partner_id = %(partner)s"
    with connection.cursor() as cursor:
        cursor.execute(_MORE.format(of_partner=of_partner), values)
        return dict(cursor.fetchall())


_MORE = """
WITH ready AS MATERIALIZED (
    SELECT id FROM core_due
    WHERE {of_partner} AND kind = %(kind)s AND is_sandbox = %(is_sandbox)s AND due_at <= %(until)s
        AND (leased_until IS NULL OR leased_until < %(now)s OR lease = %(lease)s) AND attempts = 0 AND id <> %(id)s
    ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE core_due SET lease = %(lease)s, leased_until = %(leased_until)s
FROM ready WHERE core_due.id = ready.id RETURNING core_due.id, core_due.object_id
"""


def _renewed(row: models.Due) -> AbstractContextManager[Any] | None:
    """Where a row is done, its lease counted from now on; None where it is no longer ours."""
    given = [clock.wall() + LEASE, row.pk, row.lease]
    for partner in partners().raw(_RENEW, given):
        return in_public() if partner.pk is None else in_partner(partner)
    return None


# A row of a partner that is gone is nobody's.
_RENEW = """
WITH held AS (
    UPDATE public.core_due SET leased_until = %s WHERE id = %s AND lease IS NOT DISTINCT FROM %s RETURNING partner_id
)
SELECT partner.* FROM held LEFT JOIN public.partners_partner partner ON partner.id = held.partner_id
WHERE held.partner_id IS NULL OR partner.id IS NOT NULL
"""


def done(partner_id: int | None, lease: UUID | None, rows: Mapping[int, UUID]) -> None:
    """Takes done rows of a claim away, objects by row. What was planned anew meanwhile has no lease, and stays."""
    values = {
        "ids": bulk.array(rows),
        "lease": lease,
        "partner": partner_id,
        "objects": bulk.array(rows.values()),
        "patience": PATIENCE,
    }
    of_partner = "partner_id IS NULL" if partner_id is None else "partner_id = %(partner)s"
    with plain_cursor() as cursor:
        cursor.execute(_DONE.format(of_partner=of_partner), values)


# Where nothing of an object fails any more, staff need not look. Other work of it may still; what is taken away here
# is still seen by the rest of the statement.
_DONE = """
WITH gone AS (
    DELETE FROM public.core_due WHERE id = ANY(%(ids)s::bigint[]) AND lease IS NOT DISTINCT FROM %(lease)s
    RETURNING id
)
DELETE FROM public.core_workitem item
WHERE {of_partner} AND kind = 'core.due' AND object_id = ANY(%(objects)s::uuid[]) AND NOT EXISTS (
    SELECT FROM public.core_due
    WHERE {of_partner} AND object_id = item.object_id AND attempts >= %(patience)s
        AND id NOT IN (SELECT id FROM gone)
)
"""


def _held(row: models.Due) -> "models.models.QuerySet[models.Due]":
    return models.Due.objects.filter(pk=row.pk, lease=row.lease)


def lanes_due(besides: Iterable[int] = ()) -> list[int]:
    """Lanes that have something to do now, but for those that the caller knows of. One round trip."""
    with in_public(), connection.cursor() as cursor:
        cursor.execute(_LANES, {"now": clock.wall(), "besides": list(besides)})
        return [row[0] for row in cursor.fetchall()]


# From lane to lane along the index, however many rows each has. What somebody has a lease of counts: they may be dead.
_LANES = """
WITH RECURSIVE lanes AS (
    (SELECT lane FROM core_due WHERE lane IS NOT NULL ORDER BY lane LIMIT 1)
    UNION ALL
    SELECT (SELECT lane FROM core_due WHERE lane > lanes.lane ORDER BY lane LIMIT 1)
    FROM lanes WHERE lanes.lane IS NOT NULL
)
SELECT lane FROM lanes WHERE lane IS NOT NULL AND lane <> ALL(%(besides)s::bigint[]) AND EXISTS (
    SELECT FROM core_due WHERE lane = lanes.lane AND due_at <= %(now)s
        AND (leased_until IS NULL OR leased_until < %(now)s OR lease IS NOT NULL)
)
"""


def claim_lane(lane: int, limit: int, lease: UUID) -> list[models.Due]:
    """Takes up to `limit` rows of a lane whose moment has come, under the lease of who holds the lane.

    What another had in hand is taken as well: whoever holds the lane knows that the other does not any more.
    """
    now = clock.wall()
    values = {"lane": lane, "now": now, "lease": lease, "leased_until": now + LEASE, "limit": limit}
    rows = bulk.raw(models.Due, _CLAIM_LANE, values)
    return sorted(rows, key=lambda row: (row.due_at, row.pk))


_CLAIM_LANE = """
WITH ready AS MATERIALIZED (
    SELECT id FROM core_due
    WHERE lane = %(lane)s AND due_at <= %(now)s
        AND (leased_until IS NULL OR leased_until < %(now)s OR lease IS NOT NULL AND lease <> %(lease)s)
    ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE core_due SET lease = %(lease)s, leased_until = %(leased_until)s
FROM ready WHERE core_due.id = ready.id RETURNING core_due.*
"""


def hurry(kind: str, lane: int) -> None:
    """What was put off in a lane is due now, in the order in which it was wanted; what is in hand goes on.

    For a service that is back: what it could not do waits by backoffs of up to an hour, the oldest longest.
    """
    with in_public(), connection.cursor() as cursor:
        cursor.execute(_HURRY, {"kind": kind, "lane": lane, "now": clock.wall()})
    wake.after_commit(True)


# The moment stands in the first 48 bits of a key (RFC 9562).
_HURRY = """
WITH wanted AS (
    SELECT id, least(%(now)s,
        to_timestamp(('x' || left(replace(object_id::text, '-', ''), 12))::bit(48)::bigint / 1000.0)) AS at
    FROM core_due WHERE lane = %(lane)s AND kind = %(kind)s AND lease IS NULL
)
UPDATE core_due SET leased_until = NULL, due_at = wanted.at
FROM wanted WHERE core_due.id = wanted.id AND core_due.lease IS NULL AND core_due.due_at <> wanted.at
"""


def _postpone(row: models.Due, error: Exception) -> None:
    row.attempts += 1
    with in_public(), transaction.atomic():
        held = _held(row).update(
            attempts=row.attempts,
            error=repr(error)[:2000],
            lease=None,
            leased_until=clock.wall() + backoff(row.attempts),
        )
        if held and row.attempts == PATIENCE:
            work.open_for(row.partner_id, "core.due", row.object_id, f"{row.kind}: {error}")


def next_at(partner_id: int) -> datetime | None:
    """The earliest moment at which a sandbox partner's own clock has something due."""
    return (
        models.Due.objects.filter(partner_id=partner_id, is_sandbox=True)
        .order_by("due_at")
        .values_list("due_at", flat=True)
        .first()
    )
