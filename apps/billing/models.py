"""Subscriptions, invoices and which payment settles which invoice."""

from datetime import date, timedelta
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
    SUSPENDED = "suspended", _("Приостановлена за неоплату")
    PAUSED = "paused", _("На паузе")
    CANCELLED = "cancelled", _("Отменена")
    ENDED = "ended", _("Завершена")


LIVE = (SubscriptionState.TRIAL, SubscriptionState.ACTIVE, SubscriptionState.PAST_DUE)
"""States in which the customer has the product."""
RUNNING = (*LIVE, SubscriptionState.SUSPENDED, SubscriptionState.PAUSED)
"""States in which a subscription may come to be billed again."""


class Collection(models.TextChoices):
    """How the money of its invoices comes."""

    CHARGE = "charge", _("списание с сохранённого способа")
    INVOICE = "invoice", _("по счёту, банковским переводом")
    PARTNER_REPORTS = "partner_reports", _("собирает партнёр и отчитывается")
    PARTNER_CHARGES = "partner_charges", _("партнёр списывает по нашему запросу")
    PARTNER_PAYS = "partner_pays", _("платит партнёр за своих клиентов")


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
    collection = models.CharField(
        _("кто и как платит"), max_length=15, choices=Collection.choices, default=Collection.CHARGE
    )
    # An add-on: billed on its parent's invoices, on its parent's bill dates, and over with it.
    parent = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="addons", verbose_name=_("дополнение к")
    )
    # The terms of today's phase, for lists and letters; what is billed comes from the phases alone.
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
    # Invoices have been issued up to this day; later periods are still to be billed.
    billed_until = models.DateField(_("выставлено до"), null=True, blank=True)
    # The first day after its last one: a term that was agreed, or a cancellation at a period's end.
    end_date = models.DateField(_("заканчивается"), null=True, blank=True)
    resume_date = models.DateField(_("возобновится"), null=True, blank=True)
    # Its invoice was out of bounds: nothing is billed until staff have looked.
    is_parked = models.BooleanField(_("на проверке"), default=False)
    cancel_at_period_end = models.BooleanField(_("отключится в конце периода"), default=False)
    cancel_reason = models.CharField(_("почему отменена"), max_length=60, blank=True)
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
        """The first day without the product if nothing more is paid; None before it has begun."""
        return self.current_period_end

    @property
    def state_text(self) -> str:
        """The state in the words of the screens, the day of a coming end included."""
        if self.is_live and self.cancel_at_period_end:
            return str(_("Отключится {day}")).format(day=f"{self.ends_on:%d.%m.%Y}")
        return str(self.get_state_display())


class PhaseKind(models.TextChoices):
    TRIAL = "trial", _("пробный период")
    INTRODUCTORY = "introductory", _("вводная цена")
    REGULAR = "regular", _("обычные условия")
    CHANGE = "change", _("смена тарифа")
    PRICE_CHANGE = "price_change", _("изменение цены")
    PAUSE = "pause", _("пауза")
    MOVED = "moved", _("оплачено в прежней системе")
    GIFT = "gift", _("дни в подарок")


class SubscriptionPhase(UUIDModel):
    """Terms that hold from `start_date` until the next phase. Written once; one to come may be dropped."""

    Kind = PhaseKind

    subscription = models.ForeignKey(
        Subscription, models.PROTECT, related_name="phases", verbose_name=_("подписка")
    )
    kind = models.CharField(_("что это"), max_length=15, choices=PhaseKind.choices)
    start_date = models.DateField(_("с"))
    offer = PublicReference("catalog.Offer", verbose_name=_("предложение"))
    tariff_version = PublicReference("catalog.TariffVersion", verbose_name=_("редакция тарифа"))
    name = models.CharField(_("название"), max_length=300)
    price = amount_field(_("цена за период"))
    quantity = models.PositiveSmallIntegerField(_("количество"), default=1)
    vat_code = models.CharField(_("код НДС"), max_length=20)
    period_count = models.PositiveSmallIntegerField(_("периодов"))
    period_unit = models.CharField(_("единица периода"), max_length=5, choices=PeriodUnit.choices)
    # Bill dates are counted from it: phases of one cycle share it.
    anchor_date = models.DateField(_("отсчёт периодов"))
    cycle_day = models.PositiveSmallIntegerField(_("день списания"))
    is_free = models.BooleanField(_("без оплаты"), default=False)
    reason = models.CharField(_("почему"), max_length=200, blank=True)
    actor = models.CharField(_("кто"), max_length=150, blank=True)
    created_at = models.DateTimeField(_("создана"))
    dropped_at = models.DateTimeField(_("отменена"), null=True, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("условия подписки"), _("условия подписки")
        ordering = ["start_date", "id"]

    def __str__(self) -> str:
        return f"{self.name} · {self.start_date:%d.%m.%Y}"


class SubscriptionDiscount(UUIDModel):
    """Less to pay for periods that start in [start_date, end_date): per cent, or an amount per period."""

    subscription = models.ForeignKey(
        Subscription, models.PROTECT, related_name="discounts", verbose_name=_("подписка")
    )
    name = models.CharField(_("за что"), max_length=100)
    percent = models.DecimalField(_("скидка, %"), max_digits=5, decimal_places=2, default=Decimal(0))
    amount = amount_field(_("скидка за период"), default=Decimal("0.00"))
    start_date = models.DateField(_("с"))
    end_date = models.DateField(_("до"), null=True, blank=True)
    # The redemption of a promo code, a retention offer, a mass action: whose giving it was.
    source_id = models.UUIDField(_("откуда"), null=True, blank=True)
    created_at = models.DateTimeField(_("дана"))

    class Meta:
        verbose_name, verbose_name_plural = _("скидка"), _("скидки")
        ordering = ["start_date", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(percent__range=(0, 100), amount__gte=0), name="billing_discount_size"
            )
        ]

    def __str__(self) -> str:
        return self.name


class InvoiceState(models.TextChoices):
    DRAFT = "draft", _("Черновик")
    OPEN = "open", _("Выставлен")
    PAID = "paid", _("Оплачен")
    VOID = "void", _("Аннулирован")
    REFUNDED = "refunded", _("Возвращён")


class InvoicePurpose(models.TextChoices):
    NEW = "new", _("Новая покупка")
    RENEWAL = "renewal", _("Продление")
    CHANGE = "change", _("Изменение подписки")
    PARTNER = "partner", _("Счёт партнёру за клиентов")


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
    # Of the customer's balance (credits of earlier documents): what is left is to be paid.
    credit_applied = amount_field(_("зачтено"), default=Decimal("0.00"))
    # Of what was to be paid: taken off by credit notes before it was paid. It only grows, while the invoice is open.
    debt_credited = amount_field(
        _("снято с долга"), default=Decimal("0.00"), db_default=Decimal("0.00"), editable=False
    )
    currency = currency_field()
    collection = models.CharField(
        _("кто и как платит"), max_length=15, choices=Collection.choices, default=Collection.CHARGE
    )
    # Requisites of seller and buyer on the day of issue, where the buyer is a company.
    parties = models.JSONField(_("стороны"), null=True, blank=True, editable=False)
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
            models.CheckConstraint(
                condition=Q(
                    debt_credited__gte=0, total__gte=models.F("credit_applied") + models.F("debt_credited")
                ),
                name="billing_invoice_debt",
            ),
        ]

    def __str__(self) -> str:
        return self.number or str(_("Черновик"))

    @property
    def money(self) -> Money:
        """The whole sum, VAT included."""
        return Money(self.total, self.currency)

    @property
    def due_money(self) -> Money:
        """What is to be paid of it: the sum less what the balance and credit notes took off."""
        return Money(self.total - self.credit_applied - self.debt_credited, self.currency)

    @property
    def is_held_first(self) -> bool:
        """Whether its money is held until the product is given, as was said when it was sold."""
        sold = self.subscription
        if sold is None or sold.parent_id is not None or self.purpose != InvoicePurpose.NEW:
            return False
        return bool(sold.terms.get("hold"))

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
    phase = models.ForeignKey(
        SubscriptionPhase, models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    # The bill date of the whole period that the line's days belong to.
    period_date = models.DateField(null=True, blank=True)
    period_start = models.DateField(_("с"), null=True, blank=True)
    period_end = models.DateField(_("до"), null=True, blank=True)
    # Lines that its piece of a period had before it: of one that is void, or of days that came back.
    part = models.PositiveSmallIntegerField(default=0)
    discount = amount_field(_("скидка"), default=Decimal("0.00"))
    amount = amount_field(_("сумма"))
    # Of `amount`: given back by credit notes. The only thing that changes after issue.
    credited = amount_field(_("скорректировано"), default=Decimal("0.00"))
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
                "phase",
                "part",
                condition=Q(subscription__isnull=False, period_start__isnull=False),
                name="billing_period_once",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=Q(amount__gte=0, vat__gte=0, discount__gte=0, credited__gte=0)
                & Q(credited__lte=models.F("amount")),
                name="billing_line_amounts",
            ),
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


class CreditReason(models.TextChoices):
    CHANGE = "change", _("Смена условий подписки")
    CANCELLATION = "cancellation", _("Отключение до конца оплаченного периода")
    PAUSE = "pause", _("Пауза")
    REFUND = "refund", _("Возврат по обращению клиента")
    CORRECTION = "correction", _("Исправление ошибки")


class CreditNote(UUIDModel):
    """Less owed on an issued invoice: its money goes to the customer's balance, or back to the card."""

    Reason = CreditReason

    number = models.CharField(_("номер"), max_length=40)
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="credit_notes", verbose_name=_("счёт"))
    customer = models.ForeignKey(
        "accounts.Customer", models.PROTECT, related_name="credit_notes", verbose_name=_("клиент")
    )
    legal_entity = PublicReference("partners.LegalEntity", verbose_name=_("продавец"))
    reason = models.CharField(_("основание"), max_length=15, choices=CreditReason.choices)
    total = amount_field(_("сумма"))
    vat = amount_field(_("в том числе НДС"), default=Decimal("0.00"))
    currency = currency_field()
    # How `total` was given: less debt on an unpaid invoice, on the balance, back by the payment.
    to_debt = amount_field(_("зачтено в долг"), default=Decimal("0.00"))
    to_balance = amount_field(_("на баланс"), default=Decimal("0.00"))
    to_refund = amount_field(_("возвращено"), default=Decimal("0.00"))
    business_date = models.DateField(_("дата"))
    issued_at = models.DateTimeField(_("выставлена"))
    actor = models.CharField(_("кто"), max_length=150, blank=True)
    # What it answers to: the same request again finds the first note.
    key = models.CharField(_("ключ"), max_length=100)

    class Meta:
        verbose_name, verbose_name_plural = _("корректировка счёта"), _("корректировки счетов")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(total=models.F("to_debt") + models.F("to_balance") + models.F("to_refund"))
                & Q(total__gt=0, to_debt__gte=0, to_balance__gte=0, to_refund__gte=0),
                name="billing_credit_adds_up",
            ),
            models.UniqueConstraint(fields=["number"], name="billing_credit_number"),
            models.UniqueConstraint(fields=["key"], name="billing_credit_once"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def money(self) -> Money:
        """The whole sum, VAT included."""
        return Money(self.total, self.currency)


class CreditNoteLine(UUIDModel):
    """What of one invoice line is taken back, at the line's own VAT rate."""

    credit_note = models.ForeignKey(
        CreditNote, models.PROTECT, related_name="lines", verbose_name=_("корректировка")
    )
    invoice_line = models.ForeignKey(
        InvoiceLine, models.PROTECT, related_name="credits", verbose_name=_("строка счёта")
    )
    period_start = models.DateField(_("с"), null=True, blank=True)
    period_end = models.DateField(_("до"), null=True, blank=True)
    amount = amount_field(_("сумма"))
    vat = amount_field(_("НДС"), default=Decimal("0.00"))

    class Meta:
        verbose_name, verbose_name_plural = _("строка корректировки"), _("строки корректировки")
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0, vat__gte=0), name="billing_creditline_amounts")
        ]


class CustomerBalance(models.Model):
    """What we owe a customer: credits not spent yet. Its row is the lock of whoever spends or adds."""

    customer = models.OneToOneField(
        "accounts.Customer",
        models.PROTECT,
        primary_key=True,
        related_name="balance",
        verbose_name=_("клиент"),
    )
    amount = amount_field(_("на балансе"), default=Decimal("0.00"))
    currency = currency_field()

    class Meta:
        verbose_name, verbose_name_plural = _("баланс клиента"), _("балансы клиентов")
        constraints = [
            models.CheckConstraint(condition=Q(amount__gte=0), name="billing_balance_not_negative")
        ]


class ConsentState(models.TextChoices):
    NOTIFIED = "notified", _("Извещён")
    WAITING = "waiting", _("Ждём согласия")
    GIVEN = "given", _("Согласен")
    REFUSED = "refused", _("Не согласен")
    LAPSED = "lapsed", _("Не ответил")
    VOID = "void", _("Не понадобилось")


OPEN_CONSENT = (ConsentState.NOTIFIED, ConsentState.WAITING, ConsentState.GIVEN)
"""States in which a new price is planned, or asked for."""


class PriceConsent(UUIDModel):
    """What became of one subscription at a change of price: told or asked, answered, and moved by which phase."""

    State = ConsentState

    subscription = models.ForeignKey(
        Subscription, models.PROTECT, related_name="price_consents", verbose_name=_("подписка")
    )
    change_id = models.UUIDField(_("изменение цены"))
    tariff_version = PublicReference("catalog.TariffVersion", verbose_name=_("новая редакция"))
    old_price = amount_field(_("было"))
    price = amount_field(_("станет"))
    effective_date = models.DateField(_("с какого списания"))
    notice_date = models.DateField(_("извещён"))
    phase = models.ForeignKey(
        SubscriptionPhase, models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    state = models.CharField(_("состояние"), max_length=10, choices=ConsentState.choices)
    # Evidence of the answer.
    answered_at = models.DateTimeField(_("ответил"), null=True, blank=True)
    ip = models.GenericIPAddressField(null=True, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(_("создано"))

    class Meta:
        verbose_name, verbose_name_plural = _("согласие с ценой"), _("согласия с ценой")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint("change_id", "subscription", name="billing_consent_once"),
            # Never a higher price without consent where it is asked for.
            models.CheckConstraint(
                condition=~Q(state__in=["waiting", "refused", "lapsed"]) | Q(phase=None),
                name="billing_consent_before_phase",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subscription}: {self.price}"

    @property
    def deadline(self) -> date:
        """The day by which an answer is needed: the last one before the new price."""
        return self.effective_date - timedelta(days=1)

    @property
    def money(self) -> Money:
        """The new price of one piece for a period."""
        return Money(self.price, self.subscription.currency)

    @property
    def old_money(self) -> Money:
        """The price of one piece until then."""
        return Money(self.old_price, self.subscription.currency)


import apps.billing.accounts_of  # noqa: E402
import apps.billing.arrangements  # noqa: E402 - more models of this app
import apps.billing.dunning_models  # noqa: E402 - and more
import apps.billing.mass.models  # noqa: E402
import apps.billing.moving.models  # noqa: E402
import apps.billing.outside_refund_models  # noqa: E402
import apps.billing.paperwork  # noqa: E402
import apps.billing.payout_models  # noqa: E402
import apps.billing.promotion_models  # noqa: E402, F401
