"""Products, tariffs, their immutable versions and what each partner offers of them (public)."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import models, transaction
from django.db.models.fields.json import KT
from django.utils.translation import gettext_lazy as _

from apps.catalog import parameters as typed
from apps.catalog import periods
from apps.core import clock
from apps.core.fields import TranslatedField
from apps.core.money import Money, amount_field, currency_field


class Category(models.Model):
    """A heading of the catalogue."""

    code = models.SlugField(_("код"), max_length=60, unique=True)
    name = TranslatedField(_("название"))
    sort = models.PositiveIntegerField(_("порядок"), default=100)

    class Meta:
        verbose_name, verbose_name_plural = _("категория"), _("категории")
        ordering = ["sort", "code"]
        constraints = [models.UniqueConstraint(KT("name__ru"), name="catalog_category_name_once")]

    def __str__(self) -> str:
        return str(self.name)


class Delivery(models.TextChoices):
    """How a customer receives the product."""

    KEY = "key", _("Ключ активации")
    ACCOUNT = "account", _("Учётная запись")
    DEEPLINK = "deeplink", _("Ссылка на активацию")
    MANUAL = "manual", _("Вручную")
    BUNDLE = "bundle", _("Пакет")


class Product(models.Model):
    """What a provider supplies. Archived, never deleted: the database refuses."""

    code = models.CharField(_("артикул"), max_length=60, unique=True)
    name = TranslatedField(_("название"))
    description = TranslatedField(_("описание"), blank=True)
    category = models.ForeignKey(
        Category, models.PROTECT, related_name="products", verbose_name=_("категория")
    )
    provider = models.ForeignKey(
        "providers.Provider",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="products",
        verbose_name=_("поставщик"),
    )
    delivery = models.CharField(_("выдача"), max_length=10, choices=Delivery.choices)
    vat_code = models.CharField(_("НДС"), max_length=20)
    sort = models.PositiveIntegerField(_("порядок"), default=100)
    is_archived = models.BooleanField(_("в архиве"), default=False)

    class Meta:
        verbose_name, verbose_name_plural = _("продукт"), _("продукты")
        ordering = ["sort", "code"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(delivery="bundle", provider=None)
                | ~models.Q(delivery="bundle") & models.Q(provider__isnull=False),
                name="catalog_product_provider_unless_bundle",
                violation_error_message=_("Поставщик нужен каждому продукту, кроме пакета"),
            )
        ]

    def __str__(self) -> str:
        return str(self.name)

    @property
    def picture_version(self) -> str:
        """Of the picture it has; empty where it has none."""
        return getattr(getattr(self, "picture", None), "version", "")


class ProductPicture(models.Model):
    """How a product looks in shop windows and feeds. Apart from the product: lists do not carry its bytes."""

    product = models.OneToOneField(
        Product, models.CASCADE, primary_key=True, related_name="picture", verbose_name=_("продукт")
    )
    # In the row, not in a folder of files: every web host has it, and a backup too.
    content = models.BinaryField(_("картинка"))
    type = models.CharField(max_length=20)
    version = models.CharField(max_length=12)

    class Meta:
        verbose_name, verbose_name_plural = _("картинка продукта"), _("картинки продуктов")

    def __str__(self) -> str:
        return self.version

    @classmethod
    def put(cls, product: Product, content: bytes, type: str) -> "ProductPicture":
        """Gives a product its picture, in place of the former; addresses carry the version."""
        version = hashlib.sha256(content).hexdigest()[:12]
        values = {"content": content, "type": type, "version": version}
        return cls.objects.update_or_create(product=product, defaults=values)[0]


class ProductParameter(models.Model):
    """A property in which the tariffs of a product differ, with the kind of its values."""

    product = models.ForeignKey(Product, models.CASCADE, related_name="parameters", verbose_name=_("продукт"))
    code = models.SlugField(_("код"), max_length=60)
    name = TranslatedField(_("название"))
    kind = models.CharField(_("тип"), max_length=10, choices=typed.Kind.choices)
    choices = models.JSONField(_("варианты"), default=list, blank=True)
    sort = models.PositiveIntegerField(_("порядок"), default=100)

    class Meta:
        verbose_name, verbose_name_plural = _("параметр"), _("параметры")
        ordering = ["sort", "id"]
        constraints = [
            models.UniqueConstraint("product", "code", name="catalog_parameter_code_once"),
            models.UniqueConstraint("product", KT("name__ru"), name="catalog_parameter_name_once"),
        ]

    def __str__(self) -> str:
        return str(self.name)


class Tariff(models.Model):
    """A way to buy a product: its terms stand in versions, of which `current` is sold now."""

    product = models.ForeignKey(Product, models.PROTECT, related_name="tariffs", verbose_name=_("продукт"))
    code = models.CharField(_("код тарифа"), max_length=60, unique=True)
    name = TranslatedField(_("название"))
    description = TranslatedField(_("описание"), blank=True)
    sort = models.PositiveIntegerField(_("порядок"), default=100)
    is_archived = models.BooleanField(_("в архиве"), default=False)
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
        parameters: Mapping[str, Any] | None = None,
        vat_code: str = "",
        parts: list["Tariff"] | None = None,
        currency: str = "RUB",
        at: datetime | None = None,
    ) -> "TariffVersion":
        """Makes a new version and sells by it from now on; those who subscribed before keep theirs.

        `vat_code` is the product's where it is left out. Raises ValidationError for impossible terms.
        """
        with transaction.atomic():
            tariff = Tariff.objects.select_for_update(of=("self",)).select_related("product").get(pk=self.pk)
            last = tariff.versions.aggregate(last=models.Max("number"))["last"] or 0
            version = TariffVersion(
                tariff=tariff,
                number=last + 1,
                price=price,
                currency=currency,
                period_count=period_count,
                period_unit=period_unit,
                trial_days=trial_days,
                parameters=dict(parameters or {}),
                vat_code=vat_code or tariff.product.vat_code,
                published_at=at or clock.wall(),
            )
            version.full_clean(exclude=["tariff"])
            version.save(force_insert=True)
            BundlePart.objects.bulk_create(
                BundlePart(version=version, tariff=part, position=position)
                for position, part in enumerate(parts or [])
            )
            Tariff.objects.filter(pk=self.pk).update(current=version)
        self.current = version
        return version


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
    parameters = models.JSONField(_("параметры"), default=dict, blank=True)
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


class OfferQuerySet(models.QuerySet["Offer"]):
    """Offers with all that a shop window shows, in two queries."""

    def with_terms(self) -> "OfferQuerySet":
        """Together with tariff, current version, product, category, the picture's version; parameters prefetched."""
        return (
            self.select_related("tariff__current", "tariff__product__category", "tariff__product__picture")
            .defer("tariff__product__picture__content")
            .prefetch_related("tariff__product__parameters")
        )

    def on_sale(self, partner_id: int) -> "OfferQuerySet":
        """What the partner sells now, in the order of its shop window."""
        return (
            self.with_terms()
            .filter(
                partner_id=partner_id,
                is_on_sale=True,
                tariff__is_archived=False,
                tariff__product__is_archived=False,
                tariff__current__isnull=False,
            )
            .order_by("sort", "tariff__product__sort", "tariff__product__code", "tariff__sort", "id")
        )


class Offer(models.Model):
    """A tariff that a partner may sell."""

    partner = models.ForeignKey(
        "partners.Partner", models.PROTECT, related_name="offers", verbose_name=_("партнёр")
    )
    tariff = models.ForeignKey(Tariff, models.PROTECT, related_name="offers", verbose_name=_("тариф"))
    is_on_sale = models.BooleanField(_("в продаже"), default=True)
    sort = models.PositiveIntegerField(_("порядок"), default=100)

    objects = OfferQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("предложение"), _("предложения партнёрам")
        ordering = ["partner", "sort", "id"]
        constraints = [models.UniqueConstraint("partner", "tariff", name="catalog_offer_once")]

    def __str__(self) -> str:
        return str(self.tariff)

    def current_version(self) -> TariffVersion:
        """The terms it is sold by now. Raises TariffVersion.DoesNotExist where none was published."""
        if self.tariff.current is None:
            raise TariffVersion.DoesNotExist(f"{self.tariff.code} has no version")
        return self.tariff.current

    def parameters(self) -> list[typed.Shown]:
        """The parameters of the current version, as a shop window shows them."""
        return typed.shown(self.tariff.product.parameters.all(), self.current_version().parameters)
