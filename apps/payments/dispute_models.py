"""Chargebacks and claims about a payment, and the evidence as it was sent."""

from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from apps.core.models import UUIDModel
from apps.core.money import Money, amount_field, currency_field
from apps.payments.models import Moving, Payment


class DisputeKind(models.TextChoices):
    """Who asks for the money back past us."""

    CHARGEBACK = "chargeback", _("Чарджбэк: спор через банк")
    CLAIM = "claim", _("Претензия клиента")


class DisputeState(models.TextChoices):
    """How far a dispute has come."""

    NEEDS_RESPONSE = "needs_response", _("Нужен ответ")
    UNDER_REVIEW = "under_review", _("На рассмотрении")
    WON = "won", _("Выигран")
    LOST = "lost", _("Проигран")
    ACCEPTED = "accepted", _("Признан без спора")


_S = DisputeState
DISPUTE_MOVES: dict[str, frozenset[str]] = {
    _S.NEEDS_RESPONSE: frozenset({_S.UNDER_REVIEW, _S.WON, _S.LOST, _S.ACCEPTED}),
    # Back where the bank asks for more.
    _S.UNDER_REVIEW: frozenset({_S.NEEDS_RESPONSE, _S.WON, _S.LOST, _S.ACCEPTED}),
    _S.WON: frozenset(),
    _S.LOST: frozenset(),
    _S.ACCEPTED: frozenset(),
}
OPEN_DISPUTES = frozenset({_S.NEEDS_RESPONSE, _S.UNDER_REVIEW})
"""Nobody knows yet whose the money is."""


class Dispute(Moving):
    """A demand for a payment's money past us: by the bank, or by a letter. It has a deadline, and ends once."""

    State, Kind = DisputeState, DisputeKind
    MOVES = DISPUTE_MOVES

    payment = models.ForeignKey(Payment, models.PROTECT, related_name="disputes", verbose_name=_("платёж"))
    kind = models.CharField(_("вид"), max_length=10, choices=DisputeKind.choices)
    state = models.CharField(
        _("состояние"), max_length=14, choices=DisputeState.choices, default=DisputeState.NEEDS_RESPONSE
    )
    amount = amount_field(_("сумма"))
    currency = currency_field()
    reason_code = models.CharField(
        _("код причины"),
        max_length=40,
        blank=True,
        help_text=_("Как его назвал банк, например 10.4 или 4853"),
    )
    reason = models.CharField(_("чего требуют и почему"), max_length=500)
    respond_by = models.DateTimeField(_("ответить до"))
    gateway_id = models.CharField(_("номер у шлюза или банка"), max_length=100, blank=True)
    # The bank has taken the money already, as it does at a chargeback; given back where the dispute is won.
    is_taken = models.BooleanField(_("деньги списаны банком"), default=False)
    opened_at = models.DateTimeField(_("открыт"))
    opened_by = models.CharField(_("кто открыл"), max_length=150, blank=True)
    answered_at = models.DateTimeField(_("ответ отправлен"), null=True, blank=True)
    decided_at = models.DateTimeField(_("решён"), null=True, blank=True)
    decided_by = models.CharField(_("кто записал решение"), max_length=150, blank=True)
    comment = models.CharField(_("комментарий к решению"), max_length=500, blank=True)

    class Meta:
        app_label = "payments"
        verbose_name, verbose_name_plural = _("спор"), _("споры и претензии")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="payments_dispute_amount"),
            models.CheckConstraint(
                condition=Q(is_taken=False) | Q(kind=DisputeKind.CHARGEBACK), name="payments_dispute_taken"
            ),
            models.CheckConstraint(
                condition=Q(state__in=sorted(OPEN_DISPUTES)) ^ Q(decided_at__isnull=False),
                name="payments_dispute_decided",
            ),
            models.UniqueConstraint(
                F("payment"), F("gateway_id"), condition=~Q(gateway_id=""), name="payments_dispute_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} · {self.money}"

    @property
    def money(self) -> Money:
        """The amount with its currency."""
        return Money(self.amount, self.currency)

    @property
    def is_open(self) -> bool:
        """Whether it is not decided yet."""
        return self.state in OPEN_DISPUTES


class DisputeFile(UUIDModel):
    """Evidence exactly as it was made: written once, never changed; its hash says that it is the same."""

    dispute = models.ForeignKey(Dispute, models.PROTECT, related_name="files", verbose_name=_("спор"))
    name = models.CharField(_("файл"), max_length=120)
    content = models.BinaryField(_("содержание"))
    sha256 = models.CharField(_("SHA-256"), max_length=64)
    made_at = models.DateTimeField(_("собрано"))
    made_by = models.CharField(_("кто собрал"), max_length=150, blank=True)

    class Meta:
        app_label = "payments"
        verbose_name, verbose_name_plural = _("доказательства"), _("доказательства")
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **options: Any) -> None:
        """Only once: what was sent to a bank stays what was sent."""
        if not self._state.adding:
            raise TypeError("Evidence is never changed")
        super().save(*args, **options)
