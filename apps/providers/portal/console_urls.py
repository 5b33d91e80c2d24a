"""Pages of the provider's console, under /provider/ on the public host only."""

from django.urls import path

from apps.providers.portal import views
from apps.providers.portal.letter_views import letter_page

app_name = "provider"
urlpatterns = [
    path("", views.request_list, name="requests"),
    path("sign-in/", views.sign_in, name="sign-in"),
    path("sign-out/", views.sign_out, name="sign-out"),
    path("requests/<uuid:request_id>/", views.request_page, name="request"),
    path("r/<str:token>/", letter_page, name="letter"),
    path("keys/", views.key_page, name="keys"),
    path("services/", views.list_page, name="services"),
    path("usage/", views.usage_page, name="usage"),
]
