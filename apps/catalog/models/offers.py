"""What each partner offers, in which channel, at what price and who pays (public)."""

from datetime import date
from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from apps.catalog import halts
from apps.catalog import parameters as typed
from apps.catalog.lifecycle import ON_SALE, dates_in_order, within
from apps.catalog.models.products import ProductParameter
from apps.catalog.models.tariffs import Tariff, TariffVersion
from apps.core import clock
from apps.core.money import Money, amount_field


class Payer(models.TextChoices):
    """Who pays, and how. The values are those of a subscription's collection."""

    CHARGE = "charge", _("клиент через шлюз")
    INVOICE = "invoice", _("организация по счёту")
    PARTNER_REPORTS = "partner_reports", _("партнёр собирает и отчитывается")
    PARTNER_CHARGES = "partner_charges", _("партнёр списывает по нашему запросу")
    PARTNER_PAYS = "partner_pays", _("партнёр платит за клиентов")


class OfferQuerySet(models.QuerySet["Offer"]):
    """Offers with all that a shop window shows, in two queries."""

    def with_terms(self) -> "OfferQuerySet":
        """Together with tariff, current version, product, category, the picture's version; parameters prefetched."""
        return (
            self.select_related("tariff__current", "tariff__product__category", "tariff__product__picture")
            .defer("tariff__product__picture__content")
            .prefetch_related("tariff__product__parameters")
        )

    def on_sale(self, partner_id: int, channel_code: str = "", *, day: date | None = None) -> "OfferQuerySet":
        """What may be ordered now of what is `listed`: without what is closed for a while."""
        return self.listed(partner_id, channel_code, day=day).open()

    def open(self) -> "OfferQuerySet":
        """Of listed ones, those that are sold just now, some of them delivered late (`halts`)."""
        return self.filter(Q(halt=None) | Q(halt=halts.LATE))

    def listed(self, partner_id: int, channel_code: str = "", *, day: date | None = None) -> "OfferQuerySet":
        """What the partner sells on a day (today), in the order of its shop window, each with its `halt`.

        In a channel, an offer of its own stands in place of the one for all channels, be it on sale or not.
        """
        halt = halts.halt_of(halts.is_sandbox(partner_id))
        found = self.listed_by(partner_id, channel_code, day or clock.today(), halt)
        return found.order_by("sort", "tariff__product__sort", "tariff__product__code", "tariff__sort", "id")

    def listed_by(self, partner_id: Any, channel_code: Any, day: Any, halt: Any) -> "OfferQuerySet":
        """The same in no order, by values or what stands for them (`prepared.given`)."""
        found = self.with_terms().filter(
            within(day),
            within(day, "tariff__"),
            within(day, "tariff__product__"),
            partner_id=partner_id,
            is_on_sale=True,
            tariff__state=ON_SALE,
            tariff__product__state=ON_SALE,
            tariff__current__isnull=False,
        )
        found = found.annotate(halt=halt)  # type: ignore[no-redef]
        return found._in_channel(channel_code)

    def _in_channel(self, channel_code: Any) -> "OfferQuerySet":
        if not channel_code:
            return self.filter(channel_code="")
        own = Offer.objects.filter(
            partner_id=OuterRef("partner_id"), tariff_id=OuterRef("tariff_id"), channel_code=channel_code
        )
        return self.filter(Q(channel_code=channel_code) | Q(channel_code="") & ~Exists(own))


class Offer(models.Model):
    """A tariff that a partner may sell, in all its channels or in one."""

    Payer = Payer
    halt: str | None = None
    """Why it is not sold just now, or LATE: of those that were read by `listed` or `on_sale`."""

    partner = models.ForeignKey(
        "partners.Partner", models.PROTECT, related_name="offers", verbose_name=_("партнёр")
    )
    tariff = models.ForeignKey(Tariff, models.PROTECT, related_name="offers", verbose_name=_("тариф"))
    channel_code = models.CharField(
        _("канал"), max_length=40, blank=True, help_text=_("пусто: во всех каналах")
    )
    is_on_sale = models.BooleanField(_("в продаже"), default=True)
    price = amount_field(_("своя цена"), null=True, blank=True)
    on_sale_from = models.DateField(_("продаётся с"), null=True, blank=True)
    on_sale_until = models.DateField(_("продаётся по"), null=True, blank=True)
    payer = models.CharField(_("кто платит"), max_length=15, choices=Payer.choices, default=Payer.CHARGE)
    hold_first = models.BooleanField(
        _("сначала удержать"),
        default=False,
        db_default=False,
        help_text=_(
            "Первый платёж удерживается и списывается, когда товар выдан; не выдан — деньги вернутся. "
            "Только картой, у шлюзов с двухстадийной оплатой"
        ),
    )
    sort = models.PositiveIntegerField(_("порядок"), default=100)
    # Counts changes: who saves what somebody changed meanwhile is refused.
    revision = models.PositiveIntegerField(default=1, editable=False)

    objects = OfferQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("предложение"), _("предложения партнёрам")
        ordering = ["partner", "sort", "id"]
        constraints = [
            models.UniqueConstraint("partner", "tariff", "channel_code", name="catalog_offer_once"),
            models.CheckConstraint(
                condition=Q(price=None) | Q(price__gt=0),
                name="catalog_offer_price_positive",
                violation_error_message=_("Цена должна быть больше нуля"),
            ),
            dates_in_order("catalog_offer_dates"),
        ]

    def __str__(self) -> str:
        return str(self.tariff)

    @property
    def is_open(self) -> bool:
        """Whether it may be ordered just now, perhaps to be delivered late."""
        return self.halt in (None, halts.LATE)

    def current_version(self) -> TariffVersion:
        """The terms it is sold by now. Raises TariffVersion.DoesNotExist where none was published."""
        if self.tariff.current is None:
            raise TariffVersion.DoesNotExist(f"{self.tariff.code} has no version")
        return self.tariff.current

    def price_by(self, version: TariffVersion) -> Decimal:
        """What one period costs here by a version: the offer's own price stands before the tariff's."""
        return version.price if self.price is None else self.price

    @property
    def unit_price(self) -> Decimal:
        """What one period costs here now."""
        return self.price_by(self.current_version())

    @property
    def money(self) -> Money:
        """`unit_price` with its currency."""
        return Money(self.unit_price, self.current_version().currency)

    def parameters(self) -> list[typed.Shown]:
        """The parameters of the current version, as a shop window shows them."""
        return typed.shown(self.tariff.product.parameters.all(), self.current_version().parameters)

    def questions(self) -> list[ProductParameter]:
        """The parameters whose values the customer gives when ordering."""
        return [one for one in self.tariff.product.parameters.all() if one.asked_at == typed.AskedAt.ORDER]
