"""Why money goes back, within what term, and how much of it one person may give back alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from apps.core.money import Money, amount_field

LAWFUL_DAYS = 10
"""Within which a consumer's demand for money is met (the Consumer Rights Act, articles 22 and 31)."""


class RefundReason(models.Model):
    """A reason that staff choose from. One with a built-in code takes the place of that one."""

    code = models.SlugField(_("код"), max_length=40, unique=True)
    title = models.CharField(_("причина"), max_length=120)
    term_days = models.PositiveSmallIntegerField(
        _("срок возврата, дней"),
        null=True,
        blank=True,
        help_text=_("Со дня требования клиента; по закону 10. Пусто — срока нет"),
    )
    position = models.PositiveSmallIntegerField(_("порядок"), default=100)
    is_active = models.BooleanField(_("используется"), default=True)

    class Meta:
        app_label = "policies"
        verbose_name, verbose_name_plural = _("причина возврата"), _("причины возвратов")
        ordering = ["position", "code"]

    def __str__(self) -> str:
        return self.title


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason as it is offered."""

    code: str
    title: Any
    term_days: int | None
    position: int = 50


BUILT_IN = (
    Reason("refused", _("Клиент отказался от услуги"), LAWFUL_DAYS, 10),
    Reason("not-delivered", _("Услуга не оказана или ключ не выдан"), LAWFUL_DAYS, 20),
    Reason("quality", _("Услуга оказана с недостатками"), LAWFUL_DAYS, 30),
    Reason("wrong-charge", _("Списано ошибочно или дважды"), LAWFUL_DAYS, 40),
    Reason("goodwill", _("По решению компании"), None, 50),
    Reason("other", _("Другое"), LAWFUL_DAYS, 90),
)
"""What is offered until staff write reasons of their own."""


def reasons() -> list[Reason]:
    """What staff choose from, in order."""
    own = {row.code: row for row in RefundReason.objects.all()}
    found = [one for one in BUILT_IN if one.code not in own]
    found += [
        Reason(row.code, row.title, row.term_days, row.position) for row in own.values() if row.is_active
    ]
    return sorted(found, key=lambda one: (one.position, one.code))


def reason_of(code: str) -> Reason | None:
    """A reason by its code, also one that is offered no more."""
    if row := RefundReason.objects.filter(code=code).first():
        return Reason(row.code, row.title, row.term_days, row.position)
    return next((one for one in BUILT_IN if one.code == code), None)


class LimitedRole(models.TextChoices):
    """Whom a limit is of: the roles of staff, and systems with a key of the API."""

    ADMIN = "admin", _("Администратор")
    MANAGER = "manager", _("Менеджер")
    SUPPORT = "support", _("Поддержка")
    FINANCE = "finance", _("Финансы")
    API = "api", _("Ключ API")


class RefundLimit(models.Model):
    """How much one person of a role gives back without a second one. A role without a row has no limit."""

    role = models.CharField(_("роль"), max_length=10, choices=LimitedRole.choices, unique=True)
    one = amount_field(
        _("один возврат, не больше, ₽"),
        null=True,
        blank=True,
        help_text=_("Больше — нужен второй сотрудник. Пусто — без ограничения"),
    )
    day = amount_field(
        _("за день одним сотрудником, не больше, ₽"), null=True, blank=True, help_text=_("У всех партнёров")
    )

    class Meta:
        app_label = "policies"
        verbose_name, verbose_name_plural = _("лимит возвратов"), _("лимиты возвратов")
        ordering = ["role"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(one=None) | models.Q(one__gte=0), name="policies_refundlimit_one"
            ),
            models.CheckConstraint(
                condition=models.Q(day=None) | models.Q(day__gte=0), name="policies_refundlimit_day"
            ),
        ]

    def __str__(self) -> str:
        return str(self.get_role_display())


class RefundTally(models.Model):
    """What one person gave back alone on one day: the row is also the lock of counting it."""

    actor = models.CharField(max_length=190)
    day = models.DateField()
    is_sandbox = models.BooleanField()
    total = amount_field("total", default=Decimal("0.00"))

    class Meta:
        app_label = "policies"
        constraints = [
            models.UniqueConstraint(fields=["actor", "day", "is_sandbox"], name="policies_refundtally_once")
        ]


@dataclass(frozen=True, slots=True)
class Allowed:
    """The widest limits of somebody's roles, in roubles; None: no limit."""

    one: Decimal | None = None
    day: Decimal | None = None


def allowed(roles: Iterable[str]) -> Allowed:
    """What somebody with these roles may give back alone. An administrator without a row has no limit."""
    held = set(roles)
    rows = {row.role: row for row in RefundLimit.objects.filter(role__in=held)}
    if not rows or (LimitedRole.ADMIN in held and LimitedRole.ADMIN not in rows):
        return Allowed()
    return Allowed(
        one=_widest(row.one for row in rows.values()), day=_widest(row.day for row in rows.values())
    )


def _widest(limits: Iterable[Decimal | None]) -> Decimal | None:
    found = list(limits)
    return None if None in found else max(one for one in found if one is not None)


def spend(limit: Allowed, amount: Money, *, actor: str, day: date, is_sandbox: bool) -> str:
    """Counts a refund of `amount` among those of `actor`, in the caller's transaction; where it is above a limit,
    nothing is counted, and the words say which. Roubles are compared; another currency is always above a limit.
    """
    if limit.one is None and limit.day is None:
        return ""
    if amount.currency != "RUB":
        return str(_("Возврат в валюте всегда подтверждает второй сотрудник"))
    if limit.one is not None and amount.amount > limit.one:
        return str(_("Больше лимита одного возврата: %s")) % Money(limit.one)
    if limit.day is None:
        return ""
    mine = {"actor": actor[:190], "day": day, "is_sandbox": is_sandbox}
    RefundTally.objects.bulk_create([RefundTally(**mine)], ignore_conflicts=True)
    row = RefundTally.objects.select_for_update().get(**mine)
    if row.total + amount.amount > limit.day:
        return str(_("Больше лимита за день: %(limit)s, уже возвращено %(given)s")) % {
            "limit": Money(limit.day),
            "given": Money(row.total),
        }
    RefundTally.objects.filter(pk=row.pk).update(total=F("total") + amount.amount)
    return ""
