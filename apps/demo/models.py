"""No tables of its own: sandbox partners, as the demonstration's controls see them."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.partners.models import Partner


class SandboxPartners(models.Manager["SandboxPartner"]):
    """Only partners with a clock of their own."""

    def get_queryset(self) -> models.QuerySet["SandboxPartner"]:
        return super().get_queryset().filter(is_sandbox=True)


class SandboxPartner(Partner):
    """A partner whose clock moves at a button."""

    objects = SandboxPartners()

    class Meta:
        proxy = True
        verbose_name, verbose_name_plural = _("песочница"), _("пульт демонстрации")
