"""A provider that sends no list is asked about each of its services, a page at a time, with what it knows them by."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from apps.connectors.models import Connection
from apps.core import clock
from apps.core.tenancy import in_partner
from apps.orders.models import Service
from apps.partners.models import Partner
from apps.providers import remembering
from apps.providers.base import Known, ProvisionRequest
from apps.providers.models import Provider
from apps.providers.services import connection_to
from apps.settlements.provider_models import ProviderAnswer, ProviderDay


@dataclass(frozen=True, slots=True)
class Ours:
    """One service of a provider as we have it on a day."""

    id: UUID
    request_id: UUID
    partner: Partner
    amount: Decimal
    is_charged: bool
    is_on: bool
    """Whether we say ourselves that the customer has it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of a day so far by the provider's answers."""

    on: dict[UUID, Decimal | None]
    count: int
    left: int
    """How many are still to be asked about."""


def ask(provider: Provider, day: date, ours: Sequence[Ours], *, is_test: bool, most: int) -> Asked | None:
    """Asks about `most` services that were not asked about yet, and keeps each answer; None where the provider has no
    connection, or no way to ask. Outside any transaction. Raises ConnectorError: what was answered before is kept."""
    wanted = [one for one in ours if one.is_charged or one.is_on]
    line = _line(provider, wanted)
    if line is None:
        return None
    row, _is_new = ProviderDay.objects.get_or_create(
        provider=provider, day=day, is_test=is_test, defaults={"checked_at": clock.wall()}
    )
    answers = dict(row.answers.values_list("request_id", "is_on"))
    todo = [one for one in wanted if one.request_id not in answers][:most]
    for one, told in _answers(line, todo):
        if told is None and not answers:
            # It has no word for that: our own data is all there is.
            return None
        # Of a single one that it cannot be asked about, what we say ourselves stands.
        answers[one.request_id] = one.is_on if told is None else told
        made = ProviderAnswer(day=row, request_id=one.request_id, is_on=answers[one.request_id])
        ProviderAnswer.objects.bulk_create([made], ignore_conflicts=True)
    known = {one.request_id for one in wanted} & answers.keys()
    return Asked({key: None for key in known if answers[key]}, len(known), len(wanted) - len(known))


def _line(provider: Provider, wanted: Sequence[Ours]) -> Connection | None:
    if not wanted:
        return None
    with in_partner(wanted[0].partner):
        return connection_to(provider)


def _answers(line: Connection, todo: Sequence[Ours]) -> Iterator[tuple[Ours, bool | None]]:
    connector = line.open()
    known = _known(line, todo) if connector.remembers else {}
    for one in todo:
        asked = connector.knowing(known[one.request_id]) if one.request_id in known else connector
        yield one, asked.has(one.request_id)


def _known(line: Connection, todo: Sequence[Ours]) -> dict[UUID, Known]:
    by_partner: dict[Partner, list[UUID]] = defaultdict(list)
    for one in todo:
        by_partner[one.partner].append(one.id)
    found: dict[UUID, Known] = {}
    for partner, keys in by_partner.items():
        with in_partner(partner):
            rows = Service.objects.filter(pk__in=keys).select_related("tariff_version__tariff")
            found |= remembering.known(line, [_request(one) for one in rows])
    return found


def _request(service: Service) -> ProvisionRequest:
    version = service.tariff_version
    return ProvisionRequest(
        request_id=service.request_id,
        sku=version.tariff.code,
        customer_ref=str(service.customer_id),
        period_end=service.active_until or clock.today(),
        parameters={**version.parameters, **service.answers},
    )
