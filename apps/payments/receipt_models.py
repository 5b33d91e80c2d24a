"""Fiscal receipts of a partner's payments and refunds, and how their states may change."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.core.fields import EncryptedField, PublicReference
from apps.core.money import Money, amount_field, currency_field
from apps.payments.models import Moving, Payment, Refund, RefundRoute


class ReceiptCause(models.TextChoices):
    """What a receipt is about."""

    PAYMENT = "payment", _("оплата")
    SETTLEMENT = "settlement", _("зачёт предоплаты")
    REFUND = "refund", _("возврат")
    REVERSAL = "reversal", _("отмена ошибочного чека")


class ReceiptWay(models.TextChoices):
    """Who registers a receipt, and how it comes there."""

    OWN = "own", _("наша касса")
    INSIDE = "inside", _("шлюз, вместе с деньгами")
    AFTER = "after", _("шлюз, отдельным запросом")


class ReceiptState(models.TextChoices):
    """How far a receipt has come."""

    WAITING = "waiting", _("Ждёт денег")
    HELD = "held", _("Ждёт отмены ошибочного")
    QUEUED = "queued", _("В очереди")
    SENDING = "sending", _("Отправляется")
    SENT = "sent", _("У кассы")
    UNKNOWN = "unknown", _("Выясняется")
    REGISTERED = "registered", _("Пробит")
    FAILED = "failed", _("Не пробит")
    CORRECTED = "corrected", _("Заменён")
    VOID = "void", _("Не понадобился")


_S = ReceiptState
RECEIPT_MOVES: dict[str, frozenset[str]] = {
    # It goes to the gateway inside the request for the money, and counts from when the money is there.
    _S.WAITING: frozenset({_S.SENT, _S.VOID}),
    # The right one goes when the wrong one is undone at the register.
    _S.HELD: frozenset({_S.QUEUED}),
    # Money that came after we had called it failed has its receipt all the same.
    _S.VOID: frozenset({_S.SENT}),
    # Where nothing of it was sent yet, it may go by another register.
    _S.QUEUED: frozenset({_S.SENDING, _S.CORRECTED}),
    # Back to the queue only where the register certainly did not take it.
    _S.SENDING: frozenset({_S.QUEUED, _S.SENT, _S.UNKNOWN, _S.REGISTERED, _S.FAILED}),
    _S.SENT: frozenset({_S.UNKNOWN, _S.REGISTERED, _S.FAILED}),
    _S.UNKNOWN: frozenset({_S.SENT, _S.REGISTERED, _S.FAILED}),
    _S.FAILED: frozenset({_S.CORRECTED}),
    # Once the right one is registered in its place.
    _S.REGISTERED: frozenset({_S.CORRECTED}),
    _S.CORRECTED: frozenset(),
}
UNCOUNTED = frozenset({_S.WAITING, _S.VOID})
"""States of receipts of money that is not there, or not yet."""
RESTING = frozenset({_S.WAITING, _S.HELD})
"""States in which it goes on by itself when what it waits for has come."""
OPEN_RECEIPTS = RESTING | {_S.QUEUED, _S.SENDING, _S.SENT, _S.UNKNOWN}
COUNTING = [state for state in _S.values if state not in UNCOUNTED | {_S.CORRECTED}]
"""States of receipts that count: one that was replaced counts by the one in its place."""


class Receipt(Moving):
    """One receipt, frozen as it is to be registered. A failed or wrong one is replaced, never changed."""

    MOVES = RECEIPT_MOVES
    Cause, State, Way = ReceiptCause, ReceiptState, ReceiptWay

    payment = models.ForeignKey(
        "payments.Payment", models.PROTECT, related_name="receipts", verbose_name=_("платёж")
    )
    refund = models.ForeignKey(
        "payments.Refund",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="receipts",
        db_index=False,
        verbose_name=_("возврат"),
    )
    replaces = models.OneToOneField(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="replaced_by",
        verbose_name=_("вместо чека"),
    )
    connection = PublicReference("connectors.Connection", verbose_name=_("касса"))
    reference = PublicReference("connectors.GatewayReference", verbose_name=_("номер для кассы"))
    way = models.CharField(
        _("кто пробивает"),
        max_length=6,
        choices=ReceiptWay,
        default=ReceiptWay.OWN,
        db_default=ReceiptWay.OWN,
    )
    cause = models.CharField(_("о чём"), max_length=10, choices=ReceiptCause)
    # What it answers to: the same again finds the first one.
    key = models.CharField(_("ключ"), max_length=100)
    operation = models.CharField(_("признак расчёта"), max_length=11)
    total = amount_field(_("сумма"))
    prepaid = amount_field(_("из неё зачтено из предоплаты"))
    currency = currency_field()
    # [{name, price, quantity, amount, vat_rate, vat, method, agent}]: see `cash_register.ReceiptLine`.
    lines = models.JSONField(_("строки"))
    seller = models.JSONField(_("продавец"))
    # Of a correction receipt: {of, on, attribute, reason}: which wrong one it corrects, of what day, its sign, why.
    correction = models.JSONField(
        _("что исправляет"), default=dict, blank=True, db_default={}, editable=False
    )
    contact = EncryptedField(_("куда отправлен"), blank=True)
    business_date = models.DateField(_("дата"))
    # The day on which the whole of a prepayment is earned.
    closes_on = models.DateField(_("зачёт предоплаты"), null=True, blank=True)
    state = models.CharField(_("состояние"), max_length=10, choices=ReceiptState, default=ReceiptState.QUEUED)
    gateway_id = models.CharField(_("номер у кассы"), max_length=100, blank=True)
    # What a signed message of the gateway said of it: {gateway_id, status, reason, fiscal}.
    told = models.JSONField(_("сказано шлюзом"), default=dict, blank=True, db_default={}, editable=False)
    # {fn, document, attribute, registered_at, url}
    fiscal = models.JSONField(_("фискальные данные"), default=dict, blank=True)
    reason = models.CharField(_("почему не пробит"), max_length=300, blank=True)
    created_at = models.DateTimeField(_("создан"))
    claimed_at = models.DateTimeField(_("отправлен"), null=True, blank=True)
    settled_at = models.DateTimeField(_("завершён"), null=True, blank=True)

    class Meta:
        app_label = "payments"
        verbose_name, verbose_name_plural = _("чек"), _("чеки")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["key"], name="payments_receipt_once"),
            models.CheckConstraint(
                condition=Q(total__gt=0, prepaid__gte=0, prepaid__lte=models.F("total")),
                name="payments_receipt_amounts",
            ),
            models.CheckConstraint(
                condition=Q(cause=ReceiptCause.REFUND) ^ Q(refund=None), name="payments_receipt_refund"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_cause_display()}, {self.money}"

    @property
    def money(self) -> Money:
        """The whole sum."""
        return Money(self.total, self.currency)

    @property
    def is_prepayment(self) -> bool:
        """Whether it says that something is paid ahead: then a second one says when it is given."""
        return any(line["method"] == "full_prepayment" for line in self.lines)

    @property
    def is_open(self) -> bool:
        """Whether something still has to come of it."""
        return self.state in OPEN_RECEIPTS


def payment_key(payment: Payment) -> str:
    """What the first receipt of a payment is known by."""
    return f"payment:{payment.pk}"


def refund_key(refund: Refund) -> str:
    """What the first receipt of a refund is known by."""
    # A gateway's refusal ended the receipt that it would have made: this is another one.
    return f"refund:{refund.pk}{':bank' if refund.route == RefundRoute.BANK else ''}"
