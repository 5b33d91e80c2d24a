"""Debts that are chased, and bills that a person has to look at before they are issued."""

from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.core.fields import PublicReference
from apps.core.models import UUIDModel
from apps.core.money import Money, amount_field, currency_field
from apps.policies.dunning import NOTHING_DONE, DeclineClass, Step
from apps.policies.dunning_models import ResultState


class Dunning(UUIDModel):
    """One unpaid renewal on its way through a policy, by the edition it began with. The subscription is its lock."""

    State = ResultState

    subscription = models.ForeignKey(
        "billing.Subscription",
        models.PROTECT,
        related_name="dunnings",
        db_index=False,
        verbose_name=_("подписка"),
    )
    invoice = models.OneToOneField(
        "billing.Invoice", models.PROTECT, related_name="dunning", verbose_name=_("счёт")
    )
    version = PublicReference("policies.DunningVersion", verbose_name=_("политика"))
    state = models.CharField(
        _("итог"), max_length=10, choices=ResultState.choices, default=ResultState.RUNNING
    )
    first_class = models.CharField(_("первый отказ"), max_length=10, choices=DeclineClass.choices)
    decline_class = models.CharField(_("последний отказ"), max_length=10, choices=DeclineClass.choices)
    reason = models.CharField(_("слово шлюза"), max_length=60, blank=True)
    amount = amount_field(_("долг"))
    currency = currency_field()
    started_at = models.DateTimeField(_("начато"))
    started_date = models.DateField(_("первый отказ, день"))
    # The last step done: its day and its place within the day.
    done_day = models.SmallIntegerField(default=NOTHING_DONE[0])
    done_rank = models.SmallIntegerField(default=NOTHING_DONE[1])
    retries = models.PositiveSmallIntegerField(_("повторов"), default=0)
    # What is sent should the retry under way fail too.
    message_if_failed = models.CharField(max_length=30, blank=True)
    next_date = models.DateField(_("следующий шаг"), null=True, blank=True)
    next_action = models.CharField(_("что дальше"), max_length=10, blank=True)
    suspended_at = models.DateTimeField(_("услуга приостановлена"), null=True, blank=True)
    closed_at = models.DateTimeField(_("закончено"), null=True, blank=True)
    recovered_by = models.CharField(_("чем оплачено"), max_length=10, blank=True)
    # What was done, each with its moment: for whoever is asked why.
    log = models.JSONField(_("что сделано"), default=list, blank=True)

    class Meta:
        app_label = "billing"
        verbose_name, verbose_name_plural = _("неоплата"), _("неоплаты")
        ordering = ["-id"]
        constraints = [
            # Also the way to the running one of a subscription, and to all of them.
            models.UniqueConstraint(
                "subscription", condition=Q(state=ResultState.RUNNING), name="billing_dunning_once"
            ),
            models.CheckConstraint(
                condition=Q(state=ResultState.RUNNING, closed_at=None)
                | (~Q(state=ResultState.RUNNING) & Q(closed_at__isnull=False)),
                name="billing_dunning_closed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.money} · {self.get_state_display()}"

    @property
    def money(self) -> Money:
        """What was not paid."""
        return Money(self.amount, self.currency)

    @property
    def done(self) -> tuple[int, int]:
        """The place of the last step done."""
        return self.done_day, self.done_rank

    @property
    def steps(self) -> list[Step]:
        """What the policy says after the last decline."""
        return self.version.steps(self.decline_class)


class ParkedState(models.TextChoices):
    WAITING = "waiting", _("На проверке")
    RELEASED = "released", _("Разрешён")
    VOIDED = "voided", _("Отклонён")


class ParkedBill(UUIDModel):
    """A bill that was out of bounds: nothing of it was issued, and a person decides."""

    State = ParkedState

    subscription = models.ForeignKey(
        "billing.Subscription",
        models.PROTECT,
        related_name="parked_bills",
        db_index=False,
        verbose_name=_("подписка"),
    )
    state = models.CharField(
        _("решение"), max_length=10, choices=ParkedState.choices, default=ParkedState.WAITING
    )
    reason = models.CharField(_("почему остановлен"), max_length=300)
    total = amount_field(_("сумма счёта"))
    currency = currency_field()
    usual = amount_field(_("обычно за то же"), default=Decimal("0.00"))
    # What it was to bill: from which day, and each line in words. Released, it is issued if it is still this one.
    billed_from = models.DateField(_("с какого дня"))
    lines = models.JSONField(_("что в счёте"), default=list)
    parked_at = models.DateTimeField(_("остановлен"))
    decided_at = models.DateTimeField(_("решено"), null=True, blank=True)
    actor = models.CharField(_("кто решил"), max_length=150, blank=True)
    note = models.CharField(_("почему так"), max_length=300, blank=True)

    class Meta:
        app_label = "billing"
        verbose_name, verbose_name_plural = _("счёт на проверке"), _("счета на проверке")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                "subscription", condition=Q(state=ParkedState.WAITING), name="billing_parked_once"
            ),
            models.CheckConstraint(
                condition=Q(state=ParkedState.WAITING) | (Q(decided_at__isnull=False) & ~Q(note="")),
                name="billing_parked_decided",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subscription}: {self.money}"

    @property
    def money(self) -> Money:
        """What it would have asked for."""
        return Money(self.total, self.currency)

    @property
    def usual_money(self) -> Money:
        """What the same cost by the subscription's history."""
        return Money(self.usual, self.currency)
