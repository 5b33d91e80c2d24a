"""Registers the app."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class CoreConfig(AppConfig):
    name = "apps.core"
    verbose_name = _("Главная")

    def ready(self) -> None:
        """Every app's `handlers` (events and due work) and `audits` are known to every process."""
        autodiscover_modules("handlers", "audits")
