"""Registers the app."""

from importlib import import_module

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SettlementsConfig(AppConfig):
    name = "apps.settlements"
    verbose_name = _("Банк")

    def ready(self) -> None:
        """More pages of the console stand beside `admin`, a module a subject."""
        for name in ("payout_admin", "reconciliation_admin", "provider_admin"):
            import_module(f"{self.name}.{name}")
