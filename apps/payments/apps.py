"""Registers the app."""

from importlib import import_module

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PaymentsConfig(AppConfig):
    name = "apps.payments"
    verbose_name = _("Деньги")

    def ready(self) -> None:
        """More pages of the console stand beside `admin`, a module a subject."""
        for name in ("dispute_admin", "payout_admin", "refund_admin", "routing_admin"):
            import_module(f"{self.name}.{name}")
