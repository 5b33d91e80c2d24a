"""The operator's host: console, webhooks, health."""

from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from apps.core.console import operator_site
from apps.core.favicon import favicon
from apps.core.health import healthz
from apps.partners.certificates import tls_check

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", healthz, name="healthz"),
    path("internal/tls-check", tls_check, name="tls-check"),
    path("favicon.ico", favicon),
    path("hooks/", include("apps.connectors.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("admin/", operator_site.urls),
    path("", RedirectView.as_view(url="/admin/")),
]
handler400 = "apps.core.errors.bad_request"
handler403 = "apps.core.errors.forbidden"
handler404 = "apps.core.errors.not_found"
handler500 = "apps.core.errors.failed"
