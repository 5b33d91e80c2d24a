"""What must hold of trials, promo codes and what is given to those who stay."""

from collections.abc import Iterator

from django.db.models import Count, Exists, OuterRef, Q, Sum

from apps.billing.arrangements import TrialUse
from apps.billing.models import PhaseKind, Subscription, SubscriptionDiscount, SubscriptionPhase
from apps.billing.promotion_models import PromoRedemption, Promotion, RedemptionState
from apps.core import audit
from apps.core.models import Delivery
from apps.core.tenancy import current_partner_id
from apps.payments.models import Payment, PaymentState, Purpose


@audit.rule("billing.binding-given-back", of=(audit.some(Payment, purpose=Purpose.BINDING),))
def binding_given_back() -> Iterator[str]:
    """The rouble by which a card was saved goes back, as soon as the news has come here."""
    told = Delivery.objects.filter(partner_id=current_partner_id()).values_list("event__object_id", flat=True)
    came = [PaymentState.SUCCEEDED, PaymentState.REFUNDED]
    kept = Payment.objects.filter(purpose=Purpose.BINDING, state__in=came, refunds=None, amount__gt=0)
    for payment in kept.exclude(pk__in=list(told)):
        yield f"Payment {payment.pk} saved a card, and its {payment.money} was kept"


@audit.rule("billing.trial-had-once", of=(audit.some(SubscriptionPhase, kind=PhaseKind.TRIAL),))
def trial_had_once() -> Iterator[str]:
    """Every trial that began is written down, so that nobody has another one of the product."""
    begun = Subscription.objects.filter(started_at__isnull=False, phases__kind=PhaseKind.TRIAL)
    known = TrialUse.objects.filter(subscription=OuterRef("pk"))
    for subscription in begun.filter(~Exists(known)).distinct():
        yield f"Subscription {subscription.pk} began with a trial, and nobody knows who had it"


@audit.rule("billing.promo-within-limits", of=(Promotion, PromoRedemption))
def promo_within_limits() -> Iterator[str]:
    """A promotion counts what was redeemed of it, and what was redeemed and bought has its discount."""
    held = Q(redemptions__state__in=[RedemptionState.RESERVED, RedemptionState.APPLIED])
    for one in Promotion.objects.annotate(
        times=Count("redemptions", filter=held), cost=Sum("redemptions__cost", filter=held, default=0)
    ):
        if (one.used, one.spent) != (one.times, one.cost):
            yield f"Promotion {one.pk}: {one.used} for {one.spent} is not {one.times} for {one.cost}"
    given = SubscriptionDiscount.objects.filter(source_id=OuterRef("pk"))
    for redemption in PromoRedemption.objects.filter(~Exists(given), state=RedemptionState.APPLIED):
        yield f"Redemption {redemption.pk} was applied and gives nothing"
