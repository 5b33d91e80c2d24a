"""Providers and their pools of activation keys (public: a key is sold once, whoever sells it)."""

import hashlib
import hmac
import uuid

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core.fields import EncryptedField, TranslatedField
from apps.core.mass import Action, MassRowState, Row
from apps.core.money import amount_field, currency_field
from apps.providers.definition_models import ConnectorDefinition, DefinitionVersion, ProviderCall

__all__ = [
    "ActivationKey",
    "ConnectorDefinition",
    "DefinitionVersion",
    "KeyPool",
    "OpenRequest",
    "Provider",
    "ProviderCall",
    "Renewal",
    "fingerprint",
]


class Provider(models.Model):
    """A company that supplies products. Archived, never deleted."""

    code = models.SlugField(_("код"), max_length=60, unique=True)
    name = models.CharField(_("название"), max_length=120, unique=True)
    contact = models.CharField(_("контакт"), max_length=200, blank=True)
    # For receipts of what is sold on its behalf [1225, 1226, 1171].
    legal_name = models.CharField(_("юридическое название"), max_length=200, blank=True)
    inn = models.CharField(
        _("ИНН"), max_length=12, blank=True, validators=[RegexValidator(r"^(\d{10}|\d{12})$")]
    )
    phone = models.CharField(
        _("телефон для чеков"), max_length=19, blank=True, validators=[RegexValidator(r"^\+\d{10,18}$")]
    )
    connection = models.ForeignKey(
        "connectors.Connection",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("подключение"),
    )
    # A sandbox partner never reaches the real provider.
    test_connection = models.ForeignKey(
        "connectors.Connection",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("подключение для песочницы"),
    )
    sells_when_down = models.BooleanField(
        _("принимать заказы с обещанием срока"),
        default=False,
        db_default=False,
        help_text=_(
            "Когда поставщик не отвечает, у него плановые работы или кончились ключи: продавать, обещая срок. "
            "Иначе продажи закрываются и сами открываются"
        ),
    )
    promise_hours = models.PositiveSmallIntegerField(
        _("обещать выдачу за, часов"),
        default=24,
        db_default=24,
        validators=[MinValueValidator(1), MaxValueValidator(720)],
    )
    has_portal = models.BooleanField(
        _("исполняет в своём кабинете"),
        default=False,
        db_default=False,
        help_text=_("Без подключения запросы ждут его людей или его системы, а не наших сотрудников"),
    )
    pauses = models.BooleanField(
        _("умеет приостанавливать"),
        default=True,
        db_default=True,
        help_text=_(
            "Пока подписка не оплачена или на паузе, просим его приостановить услугу, а потом возобновить: по API, в "
            "кабинете, письмом или через сотрудника. Снимите, если он этого не умеет: никого просить не будем"
        ),
    )
    is_archived = models.BooleanField(_("в архиве"), default=False)

    class Meta:
        verbose_name, verbose_name_plural = _("поставщик"), _("поставщики")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Renewal(models.TextChoices):
    """What a customer gets when a period is renewed."""

    NEW_KEY = "new_key", _("новый ключ на каждый период")
    SAME_KEY = "same_key", _("прежний ключ действует, пока оплачено")


class KeyPool(models.Model):
    """The keys of one tariff. `sku` is the tariff's code; sandbox partners take from test pools only."""

    provider = models.ForeignKey(
        Provider, models.PROTECT, related_name="key_pools", verbose_name=_("поставщик")
    )
    sku = models.CharField(_("код тарифа"), max_length=60)
    is_test = models.BooleanField(_("для песочницы"), default=False)
    low_stock = models.PositiveIntegerField(
        _("предупредить, когда осталось"), default=20, help_text=_("ключей и меньше")
    )
    renewal = models.CharField(
        _("при продлении"), max_length=10, choices=Renewal.choices, default=Renewal.NEW_KEY
    )
    instructions = TranslatedField(_("как активировать"), blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("пул ключей"), _("пулы ключей")
        ordering = ["sku", "is_test"]
        constraints = [models.UniqueConstraint("sku", "is_test", name="providers_keypool_once")]

    def __str__(self) -> str:
        return _("%s (песочница)") % self.sku if self.is_test else self.sku

    @property
    def work_id(self) -> uuid.UUID:
        """How the staff's queue names this pool: its number as a UUID."""
        return uuid.UUID(int=self.pk)

    def is_low(self) -> bool:
        """Whether no more than `low_stock` free keys are left. Reads at most one key more than that."""
        free = self.keys.filter(state=ActivationKey.State.FREE)
        return free.order_by("pk")[: self.low_stock + 1].count() <= self.low_stock


class ActivationKey(models.Model):
    """A key, handed out once and to one request: the database refuses a second buyer."""

    class State(models.TextChoices):
        FREE = "free", _("Свободен")
        RESERVED = "reserved", _("Отложен")
        SOLD = "sold", _("Выдан")
        REVOKED = "revoked", _("Отозван")
        DEFECTIVE = "defective", _("Брак")

    pool = models.ForeignKey(
        KeyPool, models.PROTECT, db_index=False, related_name="keys", verbose_name=_("пул")
    )
    value = EncryptedField(_("ключ"))
    # HMAC of the value: the same key is never loaded twice, and the table does not tell what it is.
    fingerprint = models.BinaryField(max_length=32, unique=True)
    state = models.CharField(_("состояние"), max_length=10, choices=State.choices, default=State.FREE)
    request_id = models.UUIDField(_("запрос"), null=True, unique=True)
    partner_id = models.BigIntegerField(_("партнёр"), null=True)
    # Of a reserved one: the item of an order that it lies for.
    holder_id = models.UUIDField(_("отложен для"), null=True)
    loaded_at = models.DateTimeField(_("загружен"))
    sold_at = models.DateTimeField(_("выдан"), null=True)

    class Meta:
        verbose_name, verbose_name_plural = _("ключ активации"), _("ключи активации")
        ordering = ["id"]
        indexes = [
            models.Index(fields=["pool", "id"], condition=models.Q(state="free"), name="providers_key_free"),
            models.Index(fields=["pool", "-id"], name="providers_key_pool"),
            models.Index(
                fields=["holder_id"], condition=models.Q(state="reserved"), name="providers_key_reserved"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state="free", request_id=None, sold_at=None, holder_id=None)
                | models.Q(
                    state="reserved",
                    request_id=None,
                    sold_at=None,
                    holder_id__isnull=False,
                    partner_id__isnull=False,
                )
                | models.Q(
                    state__in=["sold", "revoked", "defective"],
                    holder_id=None,
                    request_id__isnull=False,
                    sold_at__isnull=False,
                ),
                name="providers_key_sold_to_one",
            )
        ]

    def __str__(self) -> str:
        return f"№ {self.pk}"


class OpenRequest(models.Model):
    """A request that was not settled at once: put off, unknown, held or with staff. Gone when it is settled.

    One table over all partners, of what is open and never of what was done. Who owns the request keeps it in the
    transaction that changes the request; what it says all stands in the partner's own data (ids, no personal data).
    """

    partner_id = models.BigIntegerField(_("партнёр"))
    request_id = models.UUIDField(_("запрос"))
    order_id = models.UUIDField(_("заказ"), null=True)
    item_id = models.UUIDField(_("позиция"), null=True)
    invoice_id = models.UUIDField(_("счёт"), null=True)
    number = models.CharField(_("номер"), max_length=40, blank=True)
    action = models.CharField(_("что сделать"), max_length=10)
    state = models.CharField(_("состояние"), max_length=16)
    provider_id = models.BigIntegerField(_("поставщик"), null=True)
    connection_id = models.BigIntegerField(_("подключение"), null=True)
    product_id = models.BigIntegerField(_("продукт"), null=True)
    attempts = models.PositiveSmallIntegerField(_("попыток"), default=0)
    # Masked as an exchange is: it may be what the other side said.
    reason = models.CharField(_("причина"), max_length=200, blank=True)
    # What was paid for all of the item, or of a renewal's invoice: pieces of one share it.
    amount = amount_field(_("сумма"))
    currency = currency_field()
    opened_at = models.DateTimeField(_("с какого времени"))
    since = models.DateTimeField(_("в этом состоянии"))
    next_at = models.DateTimeField(_("следующая попытка"), null=True)
    # What the customer was promised, by the partner's clock.
    deadline_at = models.DateTimeField(_("обещано к"), null=True)

    class Meta:
        verbose_name, verbose_name_plural = _("незавершённое исполнение"), _("пульт исполнения")
        ordering = ["opened_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["partner_id", "request_id"], name="providers_openrequest_once")
        ]
        indexes = [models.Index(fields=["opened_at"], name="providers_open_oldest")]

    def __str__(self) -> str:
        return self.number or str(self.request_id)


class DeliveryTime(models.Model):
    """How many were delivered in five minutes within so many seconds, of one partner by one provider's connection.

    Kept for the board by who delivers; without a connection, or a provider, it is 0.
    """

    slot = models.DateTimeField(_("пять минут с"))
    partner_id = models.BigIntegerField(_("партнёр"))
    provider_id = models.BigIntegerField(_("поставщик"))
    connection_id = models.BigIntegerField(_("подключение"))
    bucket = models.SmallIntegerField(_("ступень"))
    count = models.IntegerField(_("выдано"))

    class Meta:
        verbose_name, verbose_name_plural = _("время выдачи"), _("время выдачи")
        constraints = [
            models.UniqueConstraint(
                fields=["slot", "partner_id", "provider_id", "connection_id", "bucket"],
                name="providers_deliverytime_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.provider_id}: {self.count}"


class RequestDeed(Action):
    """One deed for open requests, of one partner or of many: what staff do with a whole filter of the board."""

    # Whose console it was begun in: None for the platform's.
    partner_id = models.BigIntegerField(_("партнёр"), null=True)
    kind = models.CharField(_("что сделать"), max_length=10)

    class Meta:
        verbose_name, verbose_name_plural = _("действие пульта"), _("действия пульта")
        ordering = ["-id"]
        indexes = [models.Index(fields=["partner_id", "-id"], name="providers_deed_partner")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.size}"


class RequestDeedRow(Row):
    """One open request of a deed, as it stood when it was chosen, and what became of it."""

    action = models.ForeignKey(
        RequestDeed, models.CASCADE, related_name="rows", db_index=False, verbose_name=_("действие")
    )
    partner_id = models.BigIntegerField(_("партнёр"))
    request_id = models.UUIDField(_("запрос"))
    number = models.CharField(_("номер"), max_length=40, blank=True)
    product_id = models.BigIntegerField(_("продукт"), null=True)

    class Meta:
        verbose_name, verbose_name_plural = _("строка действия"), _("строки действия")
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["action", "partner_id", "request_id"], name="providers_deedrow_once"
            )
        ]
        # The next rows to be done.
        indexes = [
            models.Index(
                fields=["action", "id"],
                condition=models.Q(state__in=[MassRowState.NEW, MassRowState.COUNTED]),
                name="providers_deedrow_open",
            )
        ]

    def __str__(self) -> str:
        return f"{self.number}: {self.get_state_display()}"


def fingerprint(value: str) -> bytes:
    """What tells two equal keys, whatever the spaces around them. Letter case counts."""
    return hmac.digest(
        settings.SEARCH_KEY.encode(), b"activation-key:" + value.strip().encode(), hashlib.sha256
    )


import apps.providers.portal.models  # noqa: E402, F401 - more models of this app
