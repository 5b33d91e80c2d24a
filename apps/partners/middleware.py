"""Finds the partner by host (or by /p/<slug>/ in the operator's console) and what the staff user may do there."""

import re
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.urls import get_script_prefix, set_script_prefix, set_urlconf
from django.utils.translation import gettext_lazy as _

from apps.core.errors import answer
from apps.core.prepared import Prepared, given
from apps.core.tenancy import connection, forget_partner
from apps.partners.models import Domain, Partner
from apps.partners.rights import Rights

Next = Callable[[HttpRequest], HttpResponse]
# Asked by the proxy and by monitors, which know no host of ours.
_ANY_HOST = {"/healthz", "/internal/tls-check"}
_SWITCHED = re.compile(r"^/p/([a-z][a-z0-9-]*)(/admin(?:/.*)?)$")
_BY_HOST = Prepared(
    lambda: Domain.objects.select_related("tenant__legal_entity").filter(domain=given("host"))[:1]
)


class PartnerMiddleware:
    """Sets the schema and URLs for the host, and clears them when the request ends, however it ends."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> HttpResponse:
        forget_partner()
        prefix = get_script_prefix()
        try:
            request.urlconf, partner = self.place(request)
            request.tenant, request.switched = partner, request.urlconf == "armor.urls_switched"
            if request.urlconf == "":
                request.urlconf = settings.PUBLIC_SCHEMA_URLCONF
                set_urlconf(request.urlconf)
                return answer(request, 404, "unknown_host", _("По этому адресу ничего нет. Проверьте его."))
            if "\0" in request.path or "%00" in request.META.get("QUERY_STRING", ""):
                # PostgreSQL's text holds no such character, so nothing of ours has it in its name.
                return answer(request, 400, "bad_request", _("Запрос не получилось разобрать"))
            if partner is not None:
                connection.set_tenant(partner)
            set_urlconf(request.urlconf)
            return self.get_response(request)
        finally:
            set_script_prefix(prefix)
            forget_partner()

    def place(self, request: HttpRequest) -> tuple[str, Partner | None]:
        """The URLconf and the partner; an empty URLconf for an unknown host."""
        host = request.get_host().rsplit(":", 1)[0].lower().rstrip(".")
        if host == settings.PUBLIC_HOST or request.path in _ANY_HOST:
            return self.switched(request) or (settings.PUBLIC_SCHEMA_URLCONF, None)
        domain = _BY_HOST.first(host=host)
        if domain is None or domain.tenant.status == Partner.Status.CLOSED:
            return "", None
        return settings.ROOT_URLCONF, domain.tenant

    def switched(self, request: HttpRequest) -> tuple[str, Partner] | None:
        """The console of one partner for the operator's staff, its address before every link."""
        match = _SWITCHED.match(request.path_info)
        partner = match and Partner.objects.select_related("legal_entity").filter(slug=match[1]).first()
        if not match or not partner:
            return None
        prefix = f"/p/{partner.slug}"
        set_script_prefix(prefix + "/")
        request.META["SCRIPT_NAME"], request.path_info = prefix, match[2]
        return "armor.urls_switched", partner


class StaffMiddleware:
    """Re-reads the staff user's roles at each request; a session of another host is nobody's."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> HttpResponse:
        if request.user.is_authenticated and request.session.get("host") != request.get_host():
            request.user = AnonymousUser()
        request.rights = Rights(request.user, request.tenant)
        return self.get_response(request)
