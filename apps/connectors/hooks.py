"""The address of incoming messages: what comes is stored as it came, answered at once, and read later (`webhooks`).

Two ways lead here: the web's view, and a process of its own that stores together what came meanwhile (`intake`).
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from apps.connectors import webhooks
from apps.connectors.base import Connector, Inbound, query_fields
from apps.connectors.models import Connection
from apps.core import faults
from apps.core.tenancy import in_public

log = logging.getLogger(__name__)
METHODS = ("GET", "POST", "PUT")
MAX_BYTES = 256 * 1024
"""Of a message: the longest true ones have some kilobytes, and each is kept for 90 days."""
FRESH_SECONDS = 5.0
"""For which it is not read again whose an address is."""
_kept: dict[int, tuple[float, Connection]] = {}


@dataclass(frozen=True, slots=True)
class Came:
    """What came to the address of a connection."""

    connection_id: int
    method: str
    query: str
    headers: dict[str, str]
    """Names in lower case, values as Latin-1 text."""
    body: bytes


def take(came: Sequence[Came]) -> list[tuple[str, str] | None]:
    """Stores messages together; what is answered to each: text and content type, None where no connection has it."""
    found = _owners({one.connection_id for one in came})
    owners = [found.get(one.connection_id) for one in came]
    known = [(owner, one) for owner, one in zip(owners, came, strict=True) if owner]
    if known:
        webhooks.store_many([(owner, one.method, one.query, one.headers, one.body) for owner, one in known])
        faults.at("connectors.stored-not-answered")
    return [_answer(owner, one) if owner else None for owner, one in zip(owners, came, strict=True)]


def _owners(wanted: set[int]) -> dict[int, Connection]:
    """Those that there are, by number; what is not known yet is asked for at once."""
    now = time.monotonic()
    found = {
        key: one for key in wanted & _kept.keys() for at, one in [_kept[key]] if now - at <= FRESH_SECONDS
    }
    if missing := wanted - found.keys():
        # No more than says how to take a message: its secrets are for who reads it.
        with in_public():
            read = Connection.objects.only("connector").in_bulk(missing)
        _kept.update({key: (now, one) for key, one in read.items()})
        found |= read
    return found


def _answer(owner: Connection, came: Came) -> tuple[str, str]:
    message = Inbound(came.method, query_fields(came.query), came.headers, came.body)
    try:
        return owner.connector_class.acknowledge(message)
    except LookupError:
        pass
    except Exception:
        # It is stored: whatever its connector cannot say of it, it need not come again.
        log.exception("A message to connection %s was stored and not acknowledged as it wants", owner.pk)
    return Connector.acknowledge(message)


@csrf_exempt
@require_http_methods(METHODS)
def hook(request: HttpRequest, connection: int) -> HttpResponse:
    """`/hooks/<connection>/` on the public host: stores what came and answers 200 at once."""
    if not _owners({connection}):
        raise Http404
    body = _body(request) if length_of(request.META.get("CONTENT_LENGTH") or "0") <= MAX_BYTES else None
    if body is None or len(body) > MAX_BYTES:
        return HttpResponse(status=413)
    query = request.META.get("QUERY_STRING", "")
    headers = {name.lower(): value for name, value in request.headers.items()}
    [answer] = take([Came(connection, request.method or "", query, headers, body)])
    if answer is None:
        raise Http404
    return HttpResponse(answer[0], content_type=answer[1])


def _body(request: HttpRequest) -> bytes:
    """All of it; in chunks too, of which Django takes nothing, as their length is not told before."""
    if request.META.get("CONTENT_LENGTH") or "HTTP_TRANSFER_ENCODING" not in request.META:
        return request.body
    content: bytes = request.META["wsgi.input"].read(MAX_BYTES + 1)
    return content


def length_of(given: str) -> int:
    """How many bytes a Content-Length tells of; more than is taken, where it tells of no number."""
    return int(given) if given.isascii() and given.isdigit() and len(given) < 19 else MAX_BYTES + 1
