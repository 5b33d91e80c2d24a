"""What staff set once: texts of messages, VAT rates, number sequences."""

from datetime import date
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _


class Channel(models.TextChoices):
    """How a message reaches a customer."""

    EMAIL = "email", _("письмо")
    SMS = "sms", _("СМС")


class MessageTemplate(models.Model):
    """Staff's own text of a message, in place of the default one. `$name` stands for what is put in."""

    type = models.CharField(_("сообщение"), max_length=40)
    channel = models.CharField(_("канал"), max_length=10, choices=Channel.choices)
    language = models.CharField(_("язык"), max_length=2, default="ru")
    subject = models.CharField(_("тема"), max_length=200, blank=True)
    body_text = models.TextField(_("текст"))
    body_html = models.TextField(_("письмо в HTML"), blank=True)
    is_active = models.BooleanField(_("используется"), default=True)

    class Meta:
        verbose_name, verbose_name_plural = _("шаблон сообщения"), _("шаблоны")
        ordering = ["type", "channel", "language"]
        constraints = [
            models.UniqueConstraint(
                fields=["type", "channel", "language"], name="policies_messagetemplate_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.type} · {self.get_channel_display()} · {self.language}"

    def clean(self) -> None:
        """Refuses placeholders that the message does not have, before a customer sees them."""
        from apps.policies import messages

        for name in ("subject", "body_text", "body_html"):
            if problem := messages.problem(self.type, getattr(self, name)):
                raise ValidationError({name: problem})

    def render(self, context: dict[str, Any]) -> Any:
        """The message with `context` put in (see `messages.fill`). Raises KeyError for a missing value."""
        from apps.policies import messages

        return messages.fill(self.subject, self.body_text, self.body_html, context)


class VatRate(models.Model):
    """A VAT rate from a day on. The rate of a sale is that of its day; a refund copies the sale's."""

    code = models.CharField(_("код"), max_length=20)
    name = models.CharField(_("название"), max_length=60)
    percent = models.DecimalField(
        _("ставка, %"), max_digits=5, decimal_places=2, null=True, blank=True, help_text=_("Пусто: без НДС")
    )
    valid_from = models.DateField(_("действует с"))

    class Meta:
        verbose_name, verbose_name_plural = _("ставка НДС"), _("ставки НДС")
        ordering = ["code", "-valid_from"]
        constraints = [models.UniqueConstraint(fields=["code", "valid_from"], name="policies_vatrate_once")]

    def __str__(self) -> str:
        return self.name

    def is_past(self, today: date) -> bool:
        """Whether documents may have been issued under it: then it is not changed any more."""
        return self.valid_from <= today


class NumberSequence(models.Model):
    """The last number given out, per kind of document, legal entity, partner and year.

    Without a partner it is counted over all of them, as a bank counts the payment orders of an account.
    """

    kind = models.CharField(_("вид документа"), max_length=20)
    legal_entity = models.ForeignKey(
        "partners.LegalEntity",
        models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("юридическое лицо"),
    )
    partner = models.ForeignKey(
        "partners.Partner", models.PROTECT, null=True, related_name="+", verbose_name=_("партнёр")
    )
    year = models.PositiveSmallIntegerField(_("год"))
    last = models.PositiveIntegerField(_("последний номер"), default=0)

    class Meta:
        verbose_name, verbose_name_plural = _("нумерация"), _("нумерация")
        constraints = [
            models.UniqueConstraint(
                fields=["partner", "kind", "legal_entity", "year"],
                name="policies_sequence_once",
                nulls_distinct=False,
            )
        ]

    def __str__(self) -> str:
        return f"{self.partner or '—'} · {self.year}"


import apps.policies.dunning_models  # noqa: E402 - more models of this app
import apps.policies.fiscal  # noqa: E402
import apps.policies.refunding  # noqa: E402
import apps.policies.routes  # noqa: E402, F401 - and more
