"""What is arranged about a subscription beside its terms: changes that wait for money, seats, trials that were had."""

from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.core.fields import EncryptedField, PublicReference
from apps.core.models import UUIDModel
from apps.core.money import amount_field


class ChangeState(models.TextChoices):
    WAITING = "waiting", _("Ждёт оплаты")
    APPLIED = "applied", _("Применена")
    DROPPED = "dropped", _("Не состоялась")


class SubscriptionChange(UUIDModel):
    """Terms that cost money now: they hold when its invoice is paid, and not at all otherwise.

    The invoice is a draft until then: nothing that was issued has to be taken back where the money does not come.
    """

    State = ChangeState

    subscription = models.ForeignKey(
        "billing.Subscription",
        models.PROTECT,
        related_name="changes",
        db_index=False,
        verbose_name=_("подписка"),
    )
    invoice = models.OneToOneField(
        "billing.Invoice", models.PROTECT, related_name="change", verbose_name=_("счёт")
    )
    offer = PublicReference("catalog.Offer", verbose_name=_("предложение"))
    tariff_version = PublicReference("catalog.TariffVersion", verbose_name=_("редакция тарифа"))
    quantity = models.PositiveSmallIntegerField(_("количество"), default=1)
    start_date = models.DateField(_("с"))
    credit = amount_field(_("зачтётся за неиспользованные дни"), default=Decimal("0.00"))
    state = models.CharField(
        _("состояние"), max_length=10, choices=ChangeState.choices, default=ChangeState.WAITING
    )
    reason = models.CharField(_("почему"), max_length=200, blank=True)
    actor = models.CharField(_("кто"), max_length=150, blank=True)
    created_at = models.DateTimeField(_("создана"))
    closed_at = models.DateTimeField(_("завершена"), null=True, blank=True)

    class Meta:
        app_label = "billing"
        verbose_name, verbose_name_plural = _("смена условий"), _("смены условий")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                "subscription", condition=Q(state=ChangeState.WAITING), name="billing_one_change_at_a_time"
            )
        ]

    def __str__(self) -> str:
        return f"{self.subscription}: {self.get_state_display()}"


class Seat(UUIDModel):
    """One place of a subscription in somebody's hands; released, it stays as history and the place is free."""

    subscription = models.ForeignKey(
        "billing.Subscription",
        models.PROTECT,
        related_name="seats",
        db_index=False,
        verbose_name=_("подписка"),
    )
    position = models.PositiveSmallIntegerField(_("место"))
    name = EncryptedField(_("имя"), blank=True)
    email = EncryptedField(_("e-mail"), blank=True)
    phone = EncryptedField(_("телефон"), blank=True)
    assigned_at = models.DateTimeField(_("назначено"))
    released_at = models.DateTimeField(_("освобождено"), null=True, blank=True)
    actor = models.CharField(_("кто"), max_length=150, blank=True)

    class Meta:
        app_label = "billing"
        verbose_name, verbose_name_plural = _("место"), _("места")
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(
                "subscription", "position", condition=Q(released_at=None), name="billing_seat_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.position}: {self.name or self.email or self.phone}"


class TrialUse(UUIDModel):
    """A trial that was had: the HMAC of a phone, e-mail or card that had it, once for each product."""

    product_id = models.BigIntegerField()
    digest = models.CharField(max_length=64)
    subscription = models.ForeignKey("billing.Subscription", models.PROTECT, related_name="+", db_index=False)
    created_at = models.DateTimeField()

    class Meta:
        app_label = "billing"
        verbose_name, verbose_name_plural = _("использованный пробный период"), _("использованные пробные")
        constraints = [
            models.UniqueConstraint("product_id", "digest", name="billing_trial_once"),
        ]
