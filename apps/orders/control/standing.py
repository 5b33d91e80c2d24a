"""Keeps the public table of open requests: a fulfilment stands there once it was put off, and until it is settled.

What is done at its first attempt never comes there, so that an ordinary purchase pays for nothing here. What waits for
its first attempt is seen in its lane (`core.Due`).
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import connection

from apps.connectors import masking
from apps.core import bulk, clock
from apps.core.tenancy import current_partner, current_partner_id
from apps.orders.models import OPEN_STATES, Fulfilment, FulfilmentState
from apps.providers.models import OpenRequest

FIRST_TRY = (FulfilmentState.QUEUED, FulfilmentState.IN_PROGRESS)


def stands(one: Fulfilment) -> bool:
    """Whether it has its row: not settled, and no longer at its first attempt."""
    return one.state in OPEN_STATES and (one.next_at is not None or one.state not in FIRST_TRY)


def follow(one: Fulfilment, *, stood: bool) -> None:
    """Brings the row of a fulfilment that was saved up to date; `stood`: whether it had one before it changed."""
    if stands(one):
        keep([one.pk], {one.pk: one.error})
    elif stood:
        OpenRequest.objects.filter(partner_id=current_partner().pk, request_id=one.pk).delete()


def keep(fulfilment_ids: Iterable[UUID], reasons: dict[UUID, str]) -> None:
    """Writes the rows of these, in one statement, from what the partner's tables say."""
    keys = list(fulfilment_ids)
    values = {
        **_VALUES,
        "partner": current_partner_id(),
        "now": clock.wall(),
        "keys": bulk.array(keys),
        "reasons": [masking.text(reasons.get(key, ""))[:200] for key in keys],
    }
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, values)


def derived() -> list[tuple[Any, ...]]:
    """What should stand there of the current partner: (request id, state, connection, attempts, next_at, sum) each."""
    with connection.cursor() as cursor:
        cursor.execute(_DERIVED, _VALUES)
        return list(cursor.fetchall())


_VALUES = {"open": list(map(str, OPEN_STATES)), "first": list(map(str, FIRST_TRY))}
_FROM = """
FROM orders_fulfilment f
JOIN orders_service s ON s.id = f.service_id
LEFT JOIN orders_order o ON o.id = f.order_id
LEFT JOIN orders_orderitem t ON t.id = f.item_id
LEFT JOIN billing_invoice i ON i.id = f.invoice_id
"""
_STANDS = "f.state = ANY(%(open)s) AND (f.next_at IS NOT NULL OR f.state <> ALL(%(first)s))"
_SUM = "COALESCE(t.total, i.total, 0)"
# In the order of the keys: two who write the same at once would wait for each other.
_KEEP = f"""
INSERT INTO public.providers_openrequest AS held (partner_id, request_id, order_id, item_id, invoice_id, number,
    action, state, provider_id, connection_id, product_id, attempts, reason, amount, currency, opened_at,
    since, next_at, deadline_at)
SELECT %(partner)s, f.id, f.order_id, f.item_id, f.invoice_id, COALESCE(NULLIF(o.number, ''), i.number, ''),
    f.action, f.state, f.provider_id, f.connection_id, s.product_id, f.attempts, given.reason, {_SUM},
    COALESCE(i.currency, o.currency, 'RUB'), LEAST(f.created_at, %(now)s), %(now)s, f.next_at,
    f.promised_at
{_FROM}
JOIN unnest(%(keys)s::uuid[], %(reasons)s::text[]) AS given (key, reason) ON given.key = f.id
WHERE {_STANDS}
ORDER BY f.id
ON CONFLICT (partner_id, request_id) DO UPDATE SET state = excluded.state, provider_id = excluded.provider_id,
    connection_id = excluded.connection_id, attempts = excluded.attempts, next_at = excluded.next_at,
    reason = CASE WHEN excluded.reason <> '' THEN excluded.reason ELSE held.reason END,
    since = CASE WHEN held.state = excluded.state THEN held.since ELSE excluded.since END
"""
_DERIVED = f"""
SELECT f.id, f.state, f.connection_id, f.attempts, f.next_at, {_SUM} {_FROM} WHERE {_STANDS}
"""
