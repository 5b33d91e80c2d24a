"""Documents beside invoices and credit notes, and money that came past our gateway: by bank, or by a partner."""

from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.core.fields import PublicReference
from apps.core.models import UUIDModel
from apps.core.money import Money, amount_field, currency_field


class DocumentKind(models.TextChoices):
    ACT = "act", _("Акт")
    RECEIPT = "receipt", _("Квитанция об оплате")
    REFUND = "refund_receipt", _("Квитанция о возврате")


class Document(UUIDModel):
    """An act or a receipt, as it was issued: lines and parties are frozen, the database changes nothing of it."""

    Kind = DocumentKind

    kind = models.CharField(_("документ"), max_length=14, choices=DocumentKind.choices)
    number = models.CharField(_("номер"), max_length=40)
    customer = models.ForeignKey(
        "accounts.Customer", models.PROTECT, related_name="documents", verbose_name=_("клиент")
    )
    legal_entity = PublicReference("partners.LegalEntity", verbose_name=_("продавец"))
    invoice = models.ForeignKey(
        "billing.Invoice", models.PROTECT, related_name="documents", verbose_name=_("счёт")
    )
    business_date = models.DateField(_("дата"))
    period_start = models.DateField(_("с"), null=True, blank=True)
    period_end = models.DateField(_("до"), null=True, blank=True)
    total = amount_field(_("сумма"))
    vat = amount_field(_("в том числе НДС"), default=Decimal("0.00"))
    currency = currency_field()
    # [{line, description, quantity, period_start, period_end, amount, vat_rate, vat}]
    lines = models.JSONField(_("строки"))
    parties = models.JSONField(_("стороны"), null=True, blank=True)
    details = models.CharField(_("чем оплачено"), max_length=200, blank=True)
    issued_at = models.DateTimeField(_("выставлен"))
    # What it answers to: the same again finds the first one.
    key = models.CharField(_("ключ"), max_length=100)

    class Meta:
        app_label = "billing"
        verbose_name, verbose_name_plural = _("документ"), _("акты и квитанции")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["number"], name="billing_document_number"),
            models.UniqueConstraint(fields=["key"], name="billing_document_once"),
            models.CheckConstraint(condition=Q(total__gte=0, vat__gte=0), name="billing_document_amounts"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def money(self) -> Money:
        """The whole sum, VAT included."""
        return Money(self.total, self.currency)


class MoneySource(models.TextChoices):
    BANK = "bank", _("банковский перевод")
    PARTNER_REPORT = "partner_report", _("отчёт партнёра")
    PARTNER_CHARGE = "partner_charge", _("списание партнёром")


class OutsidePayment(UUIDModel):
    """Money for an invoice that came past our gateway: `amount` pays the invoice, `to_balance` is kept for later."""

    Source = MoneySource

    invoice = models.ForeignKey(
        "billing.Invoice", models.PROTECT, related_name="outside_payments", verbose_name=_("счёт")
    )
    customer = models.ForeignKey(
        "accounts.Customer", models.PROTECT, related_name="+", db_index=False, verbose_name=_("клиент")
    )
    legal_entity = PublicReference("partners.LegalEntity", verbose_name=_("продавец"))
    source = models.CharField(_("откуда"), max_length=14, choices=MoneySource.choices)
    reference = models.CharField(_("номер платёжного поручения"), max_length=60)
    paid_date = models.DateField(_("дата платежа"))
    business_date = models.DateField(_("дата проводки"))
    amount = amount_field(_("в оплату счёта"))
    to_balance = amount_field(_("на баланс"), default=Decimal("0.00"))
    currency = currency_field()
    actor = models.CharField(_("кто внёс"), max_length=150, blank=True)
    entered_at = models.DateTimeField(_("внесена"))
    key = models.CharField(_("ключ"), max_length=100)

    class Meta:
        app_label = "billing"
        verbose_name, verbose_name_plural = _("поступление"), _("поступления")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["key"], name="billing_outside_once"),
            models.CheckConstraint(
                condition=Q(amount__gte=0, to_balance__gte=0) & ~Q(amount=0, to_balance=0),
                name="billing_outside_amounts",
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def total(self) -> Money:
        """All that came."""
        return Money(self.amount + self.to_balance, self.currency)


class RequestState(models.TextChoices):
    WAITING = "waiting", _("Ждём партнёра")
    CHARGED = "charged", _("Списано")
    REFUSED = "refused", _("Отказано")
    CALLED_OFF = "called_off", _("Отозван")


class ChargeRequest(UUIDModel):
    """We ask the partner to charge its client for an invoice; it answers once: its service, or by our API."""

    State = RequestState

    invoice = models.ForeignKey(
        "billing.Invoice", models.PROTECT, related_name="charge_requests", verbose_name=_("счёт")
    )
    amount = amount_field(_("сумма"))
    currency = currency_field()
    state = models.CharField(
        _("состояние"), max_length=10, choices=RequestState.choices, default=RequestState.WAITING
    )
    reference = models.CharField(_("номер списания у партнёра"), max_length=60, blank=True)
    reason = models.CharField(_("почему отказано"), max_length=60, blank=True)
    # Where it goes to the partner's own service; else the partner asks for it.
    connection = PublicReference(
        "connectors.Connection", null=True, blank=True, verbose_name=_("сервис партнёра")
    )
    reference_number = PublicReference(
        "connectors.GatewayReference", null=True, blank=True, verbose_name=_("номер для сервиса")
    )
    asked_at = models.DateTimeField(_("отправлен"), null=True, blank=True)
    created_at = models.DateTimeField(_("создан"))
    answered_at = models.DateTimeField(_("ответ"), null=True, blank=True)

    class Meta:
        app_label = "billing"
        verbose_name, verbose_name_plural = _("запрос на списание"), _("запросы на списание")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                "invoice",
                condition=Q(state__in=[RequestState.WAITING, RequestState.CHARGED]),
                name="billing_request_once",
            ),
            models.CheckConstraint(
                condition=Q(state=RequestState.WAITING) ^ Q(answered_at__isnull=False),
                name="billing_request_answered",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.invoice}: {self.get_state_display()}"


class CollectionReport(UUIDModel):
    """What a partner says it has collected from its clients, row by row, matched with the invoices."""

    name = models.CharField(_("отчёт"), max_length=100)
    source = models.CharField(_("откуда"), max_length=10)
    key = models.CharField(_("ключ"), max_length=100)
    actor = models.CharField(_("кто загрузил"), max_length=150, blank=True)
    created_at = models.DateTimeField(_("загружен"))

    class Meta:
        app_label = "billing"
        verbose_name, verbose_name_plural = _("отчёт партнёра о сборах"), _("отчёты партнёра о сборах")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["key"], name="billing_report_once")]

    def __str__(self) -> str:
        return self.name


class RowState(models.TextChoices):
    MATCHED = "matched", _("Сошлось")
    DIFFERENT = "different", _("Другая сумма")
    UNKNOWN = "unknown", _("Такого счёта нет")
    REPEATED = "repeated", _("Уже оплачен")
    BAD = "bad", _("Не разобрана")


class CollectionRow(UUIDModel):
    """One row of a partner's report, and what it was matched with."""

    State = RowState

    report = models.ForeignKey(CollectionReport, models.PROTECT, related_name="rows", verbose_name=_("отчёт"))
    position = models.PositiveIntegerField(_("строка"))
    number = models.CharField(_("номер счёта"), max_length=60)
    amount = amount_field(_("собрано"), null=True, blank=True)
    paid_date = models.DateField(_("дата"), null=True, blank=True)
    invoice = models.ForeignKey(
        "billing.Invoice",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("счёт"),
    )
    expected = amount_field(_("по счёту"), null=True, blank=True)
    state = models.CharField(_("сверка"), max_length=10, choices=RowState.choices)

    class Meta:
        app_label = "billing"
        verbose_name, verbose_name_plural = _("строка отчёта"), _("строки отчёта")
        ordering = ["position"]
