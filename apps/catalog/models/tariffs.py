"""Tariffs and their immutable versions (public)."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from apps.catalog import periods
from apps.catalog.lifecycle import Sellable, dates_in_order
from apps.catalog.models.products import Product
from apps.core import clock
from apps.core.fields import TranslatedField
from apps.core.money import Money, amount_field, currency_field


class Tariff(Sellable):
    """A way to buy a product: its terms stand in versions, of which `current` is sold now."""

    product = models.ForeignKey(Product, models.PROTECT, related_name="tariffs", verbose_name=_("продукт"))
    code = models.CharField(_("код тарифа"), max_length=60, unique=True)
    name = TranslatedField(_("название"))
    description = TranslatedField(_("описание"), blank=True)
    sort = models.PositiveIntegerField(_("порядок"), default=100)
    # Sold only to who has a tariff that it requires; billed with that subscription.
    is_addon = models.BooleanField(_("дополнение"), default=False)
    current = models.OneToOneField(
        "TariffVersion",
        models.PROTECT,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("действующая редакция"),
    )

    class Meta:
        verbose_name, verbose_name_plural = _("тариф"), _("тарифы")
        ordering = ["product__sort", "product__code", "sort", "id"]
        constraints = [dates_in_order("catalog_tariff_dates")]

    def __str__(self) -> str:
        return f"{self.product}, {self.name}"

    def parts(self) -> list["Tariff"]:
        """The tariffs that this bundle consists of, as sold now; empty for any other tariff."""
        return self.current.parts() if self.current else []

    def publish(
        self,
        *,
        price: Decimal,
        period_count: int,
        period_unit: str,
        trial_days: int = 0,
        trial_needs_method: bool = True,
        parameters: Mapping[str, Any] | None = None,
        vat_code: str = "",
        parts: list["Tariff"] | None = None,
        features: Mapping[str, Any] | None = None,
        currency: str = "RUB",
        at: datetime | None = None,
        starts: bool = True,
    ) -> "TariffVersion":
        """Makes a new version and sells by it from now on; those who subscribed before keep theirs.

        `vat_code` is the product's where it is left out; `features` are those of the version before. Without
        `starts` it waits for `start`. Raises ValidationError for impossible terms.
        """
        with transaction.atomic():
            tariff = (
                Tariff.objects.select_for_update(of=("self",))
                .select_related("product", "current")
                .get(pk=self.pk)
            )
            last = tariff.versions.aggregate(last=models.Max("number"))["last"] or 0
            version = TariffVersion(
                tariff=tariff,
                number=last + 1,
                price=price,
                currency=currency,
                period_count=period_count,
                period_unit=period_unit,
                trial_days=trial_days,
                trial_needs_method=trial_needs_method,
                parameters=dict(parameters or {}),
                features=dict(
                    (tariff.current.features if tariff.current else {}) if features is None else features
                ),
                vat_code=vat_code or tariff.product.vat_code,
                published_at=at or clock.wall(),
            )
            version.full_clean(exclude=["tariff"])
            version.save(force_insert=True)
            BundlePart.objects.bulk_create(
                BundlePart(version=version, tariff=part, position=position)
                for position, part in enumerate(parts or [])
            )
            if starts:
                Tariff.objects.filter(pk=self.pk).update(current=version)
        if starts:
            self.current = version
        return version

    def start(self, version: "TariffVersion") -> None:
        """Sells by a version that waited for its day, unless a newer one is sold by already."""
        older = models.Q(current__number__lt=version.number) | models.Q(current=None)
        Tariff.objects.filter(older, pk=self.pk).update(current=version)


class PeriodUnit(models.TextChoices):
    """What a period is counted in."""

    DAY = "day", _("день")
    WEEK = "week", _("неделя")
    MONTH = "month", _("месяц")
    YEAR = "year", _("год")


class TariffVersion(models.Model):
    """The terms of a tariff. The database refuses to change one that has been sold, or to delete any."""

    tariff = models.ForeignKey(Tariff, models.PROTECT, related_name="versions", verbose_name=_("тариф"))
    number = models.PositiveIntegerField(_("номер редакции"))
    price = amount_field(_("цена"))
    currency = currency_field()
    period_count = models.PositiveSmallIntegerField(_("периодов"), default=1)
    period_unit = models.CharField(_("единица периода"), max_length=5, choices=PeriodUnit.choices)
    trial_days = models.PositiveSmallIntegerField(_("пробный период, дней"), default=0)
    # Without a card it ends into «choose how to pay», with one into the first charge.
    trial_needs_method = models.BooleanField(_("пробный период только с картой"), default=True)
    parameters = models.JSONField(_("параметры"), default=dict, blank=True)
    # Entitlements: {code: true or a number}, apart from the price.
    features = models.JSONField(_("возможности"), default=dict, blank=True)
    vat_code = models.CharField(_("НДС"), max_length=20)
    published_at = models.DateTimeField(_("действует с"))
    sold_at = models.DateTimeField(_("продана впервые"), null=True, editable=False)

    class Meta:
        verbose_name, verbose_name_plural = _("редакция тарифа"), _("редакции тарифа")
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint("tariff", "number", name="catalog_version_number_once"),
            models.CheckConstraint(
                condition=models.Q(price__gt=0),
                name="catalog_version_price_positive",
                violation_error_message=_("Цена должна быть больше нуля"),
            ),
            models.CheckConstraint(
                condition=models.Q(period_count__gt=0),
                name="catalog_version_period_positive",
                violation_error_message=_("Период должен быть не короче одного дня"),
            ),
        ]

    def __str__(self) -> str:
        began = clock.local(self.published_at)
        return _("{tariff}, № {number} от {date}").format(
            tariff=self.tariff, number=self.number, date=f"{began:%d.%m.%Y}"
        )

    @property
    def money(self) -> Money:
        """The price with its currency."""
        return Money(self.price, self.currency)

    @property
    def period(self) -> str:
        """The period in words: «1 месяц», «12 месяцев»."""
        return periods.in_words(self.period_count, self.period_unit)

    def parts(self) -> list[Tariff]:
        """The tariffs that this version of a bundle consists of, in order."""
        rows = self.bundle_parts.select_related("tariff__product", "tariff__current")
        return [part.tariff for part in rows]

    def mark_sold(self, at: datetime) -> None:
        """From now on the terms are frozen. Safe to call at every sale: the first one counts."""
        TariffVersion.objects.filter(pk=self.pk, sold_at=None).update(sold_at=at)


class BundlePart(models.Model):
    """One tariff within a version of a bundle."""

    version = models.ForeignKey(TariffVersion, models.PROTECT, related_name="bundle_parts")
    tariff = models.ForeignKey(Tariff, models.PROTECT, related_name="+", verbose_name=_("тариф"))
    position = models.PositiveSmallIntegerField(_("порядок"))

    class Meta:
        verbose_name, verbose_name_plural = _("часть пакета"), _("состав пакета")
        ordering = ["position"]
        constraints = [models.UniqueConstraint("version", "tariff", name="catalog_bundlepart_once")]


class Relation(models.TextChoices):
    """How two tariffs stand to each other."""

    REQUIRES = "requires", _("нужен один из")
    EXCLUDES = "excludes", _("не вместе с")


class TariffRelation(models.Model):
    """What a tariff requires or excludes. Checked when it is ordered."""

    tariff = models.ForeignKey(Tariff, models.PROTECT, related_name="relations", verbose_name=_("тариф"))
    kind = models.CharField(_("связь"), max_length=10, choices=Relation.choices)
    other = models.ForeignKey(Tariff, models.PROTECT, related_name="+", verbose_name=_("с тарифом"))

    class Meta:
        verbose_name, verbose_name_plural = _("связь тарифов"), _("связи тарифов")
        ordering = ["tariff", "kind", "id"]
        constraints = [
            models.UniqueConstraint("tariff", "other", name="catalog_relation_once"),
            models.CheckConstraint(
                condition=~models.Q(tariff=models.F("other")),
                name="catalog_relation_to_another",
                violation_error_message=_("Тариф не связывают с самим собой"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tariff} · {self.get_kind_display()} · {self.other}"
