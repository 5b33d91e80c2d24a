"""Console: payments, refunds and saved methods, to be looked at; money goes back by an action."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminSelectWidget,
)

from apps.accounts.models import Customer
from apps.connectors.models import Connection
from apps.core import console, links
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.money import Money
from apps.journal import reading
from apps.payments import payments, receipt_routes, receipts_apart, refunds, registering
from apps.payments.admin_holds import HoldActions
from apps.payments.models import Payment, PaymentMethod, Refund, RefundRoute, RefusalHow
from apps.payments.money_pages import EXCHANGE_ROLES, MoneyAdmin
from apps.payments.receipt_models import Receipt, ReceiptState, ReceiptWay
from apps.payments.refund_pages import RefundForm, told_of
from apps.policies.fiscal import ReceiptMethod, Taxation

RECEIPT_COLOURS = {
    "waiting": "info",
    "void": "info",
    "queued": "info",
    "sending": "info",
    "sent": "info",
    "unknown": "warning",
    "registered": "success",
    "failed": "danger",
    "corrected": "info",
}
INSTRUMENTS = {"bank_card": _("банковская карта"), "sbp": _("СБП")}
OPERATIONS = {"sell": _("приход"), "sell_refund": _("возврат прихода")}
METHODS = {one.value: one.label for one in ReceiptMethod}


class PaymentsOfCustomer(console.Belongings):
    model = Payment
    fields = ("created_at", "amount", "state", "purpose", "decline_reason", "description")
    verbose_name_plural = _("Платежи")


console.show_below(Customer, PaymentsOfCustomer)


class RefundsOfPayment(console.ReadOnlyInline):
    model, tab = Refund, True
    fields = ("created_at", "amount", "state", "reason", "actor", "decided_by")
    verbose_name_plural = _("Возвраты")
    show_change_link = True


class ReceiptsOfPayment(console.ReadOnlyInline):
    model, tab = Receipt, True
    fields = ("cause", "shown_total", "state", "business_date", "reason")
    readonly_fields = ("shown_total",)
    show_change_link = True

    @display(description=_("сумма"))
    def shown_total(self, row: Receipt) -> str:
        return str(row.money)


@console.register(Payment, sites=(console.partner_site,))
class PaymentAdmin(HoldActions, MoneyAdmin):
    """«Вернуть» is for those who may move money."""

    list_display = ("created_at", "customer", "shown_amount", "shown_state", "purpose", "description")
    list_filter = ("state", "purpose", "instrument", "created_at")
    list_select_related = ("customer",)
    search_fields = ("=gateway_id", "customer__phone", "customer__email", "customer__name")
    date_hierarchy = None
    actions_detail = ("capture", "release", "give_back", "ask_gateway")
    inlines = (RefundsOfPayment, ReceiptsOfPayment)
    readonly_fields = (
        "shown_state",
        "shown_amount",
        "shown_instrument",
        "shown_reference",
        "subscription",
        "conversation",
    )

    def get_fieldsets(self, request: Any, obj: Any = None) -> Any:
        """What is empty takes no line; what was said to the gateway stands on a sheet of its own."""
        seldom = ("decline_reason", "is_two_stage", "second_stage", "capture_amount")
        there = [name for name in seldom if obj is not None and getattr(obj, name, None)]
        fields = [
            ("shown_state", "shown_amount"),
            *there,
            ("customer", "method"),
            ("description", "shown_instrument"),
            ("purpose", "subscription"),
            ("connection", "fee"),
            ("gateway_id", "shown_reference"),
            ("created_at", "settled_at"),
        ]
        sets: list[tuple[Any, dict[str, Any]]] = [(None, {"fields": fields})]
        if request.rights.may(*EXCHANGE_ROLES):
            sets.append((_("Обмен со шлюзом"), {"fields": ["conversation"]}))
        return [
            (name, {**options, "fields": console.in_currency(self.model, options["fields"])})
            for name, options in sets
        ]

    @display(description=_("обмен со шлюзом"))
    def conversation(self, row: Payment) -> SafeString | str:
        return reading.about([row.pk, *row.refunds.values_list("pk", flat=True)])

    @display(description=_("чем платят"))
    def shown_instrument(self, row: Payment) -> str:
        return str(INSTRUMENTS.get(row.instrument, row.instrument)) or "—"

    @display(description=_("подписка"))
    def subscription(self, row: Payment) -> SafeString | str:
        if row.subscription_id is None:
            return "—"
        return links.linked(_("открыть"), links.to("billing.Subscription", row.subscription_id))

    @display(description=_("наш номер у шлюза"))
    def shown_reference(self, row: Payment) -> str:
        return str(row.reference_id)

    @action(description=_("Вернуть"), url_path="refund", permissions=["money"])
    def give_back(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        if not self.has_money_permission(request):
            raise PermissionDenied
        payment = get_object_or_404(Payment, pk=object_id)
        initial = {"amount": payment.refundable(), "key": uuid7(), "route": RefundRoute.GATEWAY}
        form = RefundForm(request.POST or None, initial=initial)
        if request.method == "POST" and form.is_valid() and self._refund(request, payment, form):
            return redirect("admin:payments_payment_change", object_id)
        return console.form_page(
            self, request, form, _("Вернуть деньги"), notes=_notes(payment), press=_("Вернуть")
        )

    def _refund(self, request: HttpRequest, payment: Payment, form: RefundForm) -> bool:
        given = form.cleaned_data
        try:
            made = payments.refund(
                payment=payment,
                amount=Money(given["amount"], payment.currency),
                reason=form.words(),
                reason_code=given["reason_code"],
                demanded_on=given["demanded_on"],
                route=given["route"],
                actor=request.user.get_username(),
                key=given["key"],
            )
        except Refused as refusal:
            form.add_error("amount", str(refusal.message))
            return False
        told_of(request, made)
        return True

    @action(description=_("Спросить шлюз"), url_path="ask", permissions=["view"])
    def ask_gateway(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Only reads there, and so is safe for everybody who may look."""
        payment = get_object_or_404(Payment, pk=object_id)
        if payment.is_open:
            payment = payments.settle(payment.pk)
        messages.info(request, _("Состояние платежа: %s") % payment.get_state_display())
        return redirect("admin:payments_payment_change", object_id)


def _notes(payment: Payment) -> list[Any]:
    """What has gone back of a payment, and what still can."""
    left = Money(payment.refundable(), payment.currency)
    notes: list[Any] = [f"{payment.customer} · {payment} · {payment.description}"]
    notes.append(_("Можно вернуть до %s.") % left if left.amount else _("Вернуть больше нечего."))
    if given := payment.given_back():
        notes.append(_("Уже возвращено или возвращается: %s.") % Money(given, payment.currency))
    if disputed := payment.disputed():
        notes.append(
            _("Забрал банк по чарджбэку: %s. Этих денег у нас нет.") % Money(disputed, payment.currency)
        )
    if why := refunds.told_elsewhere(payment):
        notes.append(f"{why}. {_('Отсюда их не вернуть: верните с баланса покупателя.')}")
    return notes


class RefusalForm(forms.Form):
    """How the customer asked for it: evidence that stays with the refusal."""

    how = forms.ChoiceField(
        label=_("Как клиент отказался"),
        choices=[(one.value, one.label) for one in (RefusalHow.CALL_CENTRE, RefusalHow.WRITTEN)],
        required=False,
        widget=UnfoldAdminSelectWidget,
    )


@console.register(PaymentMethod, sites=(console.partner_site,))
class PaymentMethodAdmin(MoneyAdmin):
    """«Отозвать способ» is what a customer asks support for."""

    list_display = ("title", "customer", "is_active", "created_at", "refused_at")
    list_filter = ("is_active",)
    list_select_related = ("customer",)
    search_fields = ("customer__phone", "customer__email", "customer__name")
    actions_detail = ("refuse",)
    exclude = ("token", "connection")

    def has_refuse_permission(self, request: Any, object_id: Any = None) -> bool:
        """Whoever talks with customers."""
        return bool(request.rights.may("manager", "support", "finance"))

    @action(description=_("Отозвать способ"), url_path="refuse", permissions=["refuse"])
    def refuse(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        if not self.has_refuse_permission(request):
            raise PermissionDenied
        method = get_object_or_404(PaymentMethod, pk=object_id)
        form = RefusalForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            payments.refuse_method(
                method,
                actor=request.user.get_username(),
                how=form.cleaned_data["how"] or RefusalHow.WRITTEN,
            )
            messages.success(request, _("Способ отозван: списаний по нему больше не будет"))
            return redirect("admin:payments_paymentmethod_change", object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Отозвать способ оплаты"),
            "opts": self.opts,
            "method": method,
            "form": form,
            "back": reverse("admin:payments_paymentmethod_change", args=[object_id]),
        }
        return TemplateResponse(request, "payments/refuse.html", context)


@console.register(Receipt, sites=(console.partner_site,))
class ReceiptAdmin(MoneyAdmin):
    """Receipts as the register has them; one that was not registered is made anew by a button."""

    list_display = ("created_at", "cause", "shown_total", "shown_receipt", "way", "payment", "reason")
    list_filter = ("state", "cause", "way", ("business_date", RangeDateFilter))
    list_filter_submit = True
    list_select_related = ("payment",)
    search_fields = ("=gateway_id",)
    actions_detail = ("replace", "ask_register", "deny")
    empty_hint = _("Чеки появляются с оплатами и возвратами, если у продавца есть правило чеков.")
    fields = (
        "shown_receipt",
        "reason",
        ("cause", "shown_operation", "way"),
        ("shown_total", "shown_prepaid"),
        "shown_lines",
        "shown_seller",
        "contact",
        "shown_fiscal",
        ("payment", "refund"),
        "replaces",
        ("business_date", "closes_on"),
        ("created_at", "settled_at"),
        ("connection", "gateway_id"),
    )
    readonly_fields = (
        "shown_receipt",
        "shown_operation",
        "shown_total",
        "shown_prepaid",
        "shown_lines",
        "shown_seller",
        "shown_fiscal",
        "conversation",
    )

    def get_fieldsets(self, request: Any, obj: Any = None) -> Any:
        sets = super().get_fieldsets(request, obj)
        if request.rights.may(*EXCHANGE_ROLES):
            sets.append((_("Обмен с кассой"), {"fields": ["conversation"]}))
        return sets

    @display(description=_("обмен с кассой"))
    def conversation(self, row: Receipt) -> SafeString | str:
        return reading.about([row.pk])

    @display(description=_("состояние"), label=RECEIPT_COLOURS)
    def shown_receipt(self, row: Receipt) -> tuple[str, Any]:
        return console.Label(row.state, row.get_state_display())

    @display(description=_("сумма"))
    def shown_total(self, row: Receipt) -> str:
        return str(row.money)

    @display(description=_("признак расчёта"))
    def shown_operation(self, row: Receipt) -> str:
        return str(OPERATIONS.get(row.operation, row.operation))

    @display(description=_("из неё зачтено из предоплаты"))
    def shown_prepaid(self, row: Receipt) -> str:
        return str(Money(row.prepaid, row.currency))

    @display(description=_("строки"))
    def shown_lines(self, row: Receipt) -> SafeString:
        return format_html_join("", "<div>{}</div>", ((_line(line, row.currency),) for line in row.lines))

    @display(description=_("продавец"))
    def shown_seller(self, row: Receipt) -> str:
        seller = row.seller
        taxation = Taxation(seller["taxation"]).label
        return f"{_('ИНН')} {seller['inn']}, {taxation}, {seller['place']}, {seller['email']}"

    @display(description=_("фискальные данные"))
    def shown_fiscal(self, row: Receipt) -> SafeString | str:
        fiscal = row.fiscal
        if not fiscal:
            return "—"
        told = _("ФН %(fn)s, ФД %(document)s, ФПД %(attribute)s") % fiscal
        url = fiscal.get("url", "")
        return links.linked(told, url if url.startswith("https://") else "")

    @action(description=_("Пробить заново"), url_path="replace", permissions=["money"])
    def replace(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(Receipt, pk=object_id)
        if request.method != "POST":
            notes = [_("Тот же чек уйдёт в кассу под новым номером."), _whither(row), row.reason]
            title = _("Пробить заново")
            return console.form_page(self, request, forms.Form(), title, notes=notes, press=title)
        try:
            made = receipts_apart.replace(row.pk, actor=request.user.get_username())
        except Refused as refusal:
            messages.error(request, str(refusal.message))
            return redirect("admin:payments_receipt_change", object_id)
        messages.success(request, _("Новый чек в очереди"))
        return redirect("admin:payments_receipt_change", made.pk)

    @action(description=_("Спросить кассу"), url_path="ask", permissions=["view"])
    def ask_register(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Only reads there, and so is safe for everybody who may look."""
        row = registering.settle(get_object_or_404(Receipt, pk=object_id).pk)
        messages.info(request, _("Состояние чека: %s") % row.get_state_display())
        return redirect("admin:payments_receipt_change", object_id)

    @action(description=_("У шлюза чека нет"), url_path="deny", permissions=["money"])
    def deny(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Where the gateway tells nothing: a person has looked there, and the receipt is made anew."""
        row = get_object_or_404(Receipt, pk=object_id)
        if request.method != "POST":
            notes = [
                _("Только если вы посмотрели в кабинете шлюза и этого чека там нет: иначе чеков станет два."),
                _("Чек станет непробитым и, где это возможно, сразу уйдёт ещё раз."),
            ]
            title = _("У шлюза чека нет")
            return console.form_page(self, request, forms.Form(), title, notes=notes, press=title)
        try:
            registering.deny(row.pk, actor=request.user.get_username())
        except Refused as refusal:
            messages.error(request, str(refusal.message))
        else:
            messages.success(request, _("Чек отмечен непробитым"))
        return redirect("admin:payments_receipt_change", object_id)


def _whither(row: Receipt) -> str:
    """Where a receipt goes when it is made anew."""
    if row.state != ReceiptState.FAILED:
        return ""
    route = receipt_routes.replacement(row)
    if route is None:
        return str(receipt_routes.NO_WAY)
    name = Connection.objects.get(pk=route.connection_id).name
    return str(_("Его пробьёт: %(who)s, подключение «%(name)s».")) % {
        "who": ReceiptWay(route.way).label,
        "name": name,
    }


def _line(line: dict[str, Any], currency: str) -> str:
    rate = (
        _("без НДС")
        if line["vat_rate"] is None
        else _("НДС %s %%") % f"{Decimal(line['vat_rate']).normalize():f}"
    )
    money = Money(Decimal(line["amount"]), currency)
    told = f"{line['name']} × {line['quantity']} — {money}, {rate}, {METHODS.get(line['method'], line['method'])}"
    agent = line["agent"]
    return (
        f"{told}; {_('агент, поставщик')} {agent['supplier_name']}, {_('ИНН')} {agent['supplier_inn']}"
        if agent
        else told
    )
