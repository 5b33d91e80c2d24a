"""Trials: free days before the first charge, had once for a product by a phone, an e-mail and a card.

With a card the first charge comes when the days are over, by the renewal run as any other. Without one the product
rests then and the customer chooses how to pay: nothing is billed for that time.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from uuid import UUID, uuid5

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.accounts.models import Customer
from apps.billing import dunning, invoices, letters, pauses, periods, phases, preview, subscriptions
from apps.billing.arrangements import TrialUse
from apps.billing.models import RUNNING, Collection, Invoice, PhaseKind, Subscription, SubscriptionState
from apps.core import bulk, clock, due, events, search
from apps.core.errors import Refused
from apps.core.money import Money
from apps.payments import payments
from apps.payments.models import Payment, PaymentMethod, Purpose

PATIENCE = timedelta(days=30)
"""How long a trial that is over waits for somebody to say how it is to be paid."""
_S = SubscriptionState


def had(customer: Customer, product_id: int) -> bool:
    """Whether a trial of the product was had by who is reached at the customer's phone or e-mail."""
    digests = _digests(customer)
    return TrialUse.objects.filter(product_id=product_id, digest__in=digests).exists()


def claim(subscription: Subscription, method: PaymentMethod | None) -> bool:
    """Writes down that the trial is had from now on; False, and nothing written, where one of them had it before.

    The unique index is the lock: the second of two at once waits here for the first.
    """
    digests = _digests(subscription.customer, method.fingerprint if method else "")
    TrialUse.objects.bulk_create(
        [
            TrialUse(
                product_id=subscription.product_id,
                digest=digest,
                subscription=subscription,
                created_at=clock.now(),
            )
            # In one order, so that two who share both do not wait for each other.
            for digest in digests
        ],
        ignore_conflicts=True,
    )
    uses = TrialUse.objects.filter(product_id=subscription.product_id, digest__in=digests)
    if not uses.exclude(subscription=subscription).exists():
        return True
    uses.filter(subscription=subscription).delete()
    return False


def have_had(moved: Iterable[tuple[int, UUID, UUID, UUID | None]]) -> None:
    """Who uses a product already has no trial of it before them: (product, subscription, customer, method) of each.

    What somebody else with the same contact had before stays as it is. In single statements, however many.
    """
    moved = list(moved)
    customers = Customer.objects.in_bulk([one[2] for one in moved])
    methods = PaymentMethod.objects.filter(pk__in=bulk.these("uuid", [one[3] for one in moved if one[3]]))
    cards = dict(methods.values_list("pk", "fingerprint"))
    rows = {
        (product, digest): subscription
        for product, subscription, customer, method in moved
        for digest in _digests(customers[customer], cards.get(method, "") if method else "")
    }
    now = clock.now()
    TrialUse.objects.bulk_create(
        [
            TrialUse(product_id=product, digest=digest, subscription_id=key, created_at=now)
            # In one order, as for a single trial.
            for (product, digest), key in sorted(rows.items())
        ],
        ignore_conflicts=True,
    )


def forget(subscription_ids: Iterable[UUID]) -> None:
    """What `have_had` wrote of these is taken back."""
    TrialUse.objects.filter(subscription__in=bulk.these("uuid", subscription_ids)).delete()


def _digests(customer: Customer, fingerprint: str = "") -> list[str]:
    """Of phone, e-mail, the partner's own id and card: HMACs, nobody is known by them."""
    external = customer.external_id and f"external:{customer.external_id}"
    told = [customer.phone, customer.email, external, f"customer:{customer.pk}"]
    found = {search.digest(text).hex() for text in told if text}
    if fingerprint:
        found.add(fingerprint)
    return sorted(found)


def is_over_unpaid(subscription: Subscription, methods: Mapping[UUID, PaymentMethod]) -> bool:
    """Whether a trial has ended and nobody has said how it is to be paid: `methods` are those that may be charged."""
    return (
        subscription.state == _S.TRIAL
        and subscription.collection == Collection.CHARGE
        and subscription.method_id not in methods
    )


def rest(subscription: Subscription) -> None:
    """A locked trial is over and cannot be charged: nothing is billed, the product rests, the customer is asked."""
    day = subscription.current_period_end
    if day is None:
        raise ValueError("The subscription has not started")
    if (coming := phases.on(subscription, day)) is not None:
        # A change that was to come with the first charge is what is paid for in the end.
        phases.apply(subscription, coming)
    phases.add(subscription, kind=PhaseKind.PAUSE, start_date=day, is_free=True, reason=str(_REASON))
    for addon in subscriptions.locked_addons(subscription):
        subscriptions.end(addon, _S.ENDED, "parent")
    subscription.state, subscription.billed_until = _S.SUSPENDED, day
    subscription.save()
    for kind in (subscriptions.NOTICE, subscriptions.BEGIN):
        due.cancel(kind, subscription.pk)
    due.schedule(subscriptions.TRIAL_END, subscription.pk, periods.midnight(clock.today() + PATIENCE))
    journal.record("subscription.trial-over", subscriptions.KIND, subscription.pk)
    events.publish("billing.SubscriptionPaused", subscription.pk, customer_id=subscription.customer_id)
    letters.trial_over(subscription, subscription.money)


_REASON = _("Пробный период окончен, способ оплаты не выбран")


def waits(subscription: Subscription) -> bool:
    """Whether its trial is over and it waits for somebody to say how it is to be paid."""
    return subscription.state == _S.SUSPENDED and _rests(subscription)


def _rests(subscription: Subscription) -> bool:
    phase = phases.on(subscription, clock.today())
    return phase is not None and phase.is_free


def bind(*, subscription: Subscription, return_url: str, instrument: str = "") -> Payment:
    """Starts saving a card, or an account of SBP (`instrument`), for a subscription on the gateway's page.

    Nothing is taken where the gateway saves without a payment; elsewhere a rouble that is given back at once.

    A trial is charged by it when it ends; one that is over goes on, and is charged, as soon as the card is saved.
    Raises Refused `subscription_not_live`.
    """
    with transaction.atomic():
        subscription = subscriptions.locked(subscription.pk)
        if subscription.state not in RUNNING or subscription.collection != Collection.CHARGE:
            raise Refused("subscription_not_live", _("Эта подписка уже не действует"))
        return payments.start(
            customer=subscription.customer,
            amount=Money(invoices.ROUBLE, subscription.currency),
            description=str(invoices.TO_BIND),
            purpose=Purpose.BINDING,
            save_method=True,
            instrument=instrument,
            return_url=return_url,
            channel_id=subscription.channel_id,
            subscription_id=subscription.pk,
            product_id=subscription.product_id,
            tariff_version_id=subscription.tariff_version_id,
        )


def give_rouble_back(payment: Payment) -> None:
    """The card is saved: the rouble was never ours."""
    if payment.refundable():
        reason = str(_("Карта привязана, рубль возвращается"))
        # Not the payment's own id: a gateway knows that key by another request.
        payments.refund(payment=payment, reason=reason, actor="", key=uuid5(payment.pk, "rouble"))


def begin(subscription: Subscription, invoice: Invoice, payment: Payment | None = None) -> bool:
    """A locked new subscription starts: its trial where it has one, else its first paid period.

    False where somebody with this phone, e-mail or card had the trial already: nothing begins, nothing is paid.
    """
    if subscription.trial_days and not claim(subscription, payment.method if payment else None):
        _turn_away(subscription, invoice)
        return False
    subscriptions.start(subscription, invoice, payment)
    if subscription.trial_days:
        letters.trial_started(subscription, preview.preview(subscription).due)
    return True


def _turn_away(subscription: Subscription, invoice: Invoice) -> None:
    invoices.void(invoice)
    subscriptions.end(subscription, _S.ENDED, "trial_used")


def heard(payment_id: UUID) -> None:
    """A payment that is of no invoice came: perhaps a card was saved by it."""
    payment = Payment.objects.select_related("method").filter(pk=payment_id, purpose=Purpose.BINDING).first()
    if payment is not None:
        _bound(payment)


def _bound(payment: Payment) -> None:
    """Its subscription is charged by the card from now on."""
    subscription = subscriptions.locked(payment.subscription_id) if payment.subscription_id else None
    give_rouble_back(payment)
    if subscription is None or subscription.state not in RUNNING or payment.method_id is None:
        return
    if subscription.customer_id != payment.customer_id:
        # It was passed on while its former owner was at the gateway.
        return
    subscription.method_id = payment.method_id
    subscription.save(update_fields=["method"])
    data = {"method": str(payment.method)}
    journal.record("subscription.method", subscriptions.KIND, subscription.pk, data=data)
    if waits(subscription):
        go_on(subscription)
    elif payment.method is not None and dunning.charge_now(subscription, payment.method):
        return
    elif subscription.is_live and not subscription.cancel_at_period_end:
        subscriptions.plan(subscription)


def go_on(subscription: Subscription) -> None:
    """A locked subscription whose trial was over has a card: it is charged by the next run, from today on."""
    pauses.start_again(subscription)
    due.cancel(subscriptions.TRIAL_END, subscription.pk)
    due.schedule(subscriptions.RENEW, subscription.pk, clock.now())
    journal.record("subscription.unpaused", subscriptions.KIND, subscription.pk)


def give_up(subscription_id: UUID) -> None:
    """Nobody has said in time how it is to be paid."""
    with transaction.atomic():
        subscription = subscriptions.locked(subscription_id)
        if waits(subscription):
            subscriptions.end(subscription, _S.ENDED, "trial_over")
