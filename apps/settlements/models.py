"""Bank statements, their lines, and which invoices each line has paid. Public: ids of partners' rows, no names."""

from decimal import Decimal

from django.db import models
from django.db.models import Q, Sum
from django.utils.translation import gettext_lazy as _

from apps.core.fields import EncryptedField, EncryptedJSONField
from apps.core.models import UUIDModel
from apps.core.money import Money, amount_field, currency_field


class BankStatement(UUIDModel):
    """A file of the bank about one account of a legal entity, as it was loaded."""

    legal_entity = models.ForeignKey(
        "partners.LegalEntity", models.PROTECT, related_name="+", verbose_name=_("юридическое лицо")
    )
    account = models.CharField(_("расчётный счёт"), max_length=20)
    start_date = models.DateField(_("с"))
    end_date = models.DateField(_("по"))
    opening = amount_field(_("остаток на начало"), null=True, blank=True)
    received = amount_field(_("поступило"), null=True, blank=True)
    spent = amount_field(_("списано"), null=True, blank=True)
    closing = amount_field(_("остаток на конец"), null=True, blank=True)
    currency = currency_field()
    name = models.CharField(_("файл"), max_length=200)
    actor = models.CharField(_("кто загрузил"), max_length=150)
    loaded_at = models.DateTimeField(_("загружена"))

    class Meta:
        verbose_name, verbose_name_plural = _("выписка"), _("выписки")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.account}, {self.start_date:%d.%m.%Y} — {self.end_date:%d.%m.%Y}"


class LineState(models.TextChoices):
    """What has become of a movement on the account."""

    MATCHED = "matched", _("Отнесено на счета")
    UNIDENTIFIED = "unidentified", _("Не опознано")
    PAYOUT = "payout", _("Выплата шлюза")
    SET_ASIDE = "set_aside", _("Не оплата счёта")
    SPENT = "spent", _("Списание")


class BankLine(UUIDModel):
    """One movement on an account. Loaded once, however many statements tell of it."""

    State = LineState

    statement = models.ForeignKey(
        BankStatement, models.PROTECT, related_name="bank_lines", verbose_name=_("выписка")
    )
    # Digest of the account and of all that tells this movement from others: statements of days that overlap meet here.
    fingerprint = models.CharField(max_length=64, unique=True, editable=False)
    is_credit = models.BooleanField(_("поступление"))
    kind = models.CharField(_("документ"), max_length=60)
    number = models.CharField(_("номер"), max_length=60)
    document_date = models.DateField(_("дата документа"))
    booked_date = models.DateField(_("дата"))
    amount = amount_field(_("сумма"))
    currency = currency_field()
    # {name, inn, kpp, account, bank, bik}; an entrepreneur's are personal data.
    counterparty = EncryptedJSONField(_("от кого или кому"))
    purpose = EncryptedField(_("назначение платежа"))
    state = models.CharField(_("состояние"), max_length=12, choices=LineState)
    reason = models.CharField(_("почему"), max_length=200, blank=True)
    settled_by = models.CharField(_("кто отнёс"), max_length=150, blank=True)
    settled_at = models.DateTimeField(_("когда"), null=True, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("строка выписки"), _("строки выписок")
        ordering = ["-booked_date", "-id"]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="settlements_line_amount"),
            models.CheckConstraint(
                condition=Q(is_credit=True) ^ Q(state=LineState.SPENT), name="settlements_line_direction"
            ),
        ]
        indexes = [
            # The queue of what is not identified, oldest first.
            models.Index(
                fields=["booked_date"],
                condition=Q(state=LineState.UNIDENTIFIED),
                name="settlements_line_queue",
            ),
        ]

    def __str__(self) -> str:
        return f"№ {self.number}, {self.booked_date:%d.%m.%Y}, {self.money}"

    @property
    def money(self) -> Money:
        """The amount with its currency."""
        return Money(self.amount, self.currency)

    def left(self) -> Money:
        """What of it no invoice has taken. Where it is acted on, read it under the line's lock."""
        taken = self.allocations.aggregate(total=Sum("amount"))["total"] or Decimal("0.00")
        return Money(self.amount - taken, self.currency)


class Allocation(models.Model):
    """What an invoice took of a line: the same money as one OutsidePayment in the partner's schema."""

    line = models.ForeignKey(
        BankLine, models.PROTECT, related_name="allocations", verbose_name=_("строка выписки")
    )
    partner = models.ForeignKey(
        "partners.Partner", models.PROTECT, related_name="+", db_index=False, verbose_name=_("партнёр")
    )
    invoice_id = models.UUIDField(_("счёт"))
    invoice_number = models.CharField(_("номер счёта"), max_length=40)
    outside_payment_id = models.UUIDField(_("поступление"), unique=True)
    amount = amount_field(_("сумма"))
    actor = models.CharField(_("кто отнёс"), max_length=150, blank=True)
    made_at = models.DateTimeField(_("когда"))

    class Meta:
        verbose_name, verbose_name_plural = _("отнесено на счёт"), _("отнесено на счета")
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["line", "invoice_id"], name="settlements_allocation_once"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="settlements_allocation_amount"),
        ]

    def __str__(self) -> str:
        return f"{self.invoice_number}: {self.amount}"


from apps.settlements.provider_models import (  # noqa: E402 - more models of this app
    ProviderDay,
    ProviderDifference,
)
from apps.settlements.reconciliation_models import (  # noqa: E402 - more models of this app
    OF_PAYOUT,
    DayState,
    Difference,
    DifferenceKind,
    GatewayDay,
    GatewayPayout,
    GatewayTerms,
    RegisterLine,
)

__all__ = [
    "OF_PAYOUT",
    "Allocation",
    "BankLine",
    "BankStatement",
    "DayState",
    "Difference",
    "DifferenceKind",
    "GatewayDay",
    "GatewayPayout",
    "GatewayTerms",
    "LineState",
    "ProviderDay",
    "ProviderDifference",
    "RegisterLine",
]
