"""The terms of a subscription over time: written once, looked up by day."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from apps.billing.models import PhaseKind, Subscription, SubscriptionPhase
from apps.catalog.models import Offer, TariffVersion
from apps.core import bulk, clock


def add(subscription: Subscription, **terms: Any) -> SubscriptionPhase:
    """New terms of a locked subscription, written (see `new`)."""
    phase = new(subscription, **terms)
    phase.save(force_insert=True)
    return phase


def write(terms: Sequence[SubscriptionPhase]) -> None:
    """Writes new terms."""
    bulk.copy_objects(SubscriptionPhase, terms)


def new(
    subscription: Subscription,
    *,
    kind: str,
    start_date: date,
    anchor_date: date | None = None,
    cycle_day: int | None = None,
    offer: Offer | None = None,
    version: TariffVersion | None = None,
    name: str = "",
    price: Decimal | None = None,
    quantity: int | None = None,
    is_free: bool = False,
    reason: str = "",
    actor: str = "",
) -> SubscriptionPhase:
    """New terms of a subscription from `start_date` on, unsaved; what is not given stays as the row has it.

    `price` is of one piece for a whole period. Without `anchor_date` the bill dates go on as they were.
    """
    anchor = anchor_date or subscription.anchor_date or start_date
    day = cycle_day or (anchor_date.day if anchor_date else subscription.cycle_day) or anchor.day
    return SubscriptionPhase(
        subscription=subscription,
        kind=kind,
        start_date=start_date,
        offer_id=offer.pk if offer else subscription.offer_id,
        tariff_version_id=version.pk if version else subscription.tariff_version_id,
        name=(name or subscription.name)[:300],
        price=subscription.price if price is None else price,
        quantity=quantity or subscription.quantity,
        vat_code=version.vat_code if version else subscription.vat_code,
        period_count=version.period_count if version else subscription.period_count,
        period_unit=version.period_unit if version else subscription.period_unit,
        anchor_date=anchor,
        cycle_day=day,
        is_free=is_free,
        reason=reason[:200],
        actor=actor[:150],
        created_at=clock.now(),
    )


def copy(phase: SubscriptionPhase, **changed: Any) -> SubscriptionPhase:
    """The same terms with something changed, unsaved."""
    kept = {
        field.attname: getattr(phase, field.attname)
        for field in phase._meta.concrete_fields
        if field.name != "id"
    }
    return SubscriptionPhase(**{**kept, "created_at": clock.now(), **changed})


def on(subscription: Subscription, day: date) -> SubscriptionPhase | None:
    """The terms in force on a day."""
    return (
        subscription.phases.filter(dropped_at=None, start_date__lte=day).order_by("start_date", "id").last()
    )


def to_come(subscription: Subscription, today: date) -> list[SubscriptionPhase]:
    """Terms that are agreed and have not begun."""
    return list(
        subscription.phases.filter(dropped_at=None, start_date__gt=today).order_by("start_date", "id")
    )


def drop(phase: SubscriptionPhase) -> None:
    """Takes back terms that have not begun."""
    phase.dropped_at = clock.now()
    phase.save(update_fields=["dropped_at"])


MIRRORED = [
    "offer",
    "tariff_version",
    "name",
    "price",
    "quantity",
    "vat_code",
    "period_count",
    "period_unit",
    "anchor_date",
    "cycle_day",
]
"""What a subscription shows of its phase of today."""


def is_applied(subscription: Subscription, phase: SubscriptionPhase) -> bool:
    """Whether the subscription shows the terms of this phase already."""
    return (
        subscription.tariff_version_id == phase.tariff_version_id
        and subscription.price == phase.price
        and subscription.quantity == phase.quantity
        and subscription.anchor_date == phase.anchor_date
    )


def apply(subscription: Subscription, phase: SubscriptionPhase) -> None:
    """Copies the terms of the phase that has begun onto its locked subscription; the caller saves."""
    subscription.offer_id, subscription.tariff_version_id = phase.offer_id, phase.tariff_version_id
    subscription.name, subscription.price, subscription.quantity = phase.name, phase.price, phase.quantity
    subscription.vat_code = phase.vat_code
    subscription.period_count, subscription.period_unit = phase.period_count, phase.period_unit
    if not phase.is_free:
        subscription.anchor_date, subscription.cycle_day = phase.anchor_date, phase.cycle_day


__all__ = ["PhaseKind", "add", "apply", "copy", "drop", "new", "on", "to_come"]
