"""Subscriptions, invoices and which payment settles which invoice."""

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.core.fields import PublicReference
from apps.core.models import UUIDModel
from apps.core.money import Money, amount_field, currency_field

if TYPE_CHECKING:
    from apps.payments.models import Payment


class PeriodUnit(models.TextChoices):
    DAY = "day", _("день")
    WEEK = "week", _("неделя")
    MONTH = "month", _("месяц")
    YEAR = "year", _("год")


class SubscriptionState(models.TextChoices):
    PENDING = "pending", _("Ждёт первой оплаты")
    TRIAL = "trial", _("Пробный период")
    ACTIVE = "active", _("Активна")
    PAST_DUE = "past_due", _("Льготный период")
    CANCELLED = "cancelled", _("Отменена")
    ENDED = "ended", _("Завершена")


LIVE = (SubscriptionState.TRIAL, SubscriptionState.ACTIVE, SubscriptionState.PAST_DUE)
"""States in which the customer has the product."""


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    """Which subscriptions."""

    def live(self) -> "SubscriptionQuerySet":
        """Those whose customers have the product now."""
        return self.filter(state__in=LIVE)


class Subscription(UUIDModel):
    """A customer's right to a tariff, period after period, on the terms of the day it was bought."""

    State = SubscriptionState

    customer = models.ForeignKey(
        "accounts.Customer", models.PROTECT, related_name="subscriptions", verbose_name=_("клиент")
    )
    offer = PublicReference("catalog.Offer", verbose_name=_("предложение"))
    product = PublicReference("catalog.Product", verbose_name=_("продукт"))
    tariff_version = PublicReference("catalog.TariffVersion", verbose_name=_("редакция тарифа"))
    legal_entity = PublicReference("partners.LegalEntity", verbose_name=_("продавец"))
    name = models.CharField(_("название"), max_length=300)
    state = models.CharField(
        _("состояние"), max_length=10, choices=SubscriptionState.choices, default=SubscriptionState.PENDING
    )
    quantity = models.PositiveSmallIntegerField(_("количество"), default=1)
    price = amount_field(_("цена за период"))
    currency = currency_field()
    vat_code = models.CharField(_("код НДС"), max_length=20)
    period_count = models.PositiveSmallIntegerField(_("периодов"))
    period_unit = models.CharField(_("единица периода"), max_length=5, choices=PeriodUnit.choices)
    trial_days = models.PositiveSmallIntegerField(_("пробный период, дней"), default=0)
    # First day of the first paid period: all later bill dates are counted from it.
    anchor_date = models.DateField(_("первый оплаченный день"), null=True, blank=True)
    cycle_day = models.PositiveSmallIntegerField(_("день списания"), null=True, blank=True)
    current_period_start = models.DateField(_("оплачено с"), null=True, blank=True)
    current_period_end = models.DateField(_("оплачено до"), null=True, blank=True)
    cancel_at_period_end = models.BooleanField(_("отключится в конце периода"), default=False)
    cancelled_at = models.DateTimeField(_("отменена"), null=True, blank=True)
    method = models.ForeignKey(
        "payments.PaymentMethod",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="subscriptions",
        verbose_name=_("способ оплаты"),
    )
    # Failed attempts to charge for the period that is due.
    failures = models.PositiveSmallIntegerField(_("неудачных списаний"), default=0)
    channel_id = models.UUIDField(_("канал"), null=True, blank=True)
    channel_code = models.CharField(_("канал"), max_length=60, blank=True)
    terms = models.JSONField(_("условия на день продажи"), default=dict, blank=True)
    created_at = models.DateTimeField(_("создана"))
    started_at = models.DateTimeField(_("началась"), null=True, blank=True)
    ended_at = models.DateTimeField(_("завершилась"), null=True, blank=True)
    end_reason = models.CharField(_("почему завершилась"), max_length=20, blank=True)

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("подписка"), _("подписки")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(current_period_end__isnull=True)
                | Q(current_period_end__gt=models.F("current_period_start")),
                name="billing_subscription_period",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=LIVE) | Q(anchor_date__isnull=False, current_period_end__isnull=False),
                name="billing_subscription_live_period",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_live(self) -> bool:
        """True while the customer has the product."""
        return self.state in LIVE

    @property
    def money(self) -> Money:
        """What one period of the whole subscription costs."""
        return Money(self.price * self.quantity, self.currency)

    @property
    def ends_on(self) -> date | None:
        """The first day without the product if nothing more is paid; None before the first payment.

        A trial that was cancelled is over with its own days, as its payment went back.
        """
        if self.state == SubscriptionState.TRIAL and self.cancel_at_period_end:
            return self.anchor_date
        return self.current_period_end

    @property
    def state_text(self) -> str:
        """The state in the words of the screens, the day of a coming end included."""
        if self.is_live and self.cancel_at_period_end:
            return str(_("Отключится {day}")).format(day=f"{self.ends_on:%d.%m.%Y}")
        return str(self.get_state_display())


class InvoiceState(models.TextChoices):
    DRAFT = "draft", _("Черновик")
    OPEN = "open", _("Выставлен")
    PAID = "paid", _("Оплачен")
    VOID = "void", _("Аннулирован")
    REFUNDED = "refunded", _("Возвращён")


class InvoicePurpose(models.TextChoices):
    NEW = "new", _("Новая покупка")
    RENEWAL = "renewal", _("Продление")


class Invoice(UUIDModel):
    """What a customer owes. Once issued, the database lets only its state change."""

    State, Purpose = InvoiceState, InvoicePurpose

    number = models.CharField(_("номер"), max_length=40, blank=True)
    customer = models.ForeignKey(
        "accounts.Customer", models.PROTECT, related_name="invoices", verbose_name=_("клиент")
    )
    subscription = models.ForeignKey(
        Subscription,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="invoices",
        verbose_name=_("подписка"),
    )
    order_id = models.UUIDField(_("заказ"), null=True, blank=True)
    legal_entity = PublicReference("partners.LegalEntity", verbose_name=_("продавец"))
    purpose = models.CharField(_("за что"), max_length=10, choices=InvoicePurpose.choices)
    state = models.CharField(
        _("состояние"), max_length=10, choices=InvoiceState.choices, default=InvoiceState.DRAFT
    )
    total = amount_field(_("сумма"))
    vat = amount_field(_("в том числе НДС"), default=Decimal("0.00"))
    currency = currency_field()
    business_date = models.DateField(_("дата"))
    due_date = models.DateField(_("оплатить до"))
    issued_at = models.DateTimeField(_("выставлен"), null=True, blank=True)
    paid_at = models.DateTimeField(_("оплачен"), null=True, blank=True)
    closed_at = models.DateTimeField(_("аннулирован или возвращён"), null=True, blank=True)
    channel_id = models.UUIDField(_("канал"), null=True, blank=True)
    channel_code = models.CharField(_("канал"), max_length=60, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("счёт"), _("счета")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint("number", condition=~Q(number=""), name="billing_invoice_number"),
            models.UniqueConstraint(
                "order_id", condition=Q(order_id__isnull=False), name="billing_invoice_order"
            ),
            models.CheckConstraint(
                condition=Q(state=InvoiceState.DRAFT) | ~Q(number=""), name="billing_invoice_numbered"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=[InvoiceState.PAID, InvoiceState.REFUNDED]) | Q(paid_at__isnull=False),
                name="billing_invoice_paid_when",
            ),
        ]

    def __str__(self) -> str:
        return self.number or str(_("Черновик"))

    @property
    def money(self) -> Money:
        """The whole sum, VAT included."""
        return Money(self.total, self.currency)

    def payment(self) -> "Payment | None":
        """The payment under way or done; else the last one that failed."""
        links = sorted(self.payments.all(), key=lambda link: (link.failed, -link.pk.int))
        return links[0].payment if links else None


class InvoiceLine(UUIDModel):
    """One thing for one period, its price and terms frozen. A first period gets its days when it is paid."""

    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="lines", verbose_name=_("счёт"))
    subscription = models.ForeignKey(
        Subscription,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="lines",
        db_index=False,
        verbose_name=_("подписка"),
    )
    product = PublicReference("catalog.Product", verbose_name=_("продукт"))
    tariff_version = PublicReference("catalog.TariffVersion", verbose_name=_("редакция тарифа"))
    position = models.PositiveSmallIntegerField(default=1)
    description = models.CharField(_("описание"), max_length=300)
    quantity = models.PositiveSmallIntegerField(_("количество"), default=1)
    period_start = models.DateField(_("с"), null=True, blank=True)
    period_end = models.DateField(_("до"), null=True, blank=True)
    amount = amount_field(_("сумма"))
    vat_rate = models.DecimalField(_("ставка НДС"), max_digits=5, decimal_places=2, null=True, blank=True)
    vat = amount_field(_("НДС"), default=Decimal("0.00"))
    terms = models.JSONField(_("условия на день продажи"), default=dict, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("строка счёта"), _("строки счёта")
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(
                "subscription",
                "period_start",
                condition=Q(subscription__isnull=False, period_start__isnull=False),
                name="billing_period_once",
            ),
            models.CheckConstraint(condition=Q(amount__gte=0, vat__gte=0), name="billing_line_amounts"),
        ]

    def __str__(self) -> str:
        return self.description


class InvoicePayment(UUIDModel):
    """A payment made for an invoice; one at a time, the next only when the one before has failed."""

    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="payments", verbose_name=_("счёт"))
    payment = models.OneToOneField(
        "payments.Payment", models.PROTECT, related_name="invoice_payment", verbose_name=_("платёж")
    )
    failed = models.BooleanField(_("не прошёл"), default=False)

    class Meta:
        verbose_name, verbose_name_plural = _("оплата счёта"), _("оплаты счёта")
        constraints = [
            models.UniqueConstraint(
                "invoice", condition=Q(failed=False), name="billing_one_payment_at_a_time"
            )
        ]
