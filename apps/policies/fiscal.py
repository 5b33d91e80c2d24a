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


class ReceiptMaker(models.TextChoices):
    """Who registers a seller's receipts."""

    REGISTER = "register", _("наша касса")
    GATEWAY = "gateway", _("платёжный шлюз")
    NOBODY = "nobody", _("не платформа: банк, своя касса или партнёр")


class FiscalRule(models.Model):
    """How a seller's receipts are made from a day on. Without one, somebody else makes them."""

    legal_entity = models.ForeignKey(
        "partners.LegalEntity", models.PROTECT, related_name="+", verbose_name=_("продавец")
    )
    valid_from = models.DateField(_("действует с"))
    maker = models.CharField(
        _("кто делает чеки"),
        max_length=8,
        choices=ReceiptMaker,
        default=ReceiptMaker.REGISTER,
        db_default=ReceiptMaker.REGISTER,
        help_text=_("Шлюз: чек уходит вместе с платежом, его пробивает касса, подключённая в кабинете шлюза"),
    )
    connection = models.ForeignKey(
        "connectors.Connection",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("касса"),
        help_text=_(
            "Если чеки делает шлюз: сюда идёт чек, который шлюз не пробил и отдельно пробить не может"
        ),
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
        """Whose register it is, is who sells; and where it makes the receipts, there is one."""
        if self.maker == ReceiptMaker.REGISTER and not (self.connection_id or self.test_connection_id):
            raise ValidationError({"connection": _("Выберите кассу, которая делает чеки")})
        for name in ("connection", "test_connection"):
            register: Any = getattr(self, name)
            if register is not None and register.legal_entity_id != self.legal_entity_id:
                raise ValidationError({name: _("Эта касса другого юридического лица")})

    def begins(self, zone: tzinfo) -> datetime:
        """The moment from which money has its receipts by this rule, by its partner's clock."""
        return datetime.combine(self.valid_from, datetime.min.time(), tzinfo=zone)

    def register_for(self, *, is_sandbox: bool) -> int | None:
        """The connection of our cash register; None where there is none, or receipts are nobody's here."""
        if self.maker == ReceiptMaker.NOBODY:
            return None
        return self.test_connection_id if is_sandbox else self.connection_id

    def is_asked(self, *, is_sandbox: bool) -> bool:
        """Whether its seller's money has receipts that are made through the platform."""
        by_gateway = self.maker == ReceiptMaker.GATEWAY
        return by_gateway or self.register_for(is_sandbox=is_sandbox) is not None


def rule_of(legal_entity_id: int | None, day: date) -> FiscalRule | None:
    """The rule in force for a seller on a day."""
    return (
        FiscalRule.objects.filter(legal_entity_id=legal_entity_id, valid_from__lte=day)
        .order_by("-valid_from")
        .first()
    )
