"""Incoming messages: stored raw first, then read by their connector and handed to their partner."""

import hashlib
import hmac
import logging
from collections.abc import Callable
from uuid import UUID

from django.conf import settings
from django.db import connection as database
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from apps.connectors.base import Connector, ForgedMessage, Received
from apps.connectors.models import Connection, GatewayReference, InboundMessage, InboundState
from apps.core import clock, due, faults, work
from apps.core.tenancy import in_partner, in_public

log = logging.getLogger(__name__)
Receiver = Callable[[GatewayReference, Received], None]
TASK = "connectors.inbound"
MAX_BYTES = 256 * 1024
"""Of a message: the longest true ones have some kilobytes, and each is kept for 90 days."""
_receivers: dict[str, Receiver] = {}


def receiver(kind: str) -> Callable[[Receiver], Receiver]:
    """Registers what takes the messages of connectors of a kind.

    Called with the reference of the object that the message is about, in its partner's schema, in one
    transaction, perhaps more than once: it schedules due work that asks the other side, and believes nothing.
    """

    def register(function: Receiver) -> Receiver:
        _receivers[kind] = function
        return function

    return register


@csrf_exempt
@require_http_methods(["GET", "POST", "PUT"])
def hook(request: HttpRequest, connection: int) -> HttpResponse:
    """`/hooks/<connection>/` on the public host: stores what came and answers 200 at once."""
    owner = get_object_or_404(Connection, pk=connection)
    if _length(request) > MAX_BYTES:
        return HttpResponse(status=413)
    message = store(
        owner,
        method=request.method or "",
        query=request.META.get("QUERY_STRING", ""),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=request.body,
    )
    faults.at("connectors.stored-not-answered")
    try:
        text, content_type = owner.connector_class.acknowledge(message.raw())
    except LookupError:
        text, content_type = Connector.acknowledge(message.raw())
    return HttpResponse(text, content_type=content_type)


def _length(request: HttpRequest) -> int:
    given = request.META.get("CONTENT_LENGTH") or "0"
    return int(given) if given.isascii() and given.isdigit() and len(given) < 19 else MAX_BYTES + 1


def store(
    connection: Connection, *, method: str, query: str, headers: dict[str, str], body: bytes
) -> InboundMessage:
    """Stores a message and schedules its processing; a copy of an earlier one only counts there."""
    # With what signs it: a forger who knew what the true one would say cannot stand in its place.
    signed = [f"{name}:{headers.get(name, '')}".encode() for name in _signed_by(connection)]
    content = b"\0".join([method.encode(), query.encode(), *signed, body])
    # Keyed: without the key nobody can tell from it what the message said.
    fingerprint = hmac.digest(settings.SEARCH_KEY.encode(), content, hashlib.sha256)
    with transaction.atomic():
        _lock(connection.pk, fingerprint)
        earlier = InboundMessage.objects.filter(connection=connection, fingerprint=fingerprint).first()
        if earlier is not None:
            earlier.copies += 1
            earlier.save(update_fields=["copies"])
            if earlier.state != InboundState.DONE:
                replay(earlier)
            return earlier
        message = InboundMessage.objects.create(
            connection=connection,
            received_at=clock.wall(),
            method=method,
            query=query,
            headers=headers,
            body=body.decode("latin-1"),
            fingerprint=fingerprint,
        )
        replay(message)
    return message


def _signed_by(connection: Connection) -> tuple[str, ...]:
    try:
        return connection.connector_class.signed_by
    except LookupError:
        return ()


def _lock(connection_id: int, fingerprint: bytes) -> None:
    # A unique index over partitions would have to hold the month as well; this holds over all of them.
    number = int.from_bytes(fingerprint[:8], "big", signed=True) ^ connection_id
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number])


def replay(message: InboundMessage) -> None:
    """Processes a message (again): what it leads to happens once, however often it is processed."""
    with in_public():
        due.schedule(TASK, message.pk, clock.wall(), wall=True)


def process(message_id: UUID) -> None:
    """Reads a stored message and hands it to its partner. Raises what its receiver raises."""
    message = InboundMessage.objects.select_related("connection").filter(pk=message_id).first()
    if message is None:
        return
    try:
        received = _read(message)
    except ForgedMessage as error:
        _finish(message, InboundState.REJECTED, error=str(error))
        return
    if received.concerns_nobody:
        _finish(message, InboundState.DONE)
        work.close(TASK, message.pk)
        return
    reference = _find(message.connection, received)
    take = _receivers.get(message.connection.kind)
    if reference is None or take is None:
        _finish(message, InboundState.UNMATCHED, error=_("Не найдено, о чём это сообщение"))
        work.open(TASK, message.pk, _("%s: сообщение не опознано") % message.connection.name)
        return
    with in_partner(reference.partner_id), transaction.atomic():
        take(reference, received)
    faults.at("connectors.received-not-marked")
    _finish(message, InboundState.DONE, reference=reference.pk)
    work.close(TASK, message.pk)


def _read(message: InboundMessage) -> Received:
    """What the connector reads in a message. Raises ForgedMessage also for what it stumbles over."""
    connector = message.connection.reader()
    try:
        received: Received = connector.receive(message.raw())
        # What is there may be of any type, whatever the connector promises.
        if not isinstance(received.reference, int | None) or not isinstance(received.gateway_id, str):
            raise TypeError
    except _UNREADABLE as error:
        # Read again it would be no better: to try for ever would tell staff nothing.
        log.warning("Message %s cannot be read: %s", message.pk, type(error).__name__)
        raise ForgedMessage(_("Не прочитать: %s") % type(error).__name__) from error
    return received


# What text from anywhere may do to a reader: wrong types, numbers and encodings, nesting without end.
_UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError)


def _find(connection: Connection, received: Received) -> GatewayReference | None:
    known = GatewayReference.objects.filter(connection=connection)
    if received.reference is not None:
        return known.filter(pk=received.reference).first()
    # No name of ours holds what the database cannot: it is not asked for that.
    if not received.gateway_id or not received.gateway_id.isprintable():
        return None
    return known.filter(gateway_id=received.gateway_id).first()


def _finish(message: InboundMessage, state: str, *, error: str = "", reference: int | None = None) -> None:
    InboundMessage.objects.filter(pk=message.pk).update(state=state, error=error[:500], reference=reference)
