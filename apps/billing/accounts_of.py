"""A customer as finance sees it: the account of what is owed."""

from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Customer


class CustomerAccount(Customer):
    """A customer with its account; the console needs a model for each page."""

    class Meta:
        proxy = True
        app_label = "billing"
        verbose_name, verbose_name_plural = _("взаиморасчёты с клиентом"), _("взаиморасчёты с клиентами")
        ordering = ["-id"]
