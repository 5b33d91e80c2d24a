"""The address of incoming messages, under /hooks/ on the public host only."""

from django.urls import path

from apps.connectors.hooks import hook

urlpatterns = [path("<int:connection>/", hook, name="hook")]
