"""What is remembered between the calls to a provider: by which version each began, and what the provider calls it.

Read when a call is claimed and written when its answer is recorded: the call itself has no business with the database.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from apps.connectors.base import ConnectorError
from apps.connectors.models import Connection, GatewayReference
from apps.core.tenancy import current_partner
from apps.providers import definitions
from apps.providers.base import Known, Provisioned, ProvisionRequest, Status
from apps.providers.models import ProviderCall

KIND = "orders.Fulfilment"
"""What a reference to a provider is about: a service, by its `request_id`, which is its first fulfilment's id."""


def prepare(
    connection: Connection | None, calls: Mapping[UUID, ProvisionRequest], *, repeated: Iterable[UUID] = ()
) -> dict[UUID, Known]:
    """What is known of calls, by their ids, in the caller's transaction; nothing where the connector remembers nothing.

    The caller holds the locks of their services.
    """
    if connection is None or not calls or not _remembers(connection):
        return {}
    references = _references(connection, {one.request_id for one in calls.values()})
    made = {one.pk: one for one in ProviderCall.objects.filter(pk__in=calls)}
    live = definitions.live_id(connection.config.get("definition", ""))
    new = [
        ProviderCall(pk=key, reference=references[request.request_id], version_id=live)
        for key, request in calls.items()
        if key not in made and live
    ]
    ProviderCall.objects.bulk_create(new)
    made |= {one.pk: one for one in new}
    again = set(repeated)
    known = {}
    for key, request in calls.items():
        reference, call = references[request.request_id], made.get(key)
        known[key] = Known(
            request=request,
            reference=reference.pk,
            service_id=reference.gateway_id,
            version=call.version_id if call else 0,
            is_accepted=bool(call and call.is_accepted),
            is_repeated=key in again,
        )
        if call:
            # So that the call finds its document without the database.
            definitions.document_of(call.version_id)
    return known


def known(connection: Connection, requests: Iterable[ProvisionRequest]) -> dict[UUID, Known]:
    """What is known of services of the current partner, by their requests: to ask about them. Writes nothing."""
    wanted = {one.request_id: one for one in requests}
    references = GatewayReference.objects.filter(
        partner_id=current_partner().pk, connection=connection, object_id__in=list(wanted)
    )
    named = {one.object_id: one for one in references}
    versions = dict(ProviderCall.objects.filter(pk__in=list(wanted)).values_list("pk", "version_id"))
    live = definitions.live_id(connection.config.get("definition", ""))
    return {
        key: Known(
            request=request,
            reference=named[key].pk if key in named else 0,
            service_id=named[key].gateway_id if key in named else "",
            version=versions.get(key) or live or 0,
        )
        for key, request in wanted.items()
    }


def _remembers(connection: Connection) -> bool:
    try:
        return bool(getattr(connection.connector_class, "remembers", False))
    except LookupError:
        return False


def _references(connection: Connection, request_ids: set[UUID]) -> dict[UUID, GatewayReference]:
    mine = GatewayReference.objects.filter(
        partner_id=current_partner().pk, connection=connection, object_id__in=request_ids
    )
    found = {one.object_id: one for one in mine}
    if missing := sorted(request_ids - set(found)):
        GatewayReference.allot_new(connection.pk, KIND, missing)
        found |= {one.object_id: one for one in mine.all()}
    return found


def learn(answers: Iterable[tuple[UUID, Known | None, Any]]) -> dict[UUID, ConnectorError]:
    """Keeps what the answers to calls have told, in the caller's transaction; gives those not to be believed.

    A number that the provider gave to another service before is somebody else's: nothing of that answer is given out.
    """
    told = [
        (key, known, answer)
        for key, known, answer in answers
        if known is not None and isinstance(answer, Provisioned)
    ]
    if not told:
        return {}
    wrong = _taken(told)
    for key, known, answer in told:
        if key in wrong:
            continue
        if answer.status == Status.PENDING and not known.is_accepted:
            ProviderCall.objects.filter(pk=key).update(is_accepted=True)
        if answer.service_id and answer.service_id != known.service_id:
            GatewayReference.objects.filter(pk=known.reference).update(gateway_id=answer.service_id)
    return wrong


def _taken(told: list[tuple[UUID, Known, Provisioned]]) -> dict[UUID, ConnectorError]:
    news = [one for one in told if one[2].service_id and one[2].service_id != one[1].service_id]
    if not news:
        return {}
    connections = dict(
        GatewayReference.objects.filter(pk__in=[known.reference for _k, known, _a in news]).values_list(
            "pk", "connection_id"
        )
    )
    rows = GatewayReference.objects.filter(
        connection__in=set(connections.values()),
        gateway_id__in={answer.service_id for _k, _n, answer in news},
    )
    owners = {(row.connection_id, row.gateway_id): row.pk for row in rows}
    wrong = {}
    for key, known, answer in news:
        place = connections[known.reference], answer.service_id
        if owners.setdefault(place, known.reference) != known.reference:
            wrong[key] = ConnectorError(
                _("Поставщик назвал номер другой услуги: %s") % answer.service_id, code="foreign_service"
            )
    return wrong


def reference_of(connection_id: int, call_id: str) -> int:
    """Our number of what a message speaks of by the id of a call of ours; 0, which is nobody's, where it is none."""
    try:
        key = UUID(call_id)
    except ValueError:
        return 0
    found = ProviderCall.objects.filter(pk=key, reference__connection=connection_id)
    return found.values_list("reference_id", flat=True).first() or 0
