"""Orders from a file: what was read of it, row by row, and what became of each."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.core.fields import EncryptedField, EncryptedJSONField, PublicReference
from apps.core.models import UUIDModel


class BulkState(models.TextChoices):
    LOOKED = "looked", _("Проверен, не оформлен")
    GOING = "going", _("Оформляется")
    DONE = "done", _("Оформлен")


class BulkOrder(UUIDModel):
    """One file of orders."""

    State = BulkState

    name = models.CharField(_("файл"), max_length=200)
    state = models.CharField(
        _("состояние"), max_length=10, choices=BulkState.choices, default=BulkState.LOOKED
    )
    rows = models.PositiveIntegerField(_("строк"), default=0)
    placed = models.PositiveIntegerField(_("оформлено"), default=0)
    refused = models.PositiveIntegerField(_("с ошибкой"), default=0)
    actor = models.CharField(_("кто"), max_length=150, blank=True)
    created_at = models.DateTimeField(_("загружен"))
    done_at = models.DateTimeField(_("закончен"), null=True, blank=True)

    class Meta:
        app_label = "orders"
        verbose_name, verbose_name_plural = _("массовый заказ"), _("массовые заказы")
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name

    @property
    def left(self) -> int:
        """Rows that are still to be placed."""
        return self.rows - self.placed - self.refused


class BulkRowState(models.TextChoices):
    WAITING = "waiting", _("Ждёт")
    PLACED = "placed", _("Оформлена")
    REFUSED = "refused", _("Ошибка")


class BulkRow(UUIDModel):
    """A row of it. Whom it names is gone when it is placed: then the order says it."""

    State = BulkRowState

    bulk = models.ForeignKey(
        BulkOrder, models.PROTECT, related_name="lines", db_index=False, verbose_name=_("массовый заказ")
    )
    line = models.PositiveIntegerField(_("строка"))
    state = models.CharField(
        _("состояние"), max_length=10, choices=BulkRowState.choices, default=BulkRowState.WAITING
    )
    # Phone, e-mail, name and the partner's own id of the customer.
    person = EncryptedJSONField(blank=True)
    # None: it could not be read, and cannot be placed.
    offer = PublicReference("catalog.Offer", null=True, blank=True, verbose_name=_("предложение"))
    quantity = models.PositiveSmallIntegerField(_("количество"), default=1)
    answers_text = EncryptedField(_("ответы клиента"), blank=True)
    scheduled_date = models.DateField(_("исполнить с"), null=True, blank=True)
    reason = models.CharField(_("почему"), max_length=300, blank=True)
    order = models.ForeignKey(
        "orders.Order",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("заказ"),
    )

    class Meta:
        app_label = "orders"
        verbose_name, verbose_name_plural = _("строка массового заказа"), _("строки массовых заказов")
        ordering = ["bulk_id", "line"]
        constraints = [models.UniqueConstraint("bulk", "line", name="orders_bulkrow_line")]
        indexes = [models.Index("bulk", condition=Q(state=BulkRowState.WAITING), name="orders_bulkrow_waits")]

    def __str__(self) -> str:
        return f"{self.bulk}: {self.line}"
