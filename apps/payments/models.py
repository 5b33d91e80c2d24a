"""Payments, saved payment methods and refunds of one partner, and how their states may change."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Self
from uuid import UUID

from django.db import models
from django.db.models import F, Q, Sum
from django.utils.translation import gettext_lazy as _

from apps.core.fields import EncryptedField, PublicReference
from apps.core.models import UUIDModel
from apps.core.money import Money, amount_field, currency_field
from apps.payments import elsewhere

CONSENT_REVOKED = "permission_revoked"
"""Decline reason of a charge by a method that the customer has refused."""
CALLED_OFF = "called_off"
"""Decline reason of a payment that was not sent yet when it was wanted no more."""


class Purpose(models.TextChoices):
    """What a payment is for."""

    NEW = "new", _("новая продажа")
    RENEWAL = "renewal", _("продление")
    # A rouble that is given back at once: what is wanted is the saved method.
    BINDING = "binding", _("привязка карты")


class PaymentState(models.TextChoices):
    """How far a payment has come."""

    CREATED = "created", _("Создан")
    SENDING = "sending", _("Отправляется")
    PENDING = "pending", _("Ждёт клиента")
    UNKNOWN = "unknown", _("Выясняется")
    AUTHORIZED = "authorized", _("Деньги удержаны")
    SUCCEEDED = "succeeded", _("Оплачен")
    FAILED = "failed", _("Отклонён банком")
    REFUNDED = "refunded", _("Возвращён")


class RefundRoute(models.TextChoices):
    """By which way money goes back."""

    GATEWAY = "gateway", _("через шлюз, тем же способом")
    BANK = "bank", _("переводом по реквизитам")


class RefundState(models.TextChoices):
    """How far a refund has come."""

    # Above the limit of whoever asked: money is reserved, and nothing is sent.
    REQUESTED = "requested", _("Ждёт второго сотрудника")
    CREATED = "created", _("Создан")
    SENDING = "sending", _("Отправляется")
    PENDING = "pending", _("Исполняется банком")
    UNKNOWN = "unknown", _("Выясняется")
    SUCCEEDED = "succeeded", _("Возвращён")
    FAILED = "failed", _("Не исполнен")


class SecondStage(models.TextChoices):
    """What was decided about money that is held. Decided once: what the gateway has begun is not taken back."""

    CAPTURE = "capture", _("списать")
    RELEASE = "release", _("отпустить")


_P, _R = PaymentState, RefundState
_ENDS = frozenset({_P.SUCCEEDED, _P.FAILED, _P.REFUNDED})
PAYMENT_MOVES: dict[str, frozenset[str]] = {
    _P.CREATED: frozenset({_P.SENDING, _P.FAILED}),
    # Back to created only where the gateway certainly did not take it.
    _P.SENDING: frozenset({_P.CREATED, _P.PENDING, _P.UNKNOWN, _P.AUTHORIZED}) | _ENDS,
    _P.PENDING: frozenset({_P.UNKNOWN, _P.AUTHORIZED}) | _ENDS,
    _P.UNKNOWN: frozenset({_P.PENDING, _P.AUTHORIZED}) | _ENDS,
    _P.AUTHORIZED: _ENDS,
    _P.SUCCEEDED: frozenset({_P.REFUNDED}),
    # Money that came after we had called it failed goes back at once.
    _P.FAILED: frozenset({_P.REFUNDED}),
    _P.REFUNDED: frozenset(),
}
REFUND_MOVES: dict[str, frozenset[str]] = {
    # Straight to pending where it goes by a payment order: no gateway is asked.
    _R.REQUESTED: frozenset({_R.CREATED, _R.PENDING, _R.FAILED}),
    # Failed before it was sent: a chargeback has taken the same money meanwhile.
    _R.CREATED: frozenset({_R.SENDING, _R.FAILED}),
    _R.SENDING: frozenset({_R.CREATED, _R.PENDING, _R.UNKNOWN, _R.SUCCEEDED, _R.FAILED}),
    _R.PENDING: frozenset({_R.UNKNOWN, _R.SUCCEEDED, _R.FAILED}),
    _R.UNKNOWN: frozenset({_R.PENDING, _R.SUCCEEDED, _R.FAILED}),
    _R.SUCCEEDED: frozenset(),
    _R.FAILED: frozenset(),
}
OPEN = frozenset({_P.CREATED, _P.SENDING, _P.PENDING, _P.UNKNOWN, _P.AUTHORIZED})
"""States (of payments and refunds alike) that something still has to come of."""


class WrongMove(RuntimeError):
    """A state was to change in a way that the table of moves does not have."""


class Moving(UUIDModel):
    """A row whose state changes only by its table of moves, under its lock."""

    MOVES: dict[str, frozenset[str]]
    state: Any

    class Meta:
        abstract = True

    @classmethod
    def locked(cls, object_id: UUID) -> Self:
        """The row as it stands now, locked until the end of the transaction. Raises DoesNotExist."""
        return cls._default_manager.select_for_update(no_key=True).get(pk=object_id)

    def move(self, state: str) -> None:
        """Changes the state of a locked row; the caller saves. Raises WrongMove."""
        if state not in self.MOVES[self.state]:
            raise WrongMove(f"{type(self).__name__} {self.pk}: {self.state} → {state}")
        self.state = state

    @property
    def is_open(self) -> bool:
        """Whether something still has to come of it."""
        return self.state in OPEN


class RefusalHow(models.TextChoices):
    """How a customer took a method back."""

    CABINET = "cabinet", _("в личном кабинете")
    LINK = "link", _("по ссылке из сообщения")
    CALL_CENTRE = "call_centre", _("по телефону, записал сотрудник")
    WRITTEN = "written", _("письмом или чатом, записал сотрудник")
    API = "api", _("система партнёра, через API")
    BANK = "bank", _("в банке")
    ERASURE = "erasure", _("данные клиента стёрты")


class PaymentMethod(UUIDModel):
    """A customer's card or account, saved at a gateway: charges by it need no page."""

    customer = models.ForeignKey(
        "accounts.Customer", models.PROTECT, related_name="payment_methods", verbose_name=_("клиент")
    )
    connection = PublicReference("connectors.Connection", verbose_name=_("подключение"))
    token = EncryptedField(_("номер у шлюза"))
    title = models.CharField(_("способ"), max_length=100)
    instrument = models.CharField(
        _("чем платят"), max_length=20, blank=True, default="", db_default="", editable=False
    )
    # HMAC of what the gateway tells of the card: the same card saved twice is known again, by nobody else.
    fingerprint = models.CharField(max_length=64, blank=True, default="", editable=False)
    is_active = models.BooleanField(_("действует"), default=True)
    created_at = models.DateTimeField(_("сохранён"))
    refused_at = models.DateTimeField(_("отозван"), null=True, blank=True)
    # Evidence of the refusal: written once with it, for whoever asks years later.
    refused_how = models.CharField(
        _("как отозван"), max_length=15, choices=RefusalHow.choices, blank=True, default="", db_default=""
    )
    refused_by = models.CharField(_("кто отозвал"), max_length=150, blank=True, default="", db_default="")
    refused_ip = models.GenericIPAddressField(_("с какого адреса"), null=True, blank=True)
    refused_agent = models.CharField(_("браузер"), max_length=300, blank=True, default="", db_default="")
    # By the wall clock, as claims are: which of the two came first is told by it.
    refusal_recorded_at = models.DateTimeField(_("отзыв записан"), null=True, blank=True)
    # Of a gateway that can forget what it saved, by the wall clock.
    unbinding_since = models.DateTimeField(_("шлюз извещается с"), null=True, blank=True)
    unbound_at = models.DateTimeField(_("отвязан у шлюза"), null=True, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("сохранённый способ"), _("сохранённые способы")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(is_active=False) | Q(refused_at=None), name="payments_method_refused"
            ),
            models.CheckConstraint(
                condition=Q(refused_at=None) | (Q(refusal_recorded_at__isnull=False) & ~Q(refused_how="")),
                name="payments_refusal_evidence",
            ),
            models.CheckConstraint(
                condition=Q(unbinding_since=None, unbound_at=None)
                | Q(unbinding_since__isnull=False, refused_at__isnull=False),
                name="payments_unbinding_of_refused",
            ),
        ]

    def __str__(self) -> str:
        return self.title


class Payment(Moving):
    """One attempt to take money. Its id is its idempotence key: the attempt is made once."""

    MOVES = PAYMENT_MOVES

    customer = models.ForeignKey(
        "accounts.Customer", models.PROTECT, related_name="payments", verbose_name=_("клиент")
    )
    method = models.ForeignKey(
        PaymentMethod,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="payments",
        db_index=False,
        verbose_name=_("способ"),
        help_text=_("Которым списано, или который сохранён этим платежом"),
    )
    connection = PublicReference("connectors.Connection", verbose_name=_("подключение"))
    reference = PublicReference("connectors.GatewayReference", verbose_name=_("номер для шлюза"))
    amount = amount_field(_("сумма"))
    currency = currency_field()
    purpose = models.CharField(_("назначение"), max_length=10, choices=Purpose.choices)
    state = models.CharField(
        _("состояние"), max_length=10, choices=PaymentState.choices, default=PaymentState.CREATED
    )
    description = models.CharField(_("описание"), max_length=128)
    save_method = models.BooleanField(_("сохранить способ"), default=False)
    # An open list: what a gateway calls it. Empty: whatever its page offers.
    instrument = models.CharField(_("чем платят"), max_length=20, blank=True, default="", db_default="")
    is_two_stage = models.BooleanField(_("сначала удержать"), default=False, db_default=False)
    second_stage = models.CharField(
        _("решение"), max_length=10, choices=SecondStage.choices, blank=True, default="", db_default=""
    )
    capture_amount = amount_field(_("сколько списать"), null=True, blank=True)
    # What the gateway tells of a link with the payer's bank by, where that has a number of its own.
    link_key = models.CharField(max_length=100, blank=True, default="", db_default="", editable=False)
    return_url = models.CharField(_("вернуться на"), max_length=2000, blank=True)
    confirmation_url = models.CharField(_("страница оплаты"), max_length=2000, blank=True)
    gateway_id = models.CharField(_("номер у шлюза"), max_length=100, blank=True)
    decline_reason = models.CharField(_("причина отказа"), max_length=60, blank=True)
    fee = amount_field(_("комиссия шлюза"), default=Decimal("0.00"))
    # Dimensions of the ledger: what the payer of an invoice knows and a gateway does not.
    channel_id = models.UUIDField(_("канал продаж"), null=True, blank=True)
    subscription_id = models.UUIDField(_("подписка"), null=True, blank=True)
    product_id = models.BigIntegerField(_("продукт"), null=True, blank=True)
    tariff_version_id = models.BigIntegerField(_("редакция тарифа"), null=True, blank=True)
    created_at = models.DateTimeField(_("создан"))
    # By the wall clock: how long the gateway has had it.
    claimed_at = models.DateTimeField(_("отправлен"), null=True, blank=True)
    settled_at = models.DateTimeField(_("завершён"), null=True, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("платёж"), _("платежи")
        ordering = ["-id"]
        constraints = [
            # A method is saved without a payment where the gateway can.
            models.CheckConstraint(
                condition=Q(amount__gt=0) | Q(amount=0, purpose=Purpose.BINDING, save_method=True),
                name="payments_payment_amount",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["succeeded", "refunded"])
                | ~Q(gateway_id="") & Q(settled_at__isnull=False),
                name="payments_payment_settled",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.money} · {self.get_state_display()}"

    @property
    def money(self) -> Money:
        """The amount with its currency."""
        return Money(self.amount, self.currency)

    @property
    def is_charge(self) -> bool:
        """Whether it is taken by a method saved before, without the customer's page."""
        return self.method_id is not None and not self.save_method

    @property
    def only_binds(self) -> bool:
        """Whether it takes nothing: a method is saved without a payment."""
        return not self.amount

    @property
    def is_held(self) -> bool:
        """Whether its money is held, and neither taken nor let go yet."""
        return self.state == PaymentState.AUTHORIZED

    @property
    def is_paid(self) -> bool:
        """Whether the money came and counts (all of it may be given back later)."""
        return self.state == PaymentState.SUCCEEDED

    @property
    def is_lost(self) -> bool:
        """Whether nothing will come of it: it failed, or what it brought goes back at once."""
        return self.state in {PaymentState.FAILED, PaymentState.REFUNDED} and bool(self.decline_reason)

    def given_back(self) -> Decimal:
        """Sum of refunds that are made or may yet be."""
        found = self.refunds.exclude(state=RefundState.FAILED).aggregate(total=Sum("amount"))
        return found["total"] or Decimal("0.00")

    def at_gateway(self) -> Decimal:
        """What the gateway has of it still: no refund can be of more."""
        if self.state not in {PaymentState.SUCCEEDED, PaymentState.REFUNDED}:
            return Decimal("0.00")
        return max(self.amount - self.given_back() - self.disputed(), Decimal("0.00"))

    def disputed(self) -> Decimal:
        """What the bank has taken of it by chargebacks, and not given back: nobody can refund that as well."""
        taken = self.disputes.filter(is_taken=True).exclude(state="won")
        return taken.aggregate(total=Sum("amount"))["total"] or Decimal("0.00")

    def given_elsewhere(self) -> Decimal:
        """Of that: given to the customer otherwise, as onto a balance."""
        return min(elsewhere.given(self), self.at_gateway())

    def refundable(self) -> Decimal:
        """What may still be given back. Where it is acted on, read it under the payment's lock."""
        return self.at_gateway() - self.given_elsewhere()


class Refund(Moving):
    """Money of a payment given back, in full or in part. Its id is its idempotence key."""

    MOVES = REFUND_MOVES

    payment = models.ForeignKey(Payment, models.PROTECT, related_name="refunds", verbose_name=_("платёж"))
    amount = amount_field(_("сумма"))
    currency = currency_field()
    state = models.CharField(
        _("состояние"), max_length=10, choices=RefundState.choices, default=RefundState.CREATED
    )
    route = models.CharField(
        _("каким путём"),
        max_length=10,
        choices=RefundRoute.choices,
        default=RefundRoute.GATEWAY,
        db_default=RefundRoute.GATEWAY,
    )
    reason = models.CharField(_("причина"), max_length=200)
    # Of `policies.refunding`; empty where the platform gives back by itself.
    reason_code = models.CharField(_("код причины"), max_length=40, blank=True, default="", db_default="")
    actor = models.CharField(_("кто вернул"), max_length=150, blank=True)
    demanded_on = models.DateField(_("клиент потребовал"), null=True, blank=True)
    due_date = models.DateField(_("вернуть до"), null=True, blank=True)
    # Why a second person decides, who that was, and what they said.
    above = models.CharField(_("почему нужен второй"), max_length=200, blank=True, default="", db_default="")
    decided_by = models.CharField(_("кто решил"), max_length=150, blank=True, default="", db_default="")
    decided_at = models.DateTimeField(_("когда решил"), null=True, blank=True)
    comment = models.CharField(_("комментарий"), max_length=500, blank=True, default="", db_default="")
    gateway_id = models.CharField(_("номер у шлюза"), max_length=100, blank=True)
    decline_reason = models.CharField(_("причина отказа"), max_length=60, blank=True)
    created_at = models.DateTimeField(_("создан"))
    claimed_at = models.DateTimeField(_("отправлен"), null=True, blank=True)
    settled_at = models.DateTimeField(_("завершён"), null=True, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("возврат"), _("возвраты")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="payments_refund_amount"),
            models.UniqueConstraint(
                F("payment"), F("gateway_id"), condition=~Q(gateway_id=""), name="payments_refund_once"
            ),
            models.CheckConstraint(
                condition=Q(decided_by="") | ~Q(decided_by=F("actor")), name="payments_refund_second_person"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.money} · {self.get_state_display()}"

    @property
    def money(self) -> Money:
        """The amount with its currency."""
        return Money(self.amount, self.currency)


def elapsed(since: datetime | None, now: datetime) -> float:
    """Seconds since a moment; 0 where there is none."""
    return max(0.0, (now - since).total_seconds()) if since else 0.0


import apps.payments.bank_payout_models  # noqa: E402 - more models of this app
import apps.payments.dispute_models  # noqa: E402 - and more
import apps.payments.receipt_models  # noqa: E402, F401 - and more
