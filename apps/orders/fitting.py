"""Services follow the terms of their subscription: of which tariff, how many, and whether they rest."""

from uuid import UUID

from django.utils.translation import gettext_lazy as _

from apps.billing import subscriptions
from apps.billing.models import Subscription, SubscriptionState
from apps.catalog.models import Delivery, TariffVersion
from apps.orders import entitlements, fulfilment, resting
from apps.orders.models import ENDED_STATES, FulfilmentAction, Service, ServiceState
from apps.orders.services import new_service, switch_off


def fit(subscription_id: UUID) -> None:
    """As many services of each tariff as the subscription says: more are provisioned, the others go off.

    Safe to repeat. What was made for another tariff goes off; the newest go first where there are too many.
    """
    subscription = subscriptions.locked(subscription_id)
    if not subscription.is_live:
        return
    versions = _delivered(subscription)
    mine = Service.objects.select_for_update(no_key=True).filter(subscription=subscription)
    alive = list(mine.exclude(state__in=ENDED_STATES).select_related("tariff_version").order_by("pk"))
    if not alive:
        # Nothing was delivered yet: what comes first comes with the order.
        return
    for version in versions:
        of_it = [one for one in alive if one.tariff_version.tariff_id == version.tariff_id]
        for service in of_it[subscription.quantity :]:
            switch_off(service, _("Уменьшено количество"))
        for _piece in range(subscription.quantity - len(of_it)):
            service = new_service(subscription, version)
            fulfilment.add(service, FulfilmentAction.PROVISION, period_end=subscription.current_period_end)
    kept = {version.tariff_id for version in versions}
    for service in alive:
        if service.tariff_version.tariff_id not in kept:
            switch_off(service, _("Сменён тариф"))


def rest(subscription_id: UUID) -> None:
    """The subscription is paused, or waits to be paid: its services rest, at the provider too where it knows that."""
    subscription = subscriptions.locked(subscription_id)
    if subscription.state in {SubscriptionState.PAUSED, SubscriptionState.SUSPENDED}:
        reason = (
            _("Не оплачена") if subscription.state == SubscriptionState.SUSPENDED else _("Пауза подписки")
        )
        for service in _of(subscription, ServiceState.ACTIVE):
            resting.rest(service, reason)


def wake(subscription_id: UUID) -> None:
    """The subscription goes on: its services do."""
    subscription = subscriptions.locked(subscription_id)
    if subscription.is_live:
        for service in _of(subscription, ServiceState.SUSPENDED):
            resting.wake(service, _("Подписка продолжается"))


def transfer(subscription_id: UUID) -> None:
    """The subscription has another customer: its services are theirs."""
    subscription = subscriptions.locked(subscription_id)
    mine = Service.objects.select_for_update(no_key=True).filter(subscription=subscription)
    for service in mine.exclude(customer=subscription.customer_id).order_by("pk"):
        service.customer_id = subscription.customer_id
        service.save(update_fields=["customer"])
        entitlements.follow([service])


def _of(subscription: Subscription, state: str) -> list[Service]:
    mine = Service.objects.select_for_update(no_key=True).filter(subscription=subscription, state=state)
    return list(mine.order_by("pk"))


def _delivered(subscription: Subscription) -> list[TariffVersion]:
    version = TariffVersion.objects.select_related("tariff__product").get(pk=subscription.tariff_version_id)
    if version.tariff.product.delivery != Delivery.BUNDLE:
        return [version]
    return [
        TariffVersion.objects.select_related("tariff__product").get(pk=part.current.pk)
        for part in version.parts()
        if part.current
    ]
