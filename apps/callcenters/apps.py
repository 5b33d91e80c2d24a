"""Registers the app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CallcentersConfig(AppConfig):
    name = "apps.callcenters"
    verbose_name = _("Обращения и звонки")
