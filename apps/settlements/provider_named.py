"""What services of a provider's day are called: the product, and the order's number, which the customer knows too."""

from collections import defaultdict
from uuid import UUID

from apps.core.tenancy import in_partner
from apps.orders.models import Fulfilment, FulfilmentAction, Service
from apps.partners.models import Partner
from apps.settlements.provider_models import ProviderDay, ProviderDifference


def of_day(day: ProviderDay, *, only: ProviderDifference | None = None) -> dict[UUID, str]:
    """«Облако, A-1042» by a service's id, of all that differ (`only`: of one), in two queries for each partner."""
    rows = [only] if only is not None else day.differences.filter(service_id__isnull=False)
    wanted: dict[int, list[UUID]] = defaultdict(list)
    for row in rows:
        if row.partner_id is not None and row.service_id is not None:
            wanted[row.partner_id].append(row.service_id)
    found: dict[UUID, str] = {}
    for partner in Partner.objects.filter(pk__in=wanted):
        with in_partner(partner):
            found |= _named(wanted[partner.pk])
    return found


def _named(services: list[UUID]) -> dict[UUID, str]:
    ordered = Fulfilment.objects.filter(
        service__in=services, action=FulfilmentAction.PROVISION, item__isnull=False
    )
    numbers = dict(ordered.values_list("service", "item__order__number"))
    names = Service.objects.filter(pk__in=services).values_list("pk", "name")
    return {key: ", ".join(filter(None, (name, numbers.get(key, "")))) for key, name in names}
