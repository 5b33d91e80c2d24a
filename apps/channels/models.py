"""Channels a partner sells through, and the keys of the systems behind them."""

from collections.abc import Iterable
from datetime import timedelta

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.catalog.listing import Listing
from apps.catalog.models import Offer, OfferQuerySet
from apps.core import bearer, clock
from apps.core.fields import PublicReference
from apps.core.models import UUIDModel
from apps.core.prepared import Prepared, given
from apps.core.tenancy import current_partner_id

# `last_used_at` is told to the minute: a write with every request would cost more than it says.
USE_NOTED_EVERY = timedelta(minutes=1)


class Kind(models.TextChoices):
    """What stands at the other end."""

    WEB = "web", _("Витрина")
    API = "api", _("API")
    MARKET = "market", _("Площадка")
    CALL_CENTRE = "call_centre", _("Колл-центр")
    OFFICE = "office", _("Отделение")


class Channel(UUIDModel):
    """Where an order came from. Its code goes with the order, the payment and the ledger for good."""

    code = models.SlugField(_("код"), max_length=40, db_index=False)
    name = models.CharField(_("название"), max_length=100)
    kind = models.CharField(_("вид"), max_length=12, choices=Kind.choices)
    is_active = models.BooleanField(_("работает"), default=True)
    created_at = models.DateTimeField(_("создан"), default=clock.wall, editable=False)

    class Meta:
        verbose_name, verbose_name_plural = _("канал продаж"), _("каналы продаж")
        ordering = ["id"]
        # Not unique=True: that would make a second index of each text, for LIKE.
        constraints = [
            models.UniqueConstraint(
                "code", name="channels_code", violation_error_message=_("Канал с таким кодом уже есть")
            )
        ]

    def __str__(self) -> str:
        return self.name

    def offers(self) -> OfferQuerySet:
        """What may be ordered now of what the channel has `listed`."""
        return self.listed().open()

    def listing(self) -> Listing:
        """`listed`, for who looks for one of them."""
        chosen = self.chosen.values_list("offer_id", flat=True)
        return Listing(current_partner_id() or 0, self.code, frozenset(chosen))

    def listed(self) -> OfferQuerySet:
        """What the channel sells: its own choice, or all that the partner sells where none was made."""
        offers = Offer.objects.listed(current_partner_id() or 0, self.code)
        chosen = list(self.chosen.values_list("offer_id", flat=True))
        return offers.filter(pk__in=chosen) if chosen else offers


class ChannelOffer(UUIDModel):
    """One offer that a channel sells; a channel without any sells everything."""

    channel = models.ForeignKey(
        Channel, models.CASCADE, related_name="chosen", db_index=False, verbose_name=_("канал продаж")
    )
    offer = PublicReference("catalog.Offer", verbose_name=_("предложение"))

    class Meta:
        verbose_name, verbose_name_plural = _("предложение канала"), _("предложения канала")
        constraints = [models.UniqueConstraint("channel", "offer", name="channels_offer_once")]


class Scope(models.TextChoices):
    """What a key may do."""

    OFFERS_READ = "offers:read", _("Предложения: чтение")
    CUSTOMERS_READ = "customers:read", _("Клиенты: чтение")
    CUSTOMERS_WRITE = "customers:write", _("Клиенты: изменение")
    ORDERS_READ = "orders:read", _("Заказы: чтение")
    ORDERS_WRITE = "orders:write", _("Заказы: оформление")
    SUBSCRIPTIONS_READ = "subscriptions:read", _("Подписки: чтение")
    SUBSCRIPTIONS_WRITE = "subscriptions:write", _("Подписки: изменение")
    INVOICES_READ = "invoices:read", _("Счета: чтение")
    BASE_MOVE = "base:move", _("Перенос базы из прежней системы")
    CLOCK_MOVE = "clock:move", _("Часы песочницы")


class ApiKey(UUIDModel):
    """A key of one system in one channel. Only its hash is kept, so it is shown once, when issued."""

    channel = models.ForeignKey(
        Channel, models.PROTECT, related_name="keys", db_index=False, verbose_name=_("канал продаж")
    )
    name = models.CharField(_("для чего"), max_length=100, blank=True)
    prefix = models.CharField(_("начало ключа"), max_length=12, editable=False)
    secret_hash = models.CharField(max_length=64, editable=False)
    scopes = ArrayField(
        models.CharField(max_length=40, choices=Scope.choices), verbose_name=_("права"), default=list
    )
    created_at = models.DateTimeField(_("выдан"), default=clock.wall, editable=False)
    revoked_at = models.DateTimeField(_("отозван"), null=True, editable=False)
    last_used_at = models.DateTimeField(_("последнее обращение"), null=True, editable=False)

    class Meta:
        verbose_name, verbose_name_plural = _("ключ API"), _("ключи API")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint("prefix", name="channels_key_prefix")]

    def __str__(self) -> str:
        return f"armor_{self.prefix}_…"

    @property
    def channel_code(self) -> str:
        """The code of the key's channel."""
        return self.channel.code

    def offers(self) -> OfferQuerySet:
        """What may be ordered with this key."""
        return self.channel.offers()

    def listed(self) -> OfferQuerySet:
        """What may be seen with this key: what is closed for a while, too."""
        return self.channel.listed()

    def listing(self) -> Listing:
        """`listed`, for who looks for one of them."""
        return self.channel.listing()

    @classmethod
    def issue(
        cls, channel: Channel, scopes: Iterable[str], *, name: str = "", actor: str = ""
    ) -> tuple["ApiKey", str]:
        """Makes a key; gives it and the text to be shown once. Raises ValidationError for an unknown scope."""
        prefix, text, secret_hash = bearer.issue()
        key = cls(
            channel=channel, name=name, prefix=prefix, secret_hash=secret_hash, scopes=sorted(set(scopes))
        )
        key.full_clean(exclude=["channel"])
        with transaction.atomic():
            key.save(force_insert=True)
            journal.record(
                "apikey.issued",
                "channels.ApiKey",
                key.pk,
                actor=actor,
                data={"channel": channel.code, "scopes": key.scopes},
            )
        return key, text

    @classmethod
    def find(cls, plaintext: str) -> "ApiKey | None":
        """The live key that reads so, its channel with it; None for a wrong, revoked or another partner's key."""
        prefix, secret = bearer.parts(plaintext)
        if not secret:
            return None
        key = _BY_PREFIX.first(prefix=prefix)
        if key is None or not bearer.is_right(key.secret_hash, secret):
            return None
        return key if key.channel.is_active else None

    def note_use(self) -> None:
        """Keeps when the key was last used, to the minute."""
        now = clock.wall()
        if self.last_used_at is None or now - self.last_used_at >= USE_NOTED_EVERY:
            ApiKey.objects.filter(pk=self.pk).update(last_used_at=now)

    def revoke(self, *, actor: str = "") -> None:
        """The key stops working at once and for good."""
        with transaction.atomic():
            if ApiKey.objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=clock.wall()):
                journal.record("apikey.revoked", "channels.ApiKey", self.pk, actor=actor)
        self.refresh_from_db(fields=["revoked_at"])

    def clean(self) -> None:
        if not self.scopes:
            raise ValidationError({"scopes": _("Выберите хотя бы одно право")})


_BY_PREFIX = Prepared(
    lambda: ApiKey.objects.select_related("channel").filter(prefix=given("prefix"), revoked_at=None)[:1]
)
