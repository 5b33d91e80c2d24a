"""Console: what gateways pay out, and how each settles with us."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminSingleDateWidget

from apps import journal
from apps.connectors.base import Kind
from apps.connectors.models import Connection
from apps.core import console, links
from apps.core.errors import Refused
from apps.core.money import Money
from apps.payments import registers
from apps.payments.registers import BadRegister
from apps.settlements import gateway_terms, payout_days, payouts, uploading
from apps.settlements.admin import OPERATOR, BankLineAdmin, FinancePages
from apps.settlements.models import BankLine, GatewayDay, GatewayPayout, GatewayTerms


class PayoutForm(forms.Form):
    """Whose transfer a line is, and for which days."""

    connection = forms.TypedChoiceField(label=_("Шлюз"), coerce=int, widget=UnfoldAdminSelectWidget)
    first = forms.DateField(label=_("За дни с"), widget=UnfoldAdminSingleDateWidget)
    last = forms.DateField(label=_("по"), widget=UnfoldAdminSingleDateWidget)

    def __init__(self, *args: Any, line: BankLine, **options: Any) -> None:
        super().__init__(*args, **options)
        gateways = Connection.objects.filter(
            kind=Kind.PAYMENT, partner=None, legal_entity=line.statement.legal_entity_id
        )
        choices = [(one.pk, str(one)) for one in gateways.order_by("is_test", "name")]
        self.fields["connection"].choices = choices  # type: ignore[attr-defined]


@action(description=_("Это выплата шлюза"), url_path="payout", permissions=["finance"])
def assign_payout(self: BankLineAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """A person says which days a transfer pays out."""
    row = self._row(object_id)
    known = GatewayPayout.objects.filter(line=row, undone_at=None).first()
    named = payout_days.days_named(row.purpose, row.booked_date)
    initial = {
        "connection": known.connection_id if known else None,
        "first": named.first if named else row.booked_date,
        "last": named.last if named else row.booked_date,
    }
    form = PayoutForm(request.POST or None, line=row, initial=initial)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            made = payouts.assign(
                row.pk,
                connection_id=given["connection"],
                first=given["first"],
                last=given["last"],
                actor=request.user.get_username(),
            )
        except Refused as refused:
            form.add_error(None, str(refused.message))
        else:
            messages.success(request, _("Выплата отнесена на дни"))
            return redirect("admin:settlements_gatewaypayout_change", made.pk)
    notes = [f"{row}: {row.counterparty.get('name', '')}", row.purpose]
    return console.form_page(self, request, form, _("Выплата шлюза"), notes=notes, press=_("Отнести"))


# Its page is in a module that knows nothing of payouts.
BankLineAdmin.assign_payout = assign_payout


class DayInline(console.Belongings):
    """The days that a payout is for."""

    model = GatewayDay
    view_roles = ("finance",)
    ordering = ("day",)
    tab = False
    fields = ("day", "shown_payments", "shown_refunds", "shown_fees", "shown_net", "state")
    verbose_name_plural = _("Дни")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields

    @display(description=_("оплат"))
    def shown_payments(self, row: GatewayDay) -> str:
        return str(Money(row.payments, row.currency))

    @display(description=_("возвратов"))
    def shown_refunds(self, row: GatewayDay) -> str:
        return str(Money(row.refunds, row.currency))

    @display(description=_("комиссия"))
    def shown_fees(self, row: GatewayDay) -> str:
        return str(Money(row.fees, row.currency))

    @display(description=_("к выплате"))
    def shown_net(self, row: GatewayDay) -> str:
        return str(row.net)


@console.register(GatewayPayout, sites=OPERATOR)
class GatewayPayoutAdmin(FinancePages):
    """Transfers of gateways; those without days wait for a person."""

    list_display = ("booked", "connection", "shown_amount", "shown_expected", "shown_difference", "state")
    list_display_links = ("booked",)
    list_filter = ("connection", ("line__booked_date", RangeDateFilter))
    list_filter_submit = True
    list_select_related = ("connection", "line")
    inlines = (DayInline,)
    actions_detail = ("days", "undo")
    fields = (
        ("connection", "became"),
        "bank_line",
        "purpose",
        ("shown_amount", "shown_expected", "shown_difference"),
        ("actor", "made_at"),
        ("undone_by", "undone_at"),
    )
    readonly_fields = (
        "became",
        "bank_line",
        "purpose",
        "shown_amount",
        "shown_expected",
        "shown_difference",
    )
    empty_hint = _(
        "Выплаты опознаются в выписках банка по ИНН плательщика: он указан в «Условиях расчётов со шлюзами»."
    )

    @display(description=_("дата"), ordering="line__booked_date")
    def booked(self, row: GatewayPayout) -> str:
        return f"{row.line.booked_date:%d.%m.%Y}"

    @display(description=_("пришло"), ordering="amount")
    def shown_amount(self, row: GatewayPayout) -> str:
        return str(Money(row.amount, row.currency))

    @display(description=_("ожидалось"), ordering="expected")
    def shown_expected(self, row: GatewayPayout) -> str:
        return str(Money(row.expected, row.currency)) if row.expected else "—"

    @display(description=_("разница"))
    def shown_difference(self, row: GatewayPayout) -> str:
        return str(row.difference) if row.expected and row.difference.amount else "—"

    @display(
        description=_("состояние"),
        label={"fine": "success", "differs": "danger", "waits": "warning", "undone": "info"},
    )
    def state(self, row: GatewayPayout) -> tuple[str, Any]:
        if row.undone_at is not None:
            return "undone", _("Снята")
        if not row.expected:
            return "waits", _("Не ясно, за какие дни")
        if row.difference.amount:
            return "differs", _("Другая сумма")
        return "fine", _("Сошлась")

    @display(description=_("состояние"))
    def became(self, row: GatewayPayout) -> Any:
        return self.state(row)[1]

    @display(description=_("строка выписки"))
    def bank_line(self, row: GatewayPayout) -> SafeString | str:
        return links.linked(row.line, links.to("settlements.BankLine", row.line_id))

    @display(description=_("назначение платежа"))
    def purpose(self, row: GatewayPayout) -> str:
        return row.line.purpose

    @action(description=_("Изменить дни"), url_path="days", permissions=["finance"])
    def days(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(GatewayPayout, pk=object_id)
        return redirect("admin:settlements_bankline_assign_payout", row.line_id)

    @action(description=_("Снять выплату"), url_path="undo", permissions=["finance"])
    def undo(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(GatewayPayout, pk=object_id)
        if request.method != "POST":
            notes = [_("Строка выписки вернётся в очередь, проводки выплаты будут сторнированы.")]
            title = _("Снять выплату")
            return console.form_page(self, request, forms.Form(), title, notes=notes, press=title)
        try:
            line = payouts.undo(row.pk, actor=request.user.get_username())
        except Refused as refused:
            messages.error(request, str(refused.message))
            return redirect("admin:settlements_gatewaypayout_change", object_id)
        messages.success(request, _("Выплата снята"))
        return redirect("admin:settlements_bankline_change", line.pk)


class TermsForm(forms.ModelForm):
    """Checks what of the terms is read by code."""

    def clean_columns(self) -> str:
        text: str = self.cleaned_data["columns"]
        try:
            registers.columns_of(text)
        except BadRegister as error:
            raise forms.ValidationError(str(error)) from error
        return text

    def clean_payer_inn(self) -> str:
        inn: str = self.cleaned_data["payer_inn"]
        if inn and not (inn.isascii() and inn.isdigit() and len(inn) in (10, 12)):
            raise forms.ValidationError(_("ИНН — 10 или 12 цифр"))
        return inn


@console.register(GatewayTerms, sites=OPERATOR)
class GatewayTermsAdmin(FinancePages):
    """How each gateway settles: set once, when it is connected."""

    form = TermsForm
    change_roles = ("finance",)
    list_display = ("connection", "payer_inn", "payout_within_days", "file_within_days")
    list_display_links = ("connection",)
    list_select_related = ("connection",)
    readonly_fields = ("connection",)
    fields = (
        "connection",
        ("payer_inn", "payer_account"),
        "purpose_words",
        ("payout_within_days", "file_within_days"),
        "columns",
    )
    empty_hint = _("Условия появляются сами, когда день шлюза сверен впервые.")

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return bool(request.rights.may("finance"))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [(None, {"fields": self.fields})]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        # Each gateway has terms, also one that nobody has checked yet.
        for connection in Connection.objects.filter(kind=Kind.PAYMENT, settlement_terms=None):
            gateway_terms.terms_of(connection)
        return super().changelist_view(request, extra_context)

    def save_model(self, request: HttpRequest, obj: GatewayTerms, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        data = {"changed": sorted(form.changed_data)}
        actor = request.user.get_username()
        journal.record("gateway-terms.changed", uploading.KIND, obj.pk, actor=actor, data=data)
