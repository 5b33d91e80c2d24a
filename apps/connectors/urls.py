"""The address of incoming messages, on the public host only."""

from django.urls import path

from apps.connectors.webhooks import hook

urlpatterns = [path("hooks/<int:connection>/", hook, name="hook")]
