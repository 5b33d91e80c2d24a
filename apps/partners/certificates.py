"""Tells the proxy for which hosts a certificate may be asked for."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from apps.partners.models import Domain, Partner


def tls_check(request: HttpRequest) -> HttpResponse:
    """200 for the public host and for every partner's; 404 for any other name in `?domain=`."""
    host = request.GET.get("domain", "").lower().rstrip(".")
    if "\x00" in host:
        return HttpResponse(status=404)
    domains = Domain.objects.exclude(tenant__status=Partner.Status.CLOSED)
    known = host == settings.PUBLIC_HOST or domains.filter(domain=host).exists()
    return HttpResponse(status=200 if known else 404)
