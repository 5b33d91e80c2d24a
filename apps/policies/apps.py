"""Registers the app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PoliciesConfig(AppConfig):
    name = "apps.policies"
    verbose_name = _("Настройки")
    console_pages = ("dunning_admin",)
    """More pages of the console stand beside `admin`, a module a subject."""
