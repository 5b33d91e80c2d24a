"""The log of messages: each one frozen as it was written, with what became of it."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core.fields import EncryptedField, PublicReference
from apps.core.models import UUIDModel
from apps.notifications import types
from apps.policies.models import Channel


class State(models.TextChoices):
    QUEUED = "queued", _("В очереди")
    SENDING = "sending", _("Отправляется")
    SENT = "sent", _("Отправлено")
    DELIVERED = "delivered", _("Доставлено")
    FAILED = "failed", _("Не доставлено")
    UNKNOWN = "unknown", _("Ответа нет, уточняем")


class Message(UUIDModel):
    """One message to one customer by one channel. `key` says what it is about: the same key is sent once."""

    key = models.CharField(max_length=120)
    type = models.CharField(_("сообщение"), max_length=40)
    channel = models.CharField(_("канал"), max_length=10, choices=Channel.choices)
    language = models.CharField(_("язык"), max_length=2, default="ru")
    customer_ref = models.UUIDField(_("клиент"), null=True)
    # Contacts and texts hold personal data, keys and codes.
    to = EncryptedField(_("кому"), blank=True)
    subject = EncryptedField(_("тема"), blank=True)
    text = EncryptedField(_("текст"), blank=True)
    html = EncryptedField(blank=True)
    # [{source, id, name, type}]: the files themselves are made when it is sent (see `attachments`).
    attachments = models.JSONField(_("вложения"), default=list, blank=True)
    state = models.CharField(_("состояние"), max_length=10, choices=State.choices, default=State.QUEUED)
    connection = PublicReference("connectors.Connection", null=True, verbose_name=_("подключение"))
    provider_id = models.CharField(_("номер у сервиса"), max_length=200, blank=True)
    attempts = models.PositiveSmallIntegerField(_("попыток"), default=0)
    error = models.CharField(_("причина"), max_length=500, blank=True)
    created_at = models.DateTimeField(_("создано"))
    # These three go by the wall clock: the outside world does.
    tried_at = models.DateTimeField(_("последняя попытка"), null=True)
    sent_at = models.DateTimeField(_("отправлено"), null=True)
    settled_at = models.DateTimeField(_("итог"), null=True)
    expires_at = models.DateTimeField(_("бесполезно после"), null=True)

    class Meta:
        verbose_name, verbose_name_plural = _("сообщение"), _("журнал сообщений")
        ordering = ["-id"]
        # Not unique=True: that would make a second index of each text, for LIKE.
        constraints = [models.UniqueConstraint("key", name="notifications_key")]
        indexes = [
            models.Index("customer_ref", name="notifications_customer"),
            # Which SMS the service has told us about: an unknown one is looked for among the rest.
            models.Index(
                "provider_id", condition=~models.Q(provider_id=""), name="notifications_provider_id"
            ),
        ]

    def __str__(self) -> str:
        titles = dict(types.choices())
        return f"{titles.get(self.type, self.type)} · {self.get_channel_display()}"

    def wipe_texts(self) -> None:
        """Empties what was written, in memory: the caller saves."""
        self.subject = self.text = self.html = ""

    def erase(self) -> None:
        """Removes contact and texts for good. What waited is not sent. The caller holds the row's lock."""
        self.wipe_texts()
        self.to = ""
        if self.state in (State.QUEUED, State.UNKNOWN):
            self.state, self.error = State.FAILED, str(_("Данные клиента стёрты"))
        self.save()
