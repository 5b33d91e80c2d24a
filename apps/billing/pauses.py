"""A subscription rests: nothing is billed, unused days go onto the balance; resumed, it is billed from that day on."""

from datetime import date, timedelta
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.billing import adjusting, discounts, facts, periods, phases, subscriptions
from apps.billing.models import (
    CreditReason,
    PhaseKind,
    Subscription,
    SubscriptionPhase,
    SubscriptionState,
)
from apps.billing.moving import guard
from apps.core import clock, due, events
from apps.core.errors import Refused
from apps.core.money import Money

LONGEST = timedelta(days=180)
"""How long a pause lasts at most: then the subscription goes on by itself."""
_S = SubscriptionState


def pause(*, subscription: Subscription, until: date | None = None, actor: str = "") -> Subscription:
    """From today on nothing is billed, for it and its add-ons, and the services rest. Safe to repeat.

    `until` is the day on which it goes on, at most 180 days ahead; a paused one may be given another day. Raises
    Refused: `subscription_not_live`, `is_cancelled`, `invoice_open`, `change_planned`, `bad_date`, `is_addon`,
    `days_not_billed`.
    """
    with transaction.atomic():
        subscription = subscriptions.locked(subscription.pk)
        today = clock.today()
        until = _checked(until, today)
        if subscription.state != _S.PAUSED:
            _check(subscription, today)
            for one in [subscription, *_resting_with(subscription, _S.ACTIVE)]:
                _rest(one, today, actor=actor)
                if one.cancel_at_period_end:
                    # It was to end with the days that go onto the balance now.
                    subscriptions.end(one, _S.ENDED, "cancelled")
        subscription.resume_date = until
        subscription.save()
        due.schedule(subscriptions.RESUME, subscription.pk, periods.midnight(until))
        data = {"until": str(until)}
        journal.record("subscription.paused", subscriptions.KIND, subscription.pk, actor=actor, data=data)
    return subscription


def unused(subscription: Subscription) -> Money:
    """What a pause that begins today puts on the balance: the money of days that are paid and not used."""
    today = clock.today()
    before = adjusting.facts_of(subscription, today)
    free = phases.new(subscription, kind=PhaseKind.PAUSE, start_date=today, is_free=True)
    begun = [row for row in before.terms if row.start_date <= today]
    parts = adjusting.with_terms(before, [*begun, free]).difference(today).credits
    back = sum((part.amount for part in adjusting.fitting(parts)), adjusting.ZERO)
    return Money(back, subscription.currency)


def resume(*, subscription: Subscription, actor: str = "") -> Subscription:
    """Goes on today, with periods counted from today; the first one is charged by the next run, as any renewal.

    Safe to repeat. Raises Refused `not_paused`.
    """
    with transaction.atomic():
        subscription = subscriptions.locked(subscription.pk)
        if subscription.state in {_S.ACTIVE, _S.PAST_DUE}:
            return subscription
        if subscription.state != _S.PAUSED:
            raise Refused("not_paused", _("Эта подписка не на паузе"))
        if subscription.parent_id:
            raise Refused("is_addon", _("Дополнение отдыхает и продолжается вместе с основной подпиской"))
        for one in [subscription, *_resting_with(subscription, _S.PAUSED)]:
            start_again(one, actor=actor)
        due.cancel(subscriptions.RESUME, subscription.pk)
        due.schedule(subscriptions.RENEW, subscription.pk, clock.now())
        journal.record("subscription.unpaused", subscriptions.KIND, subscription.pk, actor=actor)
    return subscription


def resume_due(subscription_id: UUID) -> None:
    """The day has come; one that was resumed, or put off, meanwhile is left alone."""
    with transaction.atomic():
        subscription = subscriptions.locked(subscription_id)
        day = subscription.resume_date
        if subscription.state == _S.PAUSED and day is not None and clock.today() >= day:
            resume(subscription=subscription, actor="billing")


def _checked(until: date | None, today: date) -> date:
    if until is None:
        return today + LONGEST
    if not today < until <= today + LONGEST:
        raise Refused("bad_date", _("Пауза: от завтрашнего дня и не дольше 180 дней"), status=400)
    return until


def _check(subscription: Subscription, today: date) -> None:
    if subscription.state != _S.ACTIVE:
        raise Refused("subscription_not_live", _("На паузу ставят только действующую оплаченную подписку"))
    if subscription.cancel_at_period_end:
        raise Refused("is_cancelled", _("Подписка отключается: сначала возобновите её"))
    if subscription.parent_id:
        raise Refused("is_addon", _("Дополнение отдыхает и продолжается вместе с основной подпиской"))
    if any(one.kind == PhaseKind.CHANGE for one in phases.to_come(subscription, today)):
        raise Refused("change_planned", _("Сначала отмените запланированную смену условий"))
    guard.must_be_billed(subscription)
    adjusting.must_be_settled(subscription)


def _resting_with(subscription: Subscription, state: str) -> list[Subscription]:
    return [one for one in subscriptions.locked_addons(subscription) if one.state == state]


def _rest(subscription: Subscription, today: date, *, actor: str) -> None:
    subscriptions.drop_change(subscription)
    # Looked at before the pause stands: the piece that it cuts is to be seen as a whole.
    before = adjusting.facts_of(subscription, today)
    for coming in phases.to_come(subscription, today):
        phases.drop(coming)
    free = phases.add(subscription, kind=PhaseKind.PAUSE, start_date=today, is_free=True, actor=actor)
    begun = [row for row in before.terms if row.start_date <= today]
    unused = adjusting.with_terms(before, [*begun, free]).difference(today)
    adjusting.credit(unused.credits, reason=CreditReason.PAUSE, actor=actor)
    subscription.state, subscription.billed_until = _S.PAUSED, today
    subscription.save()
    for kind in (subscriptions.RENEW, subscriptions.NOTICE, subscriptions.BEGIN):
        due.cancel(kind, subscription.pk)
    events.publish("billing.SubscriptionPaused", subscription.pk, customer_id=subscription.customer_id)


def start_again(subscription: Subscription, *, actor: str = "") -> None:
    """A locked subscription goes on today, with periods counted from today, the first of them to be billed."""
    today = clock.today()
    rest = phases.on(subscription, today)
    regular = phases.add(
        subscription,
        kind=PhaseKind.REGULAR,
        start_date=today,
        anchor_date=today,
        cycle_day=today.day,
        actor=actor,
    )
    if rest is not None and rest.is_free:
        discounts.go_on(subscription, rest, regular)
        if subscription.end_date is not None and subscription.terms.get("periods"):
            subscription.end_date = _later(subscription.end_date, rest, regular)
    subscription.state, subscription.resume_date = _S.ACTIVE, None
    subscription.anchor_date, subscription.cycle_day = today, today.day
    # Paid up to this very day: what follows is to be billed.
    start = subscription.current_period_start
    subscription.current_period_start = min(start or today, today - timedelta(days=1))
    subscription.current_period_end = subscription.billed_until = today
    subscription.save()
    events.publish("billing.SubscriptionResumed", subscription.pk, customer_id=subscription.customer_id)


def _later(end: date, rest: SubscriptionPhase, after: SubscriptionPhase) -> date:
    """The end of a term of so many periods: the days left of the one that the rest cut, and the whole ones after it."""
    was, cycle, cut = facts.cycle_of(rest), facts.cycle_of(after), rest.start_date
    first = was.number_on(cut)
    if was.bill_date(first) < cut:
        first += 1
    last = was.number_on(end)
    if last < first:
        return after.start_date + (end - cut)
    days = was.bill_date(first) - cut + (end - was.bill_date(last))
    return cycle.bill_date(last - first) + days
