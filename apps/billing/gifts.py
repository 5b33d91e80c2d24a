"""Days for nothing: a period that is paid goes on for so many days more, and all later ones begin so much later."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.billing import adjusting, facts, phases, subscriptions
from apps.billing.models import (
    PhaseKind,
    Subscription,
    SubscriptionDiscount,
    SubscriptionPhase,
    SubscriptionState,
)
from apps.core import events
from apps.core.errors import Refused
from apps.core.money import rounded

LONGEST = 366
"""Days of one gift."""
_S = SubscriptionState


def look(subscription: Subscription, days: int) -> Decimal:
    """What `days` more for it and its add-ons are worth: the part of a period's price. Writes nothing.

    Raises Refused: `bad_days`, `subscription_not_live`, `is_cancelled`, `is_addon`, `invoice_open`,
    `terms_to_come`, `ends_anyway`.
    """
    if not 1 <= days <= LONGEST:
        raise Refused("bad_days", _("Дней: от 1 до 366"), status=400)
    if subscription.state not in {_S.ACTIVE, _S.TRIAL}:
        raise Refused("subscription_not_live", _("Продлить можно только действующую подписку"))
    if subscription.cancel_at_period_end:
        raise Refused("is_cancelled", _("Подписка отключается: сначала возобновите её"))
    if subscription.parent_id:
        raise Refused("is_addon", _("Дополнение продлевается вместе с основной подпиской"))
    adjusting.must_be_settled(subscription)
    return sum((_worth(one, days) for one in _family(subscription)), Decimal("0.00"))


def extend(*, subscription: Subscription, days: int, reason: str = "", actor: str = "") -> Subscription:
    """Gives `days` for nothing after what is paid, to it and its add-ons. Raises Refused as `look`."""
    with transaction.atomic():
        subscription = subscriptions.locked(subscription.pk)
        look(subscription, days)
        subscriptions.drop_change(subscription)
        for one in [subscription, *subscriptions.locked_addons(subscription)]:
            if one.state in {_S.ACTIVE, _S.TRIAL}:
                _give(one, days, reason=reason, actor=actor)
        subscription.refresh_from_db()
        subscriptions.plan(subscription)
        data = {"days": days, "reason": reason}
        journal.record("subscription.extended", subscriptions.KIND, subscription.pk, actor=actor, data=data)
    return subscription


def _family(subscription: Subscription) -> list[Subscription]:
    alive = Subscription.objects.filter(parent=subscription, state__in=[_S.ACTIVE, _S.TRIAL])
    return [subscription, *alive.order_by("pk")]


def _worth(subscription: Subscription, days: int) -> Decimal:
    day, terms, _coming = _terms_from(subscription)
    cycle = facts.cycle_of(terms)
    number = cycle.number_on(day)
    whole = (cycle.bill_date(number + 1) - cycle.bill_date(number)).days
    return rounded(terms.price * terms.quantity * days / whole)


def _terms_from(subscription: Subscription) -> tuple[date, SubscriptionPhase, list[SubscriptionPhase]]:
    """The first day that is not paid, the terms that hold from then on, and those of them that have not begun."""
    day = subscription.billed_until
    if day is None or day != subscription.current_period_end:
        raise Refused("invoice_open", _("Есть неоплаченный счёт: сначала оплатите его"))
    if subscription.end_date is not None and subscription.end_date <= day:
        raise Refused("ends_anyway", _("Подписке назначен последний день: сначала снимите его"))
    coming = list(
        subscription.phases.filter(dropped_at=None, start_date__gte=day).order_by("start_date", "id")
    )
    if any(one.start_date > day or one.kind != PhaseKind.REGULAR for one in coming):
        raise Refused("terms_to_come", _("Запланирована смена условий: сначала отмените её"))
    terms = coming[-1] if coming else phases.on(subscription, day)
    if terms is None:
        raise ValueError("The subscription has no terms")
    return day, terms, coming


def _give(subscription: Subscription, days: int, *, reason: str, actor: str) -> None:
    day, terms, coming = _terms_from(subscription)
    later = day + timedelta(days=days)
    for one in coming:
        phases.drop(one)
    told = {
        "reason": reason[:200],
        "actor": actor[:150],
        "anchor_date": later,
        "cycle_day": later.day,
        "dropped_at": None,
    }
    phases.copy(terms, kind=PhaseKind.GIFT, start_date=day, is_free=True, **told).save(force_insert=True)
    regular = phases.copy(terms, kind=PhaseKind.REGULAR, start_date=later, is_free=False, **told)
    regular.save(force_insert=True)
    for less in SubscriptionDiscount.objects.filter(subscription=subscription, end_date__gt=day):
        # For so many periods: they begin later now.
        less.end_date = (less.end_date or day) + timedelta(days=days)
        less.save(update_fields=["end_date"])
    subscription.current_period_end = subscription.billed_until = later
    if subscription.end_date is not None:
        subscription.end_date += timedelta(days=days)
    subscription.save(update_fields=["current_period_end", "billed_until", "end_date"])
    events.publish("billing.DaysGiven", subscription.pk)


def free_days(subscription_ids: Iterable[UUID] | None = None) -> dict[UUID, list[tuple[date, date]]]:
    """By subscription: days that it has without an invoice of ours, half-open: paid elsewhere, or given."""
    kinds = [PhaseKind.MOVED, PhaseKind.GIFT]
    rows = SubscriptionPhase.objects.filter(dropped_at=None)
    rows = rows.filter(
        subscription__in=SubscriptionPhase.objects.filter(kind__in=kinds).values("subscription")
    )
    if subscription_ids is not None:
        rows = rows.filter(subscription__in=list(subscription_ids))
    known: dict[UUID, list[SubscriptionPhase]] = defaultdict(list)
    for row in rows.order_by("start_date", "id"):
        known[row.subscription_id].append(row)
    return {
        key: [
            (one.start_date, following.start_date) for one, following in pairwise(mine) if one.kind in kinds
        ]
        for key, mine in known.items()
    }


def with_free_days(until: date | None, free: Iterable[tuple[date, date]]) -> date | None:
    """How far a subscription runs that is paid up to `until`, with the days for nothing that follow."""
    for start, end in free:
        if until is None or start <= until < end:
            until = end
    return until


__all__ = ["LONGEST", "extend", "free_days", "look", "with_free_days"]
