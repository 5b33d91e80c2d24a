"""The operator's host: console, webhooks, health, and what the API is like."""

from django.conf import settings
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from apps.core.console import operator_site
from apps.core.favicon import favicon
from apps.core.health import healthz
from apps.core.problems import problems
from apps.partners.certificates import tls_check

_PORT = f":{settings.PUBLIC_PORT}" if settings.PUBLIC_PORT else ""
# The API itself is answered on the partners' hosts.
_SERVER = {
    "url": f"{settings.PUBLIC_SCHEME}://{{partner}}.{settings.PUBLIC_HOST}{_PORT}",
    "variables": {"partner": {"default": "partner"}},
}
_SCHEMA = SpectacularAPIView.as_view(urlconf="armor.urls_partner", custom_settings={"SERVERS": [_SERVER]})
_HERE = {"url": f"{settings.PUBLIC_SCHEME}://{settings.PUBLIC_HOST}{_PORT}"}
_PROVIDER_SCHEMA = SpectacularAPIView.as_view(
    urlconf="armor.urls_provider", custom_settings={"SERVERS": [_HERE], "TITLE": "ARMOR: provider API"}
)

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", healthz, name="healthz"),
    path("internal/tls-check", tls_check, name="tls-check"),
    path("favicon.ico", favicon),
    path("hooks/", include("apps.connectors.urls")),
    path("api/schema/", _SCHEMA, name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("provider/", include("apps.providers.portal.console_urls")),
    path("provider/api/v1/", include("apps.providers.portal.urls")),
    path("provider/api/schema/", _PROVIDER_SCHEMA, name="provider-schema"),
    path(
        "provider/api/docs/",
        SpectacularSwaggerView.as_view(url_name="provider-schema"),
        name="provider-docs",
    ),
    path("api/docs/problems", problems, name="problems"),
    path("i18n/", include("django.conf.urls.i18n")),
    path("admin/", operator_site.urls),
    path("", RedirectView.as_view(url="/admin/")),
]
handler400 = "apps.core.errors.bad_request"
handler403 = "apps.core.errors.forbidden"
handler404 = "apps.core.errors.not_found"
handler500 = "apps.core.errors.failed"
