"""Addresses of the provider's API, under /provider/api/v1/ on the public host only."""

from django.urls import path

from apps.providers.portal.entitlement_api import EntitlementView

urlpatterns = [path("entitlements/", EntitlementView.as_view(), name="provider-entitlements")]
