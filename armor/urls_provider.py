"""The provider's API alone, as it is described to providers; it is answered on the public host."""

from django.urls import include, path

urlpatterns = [path("provider/api/v1/", include("apps.providers.portal.urls"))]
