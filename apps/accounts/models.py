"""Customers of one partner, their sign-in codes and sessions."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.core.models import UUIDModel


class Language(models.TextChoices):
    RUSSIAN = "ru", _("русский")
    ENGLISH = "en", _("английский")


class Customer(UUIDModel):
    """Who buys: known by a phone, an e-mail or the partner's own id; each belongs to one customer at most."""

    phone = models.CharField(_("телефон"), max_length=16, blank=True)
    # When it was last shown that the phone is theirs. Numbers are given to others: one that nobody has proven
    # for long opens nothing of theirs (`recycled`).
    phone_proved_at = models.DateTimeField(_("телефон подтверждён"), null=True, blank=True)
    # Somebody else's by now: kept so that staff find whose it was, and used for nothing.
    former_phone = models.CharField(
        _("прежний телефон"), max_length=16, blank=True, db_default="", default=""
    )
    email = models.EmailField(_("почта"), blank=True)
    external_id = models.CharField(_("номер у партнёра"), max_length=100, blank=True)
    name = models.CharField(_("имя"), max_length=200, blank=True)
    language = models.CharField(_("язык"), max_length=2, choices=Language.choices, default=Language.RUSSIAN)
    # A company gets its documents anyway, at its `documents_email`.
    wants_documents = models.BooleanField(_("присылать документы на почту"), default=False, db_default=False)
    created_at = models.DateTimeField(_("с нами с"))
    erased_at = models.DateTimeField(_("данные стёрты"), null=True, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("клиент"), _("клиенты")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint("phone", condition=~Q(phone=""), name="accounts_customer_phone"),
            models.UniqueConstraint("email", condition=~Q(email=""), name="accounts_customer_email"),
            models.UniqueConstraint(
                "external_id", condition=~Q(external_id=""), name="accounts_customer_external"
            ),
            models.CheckConstraint(
                condition=~Q(phone="", email="", external_id="", former_phone="")
                | Q(erased_at__isnull=False),
                name="accounts_customer_known",
            ),
        ]

    def __str__(self) -> str:
        if self.erased_at:
            return str(_("Данные стёрты"))
        return self.name or self.phone or self.email or self.external_id

    @property
    def is_company(self) -> bool:
        """Whether it pays by invoice and gets closing documents: its requisites are known."""
        return Company.objects.filter(customer=self).exists()


class ActSchedule(models.TextChoices):
    PERIOD = "period", _("в конце каждого периода")
    MONTH = "month", _("в конце каждого месяца")


class Company(models.Model):
    """A customer that is a company or an entrepreneur: what its documents say, and by what terms it pays."""

    customer = models.OneToOneField(
        Customer, models.PROTECT, primary_key=True, related_name="company", verbose_name=_("клиент")
    )
    name = models.CharField(_("юридическое название"), max_length=200)
    inn = models.CharField(_("ИНН"), max_length=12)
    kpp = models.CharField(_("КПП"), max_length=9, blank=True)
    address = models.CharField(_("юридический адрес"), max_length=300)
    documents_email = models.EmailField(_("почта для документов"))
    pay_days = models.PositiveSmallIntegerField(_("срок оплаты счёта, дней"), default=10)
    days_ahead = models.PositiveSmallIntegerField(_("счёт за сколько дней до периода"), default=14)
    acts = models.CharField(_("акты"), max_length=6, choices=ActSchedule.choices, default=ActSchedule.PERIOD)

    class Meta:
        verbose_name, verbose_name_plural = _("организация"), _("организации")

    def __str__(self) -> str:
        return self.name


class SignInCode(UUIDModel):
    """A one-time code for a contact. Made for strangers too, so that nobody learns who is a customer."""

    contact_digest = models.CharField(max_length=64)
    code_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    used_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name, verbose_name_plural = _("код для входа"), _("коды для входа")
        indexes = [models.Index("contact_digest", "created_at", name="accounts_code_contact")]


class CustomerSession(UUIDModel):
    """A signed-in browser: its cookie holds the token, the row only the token's hash."""

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="sessions")
    token_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        verbose_name, verbose_name_plural = _("вход клиента"), _("входы клиентов")
        # Not unique=True: that would make a second index of each text, for LIKE.
        constraints = [models.UniqueConstraint("token_hash", name="accounts_session_token")]
