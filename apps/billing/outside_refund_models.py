"""Money that came past our gateway and goes back the same way: by the partner that had charged it, or by bank."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from apps.billing.paperwork import OutsidePayment
from apps.core.fields import PublicReference
from apps.core.money import Money, amount_field, currency_field
from apps.payments.models import Moving


class OutsideWay(models.TextChoices):
    """By whom it goes back."""

    PARTNER = "partner", _("партнёр вернёт клиенту сам")
    BANK = "bank", _("переводом по реквизитам")


class OutsideRefundState(models.TextChoices):
    """How far it has come."""

    # Above the limit of whoever asked: reserved, and nothing is written of the invoice yet.
    REQUESTED = "requested", _("Ждёт второго сотрудника")
    WAITING = "waiting", _("Исполняется")
    SUCCEEDED = "succeeded", _("Возвращён")
    FAILED = "failed", _("Не исполнен")


_S = OutsideRefundState
OUTSIDE_REFUND_MOVES: dict[str, frozenset[str]] = {
    _S.REQUESTED: frozenset({_S.WAITING, _S.FAILED}),
    _S.WAITING: frozenset({_S.SUCCEEDED, _S.FAILED}),
    _S.SUCCEEDED: frozenset(),
    _S.FAILED: frozenset(),
}


class OutsideRefund(Moving):
    """So much of an outside payment goes back. Its id is its idempotence key: the partner gives it back once.

    What was paid for with it is credited first (`note`), so that the money stands on the balance, and leaves the
    balance in the same transaction; `of_balance`: it stood there already. Where it fails, it stands there again.
    """

    State = OutsideRefundState
    MOVES = OUTSIDE_REFUND_MOVES

    outside = models.ForeignKey(
        OutsidePayment, models.PROTECT, related_name="refunds", verbose_name=_("поступление")
    )
    customer = models.ForeignKey(
        "accounts.Customer", models.PROTECT, related_name="+", db_index=False, verbose_name=_("клиент")
    )
    amount = amount_field(_("сумма"))
    currency = currency_field()
    way = models.CharField(_("каким путём"), max_length=10, choices=OutsideWay.choices)
    state = models.CharField(
        _("состояние"),
        max_length=10,
        choices=OutsideRefundState.choices,
        default=OutsideRefundState.WAITING,
    )
    of_balance = models.BooleanField(_("с баланса"), default=False)
    note = models.ForeignKey(
        "billing.CreditNote",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("корректировка"),
    )
    reason = models.CharField(_("причина"), max_length=200)
    reason_code = models.CharField(_("код причины"), max_length=40, blank=True)
    demanded_on = models.DateField(_("клиент потребовал"), null=True, blank=True)
    due_date = models.DateField(_("вернуть до"), null=True, blank=True)
    actor = models.CharField(_("кто вернул"), max_length=150, blank=True)
    # Why a second person decides, who that was, and what they said.
    above = models.CharField(_("почему нужен второй"), max_length=200, blank=True)
    decided_by = models.CharField(_("кто решил"), max_length=150, blank=True)
    decided_at = models.DateTimeField(_("когда решил"), null=True, blank=True)
    comment = models.CharField(_("комментарий"), max_length=500, blank=True)
    # The partner's own service, our number there, and its number of what it gave back.
    connection = PublicReference(
        "connectors.Connection", null=True, blank=True, verbose_name=_("сервис партнёра")
    )
    reference_number = PublicReference(
        "connectors.GatewayReference", null=True, blank=True, verbose_name=_("номер для сервиса")
    )
    asked_at = models.DateTimeField(_("отправлен"), null=True, blank=True)
    reference = models.CharField(_("номер возврата"), max_length=60, blank=True)
    decline_reason = models.CharField(_("почему не исполнен"), max_length=60, blank=True)
    created_at = models.DateTimeField(_("создан"))
    settled_at = models.DateTimeField(_("завершён"), null=True, blank=True)
    # What it answers to: the same request again finds the first one.
    key = models.CharField(_("ключ"), max_length=100)

    class Meta:
        app_label = "billing"
        verbose_name, verbose_name_plural = _("возврат поступления"), _("возвраты поступлений")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint("key", "outside", name="billing_outside_refund_once"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="billing_outside_refund_amount"),
            models.CheckConstraint(
                condition=Q(state__in=["requested", "waiting"]) ^ Q(settled_at__isnull=False),
                name="billing_outside_refund_settled",
            ),
            models.CheckConstraint(
                condition=Q(decided_by="") | ~Q(decided_by=F("actor")), name="billing_outside_refund_second"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.money} · {self.get_state_display()}"

    @property
    def money(self) -> Money:
        """The amount with its currency."""
        return Money(self.amount, self.currency)
