"""Giving a discount: how much it takes off, from which bill date, for how many periods."""

from datetime import date
from decimal import Decimal
from uuid import UUID

from apps.billing import facts, phases
from apps.billing.models import Subscription, SubscriptionDiscount, SubscriptionPhase
from apps.billing.promotion_models import PromoRedemption, RedemptionState
from apps.core import clock, gather
from apps.core.money import rounded

ZERO = Decimal("0.00")


def off(gross: Decimal, percent: Decimal, amount: Decimal) -> Decimal:
    """What a discount takes off a whole period, never more than it costs; rounded as the engine rounds."""
    return min(gross, rounded(gross * percent / 100) + rounded(amount))


def give(
    subscription: Subscription,
    *,
    name: str,
    percent: Decimal = ZERO,
    amount: Decimal = ZERO,
    periods: int | None = None,
    source_id: UUID | None = None,
    phase: SubscriptionPhase | None = None,
) -> SubscriptionDiscount:
    """For the next periods of a locked subscription that are still to be billed; None as `periods` is for good.

    `phase`: the terms that it begins with, where they have not begun. A period that is billed stays as it is.
    """
    start, cycle = _where(subscription, phase)
    return SubscriptionDiscount.objects.create(
        subscription=subscription,
        name=name[:100],
        percent=percent,
        amount=amount,
        start_date=start,
        end_date=cycle.bill_date(cycle.number_on(start) + periods) if periods else None,
        source_id=source_id,
        created_at=clock.now(),
    )


def _where(subscription: Subscription, phase: SubscriptionPhase | None) -> tuple[date, facts.engine.Cycle]:
    if phase is not None:
        return phase.start_date, facts.cycle_of(phase)
    start = max(subscription.billed_until or clock.today(), clock.today())
    found = phases.on(subscription, start)
    if found is None:
        raise ValueError("The subscription has no terms")
    return start, facts.cycle_of(found)


def go_on(subscription: Subscription, rest: SubscriptionPhase, after: SubscriptionPhase) -> None:
    """What was given for so many periods is not over by the days of a rest; terms `after` it begin today.

    The period that the rest has cut is one of them. What had not begun yet begins with the first period after it.
    """
    was, cycle, since = facts.cycle_of(rest), facts.cycle_of(after), rest.start_date
    mine = SubscriptionDiscount.objects.filter(subscription=subscription)
    for less in mine.exclude(end_date__lte=since):
        waits = less.start_date > since
        if less.end_date is not None:
            first = was.number_on(max(less.start_date, since))
            if was.bill_date(first) < max(less.start_date, since):
                first += 1
            end = cycle.bill_date(cycle.number_on(after.start_date) + was.number_on(less.end_date) - first)
            less.end_date = end if waits else max(end, less.end_date)
        if waits:
            less.start_date = after.start_date
        less.save(update_fields=["start_date", "end_date"])


def has_one(subscription: Subscription, day: date) -> bool:
    """Whether anything is taken off what is billed from `day` on."""
    mine = SubscriptionDiscount.objects.filter(subscription=subscription)
    return mine.filter(end_date=None).exists() or mine.filter(end_date__gt=day).exists()


def begin(subscription: Subscription, phase: SubscriptionPhase) -> None:
    """A purchase was paid: what its code gives holds from the first period of `phase` on."""
    if gather.is_unwritten(subscription):
        # What is sold in a batch is sold without a code.
        return
    for redemption in subscription.redemptions.all():
        if redemption.state == RedemptionState.RESERVED:
            apply(redemption, subscription, phase)


def apply(redemption: PromoRedemption, subscription: Subscription, phase: SubscriptionPhase | None) -> None:
    """What a redeemed code gives, from the beginning of `phase` or from the next bill date on."""
    give(
        subscription,
        name=redemption.promotion.name,
        percent=redemption.percent,
        amount=redemption.amount,
        periods=redemption.periods,
        source_id=redemption.pk,
        phase=phase,
    )
    redemption.state = RedemptionState.APPLIED
    redemption.save(update_fields=["state"])
