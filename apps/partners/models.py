"""Partners and what belongs to them in the public schema."""

from datetime import date
from decimal import Decimal

from django.conf import settings
from django.contrib.auth.models import User
from django.core.validators import RegexValidator
from django.db import models
from django.utils.formats import localize
from django.utils.translation import gettext_lazy as _
from django_tenants.models import DomainMixin, TenantMixin

from apps.core.money import Money, amount_field


class LegalEntity(models.Model):
    """Who issues documents and owns connections: the operator's or a partner's company."""

    name = models.CharField(_("название"), max_length=200)
    inn = models.CharField(_("ИНН"), max_length=12, validators=[RegexValidator(r"^(\d{10}|\d{12})$")])
    kpp = models.CharField(_("КПП"), max_length=9, blank=True, validators=[RegexValidator(r"^\d{9}$")])
    address = models.CharField(_("адрес"), max_length=300, blank=True)
    is_operator = models.BooleanField(_("платформа"), default=False)
    time_zone = models.CharField(_("часовой пояс"), max_length=40, default="Europe/Moscow")
    # For invoices that are paid by bank transfer.
    bank = models.CharField(_("банк"), max_length=200, blank=True)
    bik = models.CharField(_("БИК"), max_length=9, blank=True, validators=[RegexValidator(r"^0\d{8}$")])
    account = models.CharField(
        _("расчётный счёт"), max_length=20, blank=True, validators=[RegexValidator(r"^\d{20}$")]
    )
    bank_account = models.CharField(
        _("корреспондентский счёт"), max_length=20, blank=True, validators=[RegexValidator(r"^\d{20}$")]
    )
    signer = models.CharField(_("кто подписывает документы"), max_length=120, blank=True)
    # Nothing is posted to this day or an earlier one any more: see `books`.
    closed_until = models.DateField(_("период закрыт по"), null=True, blank=True, editable=False)
    closed_at = models.DateTimeField(_("когда закрыт"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name, verbose_name_plural = _("юридическое лицо"), _("юридические лица")

    def __str__(self) -> str:
        return self.name


class Partner(TenantMixin):
    """A company that sells through us, with a schema of its own."""

    class Status(models.TextChoices):
        SETUP = "setup", _("Настройка")
        TESTING = "testing", _("Тестирование")
        LIVE = "live", _("Работает")
        STOPPED = "stopped", _("Продажи остановлены")
        CLOSED = "closed", _("Отключён")

    slug = models.SlugField(
        _("поддомен"),
        max_length=40,
        unique=True,
        validators=[RegexValidator(r"^[a-z][a-z0-9-]{1,38}[a-z0-9]$", _("Латинские буквы, цифры и дефис"))],
    )
    name = models.CharField(_("название"), max_length=120)
    status = models.CharField(_("состояние"), max_length=10, choices=Status, default=Status.LIVE)
    legal_entity = models.ForeignKey(
        LegalEntity, models.PROTECT, related_name="+", verbose_name=_("юридическое лицо")
    )
    time_zone = models.CharField(_("часовой пояс"), max_length=40, default="Europe/Moscow")
    is_sandbox = models.BooleanField(_("песочница"), default=False)
    clock_at = models.DateTimeField(_("часы песочницы"), null=True, blank=True)
    # The customer in its schema that pays for all who buy what the partner pays for.
    payer_id = models.UUIDField(_("кто платит за клиентов"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("создан"))

    auto_create_schema = False
    auto_drop_schema = False

    class Meta:
        verbose_name, verbose_name_plural = _("партнёр"), _("партнёры")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def host(self) -> str:
        """The partner's subdomain, without a port."""
        return f"{self.slug}.{settings.PUBLIC_HOST}"

    def url(self, path: str = "/") -> str:
        """An absolute address on the partner's host."""
        port = f":{settings.PUBLIC_PORT}" if settings.PUBLIC_PORT else ""
        return f"{settings.PUBLIC_SCHEME}://{self.host}{port}{path}"

    def terms_on(self, day: date) -> "ContractTerms | None":
        """The contract terms in force on a day."""
        return self.terms.filter(valid_from__lte=day).order_by("-valid_from").first()


class Domain(DomainMixin):
    """A host name that leads to a partner."""

    class Meta:
        verbose_name, verbose_name_plural = _("домен"), _("домены")


class ShareBase(models.TextChoices):
    """What a percentage is of."""

    GROSS = "gross", _("от оборота с НДС")
    NET = "net", _("от оборота без НДС")
    FEE = "fee", _("от оборота без НДС и комиссии шлюза")


class EarnedOn(models.TextChoices):
    """When what was agreed is owed."""

    PAYMENT = "payment", _("когда клиент оплатил")
    SERVICE = "service", _("когда услуга оказана: в конце оплаченного периода")


class Counts(models.TextChoices):
    """What a partner that pays for its clients is billed for."""

    ACTIVE = "active", _("по действующим: за каждый начатый период")
    ACTIVATED = "activated", _("по подключённым: один раз, за первый период")


def words(percent: Decimal, base: str, fixed: Decimal, earned_on: str) -> str:
    """Terms in one line: «20 % от оборота без НДС и 10 ₽ за период, когда клиент оплатил»."""
    parts = [f"{localize(percent.normalize())} % {base}"] if percent else []
    if fixed:
        parts.append(str(_("{sum} за период")).format(sum=Money(fixed)))
    return f"{str(_(' и ')).join(parts)}, {earned_on}" if parts else "—"


class ContractTerms(models.Model):
    """What a partner is paid from a day on: a version of the contract, never changed once in force."""

    Base, EarnedOn, Counts = ShareBase, EarnedOn, Counts

    partner = models.ForeignKey(Partner, models.PROTECT, related_name="terms", verbose_name=_("партнёр"))
    number = models.CharField(_("номер договора"), max_length=60)
    valid_from = models.DateField(_("действует с"))
    share_percent = models.DecimalField(
        _("вознаграждение, %"), max_digits=5, decimal_places=2, default=Decimal(0)
    )
    share_base = models.CharField(_("база"), max_length=5, choices=ShareBase, default=ShareBase.NET)
    share_fixed = amount_field(
        _("и твёрдая сумма"),
        default=Decimal("0.00"),
        help_text=_("За оплаченный период одной штуки; за неполный — пропорционально"),
    )
    earned_on = models.CharField(_("начисляется"), max_length=10, choices=EarnedOn, default=EarnedOn.PAYMENT)
    clawback = models.BooleanField(
        _("удерживается при возврате"),
        default=True,
        help_text=_("Вернули клиенту часть денег — вознаграждение уменьшается на ту же долю"),
    )
    clawback_days = models.PositiveSmallIntegerField(
        _("удерживается, дней после оплаты"),
        null=True,
        blank=True,
        help_text=_(
            "Если клиенту вернули деньги позже, вознаграждение остаётся партнёру, убыток несёт платформа. "
            "Пусто — срока нет"
        ),
    )
    counts = models.CharField(
        _("за что платит партнёр, если платит за клиентов"),
        max_length=9,
        choices=Counts,
        default=Counts.ACTIVE,
    )

    class Meta:
        verbose_name, verbose_name_plural = _("условия договора"), _("договоры и условия")
        constraints = [
            models.UniqueConstraint(fields=["partner", "valid_from"], name="partners_terms_once_a_day"),
            models.CheckConstraint(
                condition=models.Q(share_percent__range=(0, 100), share_fixed__gte=0),
                name="partners_terms_share_percent",
                violation_error_message=_("Процент: от 0 до 100, сумма: не меньше нуля"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number} ({self.valid_from:%d.%m.%Y})"


class StaffRole(models.Model):
    """What a member of staff may do, for one partner or (without one) for the platform."""

    class Role(models.TextChoices):
        ADMIN = "admin", _("Администратор")
        MANAGER = "manager", _("Менеджер")
        SUPPORT = "support", _("Поддержка")
        FINANCE = "finance", _("Финансы")

    user = models.ForeignKey(User, models.CASCADE, related_name="roles", verbose_name=_("сотрудник"))
    partner = models.ForeignKey(
        Partner, models.PROTECT, null=True, blank=True, related_name="roles", verbose_name=_("партнёр")
    )
    role = models.CharField(_("роль"), max_length=10, choices=Role)

    class Meta:
        verbose_name, verbose_name_plural = _("роль сотрудника"), _("сотрудники и роли")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "partner", "role"], name="partners_role_once", nulls_distinct=False
            )
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.get_role_display()}"


class Shift(models.Model):
    """Somebody of a partner's staff, or (without one) of the platform's, is on duty since then (wall clock)."""

    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    partner = models.ForeignKey(Partner, models.PROTECT, null=True, related_name="+")
    since = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "partner"], name="partners_shift_once", nulls_distinct=False
            )
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.since:%d.%m.%Y %H:%M}"


class MigrationScript(models.Model):
    """The SQL of one migration of partner apps, recorded on the template and replayed in each partner."""

    app = models.CharField(max_length=60)
    name = models.CharField(max_length=150)
    position = models.PositiveIntegerField(unique=True)
    sql = models.TextField()
    # RunPython and CONCURRENTLY cannot be replayed: Django runs these in each partner.
    runs_per_partner = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "name"], name="partners_script_once")]
