"""One partner's console on the operator's host, under /p/<slug>/."""

from django.urls import URLPattern, URLResolver, include, path

from apps.core.console import partner_site

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/i18n/", include("django.conf.urls.i18n")),
    path("admin/", partner_site.urls),
]
handler400 = "apps.core.errors.bad_request"
handler403 = "apps.core.errors.forbidden"
handler404 = "apps.core.errors.not_found"
handler500 = "apps.core.errors.failed"
