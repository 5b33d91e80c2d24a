"""What was sent back of a customer's balance, by the payment that it had come with."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.core.models import UUIDModel
from apps.core.money import Money, amount_field, currency_field


class BalancePayout(UUIDModel):
    """So much of the balance goes back by one payment: the refund has the payout's id, and tells what became of it.

    A request that more than one payment is needed for makes a payout of each. Where the refund fails, the money
    stands on the balance again from `returned_at` on.
    """

    payment = models.ForeignKey(
        "payments.Payment", models.PROTECT, related_name="+", db_index=False, verbose_name=_("платёж")
    )
    customer = models.ForeignKey(
        "accounts.Customer", models.PROTECT, related_name="balance_payouts", verbose_name=_("клиент")
    )
    amount = amount_field(_("сумма"))
    currency = currency_field()
    reason = models.CharField(_("причина"), max_length=200)
    actor = models.CharField(_("кто вернул"), max_length=150, blank=True)
    created_at = models.DateTimeField(_("создана"))
    returned_at = models.DateTimeField(_("вернулась на баланс"), null=True, blank=True)
    # What it answers to: the same request again finds the first payouts.
    key = models.CharField(_("ключ"), max_length=100)

    class Meta:
        app_label = "billing"
        verbose_name, verbose_name_plural = _("выплата с баланса"), _("выплаты с баланса")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint("key", "payment", name="billing_payout_once"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="billing_payout_amount"),
        ]

    def __str__(self) -> str:
        return str(self.money)

    @property
    def money(self) -> Money:
        """The sum with its currency."""
        return Money(self.amount, self.currency)
