"""A partner's host: storefront, cabinet, the partner's console and the API."""

from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.routers import SimpleRouter

from apps.accounts import api as accounts
from apps.billing import api as billing
from apps.catalog import api as catalog
from apps.core.console import partner_site
from apps.core.problems import problems
from apps.demo.api import ClockView
from apps.orders import api as orders
from apps.orders import bulk_api, fulfilment_api, inventory_api
from apps.payments import api as payments
from apps.reports.api import PartnerStatementView, RecoveryView

router = SimpleRouter()
for module in (catalog, accounts, bulk_api, orders, fulfilment_api, inventory_api, billing, payments):
    module.routes(router)

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include(router.urls)),
    path("api/v1/partner-statement/", PartnerStatementView.as_view(), name="partner-statement"),
    path("api/v1/clock/", ClockView.as_view(), name="clock"),
    path("api/v1/recovery/", RecoveryView.as_view(), name="recovery"),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("api/docs/problems", problems, name="problems"),
    path("i18n/", include("django.conf.urls.i18n")),
    path("admin/", partner_site.urls),
    path("feeds/", include("apps.channels.urls")),
    path("", include("apps.storefronts.urls")),
]
handler400 = "apps.core.errors.bad_request"
handler403 = "apps.core.errors.forbidden"
handler404 = "apps.core.errors.not_found"
handler500 = "apps.core.errors.failed"
