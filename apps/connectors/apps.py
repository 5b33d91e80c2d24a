"""Registers the app and its check."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ConnectorsConfig(AppConfig):
    name = "apps.connectors"
    verbose_name = _("Интеграции")

    def ready(self) -> None:
        from apps.connectors import checks  # noqa: F401
