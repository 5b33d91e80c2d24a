"""Incoming messages: stored raw first, then read by their connector and handed to their partner."""

import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from uuid import UUID

from django.conf import settings
from django.db import connection as database
from django.db import transaction
from django.utils.translation import gettext as _
from psycopg import RawCursor

from apps.connectors.base import Connector, ForgedMessage, Received
from apps.connectors.models import Connection, GatewayReference, InboundMessage, InboundState
from apps.core import bulk, clock, due, faults, wake, work
from apps.core.fields import encrypt
from apps.core.ids import uuid7
from apps.core.tenancy import in_partner, in_public

log = logging.getLogger(__name__)
Told = Sequence[tuple[GatewayReference, Received]]
"""Messages that were read, each with the reference of the object that it is about."""
Receiver = Callable[[Told], None]
TASK = "connectors.inbound"
_receivers: dict[str, Receiver] = {}


def receiver(kind: str) -> Callable[[Receiver], Receiver]:
    """Registers what takes the messages of connectors of a kind.

    Called with those of one partner, in the order in which they came, in its schema, in one transaction, perhaps
    more than once: it schedules due work that asks the other side, and believes nothing.
    """

    def register(function: Receiver) -> Receiver:
        _receivers[kind] = function
        return function

    return register


def store(
    connection: Connection, *, method: str, query: str, headers: Mapping[str, str], body: bytes
) -> UUID:
    """Stores a message and schedules its reading; a copy of an earlier one only counts there. Gives its id."""
    return store_many([(connection, method, query, headers, body)])[0]


def store_many(came: Sequence[tuple[Connection, str, str, Mapping[str, str], bytes]]) -> list[UUID]:
    """`store` for many: connection, method, query, headers and body of each.

    In one round trip, and committed when it returns, unless a transaction is open.
    """
    at = clock.wall()
    rows = [_row(*one) for one in came]
    # Whoever stores some of the same at once waits for their locks in the same order.
    order = sorted(range(len(rows)), key=lambda place: rows[place][0])
    columns = [list(column) for column in zip(*(rows[place] for place in order), strict=True)]
    database.ensure_connection()
    # Not through Django's cursor, which asks for the search path first; values go as they are, none is quoted here.
    with database.wrap_database_errors, RawCursor(database.connection) as cursor:
        cursor.execute(_STORE, [*columns, at, TASK])
        ids = dict(zip(order, (key for (key,) in cursor.fetchall()), strict=True))
    wake.after_commit()
    return [ids[place] for place in range(len(rows))]


_STORE = """
SELECT public.connectors_store(the_lock, id, connection, $9, method, query, headers, body, fingerprint, $10)
FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[])
    AS came(the_lock, id, connection, method, query, headers, body, fingerprint)
"""


def _row(
    connection: Connection, method: str, query: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, UUID, int, str, str, str, str, bytes]:
    # With what signs it: a forger who knew what the true one would say cannot stand in its place.
    signed = [f"{name}:{headers.get(name, '')}".encode() for name in _signed_by(connection, headers)]
    content = b"\0".join([method.encode(), query.encode(), *signed, body])
    # Keyed: without the key nobody can tell from it what the message said.
    fingerprint = hmac.digest(settings.SEARCH_KEY.encode(), content, hashlib.sha256)
    return (
        _lock_of(connection.pk, fingerprint),
        uuid7(),
        connection.pk,
        method,
        encrypt(query) if query else "",
        encrypt(json.dumps(headers, ensure_ascii=False)),
        # Bytes are kept as Latin-1 text: any byte goes there and back unchanged.
        encrypt(body.decode("latin-1")) if body else "",
        fingerprint,
    )


def _lock_of(connection_id: int, fingerprint: bytes) -> int:
    """What copies of a message wait for each other by."""
    return int.from_bytes(fingerprint[:8], "big", signed=True) ^ connection_id


def _signed_by(connection: Connection, headers: Mapping[str, str]) -> Iterator[str]:
    try:
        patterns = connection.connector_class.signed_by
    except LookupError:
        return
    for pattern in patterns:
        if "*" in pattern:
            # What a proxy adds on the way is no part of the message.
            yield from (name for name in sorted(headers) if fnmatchcase(name, pattern) and name not in _ADDED)
        else:
            yield pattern


_ADDED = frozenset({"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip", "x-request-id"})


def replay(message: InboundMessage) -> None:
    """Processes a message (again): what it leads to happens once, however often it is processed."""
    with in_public():
        due.schedule(TASK, message.pk, clock.wall(), wall=True)


def process(message_id: UUID) -> None:
    """Reads a stored message and hands it to its partner. Raises what its receiver raises."""
    process_many([message_id])


def process_many(message_ids: Sequence[UUID]) -> None:
    """`process` for many: one transaction for those of a partner; where a receiver raises, none of them is done."""
    stored = InboundMessage.objects.filter(pk__in=bulk.these("uuid", message_ids))
    rows = bulk.instances(stored.order_by("received_at", "pk"))
    connections = Connection.objects.in_bulk({message.connection_id for message in rows})
    read: list[tuple[InboundMessage, Received]] = []
    done: list[tuple[InboundMessage, int | None]] = []
    for message in rows:
        message.connection = connections[message.connection_id]
        try:
            received = _read(message)
        except ForgedMessage as error:
            _finish(message, InboundState.REJECTED, error=str(error))
            continue
        if received.concerns_nobody:
            done.append((message, None))
        else:
            read.append((message, received))
    found = _find(read)
    for partner_id, theirs in _by_partner(read, found).items():
        with in_partner(partner_id), transaction.atomic():
            for kind, told in _by_kind(theirs, found).items():
                _receivers[kind](told)
        done += [(message, found[message.pk].pk) for message, _received in theirs]
    faults.at("connectors.received-not-marked")
    _mark(done)


def _by_partner(
    read: Sequence[tuple[InboundMessage, Received]], found: Mapping[UUID, GatewayReference]
) -> dict[int, list[tuple[InboundMessage, Received]]]:
    """Those that somebody takes; staff look at the others."""
    groups: dict[int, list[tuple[InboundMessage, Received]]] = {}
    for message, received in read:
        reference = found.get(message.pk)
        if reference is None or message.connection.kind not in _receivers:
            _finish(message, InboundState.UNMATCHED, error=_("Не найдено, о чём это сообщение"))
            work.open(TASK, message.pk, _("%s: сообщение не опознано") % message.connection.name)
        else:
            groups.setdefault(reference.partner_id, []).append((message, received))
    return groups


def _by_kind(
    theirs: Sequence[tuple[InboundMessage, Received]], found: Mapping[UUID, GatewayReference]
) -> dict[str, list[tuple[GatewayReference, Received]]]:
    groups: dict[str, list[tuple[GatewayReference, Received]]] = {}
    for message, received in theirs:
        groups.setdefault(message.connection.kind, []).append((found[message.pk], received))
    return groups


def _mark(done: Sequence[tuple[InboundMessage, int | None]]) -> None:
    state = InboundState.DONE.value
    bulk.update(
        InboundMessage,
        ["state", "error", "reference"],
        [(message.pk, state, "", reference) for message, reference in done],
    )
    if done:
        work.close_many(TASK, [message.pk for message, _reference in done])


def _read(message: InboundMessage) -> Received:
    """What a message says, by the secrets of now or by those replaced of late. Raises ForgedMessage."""
    forged = ForgedMessage("")
    for connector in message.connection.readers(message.received_at):
        try:
            return _read_by(connector, message)
        except ForgedMessage as error:
            forged = error
    raise forged


def _read_by(connector: Connector, message: InboundMessage) -> Received:
    """What the connector reads in a message. Raises ForgedMessage also for what it stumbles over."""
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


def _find(read: Sequence[tuple[InboundMessage, Received]]) -> dict[UUID, GatewayReference]:
    """What each message is about, by message: by our number where it has one, else by the other side's."""
    numbers = [one.reference for _message, one in read if one.reference is not None]
    # No name of ours holds what the database cannot: it is not asked for that.
    names = [
        one.gateway_id for _message, one in read if one.reference is None and one.gateway_id.isprintable()
    ]
    connections = {message.connection_id for message, _received in read}
    known = GatewayReference.objects.filter(connection__in=connections)
    by_number = known.in_bulk(numbers) if numbers else {}
    named = known.filter(gateway_id__in={name for name in names if name}) if names else []
    by_name = {(one.connection_id, one.gateway_id): one for one in named}
    found = {}
    for message, received in read:
        if received.reference is not None:
            reference = by_number.get(received.reference)
        else:
            reference = by_name.get((message.connection_id, received.gateway_id))
        if reference is not None and reference.connection_id == message.connection_id:
            found[message.pk] = reference
    return found


def _finish(message: InboundMessage, state: str, *, error: str = "", reference: int | None = None) -> None:
    InboundMessage.objects.filter(pk=message.pk).update(state=state, error=error[:500], reference=reference)
