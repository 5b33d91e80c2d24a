"""Days of a gateway's register beside ours, what differs, and the payouts that they came to on the bank account."""

from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.core.models import UUIDModel
from apps.core.money import Money, amount_field, currency_field


class DayState(models.TextChoices):
    """How far a day of a gateway is reconciled."""

    OPEN = "open", _("Сверяется")
    CLOSED = "closed", _("День закрыт")


class GatewayDay(UUIDModel):
    """One day of one gateway, in the time zone of the connection's legal entity."""

    State = DayState

    connection = models.ForeignKey(
        "connectors.Connection", models.PROTECT, related_name="+", verbose_name=_("шлюз")
    )
    day = models.DateField(_("день"))
    state = models.CharField(_("состояние"), max_length=6, choices=DayState, default=DayState.OPEN)
    currency = currency_field()
    # What the gateway has: what it pays out is payments - refunds - fees.
    payments = amount_field(_("оплат у шлюза"), default=Decimal("0.00"))
    refunds = amount_field(_("возвратов у шлюза"), default=Decimal("0.00"))
    fees = amount_field(_("комиссия шлюза"), default=Decimal("0.00"))
    matched = models.PositiveIntegerField(_("совпало"), default=0)
    checked_at = models.DateTimeField(_("сверен"))
    payout = models.ForeignKey(
        "settlements.GatewayPayout",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="days",
        verbose_name=_("выплата"),
    )
    closed_by = models.CharField(_("кто закрыл"), max_length=150, blank=True)
    closed_at = models.DateTimeField(_("когда закрыт"), null=True, blank=True)

    class Meta:
        app_label = "settlements"
        verbose_name, verbose_name_plural = _("день сверки"), _("сверка со шлюзами")
        ordering = ["-day", "connection"]
        constraints = [
            models.UniqueConstraint(fields=["connection", "day"], name="settlements_day_once"),
            models.CheckConstraint(
                condition=Q(state=DayState.OPEN, closed_at=None)
                | Q(state=DayState.CLOSED, closed_at__isnull=False),
                name="settlements_day_closed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.connection}, {self.day:%d.%m.%Y}"

    @property
    def net(self) -> Money:
        """What the gateway owes for the day."""
        return Money(self.payments - self.refunds - self.fees, self.currency)


class DifferenceKind(models.TextChoices):
    """In what a register and ours do not agree."""

    MISSING_HERE = "missing_here", _("Нет у нас")
    MISSING_THERE = "missing_there", _("Нет у шлюза")
    AMOUNT = "amount", _("Другая сумма")
    FEE = "fee", _("Другая комиссия")
    STATE = "state", _("У нас не завершено")


class Difference(UUIDModel):
    """One thing that the two registers do not say alike; explained by a person, or gone at the next check."""

    Kind = DifferenceKind

    day = models.ForeignKey(
        GatewayDay, models.CASCADE, related_name="differences", verbose_name=_("день сверки")
    )
    kind = models.CharField(_("что не сошлось"), max_length=13, choices=DifferenceKind)
    # payment or refund, and the gateway's id of it.
    entry = models.CharField(_("операция"), max_length=7)
    gateway_id = models.CharField(_("номер у шлюза"), max_length=100)
    partner = models.ForeignKey(
        "partners.Partner",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("партнёр"),
    )
    object_id = models.UUIDField(_("объект"), null=True, blank=True)
    ours = amount_field(_("у нас"), null=True, blank=True)
    theirs = amount_field(_("у шлюза"), null=True, blank=True)
    note = models.CharField(_("объяснение"), max_length=200, blank=True)
    explained_by = models.CharField(_("кто объяснил"), max_length=150, blank=True)
    explained_at = models.DateTimeField(_("когда"), null=True, blank=True)

    class Meta:
        app_label = "settlements"
        verbose_name, verbose_name_plural = _("расхождение"), _("расхождения")
        ordering = ["day", "kind", "gateway_id"]
        constraints = [
            models.UniqueConstraint(
                fields=["day", "kind", "entry", "gateway_id"], name="settlements_difference_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.gateway_id}"


class GatewayPayout(UUIDModel):
    """A movement on the bank account by which a gateway paid out some days, net of its fee."""

    connection = models.ForeignKey(
        "connectors.Connection", models.PROTECT, related_name="+", verbose_name=_("шлюз")
    )
    line = models.OneToOneField(
        "settlements.BankLine", models.PROTECT, related_name="payout", verbose_name=_("строка выписки")
    )
    amount = amount_field(_("пришло"))
    expected = amount_field(_("ожидалось"))
    currency = currency_field()
    actor = models.CharField(_("кто отнёс"), max_length=150, blank=True)
    made_at = models.DateTimeField(_("когда"))

    class Meta:
        app_label = "settlements"
        verbose_name, verbose_name_plural = _("выплата шлюза"), _("выплаты шлюзов")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.connection}, {Money(self.amount, self.currency)}"
