"""Addresses of the provider's API, under /provider/api/v1/ on the public host only."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from apps.providers.portal.api import KeysView, RequestsViewSet, UsageView
from apps.providers.portal.entitlement_api import EntitlementView
from apps.providers.portal.list_api import ServiceListsViewSet

router = SimpleRouter(use_regex_path=False)
router.register("requests", RequestsViewSet, basename="provider-request")
router.register("services", ServiceListsViewSet, basename="provider-service-list")

urlpatterns = [
    path("", include(router.urls)),
    path("entitlements/", EntitlementView.as_view(), name="provider-entitlements"),
    path("keys/", KeysView.as_view(), name="provider-keys"),
    path("usage/", UsageView.as_view(), name="provider-usage"),
]
