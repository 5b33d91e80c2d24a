"""The ledger's one table. The database refuses to change or delete what stands in it."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core.fields import PublicReference
from apps.core.money import amount_field, currency_field


class Account(models.TextChoices):
    """Between what money moves. Words of the chart of accounts that finance sees."""

    RECEIVABLE = "receivable", _("Расчёты с клиентами")
    CLEARING = "clearing", _("Деньги у шлюза")
    BANK = "bank", _("Расчётный счёт")
    ADVANCES = "advances", _("Авансы клиентов")
    DEFERRED = "deferred", _("Доходы будущих периодов")
    REVENUE = "revenue", _("Выручка")
    VAT = "vat", _("НДС")
    FEE = "fee", _("Комиссия шлюза")
    REFUND = "refund", _("Возвраты клиентам")
    PARTNER_SHARE = "partner_share", _("Вознаграждение партнёров")
    PARTNER_PAYABLE = "partner_payable", _("Расчёты с партнёрами")
    PROVIDER_COST = "provider_cost", _("Себестоимость")
    PROVIDER_PAYABLE = "provider_payable", _("Расчёты с поставщиками")
    AGENCY = "agency", _("Деньги принципалов")
    WRITE_OFF = "write_off", _("Списания")
    DISPUTE = "dispute", _("Спорные деньги")


class Sale(models.TextChoices):
    """What kind of sale a transfer belongs to."""

    NEW = "new", _("новая продажа")
    RENEWAL = "renewal", _("продление")
    REFUND = "refund", _("возврат")
    BINDING = "binding", _("привязка карты")


class Owner(models.TextChoices):
    """Whose money it is: on a partner's own connection it is the partner's."""

    OPERATOR = "operator", _("платформы")
    PARTNER = "partner", _("партнёра")


class Transfer(models.Model):
    """An amount moved from the credit account to the debit account: balanced by construction."""

    # No constraint on dimensions: what they name is archived, never deleted, and the auditor looks.
    partner = PublicReference("partners.Partner", verbose_name=_("партнёр"))
    document_kind = models.CharField(_("вид документа"), max_length=40)
    document_id = models.UUIDField(_("документ"))
    posting = models.CharField(_("проводка"), max_length=60)
    debit = models.CharField(_("дебет"), max_length=20, choices=Account.choices)
    credit = models.CharField(_("кредит"), max_length=20, choices=Account.choices)
    amount = amount_field(_("сумма"))
    currency = currency_field()
    occurred_at = models.DateTimeField(_("произошло"))
    business_date = models.DateField(_("дата"))
    recorded_at = models.DateTimeField(_("записано"))
    is_sandbox = models.BooleanField(_("песочница"), default=False)
    owner = models.CharField(_("чьи деньги"), max_length=10, choices=Owner.choices, default=Owner.OPERATOR)
    seller = PublicReference("partners.LegalEntity", null=True, verbose_name=_("продавец"))
    connection = PublicReference("connectors.Connection", null=True, verbose_name=_("подключение"))
    kind = models.CharField(_("вид продажи"), max_length=10, choices=Sale.choices, blank=True)
    customer_id = models.UUIDField(_("клиент"), null=True)
    subscription_id = models.UUIDField(_("подписка"), null=True)
    channel_id = models.UUIDField(_("канал продаж"), null=True)
    # The catalogue and the providers stand above the ledger, so these are plain ids.
    product_id = models.BigIntegerField(_("продукт"), null=True)
    tariff_version_id = models.BigIntegerField(_("редакция тарифа"), null=True)
    provider_id = models.BigIntegerField(_("поставщик"), null=True)
    vat_rate = models.DecimalField(_("ставка НДС, %"), max_digits=5, decimal_places=2, null=True)

    class Meta:
        verbose_name, verbose_name_plural = _("проводка"), _("проводки")
        constraints = [
            models.UniqueConstraint(
                fields=["partner", "document_id", "posting"], name="ledger_transfer_once"
            ),
            models.CheckConstraint(condition=models.Q(amount__gt=0), name="ledger_transfer_amount"),
            models.CheckConstraint(
                condition=~models.Q(debit=models.F("credit")), name="ledger_transfer_sides"
            ),
        ]
        indexes = [
            models.Index(fields=["partner", "business_date"], name="ledger_transfer_partner_day"),
            models.Index(fields=["business_date"], name="ledger_transfer_day"),
        ]

    def __str__(self) -> str:
        return f"{self.get_debit_display()} ← {self.get_credit_display()}: {self.amount} {self.currency}"
