"""Registers the app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PartnersConfig(AppConfig):
    name = "apps.partners"
    verbose_name = _("Партнёры")

    def ready(self) -> None:
        """System checks are known to every process."""
        from apps.partners import checks  # noqa: F401
