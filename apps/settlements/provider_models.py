"""Days of a provider beside ours: what was charged and not provisioned, what was provisioned and not charged."""

from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.core.money import Money, amount_field
from apps.settlements.reconciliation_models import CheckedDay, DayState, Explained


class Source(models.TextChoices):
    """By whose word a service counts as provisioned."""

    FILE = "file", _("список поставщика")
    ASKED = "asked", _("поставщик спрошен по API")
    OWN = "own", _("наши данные")


class ProviderDay(CheckedDay):
    """One day of one provider, over all partners; each partner's day is in its own time zone."""

    KIND = "settlements.ProviderDay"
    DIFFERS = _("Не сошлось с поставщиком: %d")

    provider = models.ForeignKey(
        "providers.Provider", models.PROTECT, related_name="+", verbose_name=_("поставщик")
    )
    is_test = models.BooleanField(_("песочница"), default=False)
    source = models.CharField(_("по чьим данным"), max_length=5, choices=Source, default=Source.OWN)
    file = models.CharField(_("файл"), max_length=200, blank=True)
    charged = models.PositiveIntegerField(_("оплачено услуг"), default=0)
    provisioned = models.PositiveIntegerField(_("подключено услуг"), default=0)
    # Of a provider that is asked about each: how many it has answered for, and of how many.
    asked = models.PositiveIntegerField(_("спрошено услуг"), default=0)
    to_ask = models.PositiveIntegerField(_("из них всего"), default=0)

    class Meta:
        app_label = "settlements"
        verbose_name, verbose_name_plural = _("день поставщика"), _("сверка с поставщиками")
        ordering = ["-day", "provider"]
        constraints = [
            models.UniqueConstraint(fields=["provider", "day", "is_test"], name="settlements_provider_day"),
            models.CheckConstraint(
                condition=Q(state=DayState.OPEN, closed_at=None)
                | Q(state=DayState.CLOSED, closed_at__isnull=False),
                name="settlements_provider_day_closed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider}, {self.day:%d.%m.%Y}"


class ProviderAnswer(models.Model):
    """What a provider is asked about one service for a day, and what it said."""

    day = models.ForeignKey(
        ProviderDay, models.CASCADE, related_name="answers", db_index=False, verbose_name=_("день поставщика")
    )
    request_id = models.UUIDField(_("услуга"))
    partner_id = models.BigIntegerField(_("партнёр"), null=True)
    service_id = models.UUIDField(_("номер услуги"), null=True)
    is_answered = models.BooleanField(_("отвечено"), default=False, db_default=False)
    # None: it cannot be asked that.
    is_on = models.BooleanField(_("подключена"), null=True)

    class Meta:
        app_label = "settlements"
        verbose_name, verbose_name_plural = _("ответ поставщика"), _("ответы поставщика")
        constraints = [
            models.UniqueConstraint(fields=["day", "request_id"], name="settlements_provider_answer")
        ]

    def __str__(self) -> str:
        return str(self.request_id)


class ProviderDifferenceKind(models.TextChoices):
    """In what charges and a provider's services do not agree."""

    NOT_PROVISIONED = "not_provisioned", _("Оплачено, не подключено")
    NOT_CHARGED = "not_charged", _("Подключено, не оплачено")
    UNKNOWN = "unknown", _("У нас такой услуги нет")


class ProviderDifference(Explained):
    """One service that was charged and not provisioned, or the other way round."""

    Kind = ProviderDifferenceKind

    day = models.ForeignKey(
        ProviderDay, models.CASCADE, related_name="differences", verbose_name=_("день поставщика")
    )
    kind = models.CharField(_("что не сошлось"), max_length=15, choices=ProviderDifferenceKind)
    # The service's number, or what the provider calls so.
    named = models.UUIDField(_("номер"))
    service_id = models.UUIDField(_("услуга"), null=True, blank=True)
    # What was charged for its period, or what the provider wants for it.
    amount = amount_field(_("сумма"), default=Decimal("0.00"))

    class Meta:
        app_label = "settlements"
        verbose_name, verbose_name_plural = _("расхождение с поставщиком"), _("расхождения с поставщиками")
        ordering = ["day", "kind", "named"]
        constraints = [
            models.UniqueConstraint(fields=["day", "named"], name="settlements_provider_difference")
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.named}"

    @property
    def sameness(self) -> tuple[Any, ...]:
        return self.kind, self.named, self.amount

    @property
    def money(self) -> Money:
        return Money(self.amount, self.day.currency)
