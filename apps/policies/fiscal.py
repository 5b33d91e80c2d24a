"""Which sales need a fiscal receipt (54-FZ) of ours, and what stands in it: by seller, from a day on."""

from datetime import date, datetime, tzinfo
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core import clock


class Taxation(models.TextChoices):
    """Tax regime of the seller [1055]."""

    OSN = "osn", _("общая")
    USN_INCOME = "usn_income", _("УСН доходы")
    USN_INCOME_OUTCOME = "usn_income_outcome", _("УСН доходы минус расходы")
    ESN = "esn", _("ЕСХН")
    PATENT = "patent", _("патент")


class ReceiptMethod(models.TextChoices):
    """What a customer's payment is to the seller [1214]."""

    FULL_PAYMENT = "full_payment", _("полный расчёт: услуга доступна сразу")
    PREPAYMENT = "full_prepayment", _("предоплата, чек зачёта — в конце периода")


class FiscalRule(models.Model):
    """How a seller's receipts are made from a day on. Without one, somebody else makes them."""

    legal_entity = models.ForeignKey(
        "partners.LegalEntity", models.PROTECT, related_name="+", verbose_name=_("продавец")
    )
    valid_from = models.DateField(_("действует с"))
    connection = models.ForeignKey(
        "connectors.Connection",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("касса"),
        help_text=_("Пусто: чеки этого продавца с этого дня делает не платформа"),
        limit_choices_to={"kind": "fiscal", "is_test": False},
    )
    test_connection = models.ForeignKey(
        "connectors.Connection",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("касса для песочниц"),
        limit_choices_to={"kind": "fiscal", "is_test": True},
    )
    taxation = models.CharField(
        _("система налогообложения"), max_length=20, choices=Taxation, default=Taxation.OSN
    )
    method = models.CharField(
        _("чем является оплата"), max_length=15, choices=ReceiptMethod, default=ReceiptMethod.FULL_PAYMENT
    )
    place = models.CharField(
        _("место расчётов"), max_length=200, help_text=_("Адрес сайта, как он записан при регистрации кассы")
    )
    email = models.EmailField(_("почта продавца"), help_text=_("Стоит в чеке; туда пишет покупатель"))
    # By the wall clock: a rule says nothing of what was sent before it was made.
    created_at = models.DateTimeField(_("записано"), editable=False)

    class Meta:
        app_label = "policies"
        verbose_name, verbose_name_plural = _("правило чеков"), _("чеки: кто и как делает")
        ordering = ["legal_entity", "-valid_from"]
        constraints = [
            models.UniqueConstraint(fields=["legal_entity", "valid_from"], name="policies_fiscalrule_once")
        ]

    def __str__(self) -> str:
        return f"{self.legal_entity} · {self.valid_from:%d.%m.%Y}"

    def save(self, *args: Any, **options: Any) -> None:
        if self.created_at is None:
            self.created_at = clock.wall()
        super().save(*args, **options)

    def clean(self) -> None:
        """Whose register it is, is who sells."""
        for name in ("connection", "test_connection"):
            register: Any = getattr(self, name)
            if register is not None and register.legal_entity_id != self.legal_entity_id:
                raise ValidationError({name: _("Эта касса другого юридического лица")})

    def begins(self, zone: tzinfo) -> datetime:
        """The moment from which money has its receipts by this rule, by its partner's clock."""
        return datetime.combine(self.valid_from, datetime.min.time(), tzinfo=zone)

    def register_for(self, *, is_sandbox: bool) -> int | None:
        """The connection of the cash register; None where no receipt is ours to make."""
        return self.test_connection_id if is_sandbox else self.connection_id


def rule_of(legal_entity_id: int | None, day: date) -> FiscalRule | None:
    """The rule in force for a seller on a day."""
    return (
        FiscalRule.objects.filter(legal_entity_id=legal_entity_id, valid_from__lte=day)
        .order_by("-valid_from")
        .first()
    )
