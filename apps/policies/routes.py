"""Which gateway takes a new payment: the operator's rules, in order; each gives connections their shares."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from apps.core.money import amount_field

if TYPE_CHECKING:
    from apps.partners.models import Partner

WHOLE = 100


class PaymentRoutes(models.QuerySet["PaymentRoute"]):
    """Rules that may concern somebody."""

    def for_partner(self, partner: "Partner") -> "PaymentRoutes":
        """Those in force that may decide about the partner's payments, in their order, with their connections."""
        found = self.filter(Q(partner=None) | Q(partner_id=partner.pk), is_active=True)
        return found.prefetch_related("shares__connection__legal_entity")


class PaymentRoute(models.Model):
    """A rule: payments that fit it go to its connections. The first one that fits decides."""

    position = models.PositiveSmallIntegerField(
        _("порядок"), default=100, help_text=_("Правила читаются по порядку: решает первое подходящее")
    )
    name = models.CharField(_("название"), max_length=100)
    is_active = models.BooleanField(_("действует"), default=True)
    partner = models.ForeignKey(
        "partners.Partner",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("партнёр"),
        help_text=_("Пусто: у всех партнёров"),
    )
    # The catalogue stands above: numbers without a constraint.
    product_id = models.BigIntegerField(_("продукт"), null=True, blank=True)
    tariff_id = models.BigIntegerField(_("тариф"), null=True, blank=True)
    # One tariff may be several offers of a partner: one for each channel.
    offer_id = models.BigIntegerField(
        _("предложение"),
        null=True,
        blank=True,
        help_text=_("Номер предложения партнёру: тариф в одном канале или во всех"),
    )
    instrument = models.CharField(_("чем платят"), max_length=20, blank=True, default="")
    currency = models.CharField(_("валюта"), max_length=3, blank=True, default="")
    amount_from = amount_field(_("сумма от"), null=True, blank=True)
    amount_to = amount_field(_("сумма до"), null=True, blank=True, help_text=_("Включительно"))

    objects = PaymentRoutes.as_manager()

    class Meta:
        app_label = "policies"
        verbose_name, verbose_name_plural = _("правило маршрута"), _("маршруты платежей")
        ordering = ["position", "pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_from=None) | Q(amount_to=None) | Q(amount_from__lte=F("amount_to")),
                name="policies_paymentroute_amounts",
                violation_error_message=_("Сумма «от» больше суммы «до»"),
            )
        ]

    def __str__(self) -> str:
        return self.name

    def why_not(
        self,
        *,
        partner_id: int,
        product_id: int | None,
        tariff_id: int | None,
        offer_id: int | None,
        instrument: str,
        amount: Decimal,
        currency: str,
    ) -> str:
        """Which of its conditions a payment does not meet; empty where it fits."""
        met = {
            _("партнёр"): self.partner_id in {None, partner_id},
            _("продукт"): self.product_id in {None, product_id},
            _("тариф"): self.tariff_id in {None, tariff_id},
            _("предложение"): self.offer_id in {None, offer_id},
            _("чем платят"): self.instrument in {"", instrument},
            _("валюта"): self.currency in {"", currency},
            _("сумма"): (self.amount_from is None or self.amount_from <= amount)
            and (self.amount_to is None or amount <= self.amount_to),
        }
        return ", ".join(str(name) for name, fits in met.items() if not fits)


class RouteShare(models.Model):
    """A connection of a rule: how much of it comes this way, and when it steps in for others."""

    route = models.ForeignKey(PaymentRoute, models.CASCADE, related_name="shares", verbose_name=_("правило"))
    connection = models.ForeignKey(
        "connectors.Connection",
        models.PROTECT,
        related_name="+",
        verbose_name=_("подключение"),
        limit_choices_to={"kind": "payment"},
    )
    percent = models.PositiveSmallIntegerField(
        _("доля, %"), default=WHOLE, help_text=_("0: только если остальные не отвечают")
    )
    position = models.PositiveSmallIntegerField(
        _("подменяет в порядке"), default=1, help_text=_("Кто берёт платёж, если выбранное не отвечает")
    )

    class Meta:
        app_label = "policies"
        verbose_name, verbose_name_plural = _("подключение правила"), _("подключения правила")
        ordering = ["position", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["route", "connection"], name="policies_routeshare_once"),
            models.CheckConstraint(condition=Q(percent__lte=WHOLE), name="policies_routeshare_percent"),
        ]

    def __str__(self) -> str:
        return f"{self.connection} · {self.percent} %"


def check_shares(given: list[tuple[Any, int]]) -> None:
    """Connections of one rule with their percents. Raises ValidationError with what staff is to mend.

    All are of one owner: a payment that moves to another gateway must not change whose money it is.
    """
    if not given:
        raise ValidationError(_("Добавьте хотя бы одно подключение"))
    if len({connection.partner_id for connection, _percent in given}) > 1:
        raise ValidationError(
            _("Подключения одного правила принадлежат одному владельцу: платформе или одному партнёру")
        )
    for is_test in (False, True):
        percents = [percent for connection, percent in given if connection.is_test == is_test]
        if percents and sum(percents) != WHOLE:
            which = _("тестовых") if is_test else _("боевых")
            raise ValidationError(
                _("Доли %(which)s подключений дают в сумме %(sum)s %%, а должно быть 100 %%")
                % {"which": which, "sum": sum(percents)}
            )
