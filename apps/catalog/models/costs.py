"""What a provider is owed for what is sold, by dated terms (public)."""

from datetime import date
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.catalog.models.products import Product
from apps.catalog.models.tariffs import Tariff, TariffVersion
from apps.core.money import amount_field
from apps.partners.models import EarnedOn, ShareBase


class Trade(models.TextChoices):
    """In whose name a product is sold."""

    RESALE = "resale", _("перепродажа: от своего имени, поставщику — себестоимость")
    AGENCY = "agency", _("агент поставщика: выручка — только вознаграждение, остальное поставщику")


class ProviderTermsQuerySet(models.QuerySet["ProviderTerms"]):
    """Which terms."""

    def in_force(self, *, product_id: int, tariff_version_id: int, day: date) -> "ProviderTerms | None":
        """Those of a sale: of the tariff before those of the product before those of its provider."""
        tariff = TariffVersion.objects.filter(pk=tariff_version_id).values("tariff_id")[:1]
        provider = Product.objects.filter(pk=product_id).values("provider_id")[:1]
        found = self.filter(
            Q(tariff_id=models.Subquery(tariff))
            | Q(tariff=None, product_id=product_id)
            | Q(tariff=None, product=None, provider_id=models.Subquery(provider)),
            valid_from__lte=day,
        )
        nulls_last = (models.F(name).asc(nulls_last=True) for name in ("tariff", "product"))
        return found.order_by(*nulls_last, "-valid_from").first()


class ProviderTerms(models.Model):
    """What a provider is owed from a day on: never changed once in force, the newest of a scope counts.

    In resale `percent` and `fixed` are the provider's cost; for an agent they are the operator's own commission, and
    the rest of the price is the provider's money.
    """

    Trade, Base, EarnedOn = Trade, ShareBase, EarnedOn

    provider = models.ForeignKey(
        "providers.Provider", models.PROTECT, related_name="+", verbose_name=_("поставщик")
    )
    product = models.ForeignKey(
        Product,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("продукт"),
        help_text=_("Пусто: для всех продуктов поставщика"),
    )
    tariff = models.ForeignKey(
        Tariff,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("тариф"),
        help_text=_("Пусто: для всех тарифов"),
    )
    number = models.CharField(_("номер договора"), max_length=60)
    valid_from = models.DateField(_("действует с"))
    trade = models.CharField(_("как продаём"), max_length=10, choices=Trade, default=Trade.RESALE)
    percent = models.DecimalField(
        _("процент"),
        max_digits=5,
        decimal_places=2,
        default=Decimal(0),
        help_text=_("Перепродажа: доля поставщика. Агент: наше вознаграждение"),
    )
    base = models.CharField(_("база"), max_length=5, choices=ShareBase, default=ShareBase.NET)
    fixed = amount_field(
        _("и твёрдая сумма"),
        default=Decimal("0.00"),
        help_text=_("За оплаченный период одной штуки; за неполный — пропорционально"),
    )
    earned_on = models.CharField(
        _("начисляется"),
        max_length=10,
        choices=EarnedOn,
        default=EarnedOn.PAYMENT,
        help_text=_("У агента — всегда с оплатой: это деньги поставщика"),
    )
    clawback = models.BooleanField(
        _("возвращается при возврате"),
        default=True,
        help_text=_("Снимите, если поставщик не возвращает деньги, например за выданный ключ"),
    )
    vat_code = models.CharField(
        _("НДС нашего вознаграждения"), max_length=20, default="standard", help_text=_("Только для агента")
    )

    objects = ProviderTermsQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("условия поставщика"), _("условия поставщиков")
        ordering = ["provider__name", "-valid_from", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "product", "tariff", "valid_from"],
                name="catalog_providerterms_once_a_day",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=Q(percent__range=(0, 100), fixed__gte=0),
                name="catalog_providerterms_sums",
                violation_error_message=_("Процент: от 0 до 100, сумма: не меньше нуля"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider}, {self.number} ({self.valid_from:%d.%m.%Y})"

    def clean(self) -> None:
        if self.tariff_id and self.product_id and self.tariff.product_id != self.product_id:  # type: ignore[union-attr]
            raise ValidationError({"tariff": _("Это тариф другого продукта")})
