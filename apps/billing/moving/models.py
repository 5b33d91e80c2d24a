"""A base of another system on its way in: files, their rows that wait, batches that were moved, shadow months.

Nothing here is a subscription: what waits cannot be billed, charged or written to. A batch makes subscriptions of it.
"""

from decimal import Decimal

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core.fields import EncryptedField, EncryptedJSONField, PublicReference
from apps.core.models import UUIDModel
from apps.core.money import amount_field, currency_field


class ImportState(models.TextChoices):
    LOOKED = "looked", _("Проверен, не загружен")
    LOADED = "loaded", _("Загружен")


class BaseImport(UUIDModel):
    """One file of subscriptions: what was found in it, and whether it was loaded."""

    State = ImportState

    name = models.CharField(_("файл"), max_length=200)
    state = models.CharField(
        _("состояние"), max_length=10, choices=ImportState.choices, default=ImportState.LOOKED
    )
    # The gateway shop that the saved tokens of the file belong to.
    connection = PublicReference(
        "connectors.Connection", null=True, blank=True, verbose_name=_("шлюз сохранённых способов")
    )
    # The file between the look and the load, with what is personal in it; empty once it is loaded or a day old.
    content = EncryptedField(blank=True)
    rows = models.PositiveIntegerField(_("строк"), default=0)
    # {"errors": …, "warnings": …, "notes": …, "good": …, "doubts": [[line, severity, code, id, detail], …]}
    report = models.JSONField(default=dict)
    loaded = models.JSONField(default=dict)
    actor = models.CharField(_("кто"), max_length=150, blank=True)
    created_at = models.DateTimeField(_("проверен"))
    loaded_at = models.DateTimeField(_("загружен"), null=True, blank=True)

    class Meta:
        app_label = "billing"
        verbose_name, verbose_name_plural = _("файл базы"), _("перенос базы")
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name


class BatchState(models.TextChoices):
    PLANNED = "planned", _("В очереди")
    DONE = "done", _("Перенесена")
    UNDONE = "undone", _("Возвращена")


class BaseBatch(UUIDModel):
    """Rows that are moved in one transaction: from then on, and not before, we bill them."""

    State = BatchState

    state = models.CharField(
        _("состояние"), max_length=10, choices=BatchState.choices, default=BatchState.PLANNED
    )
    size = models.PositiveIntegerField(_("подписок"), default=0)
    moved = models.PositiveIntegerField(_("перенесено"), default=0)
    # [[id in the old system, reason], …] of rows that stayed where they were.
    left = models.JSONField(_("осталось"), default=list, blank=True)
    actor = models.CharField(_("кто"), max_length=150, blank=True)
    created_at = models.DateTimeField(_("назначена"))
    done_at = models.DateTimeField(_("перенесена"), null=True, blank=True)
    undone_at = models.DateTimeField(_("возвращена"), null=True, blank=True)

    class Meta:
        app_label = "billing"
        verbose_name, verbose_name_plural = _("пачка переноса"), _("пачки переноса")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.created_at:%d.%m.%Y %H:%M}"


class BaseRowState(models.TextChoices):
    WAITING = "waiting", _("Ждёт переноса")
    MOVED = "moved", _("Перенесена")


class BaseRow(UUIDModel):
    """A subscription of the old system, by its id there: loaded again, it is the same row."""

    State = BaseRowState

    external_id = models.CharField(_("номер в прежней системе"), max_length=100)
    parent_external_id = models.CharField(_("дополнение к"), max_length=100, blank=True)
    source = models.ForeignKey(
        BaseImport, models.PROTECT, related_name="loaded_rows", db_index=False, verbose_name=_("файл")
    )
    line = models.PositiveIntegerField(_("строка файла"))
    # Of all that the row says: loaded again without a change, nothing is written.
    fingerprint = models.CharField(max_length=64)
    state = models.CharField(
        _("состояние"), max_length=10, choices=BaseRowState.choices, default=BaseRowState.WAITING
    )
    # Phone, e-mail, name and the rest of the customer, and token, keys, links: gone once they are moved.
    person = EncryptedJSONField(blank=True)
    secrets = EncryptedJSONField(blank=True)
    customer = models.ForeignKey(
        "accounts.Customer",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("клиент"),
    )
    method = models.ForeignKey(
        "payments.PaymentMethod", models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    connection = PublicReference("connectors.Connection", null=True, blank=True)
    offer = PublicReference("catalog.Offer", verbose_name=_("предложение"))
    tariff_version = PublicReference("catalog.TariffVersion", verbose_name=_("редакция тарифа"))
    name = models.CharField(_("название"), max_length=300)
    price = amount_field(_("цена за период"))
    currency = currency_field()
    quantity = models.PositiveSmallIntegerField(_("количество"), default=1)
    discount_percent = models.DecimalField(_("скидка, %"), max_digits=5, decimal_places=2, default=Decimal(0))
    discount_amount = amount_field(_("скидка за период"), default=Decimal("0.00"))
    discount_until = models.DateField(_("скидка до"), null=True, blank=True)
    period_start = models.DateField(_("оплачено с"))
    next_charge_date = models.DateField(_("следующее списание"))
    cycle_day = models.PositiveSmallIntegerField(_("день списания"))
    started_date = models.DateField(_("началась"), null=True, blank=True)
    end_date = models.DateField(_("заканчивается"), null=True, blank=True)
    batch = models.ForeignKey(
        BaseBatch, models.PROTECT, null=True, blank=True, related_name="rows", verbose_name=_("пачка")
    )
    subscription = models.OneToOneField(
        "billing.Subscription",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="moved_from",
        verbose_name=_("подписка"),
    )

    class Meta:
        app_label = "billing"
        verbose_name, verbose_name_plural = _("подписка прежней системы"), _("подписки прежней системы")
        ordering = ["external_id"]
        constraints = [models.UniqueConstraint("external_id", name="billing_baserow_once")]

    def __str__(self) -> str:
        return self.external_id


class ShadowRun(UUIDModel):
    """What we would have charged in a period beside what the old system did, as it was compared on a day."""

    name = models.CharField(_("файл"), max_length=200)
    start_date = models.DateField(_("с"))
    # The first day after the period.
    end_date = models.DateField(_("до"))
    compared = models.PositiveIntegerField(_("подписок"), default=0)
    equal = models.PositiveIntegerField(_("списаний совпало"), default=0)
    explained = models.PositiveIntegerField(_("объяснено"), default=0)
    unexplained = models.PositiveIntegerField(_("не объяснено"), default=0)
    ours = amount_field(_("мы списали бы"), default=Decimal("0.00"))
    theirs = amount_field(_("списала прежняя система"), default=Decimal("0.00"))
    # [[id, class, our day, our sum, their day, their sum, hint], …]: what differs.
    differences = models.JSONField(default=list)
    actor = models.CharField(_("кто"), max_length=150, blank=True)
    created_at = models.DateTimeField(_("сверено"))

    class Meta:
        app_label = "billing"
        verbose_name, verbose_name_plural = _("теневой месяц"), _("теневые месяцы")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.start_date:%d.%m.%Y} – {self.end_date:%d.%m.%Y}"
