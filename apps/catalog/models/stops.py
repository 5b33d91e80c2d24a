"""Stops of sale: planned works and what staff stop by hand; and the history of those that come and go by themselves."""

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.catalog.models.products import Product
from apps.catalog.models.tariffs import Tariff
from apps.core import clock
from apps.core.fields import TranslatedField


class Cause(models.TextChoices):
    """Why something is not sold for a while."""

    HAND = "hand", _("остановлено вручную")
    WORKS = "works", _("плановые работы")
    CIRCUIT = "circuit", _("поставщик не отвечает")
    KEYS = "keys", _("нет ключей")


BY_STAFF = (Cause.HAND, Cause.WORKS)
"""Those that a row makes. The others are so while the provider or the pool is so: their rows only remember it."""


class SalesStopQuerySet(models.QuerySet["SalesStop"]):
    """Which stops."""

    def in_force(self, at: datetime) -> "SalesStopQuerySet":
        """Those of staff that hold at a moment of the wall clock."""
        return self.filter(
            Q(ends_at=None) | Q(ends_at__gt=at), cause__in=BY_STAFF, starts_at__lte=at, closed_at=None
        )


class SalesStop(models.Model):
    """A time in which what a provider supplies, a product or a tariff is not sold. Wall clock, half-open."""

    Cause = Cause

    cause = models.CharField(_("причина"), max_length=8, choices=Cause.choices, default=Cause.WORKS)
    provider = models.ForeignKey(
        "providers.Provider",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="sales_stops",
        db_index=False,
        verbose_name=_("поставщик"),
    )
    product = models.ForeignKey(
        Product,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("продукт"),
    )
    tariff = models.ForeignKey(
        Tariff,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("тариф"),
    )
    starts_at = models.DateTimeField(_("с"), default=clock.wall)
    ends_at = models.DateTimeField(
        _("по"), null=True, blank=True, help_text=_("Откроется само; пусто: пока не закончите")
    )
    closed_at = models.DateTimeField(_("продажи открыты"), null=True, editable=False)
    # When those on duty were told that sales are closed, and that they are open again.
    told_at = models.DateTimeField(null=True, editable=False)
    told_open_at = models.DateTimeField(null=True, editable=False)
    message = TranslatedField(
        _("что сказать клиенту"), blank=True, help_text=_("Пусто: «Временно не продаётся» и срок")
    )
    note = models.CharField(_("для своих"), max_length=300, blank=True)
    made_by = models.CharField(_("кто остановил"), max_length=150, blank=True, editable=False)

    objects = SalesStopQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("остановка продаж"), _("остановки продаж")
        ordering = ["-starts_at", "-id"]
        indexes = [
            # What is over stays for good, and nobody asks about it at a purchase.
            models.Index(
                fields=["provider", "product", "tariff"],
                condition=Q(closed_at=None),
                name="catalog_stop_open",
            ),
            models.Index(fields=["-starts_at", "-id"], name="catalog_stop_list"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=(
                    Q(provider__isnull=False, product=None, tariff=None)
                    | Q(provider=None, product__isnull=False, tariff=None)
                    | Q(provider=None, product=None, tariff__isnull=False)
                ),
                name="catalog_stop_of_one",
                violation_error_message=_("Укажите одно: поставщика, продукт или тариф"),
            ),
            models.CheckConstraint(
                condition=Q(ends_at=None) | Q(ends_at__gt=models.F("starts_at")),
                name="catalog_stop_in_order",
                violation_error_message=_("Окончание раньше начала"),
            ),
            models.CheckConstraint(
                condition=~Q(cause=Cause.WORKS) | Q(ends_at__isnull=False),
                name="catalog_works_end",
                violation_error_message=_("У плановых работ есть окончание"),
            ),
            # The provider is down once, and so is a pool empty.
            models.UniqueConstraint(
                fields=["cause", "provider", "tariff"],
                condition=Q(cause__in=["circuit", "keys"], closed_at=None),
                name="catalog_stop_noticed_once",
                nulls_distinct=False,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.target}: {self.get_cause_display()}"

    @property
    def target(self) -> str:
        """What is not sold."""
        return str(self.provider or self.product or self.tariff)

    def stage(self, at: datetime) -> str:
        """`planned`, `open` or `over` at a moment."""
        if self.closed_at is not None or (self.ends_at is not None and self.ends_at <= at):
            return "over"
        return "planned" if self.starts_at > at else "open"
