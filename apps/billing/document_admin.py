"""Console: documents (credit notes, acts, receipts), and money that comes past our gateway."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from apps.accounts.models import Customer
from apps.billing import (
    collecting,
    credits,
    money_in,
    outside,
    partner_invoices,
    partner_reports,
    subscriptions,
)
from apps.billing.document_api import pdf_answer
from apps.billing.mailing_admin import MailingPages
from apps.billing.models import CreditNote, CreditNoteLine, CreditReason, Invoice
from apps.billing.outside_refund_admin import GivingBack, RefundsOfOutside
from apps.billing.paperwork import (
    ChargeRequest,
    CollectionReport,
    CollectionRow,
    Document,
    MoneySource,
    OutsidePayment,
)
from apps.core import clock, console
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.money import Money

REQUEST_COLOURS = {"waiting": "warning", "charged": "success", "refused": "danger", "called_off": "info"}
ROW_COLOURS = {
    "matched": "success",
    "different": "warning",
    "unknown": "danger",
    "repeated": "info",
    "bad": "danger",
}


class MoneyForm(forms.Form):
    """A bank transfer as the statement shows it; the hidden key makes a second press the same entry."""

    amount = forms.DecimalField(
        label=_("Сумма"), max_digits=14, decimal_places=2, widget=UnfoldAdminDecimalFieldWidget
    )
    paid_date = forms.DateField(label=_("Дата платежа"), widget=UnfoldAdminSingleDateWidget)
    reference = forms.CharField(
        label=_("Номер платёжного поручения"), max_length=60, widget=UnfoldAdminTextInputWidget
    )
    accept_part = forms.BooleanField(
        label=_("Это часть оплаты, остальное придёт позже"), required=False, widget=UnfoldBooleanSwitchWidget
    )
    keep_rest = forms.BooleanField(
        label=_("Лишнее оставить на балансе клиента"), required=False, widget=UnfoldBooleanSwitchWidget
    )
    key = forms.CharField(max_length=100, widget=forms.HiddenInput)


class CreditForm(forms.Form):
    """How much of which line, and why."""

    line = forms.ChoiceField(label=_("Строка счёта"), widget=UnfoldAdminSelectWidget)
    amount = forms.DecimalField(
        label=_("Сумма"),
        max_digits=14,
        decimal_places=2,
        min_value=Decimal("0.01"),
        widget=UnfoldAdminDecimalFieldWidget,
    )
    reason = forms.ChoiceField(
        label=_("Основание"),
        choices=[(one.value, one.label) for one in (CreditReason.CORRECTION, CreditReason.REFUND)],
        widget=UnfoldAdminSelectWidget,
    )
    to_card = forms.BooleanField(
        label=_("Вернуть тем же способом, каким оплачено (иначе — на баланс)"),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
    )
    key = forms.CharField(max_length=100, widget=forms.HiddenInput)

    def __init__(self, invoice: Invoice, data: Any = None) -> None:
        super().__init__(data, initial={"key": str(uuid7())})
        self.fields["line"].choices = [  # type: ignore[attr-defined]
            (str(line.pk), f"{line.description}, {Money(line.amount - line.credited, invoice.currency)}")
            for line in invoice.lines.all()
        ]


class MonthForm(forms.Form):
    """Any day of a month that is over."""

    month = forms.DateField(label=_("Любой день месяца"), widget=UnfoldAdminSingleDateWidget)


class BankPages:
    """What finance does with one invoice, mixed into its ModelAdmin."""

    def has_finance_permission(self, request: Any, object_id: Any = None) -> bool:
        """Who enters money and corrects documents."""
        return bool(request.rights.may("finance"))

    @action(description=_("Оплата поступила"), url_path="money-received", permissions=["finance"])
    def money_received(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(Invoice, pk=object_id)
        left = money_in.left(row)
        first = {"amount": left.amount, "paid_date": clock.today(), "key": f"console:{uuid7()}"}
        form = MoneyForm(request.POST or None, initial=first)
        if request.method == "POST" and form.is_valid():
            given = dict(form.cleaned_data)
            amount = Money(given.pop("amount"), row.currency)
            return _done(
                request,
                row,
                lambda: outside.receive(
                    invoice_id=row.pk,
                    source=MoneySource.BANK,
                    amount=amount,
                    actor=request.user.get_username(),
                    **given,
                ),
                _("Поступление внесено"),
            )
        notes = [_("Осталось оплатить: %s") % left]
        return console.form_page(self, request, form, _("Оплата поступила"), notes=notes)

    @action(description=_("Корректировка"), url_path="credit", permissions=["finance"])
    def credit(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(Invoice, pk=object_id)
        form = CreditForm(row, request.POST or None)
        if request.method == "POST" and form.is_valid():
            given, actor = form.cleaned_data, request.user.get_username()
            part = credits.Part(UUID(given["line"]), given["amount"])

            def issue() -> None:
                with transaction.atomic():
                    # Before the invoice, as everybody does who credits.
                    if row.subscription_id:
                        subscriptions.locked_with_parent(row.subscription_id)
                    credits.issue(
                        invoice=row,
                        parts=[part],
                        reason=given["reason"],
                        key=f"console:{given['key']}",
                        to_card=given["to_card"],
                        actor=actor,
                    )

            return _done(request, row, issue, _("Корректировка выставлена"))
        return console.form_page(self, request, form, _("Корректировка счёта"))

    @action(description=_("Аннулировать"), url_path="void", permissions=["finance"])
    def void(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(Invoice, pk=object_id)
        form = forms.Form(request.POST or None)
        if request.method == "POST":
            return _done(request, row, lambda: collecting.call_off(row.pk), _("Счёт аннулирован"))
        notes = [
            _("Счёт больше нельзя будет оплатить; что по нему уже пришло, останется на балансе клиента.")
        ]
        return console.form_page(self, request, form, _("Аннулировать счёт"), notes=notes)


def _done(request: HttpRequest, row: Invoice, act: Callable[[], Any], done: Any) -> HttpResponse:
    try:
        act()
    except Refused as refusal:
        messages.error(request, str(refusal.message))
    else:
        messages.success(request, done)
    return redirect(reverse("admin:billing_invoice_change", args=[row.pk]))


class NoteInline(console.ReadOnlyInline):
    model, tab = CreditNote, True
    fields = ("number", "business_date", "reason", "total", "to_debt", "to_balance", "to_refund")
    show_change_link = True


class DocumentInline(console.ReadOnlyInline):
    model, tab = Document, True
    fields = ("kind", "number", "business_date", "total")
    verbose_name_plural = _("Акты и квитанции")
    show_change_link = True


class MoneyInline(console.ReadOnlyInline):
    model, tab = OutsidePayment, True
    fields = ("source", "reference", "paid_date", "amount", "to_balance", "actor")
    show_change_link = True


class RequestInline(console.ReadOnlyInline):
    model, tab = ChargeRequest, True
    fields = ("state", "amount", "reference", "reason", "created_at", "answered_at")


INLINES = (MoneyInline, RequestInline, NoteInline, DocumentInline)
"""What hangs on an invoice beside its lines and payments."""


class PrintedAdmin(MailingPages, console.ReadOnlyAdmin):
    """An issued document, to be looked at and printed."""

    list_select_related: Any = ("customer", "invoice")
    search_fields = (
        "number",
        "invoice__number",
        "customer__name",
        "customer__email",
        "customer__company__inn",
    )
    readonly_fields = ("pdf_link", "letters")
    actions_detail = ("pdf", "send")

    @display(description=_("сумма"), ordering="total")
    def shown_total(self, row: Any) -> str:
        return str(row.money)

    @display(description="PDF")
    def pdf_link(self, row: Any) -> str:
        address = reverse(f"admin:billing_{self.opts.model_name}_pdf", args=[row.pk])
        return format_html('<a href="{}" target="_blank">PDF</a>', address)

    @action(description=_("Открыть PDF"), url_path="pdf", permissions=["view"])
    def pdf(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        return pdf_answer(get_object_or_404(self.model, pk=object_id))


class NoteLineInline(console.ReadOnlyInline):
    model = CreditNoteLine
    fields = ("invoice_line", "period_start", "period_end", "amount", "vat")


@console.register(CreditNote, sites=(console.partner_site,))
class CreditNoteAdmin(PrintedAdmin):
    """«Корректировки счетов»."""

    empty_hint = _(
        "Корректировка появляется сама при паузе, смене тарифа и возврате; вручную — кнопкой на странице счёта."
    )
    list_display = ("number", "business_date", "customer", "invoice", "reason", "shown_total", "pdf_link")
    list_filter = ("reason", "business_date")
    inlines = (NoteLineInline,)
    exclude = ("key",)


@console.register(Document, sites=(console.partner_site,))
class DocumentAdmin(PrintedAdmin):
    """«Акты и квитанции»."""

    empty_hint = _("Квитанции появляются с оплатой, акты — в конце периода у организаций.")
    list_display = ("number", "kind", "business_date", "customer", "invoice", "shown_total", "pdf_link")
    list_filter = ("kind", "business_date")
    exclude = ("key", "lines", "parties")


@console.register(OutsidePayment, sites=(console.partner_site,))
class OutsidePaymentAdmin(GivingBack, console.ReadOnlyAdmin):
    """«Поступления»: entered on the page of an invoice, or told by the partner."""

    empty_hint = _("Деньги мимо шлюза вносят на странице счёта: «Оплата поступила».")
    list_display = (
        "paid_date",
        "source",
        "reference",
        "customer",
        "invoice",
        "shown_amount",
        "to_balance",
        "actor",
    )
    list_filter = ("source", "paid_date")
    list_select_related = ("customer", "invoice")
    search_fields = ("reference", "invoice__number", "customer__name", "customer__company__inn")
    exclude = ("key",)
    actions_detail = ("give_back",)
    inlines = (RefundsOfOutside,)

    @display(description=_("сумма"), ordering="amount")
    def shown_amount(self, row: OutsidePayment) -> str:
        return str(row.total)


@console.register(ChargeRequest, sites=(console.partner_site,))
class ChargeRequestAdmin(console.ReadOnlyAdmin):
    """«Запросы на списание»: what the partner was asked to charge, and what it answered."""

    empty_hint = _("Здесь запросы партнёру на списание: нужен тариф, который списывает партнёр.")
    list_display = ("created_at", "invoice", "amount", "shown_state", "reference", "reason", "answered_at")
    list_filter = ("state", "created_at")
    list_select_related = ("invoice",)
    search_fields = ("invoice__number", "reference")

    @display(description=_("состояние"), label=REQUEST_COLOURS, ordering="state")
    def shown_state(self, row: ChargeRequest) -> tuple[str, Any]:
        return row.state, row.get_state_display()


class UploadForm(forms.ModelForm):
    """A file of the partner's."""

    file = forms.FileField(
        label=_("CSV: номер счёта; сумма; дата"),
        widget=UnfoldAdminFileFieldWidget,
        help_text=_("До 5 МБ, UTF-8"),
    )

    class Meta:
        model = CollectionReport
        fields = ("name",)
        widgets = {"name": UnfoldAdminTextInputWidget}

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        file = given.get("file")
        if file is None:
            return given
        if file.size > 5_000_000:
            raise forms.ValidationError({"file": _("Файл больше 5 МБ")})
        try:
            self.rows = partner_reports.read(file.read().decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise forms.ValidationError({"file": _("Файл не в кодировке UTF-8")}) from None
        except Refused as refusal:
            raise forms.ValidationError({"file": str(refusal.message)}) from None
        return given


class RowInline(console.ReadOnlyInline):
    model = CollectionRow
    fields = readonly_fields = ("position", "number", "amount", "expected", "paid_date", "shown_state")
    per_page = 100

    @display(description=_("сверка"), label=ROW_COLOURS)
    def shown_state(self, row: CollectionRow) -> tuple[str, Any]:
        return console.Label(row.state, row.get_state_display())


@console.register(CollectionReport, sites=(console.partner_site,))
class CollectionReportAdmin(console.ConsoleAdmin):
    """«Отчёты партнёра о сборах»: matched with the invoices as they are loaded; differences stay in sight."""

    empty_hint = _("Загрузите, что партнёр собрал с клиентов: каждая строка найдёт свой счёт.")
    change_roles = ("finance",)
    list_display = ("name", "created_at", "source", "differences", "actor")
    inlines = (RowInline,)

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return UploadForm if obj is None else super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("name", "file") if obj is None else ("name", "source", "actor", "created_at", "not_reported")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else ("not_reported",)

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return self.inlines if obj else ()

    def save_model(self, request: HttpRequest, obj: CollectionReport, form: Any, change: bool) -> None:
        made = partner_reports.load(
            form.rows,
            name=obj.name,
            source="file",
            key=f"console:{obj.pk}",
            actor=request.user.get_username(),
        )
        obj.__dict__.update(made.__dict__)

    @display(description=_("расхождений"))
    def differences(self, row: CollectionReport) -> str:
        rows = row.rows.all()
        return f"{rows.exclude(state='matched').count()} / {rows.count()}"

    @display(description=_("не названы партнёром"))
    def not_reported(self, row: CollectionReport) -> str:
        found = [(one.number, one.due_money) for one in partner_reports.missing(row)[:100]]
        return format_html_join("", "{}: {}<br>", found) or "—"


@action(description=_("Платит за клиентов партнёра"), url_path="payer", permissions=["company"])
def pays_for_clients(self: Any, request: HttpRequest, object_id: UUID) -> HttpResponse:
    """This company gets the monthly invoice for the clients that the partner pays for."""
    customer = get_object_or_404(Customer, pk=object_id)
    form = forms.Form(request.POST or None)
    if request.method == "POST":
        return _told(
            request,
            customer,
            lambda: partner_invoices.set_payer(customer, actor=request.user.get_username()),
            _("Счёт за клиентов будет выставляться первого числа каждого месяца"),
        )
    return console.form_page(self, request, form, _("Платит за клиентов партнёра"))


@action(description=_("Счёт за клиентов"), url_path="clients-bill", permissions=["company"])
def clients_bill(self: Any, request: HttpRequest, object_id: UUID) -> HttpResponse:
    """Bills a month that is over, or what is new of it."""
    customer = get_object_or_404(Customer, pk=object_id)
    last_month = clock.today().replace(day=1) - timedelta(days=1)
    form = MonthForm(request.POST or None, initial={"month": last_month})
    if request.method == "POST" and form.is_valid():

        def bill() -> Any:
            made = partner_invoices.bill(form.cleaned_data["month"], actor=request.user.get_username())
            if made.invoice is None:
                return _("За этот месяц всё уже выставлено")
            return _("Выставлен счёт %(number)s на %(total)s") % {
                "number": made.invoice.number,
                "total": made.invoice.money,
            }

        return _told(request, customer, bill, None)
    return console.form_page(self, request, form, _("Счёт за клиентов"))


def _told(request: HttpRequest, customer: Customer, act: Callable[[], Any], done: Any) -> HttpResponse:
    try:
        said = act()
    except Refused as refusal:
        messages.error(request, str(refusal.message))
    else:
        messages.success(request, done or said)
    return redirect("admin:accounts_customer_change", customer.pk)


console.act_on(Customer, pays_for_clients, clients_bill, is_rare=True)
