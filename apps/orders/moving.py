"""What was delivered before a base was moved in: written down as it is, without a provider, a letter or an event."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.utils import translation
from django.utils.translation import gettext_lazy as _

from apps.billing.models import Subscription
from apps.billing.moving import batches
from apps.billing.moving.models import BaseRow, BaseRowState
from apps.catalog.models import Delivery, TariffVersion
from apps.core import bulk, clock
from apps.core.fields import decrypt, encrypt
from apps.core.ids import uuid7
from apps.orders import history
from apps.orders.models import History, Service, ServiceState
from apps.providers import keys as keys_module

_SERVICE = [
    "id",
    "customer",
    "subscription",
    "product",
    "tariff_version",
    "name",
    "state",
    "key",
    "url",
    "instructions",
    "request_id",
    "active_until",
    "activated_at",
    "created_at",
]


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
    asked = [one[10] for one in made]
    taken = set(
        Service.objects.filter(request_id__in=bulk.these("uuid", asked)).values_list("request_id", flat=True)
    )
    # A number that is somebody's already is not given twice: staff extend such a service by hand.
    made = [(*one[:10], uuid7() if one[10] in taken else one[10], *one[11:]) for one in made]
    bulk.copy(Service, _SERVICE, made)
    reason = str(_("Перенесена из прежней системы"))
    bulk.copy(
        History,
        ["id", "object_id", "was", "became", "at", "actor", "reason"],
        [(uuid7(), one[0], "", ServiceState.ACTIVE.value, one[12], "", reason) for one in made],
    )
    keys_module.take_over(list(_handed(rows, made)))
    batches.forget_secrets(batch_id)


def _handed(rows: list[BaseRow], made: list[tuple[Any, ...]]) -> Iterator[keys_module.Handed]:
    """Keys of products that are delivered by key: nobody else may get them from a pool."""
    versions = {one.pk: one for row in rows for one in _delivered(row.tariff_version)}
    for one in made:
        tariff = versions[one[4]].tariff
        if one[7] and tariff.product.delivery == Delivery.KEY and tariff.product.provider_id:
            yield keys_module.Handed(tariff.product.provider_id, tariff.code, decrypt(one[7]), one[10])


def _services(row: BaseRow) -> Iterator[tuple[Any, ...]]:
    """Rows in the order of _SERVICE: as many as pieces, of a bundle one of each part."""
    subscription, now, secrets = row.subscription, clock.now(), row.secrets
    if subscription is None or row.customer is None:
        return
    is_erased = row.customer.erased_at is not None
    keys, ids = iter(secrets.get("keys", [])), iter(secrets.get("provider_ids", []))
    for _piece in range(row.quantity):
        for version in _delivered(row.tariff_version):
            key = next(keys, "")
            with translation.override("ru"):
                name = f"{version.tariff.product}, {version.tariff.name}"[:300]
            yield (
                uuid7(),
                subscription.customer_id,
                subscription.pk,
                version.tariff.product_id,
                version.pk,
                name,
                ServiceState.ACTIVE.value,
                encrypt(key) if key and not is_erased else "",
                "" if is_erased else str(secrets.get("url", ""))[:500],
                "",
                UUID(found) if (found := next(ids, "")) else uuid7(),
                subscription.current_period_end,
                now,
                now,
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
        subscription__in=bulk.these("uuid", until), state=ServiceState.OFF
    )
    for service in mine.order_by("pk"):
        day = until[service.subscription_id]
        history.change(
            service, ServiceState.ACTIVE, reason=_("Перенесена снова"), active_until=day, off_at=None
        )


def give_back(subscription_id: UUID) -> None:
    """The batch was undone: the services are the old system's again, and no provider takes anything back."""
    mine = Service.objects.select_for_update(no_key=True).filter(subscription=subscription_id)
    if Subscription.objects.filter(pk=subscription_id, end_reason=batches.BACK).exists():
        for service in mine.exclude(state=ServiceState.OFF).order_by("pk"):
            history.change(
                service, ServiceState.OFF, reason=_("Возвращена прежней системе"), off_at=clock.now()
            )
