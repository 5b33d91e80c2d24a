"""What a provider may ask and do by itself (public: it is one over all partners): ids only, and what it gave."""

import hashlib
import hmac
import uuid
from datetime import timedelta

from django.conf import settings
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.core import bearer, clock
from apps.providers.models import Provider

USE_NOTED_EVERY = timedelta(minutes=1)


class ProviderKey(models.Model):
    """A key of a provider's system. Only its hash is kept, so it is shown once, when issued."""

    provider = models.ForeignKey(
        Provider, models.PROTECT, related_name="api_keys", verbose_name=_("поставщик")
    )
    name = models.CharField(_("для чего"), max_length=100, blank=True)
    prefix = models.CharField(_("начало ключа"), max_length=12, unique=True, editable=False)
    secret_hash = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(_("выдан"), default=clock.wall, editable=False)
    revoked_at = models.DateTimeField(_("отозван"), null=True, editable=False)
    last_used_at = models.DateTimeField(_("последнее обращение"), null=True, editable=False)

    class Meta:
        verbose_name, verbose_name_plural = _("ключ API поставщика"), _("ключи API поставщиков")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"armor_{self.prefix}_…"

    @property
    def journal_id(self) -> uuid.UUID:
        """How the journal names this key: its number as a UUID."""
        return uuid.UUID(int=self.pk)

    @classmethod
    def issue(cls, provider: Provider, *, name: str = "", actor: str = "") -> tuple["ProviderKey", str]:
        """Makes a key; gives it and the text to be shown once."""
        prefix, text, secret_hash = bearer.issue()
        with transaction.atomic():
            key = cls.objects.create(provider=provider, name=name, prefix=prefix, secret_hash=secret_hash)
            data = {"provider": provider.code}
            journal.record(
                "providerkey.issued", "providers.ProviderKey", key.journal_id, actor=actor, data=data
            )
        return key, text

    @classmethod
    def find(cls, text: str) -> "ProviderKey | None":
        """The live key that reads so, its provider with it; None for a wrong or revoked one."""
        prefix, secret = bearer.parts(text)
        if not secret:
            return None
        found = cls.objects.select_related("provider").filter(prefix=prefix, revoked_at=None).first()
        if found is None or not bearer.is_right(found.secret_hash, secret) or found.provider.is_archived:
            return None
        return found

    def note_use(self) -> None:
        """Keeps when the key was last used, to the minute."""
        now = clock.wall()
        if self.last_used_at is None or now - self.last_used_at >= USE_NOTED_EVERY:
            ProviderKey.objects.filter(pk=self.pk).update(last_used_at=now)

    def revoke(self, *, actor: str = "") -> None:
        """The key stops working at once and for good."""
        with transaction.atomic():
            if ProviderKey.objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=clock.wall()):
                journal.record("providerkey.revoked", "providers.ProviderKey", self.journal_id, actor=actor)
        self.refresh_from_db(fields=["revoked_at"])


class Entitlement(models.Model):
    """Whether a service gives its customer the right to the product: kept in the transaction that changes it.

    One row for each service that was ever given out, ids only, so that a provider is answered by one indexed look-up
    over all partners. Whose it is and what it says all stands in the partner's own data.
    """

    service_id = models.UUIDField(_("услуга"), primary_key=True)
    partner_id = models.BigIntegerField(_("партнёр"))
    provider_id = models.BigIntegerField(_("поставщик"))
    request_id = models.UUIDField(_("номер у поставщика"))
    customer_id = models.UUIDField(_("клиент"))
    # HMAC of the SHA-256 of the key, by which the provider asks: the table does not tell what it is.
    key_digest = models.BinaryField(max_length=32, null=True)
    state = models.CharField(_("состояние"), max_length=20)
    active_until = models.DateField(_("действует до"), null=True)
    version = models.BigIntegerField(_("версия"), default=1)
    changed_at = models.DateTimeField(_("изменено"))

    class Meta:
        verbose_name, verbose_name_plural = _("право на услугу"), _("права на услуги")
        indexes = [
            models.Index(fields=["request_id"], name="providers_right_request"),
            models.Index(fields=["customer_id"], name="providers_right_customer"),
            models.Index(
                fields=["key_digest"],
                condition=models.Q(key_digest__isnull=False),
                name="providers_right_key",
            ),
            models.Index(fields=["partner_id"], name="providers_right_partner"),
        ]

    @property
    def is_entitled(self) -> bool:
        """Whether the customer may use it now. A day that is over is no end: grace is the subscription's affair."""
        return self.state == "active"


def key_digest(sha256_hex: str) -> bytes:
    """What a key is found by, of the SHA-256 that a provider names it by."""
    return hmac.digest(
        settings.SEARCH_KEY.encode(), b"entitlement:" + sha256_hex.lower().encode(), hashlib.sha256
    )


def digest_of(key: str) -> bytes | None:
    """The same of a key as it stands, whatever the spaces around it; None where there is none."""
    key = key.strip()
    return key_digest(hashlib.sha256(key.encode()).hexdigest()) if key else None
