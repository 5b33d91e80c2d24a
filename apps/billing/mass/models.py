"""A mass action and its rows: what was asked for, what it would do, who agreed, what became of each."""

from decimal import Decimal

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core.models import UUIDModel
from apps.core.money import amount_field, currency_field


class MassKind(models.TextChoices):
    EXTEND = "extend", _("Продлить на дни в подарок")
    REFUND = "refund", _("Вернуть часть последней оплаты")
    CHANGE = "change", _("Сменить тариф")


class MassState(models.TextChoices):
    COUNTING = "counting", _("Считаем")
    READY = "ready", _("Ждёт подтверждения")
    RUNNING = "running", _("Выполняется")
    DONE = "done", _("Выполнено")
    DROPPED = "dropped", _("Отменено")


class MassAction(UUIDModel):
    """One deed for a list of subscriptions that was fixed when it was made."""

    Kind, State = MassKind, MassState

    kind = models.CharField(_("что сделать"), max_length=10, choices=MassKind.choices)
    # {"days": 7}, {"percent": "50"}, {"offer": 17, "when": "period_end"}
    params = models.JSONField(default=dict)
    reason = models.CharField(_("почему"), max_length=200)
    state = models.CharField(
        _("состояние"), max_length=10, choices=MassState.choices, default=MassState.COUNTING
    )
    size = models.PositiveIntegerField(_("подписок"), default=0)
    # Who asked for it, and who agreed: above the limit another person.
    asked_by = models.CharField(_("кто начал"), max_length=150)
    confirmed_by = models.CharField(_("кто подтвердил"), max_length=150, blank=True)
    currency = currency_field()
    created_at = models.DateTimeField(_("создано"))
    confirmed_at = models.DateTimeField(_("подтверждено"), null=True, blank=True)
    closed_at = models.DateTimeField(_("завершено"), null=True, blank=True)

    class Meta:
        app_label = "billing"
        verbose_name, verbose_name_plural = _("массовое действие"), _("массовые действия")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.size}"


class MassRowState(models.TextChoices):
    NEW = "new", _("Ещё не посчитано")
    COUNTED = "counted", _("Посчитано")
    DONE = "done", _("Сделано")
    REFUSED = "refused", _("Отказано")


class MassRow(UUIDModel):
    """One subscription of a mass action: what it would cost, and what became of it."""

    State = MassRowState

    action = models.ForeignKey(
        MassAction, models.CASCADE, related_name="rows", db_index=False, verbose_name=_("действие")
    )
    subscription = models.ForeignKey(
        "billing.Subscription", models.PROTECT, related_name="+", db_index=False, verbose_name=_("подписка")
    )
    state = models.CharField(
        _("состояние"), max_length=10, choices=MassRowState.choices, default=MassRowState.NEW
    )
    # Given away, given back, or to be paid: what was seen before anybody agreed.
    amount = amount_field(_("сумма"), default=Decimal("0.00"))
    result = models.CharField(_("результат"), max_length=300, blank=True)
    done_at = models.DateTimeField(_("когда"), null=True, blank=True)

    class Meta:
        app_label = "billing"
        verbose_name, verbose_name_plural = _("строка действия"), _("строки действия")
        ordering = ["id"]
        constraints = [models.UniqueConstraint("action", "subscription", name="billing_massrow_once")]
        # The next rows to be done.
        indexes = [
            models.Index(
                fields=["action", "id"],
                condition=models.Q(state__in=["new", "counted"]),
                name="billing_massrow_open",
            )
        ]

    def __str__(self) -> str:
        return f"{self.subscription}: {self.get_state_display()}"


def is_above_limit(count: int, total: Decimal) -> bool:
    """Whether a second person has to agree to so many rows, or so much money."""
    return count > settings.MASS_ACTION_ROWS or total > settings.MASS_ACTION_SUM
