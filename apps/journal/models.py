"""Audit entries, answers kept for repeated requests, and the log of exchanges with other systems."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core.models import UUIDModel
from apps.journal import words


class Entry(UUIDModel):
    """Who did what to which object."""

    at = models.DateTimeField(_("когда"))
    actor = models.CharField(_("кто"), max_length=150, blank=True)
    action = models.CharField(_("действие"), max_length=80)
    object_kind = models.CharField(_("объект"), max_length=60)
    object_id = models.CharField(_("номер объекта"), max_length=40)
    data = models.JSONField(_("подробности"), default=dict, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("запись журнала"), _("журнал действий")
        ordering = ["-id"]
        indexes = [models.Index(fields=["object_id"], name="journal_entry_object")]

    def __str__(self) -> str:
        return words.action(self.action)


class IdempotentAnswer(models.Model):
    """The answer to the first request with a key; a repeated request gets it again."""

    # A plain number for a key, alone among a partner's rows: it never leaves the schema, nothing refers to it, and it
    # is found by scope and key.
    scope = models.CharField(max_length=60)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.JSONField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "key"], name="journal_idempotent_once")]


class Exchange(UUIDModel):
    """One request to another system and its answer, without secrets."""

    at = models.DateTimeField(_("когда"))
    connection_id = models.BigIntegerField(_("подключение"))
    method = models.CharField(_("метод"), max_length=10)
    url = models.CharField(_("адрес"), max_length=500)
    request = models.TextField(_("запрос"), blank=True)
    status = models.PositiveSmallIntegerField(_("ответ"), null=True)
    response = models.TextField(_("тело ответа"), blank=True)
    error = models.CharField(_("ошибка"), max_length=200, blank=True)
    milliseconds = models.PositiveIntegerField(_("мс"), default=0)
    # The payment, refund or receipt that the call was for.
    about = models.UUIDField(_("о чём"), null=True, editable=False)

    class Meta:
        verbose_name, verbose_name_plural = _("обмен"), _("журнал обмена")
        ordering = ["-id"]
        indexes = [
            # The page of a payment shows what was said about it.
            models.Index(
                fields=["about"], name="journal_exchange_about", condition=models.Q(about__isnull=False)
            )
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.url}"
