"""Money that goes back by a payment order, because no gateway can send it: the order, and to whom."""

from datetime import date
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Customer
from apps.core.fields import EncryptedJSONField, PublicReference
from apps.core.money import Money, amount_field, currency_field
from apps.payments.models import Moving, Refund


class PayoutState(models.TextChoices):
    """How far a payout has come."""

    WAITING = "waiting", _("Ждёт реквизитов")
    READY = "ready", _("К выгрузке")
    EXPORTED = "exported", _("Выгружена в банк")
    PAID = "paid", _("Выплачена")
    CANCELLED = "cancelled", _("Отменена")


_S = PayoutState
PAYOUT_MOVES: dict[str, frozenset[str]] = {
    _S.WAITING: frozenset({_S.READY, _S.CANCELLED}),
    # Details are corrected until the order leaves.
    _S.READY: frozenset({_S.EXPORTED, _S.CANCELLED}),
    # Back where the bank did not take it: other details.
    _S.EXPORTED: frozenset({_S.PAID, _S.WAITING}),
    _S.PAID: frozenset(),
    _S.CANCELLED: frozenset(),
}


class BankPayout(Moving):
    """The payment order of one refund: of a gateway's payment, or of what came past the gateways.

    The latter is the app's above (`payout_owner`), has no `refund` here, and gives the order its own id.
    """

    State = PayoutState
    MOVES = PAYOUT_MOVES

    refund = models.OneToOneField(
        Refund, models.PROTECT, null=True, blank=True, related_name="payout", verbose_name=_("возврат")
    )
    # What the app above says of what came past the gateways.
    customer = models.ForeignKey(
        "accounts.Customer",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("клиент"),
    )
    reason = models.CharField(_("причина"), max_length=200, blank=True, default="", db_default="")
    purpose = models.CharField(_("назначение платежа"), max_length=210, blank=True, default="", db_default="")
    due_date = models.DateField(_("вернуть до"), null=True, blank=True)
    legal_entity = PublicReference("partners.LegalEntity", null=True, verbose_name=_("кто платит"))
    amount = amount_field(_("сумма"))
    currency = currency_field()
    state = models.CharField(
        _("состояние"), max_length=10, choices=PayoutState.choices, default=PayoutState.WAITING
    )
    # {name, inn, bik, account, bank, bank_account}: personal data.
    details = EncryptedJSONField(_("реквизиты"), blank=True)
    details_by = models.CharField(_("кто указал реквизиты"), max_length=150, blank=True)
    details_at = models.DateTimeField(_("когда указаны"), null=True, blank=True)
    # Of the link by which the customer gives them: only its hash, and only once.
    link_hash = models.CharField(max_length=64, blank=True, editable=False)
    link_until = models.DateTimeField(_("ссылка действует до"), null=True, blank=True)
    number = models.PositiveIntegerField(_("номер платёжного поручения"), null=True, blank=True)
    order_date = models.DateField(_("дата поручения"), null=True, blank=True)
    created_at = models.DateTimeField(_("создана"))
    exported_at = models.DateTimeField(_("выгружена"), null=True, blank=True)
    exported_by = models.CharField(_("кто выгрузил"), max_length=150, blank=True)
    paid_at = models.DateTimeField(_("выплачена"), null=True, blank=True)
    paid_by = models.CharField(_("кто отметил"), max_length=150, blank=True)
    # The line of the bank's statement that tells of it; none where a person said so.
    bank_line = models.UUIDField(_("строка выписки"), null=True, blank=True)

    class Meta:
        app_label = "payments"
        verbose_name, verbose_name_plural = _("выплата по реквизитам"), _("выплаты по реквизитам")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="payments_payout_amount"),
            models.CheckConstraint(
                condition=Q(refund=None) ^ Q(customer=None),
                name="payments_payout_of_one",
            ),
            models.CheckConstraint(
                condition=~Q(state=PayoutState.PAID) | Q(paid_at__isnull=False), name="payments_payout_paid"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.money} · {self.get_state_display()}"

    @property
    def money(self) -> Money:
        """The amount with its currency."""
        return Money(self.amount, self.currency)

    @property
    def of(self) -> UUID:
        """The refund that it carries out, of whichever kind."""
        found: UUID = self.refund_id or self.pk
        return found

    @property
    def payee(self) -> Customer:
        """Whose money it is."""
        found = self.refund.payment.customer if self.refund is not None else self.customer
        if found is None:
            raise ValueError(f"Payout {self.pk} is of nobody")
        return found

    @property
    def why(self) -> str:
        """Why money goes back."""
        return self.refund.reason if self.refund is not None else self.reason

    @property
    def term(self) -> date | None:
        """The last day for it; None: there is none."""
        return self.refund.due_date if self.refund is not None else self.due_date

    @property
    def masked(self) -> str:
        """To whom, without what a stranger could use."""
        if not self.details:
            return "—"
        return str(_("%(name)s, счёт •• %(end)s, БИК %(bik)s")) % {
            "name": self.details["name"],
            "end": self.details["account"][-4:],
            "bik": self.details["bik"],
        }
