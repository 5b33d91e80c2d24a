"""Somebody is about to leave: one offer beside the button, taken by one click; the answer is kept for the report."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Count, Q
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.billing import discounts, pauses, periods, subscriptions
from apps.billing.models import Subscription, SubscriptionState
from apps.billing.promotion_models import CancelReason, LeavingAnswer, RetentionKind, RetentionOffer
from apps.catalog.models import TariffVersion
from apps.core import clock
from apps.core.errors import Refused

_S = SubscriptionState


def offer_for(subscription: Subscription) -> RetentionOffer | None:
    """The first offer in force that suits a subscription; none to who has stayed by one before."""
    if subscription.cancel_at_period_end or subscription.parent_id:
        return None
    if LeavingAnswer.objects.filter(subscription=subscription, stayed=True).exists():
        return None
    tariff = TariffVersion.objects.values_list("tariff_id", flat=True).get(pk=subscription.tariff_version_id)
    offers = RetentionOffer.objects.filter(
        Q(tariff_ids=[]) | Q(tariff_ids__contains=[tariff]), is_active=True
    )
    return next((one for one in offers if _suits(one, subscription)), None)


def accept(*, subscription: Subscription, reason: str = "", actor: str = "") -> RetentionOffer:
    """Stays: the discount holds from the next charge on, or the pause begins today.

    Raises Refused: `nothing_offered`, `bad_reason`, and those of `pauses.pause`.
    """
    with transaction.atomic():
        subscription = subscriptions.locked(subscription.pk)
        offer = offer_for(subscription)
        if offer is None:
            raise Refused("nothing_offered", _("Это предложение уже не действует"))
        answer = _keep(subscription, offer, reason=reason, stayed=True)
        if offer.kind == RetentionKind.PAUSE:
            days = timedelta(days=offer.pause_days or 0)
            pauses.pause(subscription=subscription, until=clock.today() + days, actor=actor)
        else:
            discounts.give(
                subscription,
                name=offer.name.get("ru", "")[:100],
                percent=offer.percent,
                periods=offer.periods,
                source_id=answer.pk,
            )
        data = {"offer": str(offer.pk), "reason": reason}
        journal.record("subscription.retained", subscriptions.KIND, subscription.pk, actor=actor, data=data)
    return offer


def left(*, subscription: Subscription, reason: str = "") -> None:
    """Goes all the same: what was offered, and why, in the caller's transaction. Raises Refused `bad_reason`."""
    _keep(subscription, offer_for(subscription), reason=reason, stayed=False)


def leave(
    subscription: Subscription, *, at_period_end: bool, reason: str = "", actor: str = ""
) -> Subscription:
    """`subscriptions.cancel`, and the answer is kept for the report: `reason` is one of ours, or words of their own."""
    with transaction.atomic():
        found = subscriptions.locked_with_parent(subscription.pk)
        if not found.cancel_at_period_end and not found.cancelled_at:
            code = reason if reason in CancelReason.values else CancelReason.OTHER if reason else ""
            left(subscription=found, reason=code)
        words = str(CancelReason(reason).label) if reason in CancelReason.values else reason
        return subscriptions.cancel(found, at_period_end=at_period_end, reason=words, actor=actor)


def _keep(
    subscription: Subscription, offer: RetentionOffer | None, *, reason: str, stayed: bool
) -> LeavingAnswer:
    if reason and reason not in CancelReason.values:
        raise Refused("bad_reason", _("Такой причины нет"), status=400)
    try:
        with transaction.atomic():
            return LeavingAnswer.objects.create(
                subscription=subscription, offer=offer, reason=reason, stayed=stayed, at=clock.now()
            )
    except IntegrityError:
        raise Refused("nothing_offered", _("Это предложение уже не действует")) from None


def _suits(offer: RetentionOffer, subscription: Subscription) -> bool:
    if offer.kind == RetentionKind.PAUSE:
        return subscription.state == _S.ACTIVE
    day = subscription.billed_until or clock.today()
    return subscription.state in {_S.ACTIVE, _S.TRIAL} and not discounts.has_one(subscription, day)


@dataclass(frozen=True, slots=True)
class Row:
    """Of one reason, or one offer: how many were about to leave, and how many of them have stayed."""

    name: str
    asked: int
    stayed: int

    @property
    def percent(self) -> int:
        """Of those who were asked."""
        return round(100 * self.stayed / self.asked) if self.asked else 0


@dataclass(frozen=True, slots=True)
class Report:
    """Why people leave, and what keeps them."""

    by_reason: list[Row]
    by_offer: list[Row]

    @property
    def total(self) -> Row:
        """All of them."""
        return Row("", sum(row.asked for row in self.by_reason), sum(row.stayed for row in self.by_reason))


def report(since: date, until: date) -> Report:
    """Answers of the days [since, until) in the partner's zone."""
    answers = LeavingAnswer.objects.filter(at__gte=periods.midnight(since), at__lt=periods.midnight(until))
    counted = {"asked": Count("pk"), "stayed": Count("pk", filter=Q(stayed=True))}
    reasons = answers.order_by().values_list("reason").annotate(**counted)
    offers = answers.filter(offer__isnull=False).order_by().values_list("offer").annotate(**counted)
    names = RetentionOffer.objects.in_bulk([key for key, _asked, _stayed in offers])
    return Report(
        _sorted(
            Row(str(CancelReason(key).label) if key else str(_("Не назвали")), asked, stayed)
            for key, asked, stayed in reasons
        ),
        _sorted(Row(str(names[key]), asked, stayed) for key, asked, stayed in offers),
    )


def _sorted(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: -row.asked)
