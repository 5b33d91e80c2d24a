"""What was delivered before a base was moved in: written down as it is, without a provider, a letter or an event."""

from collections.abc import Iterator
from uuid import UUID

from django.utils import translation
from django.utils.translation import gettext_lazy as _

from apps.billing.models import Subscription
from apps.billing.moving import batches
from apps.billing.moving.models import BaseRow, BaseRowState
from apps.catalog.models import Delivery, TariffVersion
from apps.core import bulk, clock
from apps.core.ids import uuid7
from apps.orders import entitlements, inventory
from apps.orders.models import ENDED_STATES, History, Service, ServiceState
from apps.providers import keys as keys_module


def take_over(batch_id: UUID) -> None:
    """A batch was moved: each piece that was bought is a service in the customer's hands, with its key or link."""
    rows = list(
        BaseRow.objects.select_for_update(of=("self",))
        .filter(batch=batch_id, state=BaseRowState.MOVED)
        .select_related("subscription", "customer", "tariff_version__tariff__product")
        .order_by("pk")
    )
    keys = bulk.these("uuid", [row.subscription_id for row in rows])
    there = set(Service.objects.filter(subscription__in=keys).values_list("subscription_id", flat=True))
    _again([row for row in rows if row.subscription_id in there])
    made = [one for row in rows if row.subscription_id not in there for one in _services(row)]
    asked = bulk.these("uuid", [one.request_id for one in made])
    taken = set(Service.objects.filter(request_id__in=asked).values_list("request_id", flat=True))
    for one in made:
        if one.request_id in taken:
            # A number that is somebody's already is not given twice: staff extend such a service by hand.
            one.request_id = uuid7()
    bulk.copy_objects(Service, made)
    entitlements.follow(made)
    reason = str(_("Перенесена из прежней системы"))
    lines = [
        History(id=uuid7(), object_id=one.pk, became=one.state, at=one.created_at, reason=reason)
        for one in made
    ]
    bulk.copy_objects(History, lines)
    keys_module.take_over(list(_handed(rows, made)))
    batches.forget_secrets(batch_id)


def _handed(rows: list[BaseRow], made: list[Service]) -> Iterator[keys_module.Handed]:
    """Keys of products that are delivered by key: nobody else may get them from a pool."""
    versions = {one.pk: one for row in rows for one in _delivered(row.tariff_version)}
    for one in made:
        tariff = versions[one.tariff_version_id].tariff
        if one.key and tariff.product.delivery == Delivery.KEY and tariff.product.provider_id:
            yield keys_module.Handed(tariff.product.provider_id, tariff.code, one.key, one.request_id)


def _services(row: BaseRow) -> Iterator[Service]:
    """As many as pieces, of a bundle one of each part."""
    subscription, now, secrets = row.subscription, clock.now(), row.secrets
    if subscription is None or row.customer is None:
        return
    is_erased = row.customer.erased_at is not None
    keys, ids = iter(secrets.get("keys", [])), iter(secrets.get("provider_ids", []))
    for _piece in range(row.quantity):
        for version in _delivered(row.tariff_version):
            key, number = next(keys, ""), next(ids, "")
            with translation.override("ru"):
                name = f"{version.tariff.product}, {version.tariff.name}"[:300]
            yield Service(
                customer_id=subscription.customer_id,
                subscription_id=subscription.pk,
                product_id=version.tariff.product_id,
                tariff_version_id=version.pk,
                name=name,
                state=ServiceState.ACTIVE.value,
                key="" if is_erased else key,
                url="" if is_erased else str(secrets.get("url", ""))[:500],
                request_id=UUID(number) if number else uuid7(),
                active_until=subscription.current_period_end,
                activated_at=now,
                created_at=now,
            )


def _delivered(version: TariffVersion) -> list[TariffVersion]:
    if version.tariff.product.delivery != Delivery.BUNDLE:
        return [version]
    current = [part.current_id for part in version.parts() if part.current_id]
    return list(TariffVersion.objects.filter(pk__in=current).select_related("tariff__product").order_by("pk"))


def _again(rows: list[BaseRow]) -> None:
    """Moved back and moved again: what went off here was on with the customer all the time."""
    until = {row.subscription_id: row.next_charge_date for row in rows}
    mine = Service.objects.select_for_update(no_key=True).filter(
        subscription__in=bulk.these("uuid", until), state=ServiceState.TERMINATED
    )
    for service in mine.order_by("pk"):
        day = until[service.subscription_id]
        inventory.move(
            service, ServiceState.ACTIVE, reason=_("Перенесена снова"), active_until=day, off_at=None
        )


def give_back(subscription_id: UUID) -> None:
    """The batch was undone: the services are the old system's again, and no provider takes anything back."""
    mine = Service.objects.select_for_update(no_key=True).filter(subscription=subscription_id)
    if Subscription.objects.filter(pk=subscription_id, end_reason=batches.BACK).exists():
        for service in mine.exclude(state__in=ENDED_STATES).order_by("pk"):
            inventory.end(service, is_at_provider=False, reason=_("Возвращена прежней системе"))
