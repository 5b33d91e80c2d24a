"""A partner's shop window and what its buyers agreed to."""

import hashlib
from functools import cached_property

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.channels.models import Channel
from apps.core.fields import PublicReference, TranslatedField
from apps.core.ids import uuid7
from apps.core.models import UUIDModel
from apps.core.money import amount_field, currency_field
from apps.orders.models import Order


class Language(models.TextChoices):
    """In which language a visitor reads."""

    BROWSER = "auto", _("как в браузере")
    RUSSIAN = "ru", _("русский")
    ENGLISH = "en", _("английский")


class Storefront(UUIDModel):
    """The shop window on the partner's host, in the partner's name, colour and logo."""

    name = models.CharField(_("название"), max_length=100)
    tagline = TranslatedField(_("подзаголовок"), blank=True)
    intro = TranslatedField(_("вступление"), blank=True)
    colour = models.CharField(
        _("цвет"),
        max_length=7,
        default="#2563eb",
        validators=[RegexValidator(r"^#[0-9a-fA-F]{6}\Z", _("Цвет пишется так: #2563eb"))],
    )
    # In the row, not in a folder of files: it then belongs to this partner alone, also in a backup.
    logo = models.BinaryField(_("логотип"), blank=True, default=bytes)
    logo_type = models.CharField(max_length=20, blank=True)
    language = models.CharField(_("язык"), max_length=4, choices=Language.choices, default=Language.BROWSER)
    channel = models.ForeignKey(
        Channel, models.PROTECT, related_name="+", db_index=False, verbose_name=_("канал продаж")
    )
    is_open = models.BooleanField(_("продажи открыты"), default=True)
    closed_text = TranslatedField(_("что сказать, пока продажи закрыты"), blank=True)
    support_phone = models.CharField(_("телефон поддержки"), max_length=30, blank=True)
    support_email = models.EmailField(_("почта поддержки"), blank=True)
    terms = TranslatedField(_("оферта"), blank=True, help_text=_("Пусто: типовой текст"))
    privacy = TranslatedField(
        _("обработка персональных данных"), blank=True, help_text=_("Пусто: типовой текст")
    )
    recurring = TranslatedField(_("условия автосписаний"), blank=True, help_text=_("Пусто: типовой текст"))

    class Meta:
        verbose_name, verbose_name_plural = _("витрина"), _("витрины")
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name

    @cached_property
    def version(self) -> str:
        """Changes with colour, name and logo: their addresses carry it and may be cached for good."""
        looks = f"{self.colour}|{self.name}|{self.logo_type}".encode() + bytes(self.logo)
        return hashlib.sha256(looks).hexdigest()[:12]


class Checkout(models.Model):
    """One press of «Оплатить»: its key makes a second press harmless; the row proves what the buyer agreed to."""

    id = models.UUIDField(_("ключ запроса"), primary_key=True, default=uuid7, editable=False)
    offer = PublicReference("catalog.Offer", verbose_name=_("предложение"))
    price = amount_field(_("показанная цена"))
    currency = currency_field()
    order = models.OneToOneField(
        Order, models.PROTECT, null=True, related_name="checkout", verbose_name=_("заказ")
    )
    # [{"purpose": …, "text": exactly what stood beside the box}]
    consents = models.JSONField(_("согласия"), default=list)
    ip = models.GenericIPAddressField(_("IP-адрес"), null=True)
    user_agent = models.CharField(_("браузер"), max_length=300, blank=True)
    placed_at = models.DateTimeField(_("когда"))

    class Meta:
        verbose_name, verbose_name_plural = _("согласие покупателя"), _("согласия покупателей")
        ordering = ["-placed_at"]

    def __str__(self) -> str:
        return str(self.id)
