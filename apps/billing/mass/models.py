"""A mass action and its rows: what was asked for, what it would do, who agreed, what became of each."""

from decimal import Decimal

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core.mass import Action, MassRowState, MassState, Row

__all__ = ["MassAction", "MassKind", "MassRow", "MassRowState", "MassState", "is_above_limit"]


class MassKind(models.TextChoices):
    EXTEND = "extend", _("Продлить на дни в подарок")
    REFUND = "refund", _("Вернуть часть последней оплаты")
    CHANGE = "change", _("Сменить тариф")


class MassAction(Action):
    """One deed for a list of subscriptions that was fixed when it was made."""

    Kind = MassKind

    # Its params: {"days": 7}, {"percent": "50"}, {"offer": 17, "when": "period_end"}.
    kind = models.CharField(_("что сделать"), max_length=10, choices=MassKind.choices)
    size = models.PositiveIntegerField(_("подписок"), default=0)

    class Meta:
        app_label = "billing"
        verbose_name, verbose_name_plural = _("массовое действие"), _("массовые действия")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.size}"


class MassRow(Row):
    """One subscription of a mass action: what it would cost, and what became of it."""

    action = models.ForeignKey(
        MassAction, models.CASCADE, related_name="rows", db_index=False, verbose_name=_("действие")
    )
    subscription = models.ForeignKey(
        "billing.Subscription", models.PROTECT, related_name="+", db_index=False, verbose_name=_("подписка")
    )

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
