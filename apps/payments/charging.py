"""Charges by saved methods, many at once: the payments of a renewal run."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from uuid import UUID

from apps.connectors.models import GatewayReference
from apps.core import bulk, clock, due, ids
from apps.payments.models import Payment, PaymentMethod, PaymentState, Purpose
from apps.payments.payments import SEND

_FIELDS = [
    "id",
    "customer",
    "method",
    "connection",
    "reference",
    "amount",
    "currency",
    "purpose",
    "description",
    "instrument",
    "channel_id",
    "subscription_id",
    "product_id",
    "tariff_version_id",
]
_AS_CREATED = {
    "state": PaymentState.CREATED.value,
    "save_method": False,
    "return_url": "",
    "confirmation_url": "",
    "gateway_id": "",
    "decline_reason": "",
    "is_two_stage": False,
    "second_stage": "",
    "link_key": "",
    "fee": Decimal("0.00"),
}


@dataclass(frozen=True, slots=True)
class Charge:
    """An amount to take by a method that the caller has locked and found usable. The ids are dimensions."""

    method: PaymentMethod
    amount: Decimal
    currency: str
    description: str
    channel_id: UUID | None
    subscription_id: UUID | None
    product_id: int | None
    tariff_version_id: int | None
    purpose: str = Purpose.RENEWAL


def start_many(charges: Sequence[Charge]) -> list[UUID]:
    """Writes a payment per charge, in order, in the caller's transaction; each is sent after the commit."""
    keys = ids.many(len(charges))
    references = _references(charges, keys)
    bulk.copy(
        Payment,
        _FIELDS,
        [
            (
                key,
                one.method.customer_id,
                one.method.pk,
                one.method.connection_id,
                references[key],
                one.amount,
                one.currency,
                str(one.purpose),
                one.description[:128],
                one.method.instrument,
                one.channel_id,
                one.subscription_id,
                one.product_id,
                one.tariff_version_id,
            )
            for key, one in zip(keys, charges, strict=True)
        ],
        same={"created_at": clock.now(), **_AS_CREATED},
    )
    wall = clock.wall()
    lanes: dict[int, list[UUID]] = {}
    for key, one in zip(keys, charges, strict=True):
        lanes.setdefault(one.method.connection_id, []).append(key)
    for lane, mine in lanes.items():
        due.schedule_new(SEND, [(key, wall) for key in mine], wall=True, lane=lane)
    return keys


def _references(charges: Sequence[Charge], keys: Sequence[UUID]) -> dict[UUID, int]:
    by_connection = sorted(
        zip((one.method.connection_id for one in charges), keys, strict=True), key=lambda pair: pair[0]
    )
    found: dict[UUID, int] = {}
    for connection_id, pairs in groupby(by_connection, key=lambda pair: pair[0]):
        mine = [key for _connection, key in pairs]
        found.update(
            zip(mine, GatewayReference.allot_new(connection_id, "payments.payment", mine), strict=True)
        )
    return found
