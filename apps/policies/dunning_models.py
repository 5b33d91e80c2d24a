"""Policies of dunning and of charges in rows: versions that are never changed, and who goes by which."""

from decimal import Decimal
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.core.money import amount_field, currency_field
from apps.policies import dunning


class DunningPolicy(models.Model):
    """What is done after a charge has failed. What it says is in its versions; a running dunning keeps its own."""

    name = models.CharField(_("название"), max_length=100, unique=True)
    is_default = models.BooleanField(_("для всех, у кого не выбрана другая"), default=False)
    current = models.ForeignKey(
        "policies.DunningVersion",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("действующая редакция"),
    )

    class Meta:
        app_label = "policies"
        verbose_name, verbose_name_plural = _("политика неоплаты"), _("правила повторных списаний")
        ordering = ["-is_default", "name"]
        constraints = [
            models.UniqueConstraint(
                "is_default", condition=Q(is_default=True), name="policies_dunning_one_default"
            )
        ]

    def __str__(self) -> str:
        return self.name


class DunningVersion(models.Model):
    """One edition of a policy. The database refuses to change it: dunnings run by it."""

    policy = models.ForeignKey(
        DunningPolicy, models.PROTECT, related_name="versions", verbose_name=_("политика")
    )
    number = models.PositiveIntegerField(_("редакция"))
    timelines = models.JSONField(_("шаги"))
    actor = models.CharField(_("кто"), max_length=150, blank=True)
    created_at = models.DateTimeField(_("когда"))

    class Meta:
        app_label = "policies"
        verbose_name, verbose_name_plural = _("редакция политики"), _("редакции политики")
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["policy", "number"], name="policies_dunning_version")]

    def __str__(self) -> str:
        return f"{self.policy}, {_('редакция')} {self.number}"

    def steps(self, decline_class: str) -> dunning.Timeline:
        """What is done after a decline of this class."""
        return dunning.loaded(self.timelines)[decline_class]


class DunningChoice(models.Model):
    """Who goes by a policy that is not the default: a partner, a tariff, or a tariff at a partner."""

    partner = models.ForeignKey(
        "partners.Partner",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("партнёр"),
        help_text=_("Пусто: у всех партнёров"),
    )
    # The catalogue stands above: a number without a constraint.
    tariff_id = models.BigIntegerField(_("тариф"), null=True, blank=True)
    policy = models.ForeignKey(
        DunningPolicy, models.PROTECT, related_name="choices", verbose_name=_("политика")
    )

    class Meta:
        app_label = "policies"
        verbose_name, verbose_name_plural = _("выбор политики неоплаты"), _("кто по какой политике")
        ordering = ["partner", "tariff_id"]
        constraints = [
            models.UniqueConstraint(
                fields=["partner", "tariff_id"], name="policies_dunning_choice_once", nulls_distinct=False
            ),
            models.CheckConstraint(
                condition=Q(partner__isnull=False) | Q(tariff_id__isnull=False),
                name="policies_dunning_choice_of",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.partner or _('все партнёры')}: {self.policy}"


class ChargeRules(models.Model):
    """When a charge has to wait: for a notice, or for a person where its invoice is out of bounds."""

    partner = models.OneToOneField(
        "partners.Partner",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("партнёр"),
        help_text=_("Пусто: для всех, у кого нет своих правил"),
    )
    notice_days = models.PositiveSmallIntegerField(
        _("предупреждать за, дней"),
        default=3,
        # The terms of every storefront promise three days.
        validators=[MinValueValidator(3), MaxValueValidator(30)],
    )
    require_notice = models.BooleanField(
        _("нет предупреждения, нет списания"),
        default=False,
        help_text=_("Списание ждёт, пока предупреждение не будет отправлено за столько дней"),
    )
    most_invoices_a_day = models.PositiveSmallIntegerField(
        _("счетов одной подписки за день, не больше"), default=3, validators=[MinValueValidator(1)]
    )
    most_periods = models.PositiveSmallIntegerField(
        _("периодов в одном счёте, не больше"), default=3, validators=[MinValueValidator(1)]
    )
    most_times_usual = models.DecimalField(
        _("дороже обычного, раз"),
        max_digits=6,
        decimal_places=2,
        default=Decimal("3.00"),
        validators=[MinValueValidator(Decimal("1.10"))],
        help_text=_("Обычное: медиана последних шести периодов этой подписки, за день и за штуку"),
    )
    most_amount = models.DecimalField(
        _("сумма счёта, не больше"),
        max_digits=14,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal("0.01"))],
        help_text=_("Пусто: без предела"),
    )

    class Meta:
        app_label = "policies"
        verbose_name, verbose_name_plural = _("правила списаний"), _("правила списаний")
        ordering = [models.F("partner").asc(nulls_first=True)]
        constraints = [
            models.UniqueConstraint("partner", name="policies_rules_once", nulls_distinct=False),
            models.CheckConstraint(
                condition=Q(notice_days__range=(3, 30), most_times_usual__gt=1), name="policies_rules_sane"
            ),
        ]

    def __str__(self) -> str:
        return str(self.partner or _("Для всех"))

    @classmethod
    def of(cls, partner_id: int) -> "ChargeRules":
        """A partner's own, else everybody's, else the defaults."""
        rows = cls.objects.filter(Q(partner=partner_id) | Q(partner=None))
        return rows.order_by(models.F("partner").asc(nulls_last=True)).first() or cls()


class ResultState(models.TextChoices):
    """How a dunning stands or ended."""

    RUNNING = "running", _("Идёт")
    RECOVERED = "recovered", _("Оплачено")
    LOST = "lost", _("Не оплачено")
    STOPPED = "stopped", _("Прекращено")


class DunningResult(models.Model):
    """One dunning of one partner, for reports over all of them: numbers and ids, nothing of the customer."""

    State = ResultState

    id = models.UUIDField(primary_key=True)
    partner_id = models.BigIntegerField(_("партнёр"))
    version = models.ForeignKey(
        DunningVersion, models.PROTECT, related_name="results", db_index=False, verbose_name=_("редакция")
    )
    decline_class = models.CharField(_("первый отказ"), max_length=10, choices=dunning.DeclineClass.choices)
    amount = amount_field(_("сумма"))
    currency = currency_field()
    is_sandbox = models.BooleanField(default=False)
    started_date = models.DateField(_("начато"))
    state = models.CharField(_("итог"), max_length=10, choices=ResultState.choices)
    closed_date = models.DateField(_("закончено"), null=True, blank=True)

    class Meta:
        app_label = "policies"
        verbose_name, verbose_name_plural = _("итог неоплаты"), _("итоги неоплат")
        # The report «Неоплаты», of one partner or of all, by month.
        indexes = [models.Index("partner_id", "started_date", name="policies_result_when")]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} · {self.get_state_display()}"


def version_for(partner_id: int, tariff_id: int | None) -> DunningVersion:
    """The edition that a dunning begins with: of the tariff at the partner, the partner, the tariff, everybody."""
    chosen = DunningChoice.objects.filter(
        Q(partner=partner_id) | Q(partner=None), Q(tariff_id=tariff_id) | Q(tariff_id=None)
    ).select_related("policy__current__policy")
    found: list[Any] = sorted(chosen, key=lambda one: (one.partner_id is None, one.tariff_id is None))
    for one in found:
        if one.policy.current is not None:
            version: DunningVersion = one.policy.current
            return version
    policy = DunningPolicy.objects.select_related("current__policy").get(is_default=True)
    if policy.current is None:
        raise LookupError("The default policy of dunning has no edition")
    return policy.current
