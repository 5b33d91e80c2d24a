"""Days of a gateway's register beside ours, what differs, and the payouts that they came to on the bank account."""

from decimal import Decimal
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.core.models import UUIDModel
from apps.core.money import Money, amount_field, currency_field


class GatewayTerms(UUIDModel):
    """How a gateway settles with us: whose transfer it is on the statement, how soon, and how its file is written.

    One row per connection, made at the first check. Whoever changes days or payouts of the connection holds its lock.
    """

    connection = models.OneToOneField(
        "connectors.Connection", models.PROTECT, related_name="settlement_terms", verbose_name=_("шлюз")
    )
    payer_inn = models.CharField(
        _("ИНН плательщика"),
        max_length=12,
        blank=True,
        help_text=_("С него приходят выплаты шлюза. Пусто — выплаты по выписке не опознаются и не ожидаются"),
    )
    payer_account = models.CharField(
        _("счёт плательщика"), max_length=20, blank=True, help_text=_("Пусто — любой счёт этого ИНН")
    )
    purpose_words = models.CharField(
        _("слова в назначении"),
        max_length=100,
        blank=True,
        help_text=_("Номер договора или магазина, если с того же ИНН приходят и другие деньги"),
    )
    payout_within_days = models.PositiveSmallIntegerField(
        _("выплата не позже, дней"), default=5, help_text=_("Календарных, после дня платежей")
    )
    file_within_days = models.PositiveSmallIntegerField(
        _("реестр не позже, дней"), default=3, help_text=_("Для шлюзов, которые отдают реестр файлом")
    )
    columns = models.TextField(
        _("колонки реестра"),
        blank=True,
        help_text=_("Строки «поле = название колонки», если в вашем файле они зовутся иначе"),
    )

    class Meta:
        app_label = "settlements"
        verbose_name, verbose_name_plural = _("условия расчётов со шлюзом"), _("условия расчётов со шлюзами")
        ordering = ["connection__name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(payout_within_days__lte=60, file_within_days__lte=60),
                name="settlements_terms_days",
            )
        ]

    def __str__(self) -> str:
        return str(self.connection)


class DayState(models.TextChoices):
    """How far a day of a gateway is reconciled."""

    OPEN = "open", _("Сверяется")
    CLOSED = "closed", _("День закрыт")


class CheckedDay(UUIDModel):
    """A day of an outsider's register beside ours: compared as often as it takes, then closed for good."""

    State = DayState
    KIND: ClassVar[str]
    """How the staff's queue names it."""
    DIFFERS: ClassVar[Any]
    """What it says there, with a place for how many things differ."""

    day = models.DateField(_("день"))
    currency = currency_field()
    matched = models.PositiveIntegerField(_("совпало"), default=0)
    state = models.CharField(_("состояние"), max_length=6, choices=DayState, default=DayState.OPEN)
    checked_at = models.DateTimeField(_("сверен"))
    closed_by = models.CharField(_("кто закрыл"), max_length=150, blank=True)
    closed_at = models.DateTimeField(_("когда закрыт"), null=True, blank=True)

    class Meta:
        abstract = True


class Explained(UUIDModel):
    """One thing that the two registers do not say alike; explained by a person, or gone at the next check."""

    # At whose shop, where that is known.
    partner = models.ForeignKey(
        "partners.Partner",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("партнёр"),
    )
    note = models.CharField(_("объяснение"), max_length=200, blank=True)
    explained_by = models.CharField(_("кто объяснил"), max_length=150, blank=True)
    explained_at = models.DateTimeField(_("когда"), null=True, blank=True)

    class Meta:
        abstract = True

    @property
    def sameness(self) -> tuple[Any, ...]:
        """What makes it the same thing at the next check: then its explanation stays."""
        raise NotImplementedError


class GatewayDay(CheckedDay):
    """One day of one gateway, in the time zone of the connection's legal entity."""

    KIND = "settlements.GatewayDay"
    DIFFERS = _("Не сошлось со шлюзом: %d")

    connection = models.ForeignKey(
        "connectors.Connection", models.PROTECT, related_name="+", verbose_name=_("шлюз")
    )
    # What the gateway has: what it pays out is payments - refunds - fees.
    payments = amount_field(_("оплат у шлюза"), default=Decimal("0.00"))
    refunds = amount_field(_("возвратов у шлюза"), default=Decimal("0.00"))
    fees = amount_field(_("комиссия шлюза"), default=Decimal("0.00"))
    own_payments = amount_field(_("оплат у нас"), default=Decimal("0.00"))
    own_refunds = amount_field(_("возвратов у нас"), default=Decimal("0.00"))
    source = models.CharField(_("реестр"), max_length=200, blank=True, help_text=_("Файл; пусто — по API"))
    payout = models.ForeignKey(
        "settlements.GatewayPayout",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="days",
        verbose_name=_("выплата"),
    )

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


class RegisterLine(models.Model):
    """A line of the gateway's register as it was compared: whose it is, if anybody's."""

    day = models.ForeignKey(GatewayDay, models.CASCADE, related_name="lines", verbose_name=_("день сверки"))
    position = models.PositiveIntegerField(_("строка"))
    entry = models.CharField(_("операция"), max_length=7)
    gateway_id = models.CharField(_("номер у шлюза"), max_length=100, blank=True)
    payment_gateway_id = models.CharField(_("платёж у шлюза"), max_length=100, blank=True)
    # Our number as the gateway knows it, or found by the gateway's own.
    reference = models.CharField(_("номер для шлюза"), max_length=40, blank=True)
    amount = amount_field(_("сумма"))
    fee = amount_field(_("комиссия"), null=True, blank=True)
    # What the payment itself has posted of it.
    own_fee = amount_field(_("комиссия, учтённая с платежом"), default=Decimal("0.00"))
    at = models.DateTimeField(_("когда"), null=True, blank=True)
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
    # Whether ours was there and done when it was compared.
    is_settled = models.BooleanField(_("есть у нас"), default=False)

    class Meta:
        app_label = "settlements"
        verbose_name, verbose_name_plural = _("строка реестра"), _("строки реестра")
        ordering = ["day", "position"]
        constraints = [
            models.UniqueConstraint(fields=["day", "position"], name="settlements_register_line_once")
        ]
        indexes = [
            # In which day's register ours stands, when it is not in the one that it is looked for in.
            models.Index(
                fields=["reference"], condition=~Q(reference=""), name="settlements_register_reference"
            )
        ]

    def __str__(self) -> str:
        return f"{self.entry} {self.gateway_id or self.reference}"

    @property
    def net(self) -> Decimal:
        """What it adds to the payout."""
        fee = self.own_fee if self.fee is None else self.fee
        return (self.amount if self.entry == "payment" else -self.amount) - fee


class DifferenceKind(models.TextChoices):
    """In what a register and ours do not agree, or a payout with them."""

    MISSING_HERE = "missing_here", _("Нет у нас")
    MISSING_THERE = "missing_there", _("Нет у шлюза")
    AMOUNT = "amount", _("Другая сумма")
    FEE = "fee", _("Другая комиссия")
    STATE = "state", _("У нас не завершено")
    DUPLICATE = "duplicate", _("Дважды у шлюза")
    LATE = "late", _("Узнали после закрытия дня")
    RECEIPT = "receipt", _("Чек не на ту сумму")
    PAYOUT_AMOUNT = "payout_amount", _("Выплата на другую сумму")
    PAYOUT_ABSENT = "payout_absent", _("Выплата не пришла")


OF_PAYOUT = (DifferenceKind.PAYOUT_AMOUNT, DifferenceKind.PAYOUT_ABSENT)
"""Kinds that are told by payouts, not by the register."""


class Difference(Explained):
    """One thing that a gateway's register and ours do not say alike."""

    Kind = DifferenceKind

    day = models.ForeignKey(
        GatewayDay, models.CASCADE, related_name="differences", verbose_name=_("день сверки")
    )
    kind = models.CharField(_("что не сошлось"), max_length=13, choices=DifferenceKind)
    # payment, refund or payout, and the number of it: the bank's of a payout, the day of one that is missing.
    entry = models.CharField(_("операция"), max_length=7)
    gateway_id = models.CharField(_("номер у шлюза"), max_length=100)
    object_id = models.UUIDField(_("объект"), null=True, blank=True)
    ours = amount_field(_("у нас"), null=True, blank=True)
    theirs = amount_field(_("у шлюза"), null=True, blank=True)

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

    @property
    def sameness(self) -> tuple[Any, ...]:
        return self.kind, self.entry, self.gateway_id, self.ours, self.theirs


class GatewayPayout(UUIDModel):
    """A movement on the bank account by which a gateway paid out some days, net of its fee.

    Undone, it keeps its place in the ledger's history: what was posted is posted back.
    """

    connection = models.ForeignKey(
        "connectors.Connection", models.PROTECT, related_name="+", verbose_name=_("шлюз")
    )
    line = models.OneToOneField(
        "settlements.BankLine", models.PROTECT, related_name="payout", verbose_name=_("строка выписки")
    )
    amount = amount_field(_("пришло"))
    expected = amount_field(_("ожидалось"), default=Decimal("0.00"))
    currency = currency_field()
    actor = models.CharField(_("кто отнёс"), max_length=150, blank=True)
    made_at = models.DateTimeField(_("когда"))
    undone_by = models.CharField(_("кто снял"), max_length=150, blank=True)
    undone_at = models.DateTimeField(_("когда снята"), null=True, blank=True)

    class Meta:
        app_label = "settlements"
        verbose_name, verbose_name_plural = _("выплата шлюза"), _("выплаты шлюзов")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.connection}, {Money(self.amount, self.currency)}"

    @property
    def difference(self) -> Money:
        """How much more came than the days come to; negative where less."""
        return Money(self.amount - self.expected, self.currency)
