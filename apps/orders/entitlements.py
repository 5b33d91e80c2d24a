"""Keeps the public table by which providers are answered, in the transaction that changes a service."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from apps.core import bulk, clock, gather
from apps.core.tenancy import current_partner_id, plain_cursor
from apps.orders.models import Service
from apps.providers.portal.models import Entitlement, digest_of

Told = tuple[UUID, UUID, bytes | None, str, date | None]


def follow(services: Iterable[Service]) -> None:
    """Brings the rows of these up to date; what was never given out has none."""
    partner_id = current_partner_id()
    gather.at_end(
        _write,
        [(one.pk, partner_id, one.product_id, *told(one)) for one in services if one.activated_at],
    )


def told(service: Service) -> Told:
    """What a provider is told of a service: request, customer, digest of the key, state, last day."""
    return (
        service.request_id,
        service.customer_id,
        digest_of(service.key),
        str(service.state),
        service.active_until,
    )


def kept(row: Entitlement) -> Told:
    """The same as the table has it."""
    digest = None if row.key_digest is None else bytes(row.key_digest)
    return row.request_id, row.customer_id, digest, row.state, row.active_until


def _write(rows: Sequence[tuple[Any, ...]]) -> None:
    """In one statement; of a service that changed several times the last, in the order of their ids."""
    last = sorted({row[0]: row for row in rows}.values())
    ids, partners, products, requests, customers, digests, states, days = zip(*last, strict=True)
    columns = [*map(bulk.array, (ids, partners, products, requests, customers)), list(digests)]
    with plain_cursor() as cursor:
        cursor.execute(_WRITE, [clock.wall(), *columns, bulk.array(states), list(days)])


_WRITE = """
INSERT INTO public.providers_entitlement AS held (service_id, partner_id, provider_id, request_id, customer_id,
    key_digest, state, active_until, version, changed_at)
SELECT given.service, given.partner, p.provider_id, given.request, given.customer, given.digest, given.state,
    given.until, 1, %s
FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::uuid[], %s::uuid[], %s::bytea[], %s::text[], %s::date[])
    AS given (service, partner, product, request, customer, digest, state, until)
JOIN public.catalog_product p ON p.id = given.product AND p.provider_id IS NOT NULL
ON CONFLICT (service_id) DO UPDATE SET request_id = excluded.request_id, customer_id = excluded.customer_id,
    key_digest = excluded.key_digest, state = excluded.state, active_until = excluded.active_until,
    version = held.version + 1, changed_at = excluded.changed_at
WHERE (held.request_id, held.customer_id, held.key_digest, held.state, held.active_until)
    IS DISTINCT FROM (excluded.request_id, excluded.customer_id, excluded.key_digest, excluded.state,
    excluded.active_until)
"""
