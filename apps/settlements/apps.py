"""Registers the app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SettlementsConfig(AppConfig):
    name = "apps.settlements"
    verbose_name = _("Банк")
    console_pages = ("payout_admin", "reconciliation_admin", "provider_admin")
    """More pages of the console stand beside `admin`, a module a subject."""
