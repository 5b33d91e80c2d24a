"""What a row that waits will be billed by: the terms that a batch writes, and that a shadow month computes with."""

from datetime import date, datetime
from uuid import UUID

from apps.billing import engine, facts
from apps.billing.models import PhaseKind, SubscriptionDiscount, SubscriptionPhase
from apps.billing.moving.models import BaseRow
from apps.core.ids import uuid7


def phases(row: BaseRow, subscription_id: UUID, now: datetime) -> list[SubscriptionPhase]:
    """The days that the old system was paid for, which we do not bill, and the terms from the next charge on."""
    return [
        _phase(row, subscription_id, PhaseKind.MOVED, row.period_start, now, is_free=True),
        _phase(row, subscription_id, PhaseKind.REGULAR, row.next_charge_date, now, is_free=False),
    ]


def _phase(
    row: BaseRow, subscription_id: UUID, kind: str, start: date, now: datetime, *, is_free: bool
) -> SubscriptionPhase:
    version = row.tariff_version
    return SubscriptionPhase(
        id=uuid7(),
        subscription_id=subscription_id,
        kind=kind,
        start_date=start,
        offer_id=row.offer_id,
        tariff_version_id=row.tariff_version_id,
        name=row.name,
        price=row.price,
        quantity=row.quantity,
        vat_code=version.vat_code,
        period_count=version.period_count,
        period_unit=version.period_unit,
        anchor_date=row.next_charge_date,
        cycle_day=row.cycle_day,
        is_free=is_free,
        reason=row.external_id,
        created_at=now,
    )


def discounts(row: BaseRow, subscription_id: UUID, name: str, now: datetime) -> list[SubscriptionDiscount]:
    """What the old system took off, from the next charge on."""
    over = row.discount_until is not None and row.discount_until <= row.next_charge_date
    if over or not (row.discount_percent or row.discount_amount):
        return []
    return [
        SubscriptionDiscount(
            id=uuid7(),
            subscription_id=subscription_id,
            name=name,
            percent=row.discount_percent,
            amount=row.discount_amount,
            start_date=row.next_charge_date,
            end_date=row.discount_until,
            source_id=row.pk,
            created_at=now,
        )
    ]


def charges(row: BaseRow, until: date, now: datetime) -> list[engine.Charge]:
    """What we would charge of it before `until`: by the engine, from the very terms that a batch would write."""
    terms = [facts.phase_of(one) for one in phases(row, row.pk, now)]
    less = [facts.discount_of(one) for one in discounts(row, row.pk, "", now)]
    return engine.bill(
        phases=terms,
        discounts=less,
        since=row.next_charge_date,
        as_of=date.fromordinal(until.toordinal() - 1),
        ends=row.end_date,
    ).charges
