"""The address of incoming messages: what comes is stored as it came, answered at once, and read later (`webhooks`)."""

import re
import time
from collections.abc import Callable

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from apps.connectors import webhooks
from apps.connectors.base import Connector, Inbound, query_fields
from apps.connectors.models import Connection
from apps.core import faults
from apps.core.tenancy import in_public

MAX_BYTES = 256 * 1024
"""Of a message: the longest true ones have some kilobytes, and each is kept for 90 days."""
FRESH_SECONDS = 5.0
"""For which it is not read again whose an address is."""
_ADDRESS = re.compile(r"/hooks/(\d{1,18})/", re.ASCII)
_kept: dict[int, tuple[float, Connection]] = {}


class Straight:
    """Middleware that takes messages past what serves people: sessions, languages, forms, pages.

    A burst of them is to cost little. What is not plainly a message to a connection of ours goes the usual way.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        found = _ADDRESS.fullmatch(request.path_info)
        if found and _is_public(request) and _owner(int(found[1])):
            return hook(request, int(found[1]))
        return self.get_response(request)


def _is_public(request: HttpRequest) -> bool:
    host = request.get_host().rsplit(":", 1)[0].lower().rstrip(".")
    return host == settings.PUBLIC_HOST and "%00" not in request.META.get("QUERY_STRING", "")


def _owner(connection_id: int) -> Connection | None:
    at, found = _kept.get(connection_id, (0.0, None))
    if found is None or time.monotonic() - at > FRESH_SECONDS:
        # No more than says how to take a message: its secrets are for who reads it.
        with in_public():
            found = Connection.objects.only("connector").filter(pk=connection_id).first()
        if found is not None:
            _kept[connection_id] = time.monotonic(), found
    return found


@csrf_exempt
@require_http_methods(["GET", "POST", "PUT"])
def hook(request: HttpRequest, connection: int) -> HttpResponse:
    """`/hooks/<connection>/` on the public host: stores what came and answers 200 at once."""
    owner = _owner(connection)
    if owner is None:
        raise Http404
    if _length(request) > MAX_BYTES:
        return HttpResponse(status=413)
    query = request.META.get("QUERY_STRING", "")
    headers = {name.lower(): value for name, value in request.headers.items()}
    message = Inbound(request.method or "", query_fields(query), headers, request.body)
    webhooks.store(owner, method=message.method, query=query, headers=headers, body=message.body)
    faults.at("connectors.stored-not-answered")
    try:
        text, content_type = owner.connector_class.acknowledge(message)
    except LookupError:
        text, content_type = Connector.acknowledge(message)
    answer = HttpResponse(text, content_type=content_type)
    # The middleware that would set it is passed by, and in chunks it takes longer.
    answer["Content-Length"] = str(len(answer.content))
    return answer


def _length(request: HttpRequest) -> int:
    given = request.META.get("CONTENT_LENGTH") or "0"
    return int(given) if given.isascii() and given.isdigit() and len(given) < 19 else MAX_BYTES + 1
