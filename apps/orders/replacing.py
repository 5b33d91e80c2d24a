"""A key that does not work is replaced: marked as defective for good, claimed from its provider, and a new one given.

The new one is asked for under a new request id, which the service has from then on: whoever is killed, the new key is
given once, and the old request is taken back once.
"""

from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.catalog.models import TariffVersion
from apps.core import clock, faults
from apps.core.errors import Refused
from apps.core.tenancy import current_partner
from apps.orders import entitlements, fulfilment, history
from apps.orders.models import Fulfilment, FulfilmentAction, FulfilmentState, Service, ServiceState
from apps.providers import keys
from apps.providers.portal.models import DefectiveKey, DefectReason

KIND = "orders.Service"
LIMIT = 3
"""How many keys of one service support may replace; beyond that a manager decides."""
FAULT_POINTS = ("orders.replace-not-committed", "orders.replace-asked")
"""The commit boundary of asking for a replacement; the rest is any fulfilment's."""
_A, _F = FulfilmentAction, FulfilmentState
_OVER = (_F.DONE, _F.REVOKED)


def replace_key(
    service: Service,
    *,
    reason: str,
    comment: str = "",
    broken: str | None = None,
    actor: str,
    may_exceed: bool = False,
    shown: UUID | None = None,
) -> Fulfilment:
    """Plans a new key in place of the one that does not work; while one is on its way, gives that one.

    `broken` is the key that is meant, where the caller has seen it: another one is not touched; `shown`, an id that was
    made when somebody chose the service (`ids.uuid7`): a key that is newer is not touched either. Raises Refused:
    `no_key`, `service_off`, `other_key`, `too_many_replacements`, `bad_reason`.
    """
    if reason not in DefectReason.values:
        raise Refused("bad_reason", _("Такой причины нет"), status=400)
    with transaction.atomic():
        service = Service.objects.select_for_update(no_key=True).get(pk=service.pk)
        open_one = service.replacements and _open(service)
        if open_one:
            return open_one
        if shown and service.replacements and _replaced_since(service, shown):
            raise _other_key()
        _check(service, broken, may_exceed=may_exceed)
        made = fulfilment.add(service, _A.REPLACE, period_end=service.active_until)
        _claim(service, made, reason, comment, actor)
        old, service.request_id, service.key = service.request_id, made.pk, ""
        service.replacements = F("replacements") + 1
        service.save(update_fields=["request_id", "key", "replacements"])
        service.refresh_from_db(fields=["replacements"])
        entitlements.follow([service])
        keys.mark_defective(old)
        told = str(DefectReason(reason).label)
        history.record(
            service, service.state, service.state, actor=actor, reason=f"{_('Замена ключа')}: {told}"
        )
        data = {"reason": reason, "replacement": str(made.pk), "was": str(old)}
        journal.record("service.key-replaced", KIND, service.pk, actor=actor, data=data)
        faults.at("orders.replace-not-committed")
    faults.at("orders.replace-asked")
    return made


def replaced_by(request_id: UUID) -> UUID | None:
    """The request whose key this one replaces: it is taken back there before."""
    row = DefectiveKey.objects.filter(replacement_id=request_id).values_list("request_id", flat=True)
    return row.first()


def is_open(service: Service) -> bool:
    """Whether a new key is on its way: until then there is nothing at the provider to extend or pause."""
    return bool(service.replacements) and _open(service) is not None


def _open(service: Service) -> Fulfilment | None:
    return service.fulfilments.filter(action=_A.REPLACE).exclude(state__in=_OVER).first()


def _replaced_since(service: Service, shown: UUID) -> bool:
    return service.fulfilments.filter(action=_A.REPLACE, pk__gt=shown).exists()


def _other_key() -> Refused:
    return Refused("other_key", _("Этот ключ уже заменён"))


def _check(service: Service, broken: str | None, *, may_exceed: bool) -> None:
    if service.state not in {ServiceState.ACTIVE, ServiceState.SUSPENDED} or service.customer.erased_at:
        raise Refused("service_off", _("Эта услуга не действует: заменять нечего"))
    if not service.key:
        raise Refused("no_key", _("У этой услуги нет ключа"))
    if broken is not None and broken.strip() != service.key.strip():
        raise _other_key()
    if service.replacements >= LIMIT and not may_exceed:
        raise Refused(
            "too_many_replacements",
            _("Ключ этой услуги меняли уже %d раза: дальше решает менеджер") % service.replacements,
        )


def _claim(service: Service, made: Fulfilment, reason: str, comment: str, actor: str) -> None:
    version = TariffVersion.objects.select_related("tariff__product__provider").get(
        pk=service.tariff_version_id
    )
    product = version.tariff.product
    if product.provider is None:
        raise Refused("no_key", _("У этой услуги нет поставщика"))
    DefectiveKey.objects.create(
        provider=product.provider,
        partner_id=current_partner().pk,
        service_id=service.pk,
        request_id=service.request_id,
        replacement_id=made.pk,
        sku=version.tariff.code,
        key=service.key,
        reason=reason,
        comment=comment[:500],
        given_at=service.activated_at,
        reported_at=clock.wall(),
        actor=actor[:100],
    )
