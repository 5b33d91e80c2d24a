"""No tables of its own: what the pages of this app are about, as the consoles need a model for each page."""

from django.utils.translation import gettext_lazy as _

from apps.core.models import SearchKey
from apps.ledger.models import Transfer
from apps.policies.dunning_models import DunningResult


class Sales(Transfer):
    """The ledger as the report «Продажи» reads it."""

    class Meta:
        proxy = True
        verbose_name, verbose_name_plural = _("продажи"), _("продажи")


class Search(SearchKey):
    """The one search box over all partners."""

    class Meta:
        proxy = True
        verbose_name, verbose_name_plural = _("поиск"), _("поиск")


class TrialBalance(Transfer):
    """The ledger as a trial balance."""

    class Meta:
        proxy = True
        verbose_name = verbose_name_plural = _("оборотно-сальдовая ведомость")


class PartnerStatement(Transfer):
    """The ledger as a partner's account."""

    class Meta:
        proxy = True
        verbose_name = verbose_name_plural = _("взаиморасчёты с партнёрами")


class Recovery(DunningResult):
    """Unpaid renewals as the report «Неоплаты» reads them."""

    class Meta:
        proxy = True
        verbose_name = verbose_name_plural = _("неоплаты")
