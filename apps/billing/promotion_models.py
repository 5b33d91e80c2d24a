"""What is given away: promo codes within limits and a budget, an offer to who would leave; and why they leave."""

from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from apps.core.fields import TranslatedField
from apps.core.models import UUIDModel
from apps.core.money import amount_field


class Promotion(UUIDModel):
    """A discount that codes give. Its row is the lock of whoever redeems one: limits and budget are exact."""

    name = models.CharField(_("название"), max_length=100, help_text=_("Его видит клиент в счёте"))
    percent = models.DecimalField(_("скидка, %"), max_digits=5, decimal_places=2, default=Decimal(0))
    amount = amount_field(_("или сумма за период"), default=Decimal("0.00"))
    periods = models.PositiveSmallIntegerField(
        _("на сколько периодов"), null=True, blank=True, help_text=_("Пусто: навсегда")
    )
    valid_from = models.DateField(_("действует с"), null=True, blank=True)
    valid_until = models.DateField(_("действует по"), null=True, blank=True)
    tariff_ids = ArrayField(
        models.BigIntegerField(), verbose_name=_("только тарифы"), default=list, blank=True
    )
    channel_codes = ArrayField(
        models.CharField(max_length=40), verbose_name=_("только каналы"), default=list, blank=True
    )
    per_customer = models.PositiveSmallIntegerField(
        _("раз на клиента"), null=True, blank=True, default=1, help_text=_("Пусто: сколько угодно")
    )
    total_limit = models.PositiveIntegerField(
        _("раз всего"), null=True, blank=True, help_text=_("Пусто: сколько угодно")
    )
    budget = amount_field(
        _("бюджет скидок"),
        null=True,
        blank=True,
        help_text=_("Скидка за все её периоды занимает бюджет сразу; кончился — коды не действуют"),
    )
    is_new_only = models.BooleanField(_("только для новых покупок"), default=True)
    is_active = models.BooleanField(_("действует"), default=True)
    # How much of the limit and of the budget is taken, by redemptions that are not released.
    used = models.PositiveIntegerField(_("использован"), default=0, editable=False)
    spent = amount_field(_("занято бюджета"), default=Decimal("0.00"), editable=False)
    created_at = models.DateTimeField(_("создан"), editable=False)
    actor = models.CharField(_("кто создал"), max_length=150, blank=True, editable=False)

    class Meta:
        app_label = "billing"
        verbose_name, verbose_name_plural = _("промокод"), _("промокоды")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(percent__gt=0, percent__lte=100, amount=0) | Q(percent=0, amount__gt=0),
                name="billing_promotion_size",
                violation_error_message=_("Укажите либо процент до 100, либо сумму"),
            ),
            models.CheckConstraint(
                condition=Q(budget=None) | Q(periods__isnull=False),
                name="billing_promotion_budget_ends",
                violation_error_message=_(
                    "У бессрочной скидки не бывает бюджета: укажите, на сколько периодов"
                ),
            ),
            models.CheckConstraint(
                condition=(Q(total_limit=None) | Q(used__lte=F("total_limit")))
                & (Q(budget=None) | Q(spent__lte=F("budget"))),
                name="billing_promotion_within",
                violation_error_message=_("Столько уже использовано: меньше поставить нельзя"),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class PromoCode(UUIDModel):
    """What a customer types. One shared by all has no limit of its own, one of a batch is good for once."""

    promotion = models.ForeignKey(Promotion, models.PROTECT, related_name="codes", verbose_name=_("промокод"))
    code = models.CharField(_("код"), max_length=40)
    limit = models.PositiveIntegerField(_("раз"), null=True, blank=True)
    used = models.PositiveIntegerField(_("использован"), default=0)

    class Meta:
        app_label = "billing"
        verbose_name, verbose_name_plural = _("код"), _("коды")
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["code"], name="billing_promocode_once"),
            models.CheckConstraint(
                condition=Q(limit=None) | Q(used__lte=F("limit")), name="billing_promocode_within"
            ),
        ]

    def __str__(self) -> str:
        return self.code


class RedemptionState(models.TextChoices):
    RESERVED = "reserved", _("Ждёт оплаты")
    APPLIED = "applied", _("Применён")
    RELEASED = "released", _("Освобождён")


class PromoRedemption(UUIDModel):
    """A code used for a subscription, on the terms of that day; released where nothing was bought after all."""

    State = RedemptionState

    promotion = models.ForeignKey(
        Promotion, models.PROTECT, related_name="redemptions", db_index=False, verbose_name=_("промокод")
    )
    code = models.ForeignKey(
        PromoCode, models.PROTECT, related_name="redemptions", db_index=False, verbose_name=_("код")
    )
    customer = models.ForeignKey(
        "accounts.Customer",
        models.PROTECT,
        related_name="redemptions",
        db_index=False,
        verbose_name=_("клиент"),
    )
    subscription = models.ForeignKey(
        "billing.Subscription", models.PROTECT, related_name="redemptions", verbose_name=_("подписка")
    )
    percent = models.DecimalField(_("скидка, %"), max_digits=5, decimal_places=2)
    amount = amount_field(_("скидка за период"))
    periods = models.PositiveSmallIntegerField(_("периодов"), null=True)
    cost = amount_field(_("занимает бюджета"))
    state = models.CharField(_("состояние"), max_length=10, choices=RedemptionState.choices)
    created_at = models.DateTimeField(_("введён"))

    class Meta:
        app_label = "billing"
        verbose_name, verbose_name_plural = _("использование промокода"), _("использования промокодов")
        ordering = ["-id"]
        indexes = [models.Index("promotion", "customer", name="billing_redemption_of")]

    def __str__(self) -> str:
        return f"{self.code}: {self.get_state_display()}"


class RetentionKind(models.TextChoices):
    DISCOUNT = "discount", _("скидка")
    PAUSE = "pause", _("пауза")


class RetentionOffer(UUIDModel):
    """What is offered beside «Отменить», once to a subscription: less to pay for some periods, or a pause."""

    Kind = RetentionKind

    name = TranslatedField(
        _("что предложить"), help_text=_("Словами для клиента: «Оставайтесь: скидка 30 % на 3 месяца»")
    )
    kind = models.CharField(_("вид"), max_length=10, choices=RetentionKind.choices)
    percent = models.DecimalField(_("скидка, %"), max_digits=5, decimal_places=2, default=Decimal(0))
    periods = models.PositiveSmallIntegerField(_("на сколько периодов"), null=True, blank=True)
    pause_days = models.PositiveSmallIntegerField(_("пауза, дней"), null=True, blank=True)
    tariff_ids = ArrayField(
        models.BigIntegerField(), verbose_name=_("только тарифы"), default=list, blank=True
    )
    sort = models.PositiveIntegerField(_("порядок"), default=100)
    is_active = models.BooleanField(_("действует"), default=True)

    class Meta:
        app_label = "billing"
        verbose_name, verbose_name_plural = _("удерживающее предложение"), _("удерживающие предложения")
        ordering = ["sort", "id"]
        constraints = [
            models.CheckConstraint(
                # What is NULL passes a check: it has to be named.
                condition=Q(
                    kind="discount", percent__gt=0, percent__lte=100, periods__isnull=False, periods__gt=0
                )
                | Q(kind="pause", pause_days__isnull=False, pause_days__range=(1, 180)),
                name="billing_retention_terms",
                violation_error_message=_(
                    "Скидка: процент до 100 и сколько периодов. Пауза: от 1 до 180 дней"
                ),
            )
        ]

    def __str__(self) -> str:
        return str(self.name)


class CancelReason(models.TextChoices):
    """Why somebody leaves, in words that they may choose."""

    DEAR = "dear", _("Дорого")
    UNUSED = "unused", _("Редко пользуюсь")
    LACKS = "lacks", _("Не хватает возможностей")
    BROKEN = "broken", _("Что-то не работает")
    OTHER_PRODUCT = "other_product", _("Нашёл другой сервис")
    OTHER = "other", _("Другая причина")


class LeavingAnswer(UUIDModel):
    """Somebody was about to leave: what they were offered, whether they took it, and why they would go."""

    subscription = models.ForeignKey(
        "billing.Subscription",
        models.PROTECT,
        related_name="leaving",
        db_index=False,
        verbose_name=_("подписка"),
    )
    offer = models.ForeignKey(
        RetentionOffer,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="answers",
        db_index=False,
        verbose_name=_("предложение"),
    )
    reason = models.CharField(_("причина"), max_length=20, choices=CancelReason.choices, blank=True)
    stayed = models.BooleanField(_("остался"))
    at = models.DateTimeField(_("когда"))

    class Meta:
        app_label = "billing"
        verbose_name, verbose_name_plural = _("ответ уходящего"), _("ответы уходящих")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint("subscription", condition=Q(stayed=True), name="billing_retained_once")
        ]

    def __str__(self) -> str:
        return f"{self.subscription}: {self.get_reason_display()}"
