"""Registers the app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PaymentsConfig(AppConfig):
    name = "apps.payments"
    verbose_name = _("Деньги")
    console_pages = ("dispute_admin", "payout_admin", "receipt_admin", "refund_admin", "routing_admin")
    """More pages of the console stand beside `admin`, a module a subject."""
