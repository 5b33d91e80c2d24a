"""Registers the app."""

from importlib import import_module

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PoliciesConfig(AppConfig):
    name = "apps.policies"
    verbose_name = _("Настройки")

    def ready(self) -> None:
        """More pages of the console stand beside `admin`, a module a subject."""
        for name in ("dunning_admin",):
            import_module(f"{self.name}.{name}")
