"""How long customers wait from their money to the product, by provider: the 95th percentile of the last hour.

What was delivered says so itself (`orders.ServiceActivated`, which is written anyway). Every five minutes the events of
the last quarter of an hour are counted by provider and length, so that the board reads some rows and no orders, and a
delivery pays nothing for it.
"""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Sum

from apps.core import clock, ids
from apps.orders.models import Fulfilment, FulfilmentAction
from apps.providers.models import DeliveryTime

EVENT = "orders.ServiceActivated"
SLOT = timedelta(minutes=5)
BACK = 3
"""Slots that are counted anew each time: what was written late is in them the next time."""
SETTLES = timedelta(seconds=30)
"""After which what was delivered is committed, nearly always."""
SHOWN = timedelta(hours=1)
KEPT = timedelta(days=2)
STEP = 1.1
"""Lengths are told apart to a tenth: the n-th bucket ends at 1.1 to the power of n, in seconds."""


def told(fulfilment: Fulfilment) -> dict[str, object]:
    """What the event of a delivery says of how long it took; of what was not sold by an order, nothing."""
    if fulfilment.action != FulfilmentAction.PROVISION:
        return {}
    # Its key was made when its money was known, by the wall clock.
    took = (clock.wall() - ids.made_at(fulfilment.pk)).total_seconds()
    return {
        "provider": fulfilment.provider_id or 0,
        "connection": fulfilment.connection_id or 0,
        "took": round(max(took, 0.0), 3),
    }


def count(at: datetime | None = None) -> int:
    """Counts what was delivered up to now (or `at`), over all partners; rows written. Safe to repeat."""
    until = (at or clock.wall()) - SETTLES
    since = datetime.fromtimestamp(until.timestamp() // 300 * 300, tz=until.tzinfo) - SLOT * (BACK - 1)
    given: dict[str, Any] = {
        "event": EVENT,
        "since": ids.floor(since),
        "until": ids.floor(until),
        "step": STEP,
    }
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, given)
        return cursor.rowcount


# Along the primary key: an event's key is made when it is.
_COUNT = """
INSERT INTO public.providers_deliverytime AS held (slot, partner_id, provider_id, connection_id, bucket, count)
SELECT to_timestamp(
        floor(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 300000.0) * 300
    ), partner_id, (data ->> 'provider')::bigint, (data ->> 'connection')::bigint,
    ceil(ln(greatest((data ->> 'took')::float, 0.01)) / ln(%(step)s::float))::smallint, count(*)
FROM public.core_event
WHERE id >= %(since)s AND id < %(until)s AND type = %(event)s AND data ? 'took' AND partner_id IS NOT NULL
GROUP BY 1, 2, 3, 4, 5
ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (slot, partner_id, provider_id, connection_id, bucket) DO UPDATE SET count = excluded.count
"""


def late(
    *, partner_id: int | None = None, provider_id: int | None = None
) -> dict[tuple[int | None, int | None], float]:
    """By provider and connection: within how many seconds 95 of 100 were delivered in the last hour."""
    rows = DeliveryTime.objects.filter(slot__gt=clock.wall() - SHOWN)
    if partner_id is not None:
        rows = rows.filter(partner_id=partner_id)
    if provider_id is not None:
        rows = rows.filter(provider_id=provider_id)
    counted = rows.values("provider_id", "connection_id", "bucket").annotate(times=Sum("count"))
    by_lane: dict[tuple[int | None, int | None], dict[int, int]] = defaultdict(dict)
    for one in counted.order_by():
        key = one["provider_id"] or None, one["connection_id"] or None
        by_lane[key][one["bucket"]] = one["times"]
    return {key: percentile(buckets) for key, buckets in by_lane.items()}


def percentile(buckets: dict[int, int], part: float = 0.95) -> float:
    """Seconds below which so much of what was counted lies, to a tenth of them."""
    wanted, so_far = part * sum(buckets.values()), 0
    for bucket in sorted(buckets):
        so_far += buckets[bucket]
        if so_far >= wanted:
            return float(STEP**bucket)
    return 0.0


def forget_old() -> None:
    """The board shows an hour."""
    DeliveryTime.objects.filter(slot__lt=clock.wall() - KEPT).delete()
