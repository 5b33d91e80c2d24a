"""Console: payments, refunds and saved methods, to be looked at; money goes back by an action."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminSelectWidget,
)

from apps.accounts.models import Customer
from apps.core import console, links
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.money import Money
from apps.journal import reading
from apps.payments import payments, refunds
from apps.payments.admin_holds import HoldActions
from apps.payments.models import Payment, PaymentMethod, Refund, RefundRoute, RefusalHow
from apps.payments.money_pages import EXCHANGE_ROLES, MoneyAdmin
from apps.payments.receipt_admin import MakeUpReceipt
from apps.payments.receipt_models import Receipt
from apps.payments.refund_pages import RefundForm, told_of

INSTRUMENTS = {"bank_card": _("банковская карта"), "sbp": _("СБП")}


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
class PaymentAdmin(HoldActions, MakeUpReceipt, MoneyAdmin):
    """«Вернуть» is for those who may move money."""

    list_display = ("created_at", "customer", "shown_amount", "shown_state", "purpose", "description")
    list_filter = ("state", "purpose", "instrument", "created_at")
    list_select_related = ("customer",)
    search_fields = ("=gateway_id", "customer__phone", "customer__email", "customer__name")
    date_hierarchy = None
    actions_detail = ("capture", "release", "give_back", "make_up", "ask_gateway")
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
    exclude = ("token", "connection", "unbinding_since")

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
