"""Changes of a tariff's price: a new version, and what becomes of those who subscribed before (public)."""

from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.catalog.models.tariffs import Tariff, TariffVersion
from apps.core.fields import TranslatedField
from apps.core.models import UUIDModel
from apps.core.money import Money, amount_field


class Policy(models.TextChoices):
    """What a new price is to those who have subscribed."""

    GRANDFATHER = "grandfather", _("прежние платят по-старому")
    AT_RENEWAL = "at_renewal", _("при продлении, после уведомления")
    WITH_CONSENT = "with_consent", _("только с согласия, иначе без продления")


class PriceChange(UUIDModel):
    """A new price of a tariff from a day on. Published once; then its version is made and stays."""

    Policy = Policy

    tariff = models.ForeignKey(Tariff, models.PROTECT, related_name="price_changes", verbose_name=_("тариф"))
    price = amount_field(_("новая цена"))
    policy = models.CharField(_("прежние подписчики"), max_length=12, choices=Policy.choices)
    notice_days = models.PositiveSmallIntegerField(_("уведомить за, дней"), default=30)
    effective_date = models.DateField(_("действует с"))
    note = TranslatedField(_("почему, для письма клиенту"), blank=True)
    version = models.OneToOneField(
        TariffVersion, models.PROTECT, null=True, editable=False, related_name="price_change"
    )
    created_at = models.DateTimeField(_("создано"))
    published_at = models.DateTimeField(_("опубликовано"), null=True, editable=False)
    published_by = models.CharField(_("кем"), max_length=150, blank=True, editable=False)
    started_at = models.DateTimeField(_("новые продажи с"), null=True, editable=False)

    class Meta:
        verbose_name, verbose_name_plural = _("изменение цены"), _("изменения цен")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(price__gt=0),
                name="catalog_pricechange_price",
                violation_error_message=_("Цена должна быть больше нуля"),
            ),
            models.CheckConstraint(
                condition=Q(version=None, published_at=None)
                | Q(version__isnull=False, published_at__isnull=False),
                name="catalog_pricechange_published",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tariff}: {Money(self.price)}"

    @property
    def is_published(self) -> bool:
        """Whether its version has been made: nothing of it changes any more."""
        return self.published_at is not None


class PriceImpact(models.Model):
    """Whom a price change touches at one partner, counted there; after publishing, how far it has come."""

    change = models.ForeignKey(PriceChange, models.CASCADE, related_name="impacts")
    partner = models.ForeignKey(
        "partners.Partner", models.PROTECT, related_name="+", verbose_name=_("партнёр")
    )
    subscriptions = models.PositiveIntegerField(_("подписок"), default=0)
    old_monthly = amount_field(_("в месяц было"), default=Decimal("0.00"))
    new_monthly = amount_field(_("в месяц станет"), default=Decimal("0.00"))
    counted_at = models.DateTimeField(_("посчитано"), null=True)
    planned = models.PositiveIntegerField(_("извещено"), default=0)
    is_planned = models.BooleanField(_("все извещены"), default=False)

    class Meta:
        verbose_name, verbose_name_plural = _("кого затронет"), _("кого затронет")
        constraints = [models.UniqueConstraint("change", "partner", name="catalog_impact_once")]

    def __str__(self) -> str:
        return f"{self.partner}: {self.subscriptions}"

    @property
    def difference(self) -> Decimal:
        """What a month brings more, or less."""
        return self.new_monthly - self.old_monthly
