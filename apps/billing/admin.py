"""Console: subscriptions (cancel, take up again) and invoices (to look at, as PDF)."""

from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.accounts.models import Customer
from apps.billing import (
    channel_pages,
    document_admin,
    glance,
    pauses,
    promotions_admin,
    retention,
    statement_admin,
    subscriptions,
)
from apps.billing.api import pdf_answer
from apps.billing.dunning_admin import InvoicePages
from apps.billing.lifecycle_admin import LifecyclePages, about
from apps.billing.mailing_admin import MailingPages
from apps.billing.mass import admin as mass_admin
from apps.billing.models import Invoice, InvoiceLine, InvoicePayment, Subscription, SubscriptionState
from apps.billing.moving import admin as moving_admin
from apps.core import console, links
from apps.payments.models import Payment

SUBSCRIPTION_COLOURS = {
    "pending": "info",
    "trial": "info",
    "active": "success",
    "past_due": "warning",
    "suspended": "warning",
    "paused": "info",
    "cancelled": "danger",
    "ended": "danger",
}
INVOICE_COLOURS = {
    "draft": "info",
    "open": "warning",
    "paid": "success",
    "void": "danger",
    "refunded": "danger",
}


class Documents(console.ReadOnlyInline):
    """Rows of a document, on a tab."""

    tab = True


class InvoiceInline(Documents):
    model = Invoice
    fields = ("number", "business_date", "purpose", "state", "total", "paid_at")
    verbose_name_plural = _("Счета")
    show_change_link = True


class LineInline(Documents):
    model = InvoiceLine
    fields = ("description", "quantity", "period_start", "period_end", "amount", "vat_rate", "vat")


class PaymentInline(Documents):
    model = InvoicePayment
    fields = ("shown_payment", "failed")
    readonly_fields = ("shown_payment",)

    @display(description=_("платёж"))
    def shown_payment(self, row: InvoicePayment) -> SafeString | str:
        return links.linked(row.payment, links.to("payments.Payment", row.payment_id))


class CancelForm(forms.Form):
    """When the product goes off."""

    when = forms.ChoiceField(
        label=_("Когда отключить"),
        choices=[
            ("period_end", _("В конце оплаченного периода")),
            ("now", _("Сейчас, за неиспользованные дни вернуть")),
        ],
        widget=UnfoldAdminSelectWidget,
    )
    reason = forms.CharField(
        label=_("Почему, словами клиента"), max_length=60, required=False, widget=UnfoldAdminTextInputWidget
    )


@console.register(Subscription, sites=(console.partner_site,))
class SubscriptionAdmin(LifecyclePages, channel_pages.Named, console.ReadOnlyAdmin):
    """Staff cancel and take up again; everything else comes from payments and time."""

    list_display = (
        "name",
        "customer",
        "shown_state",
        "shown_price",
        "current_period_end",
        "method",
        "shown_channel",
    )
    list_filter = ("state", "cancel_at_period_end", "current_period_end", channel_pages.ChannelFilter)
    list_select_related = ("customer", "method")
    search_fields = ("name", "customer__phone", "customer__email", "customer__external_id", "customer__name")
    inlines = (InvoiceInline,)
    actions = (mass_admin.for_many,)
    actions_detail = (
        "history",
        "change",
        "pause",
        "cancel_subscription",
        "resume_subscription",
        {"title": _("Ещё"), "items": ["undo_change", "assign_seat", "release_seat", "end_date", "transfer"]},
    )
    change_form_before_template = "billing/subscription_top.html"
    empty_hint = _("Подписка появляется с первой покупкой: на витрине, по API или переносом базы.")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "customer", "name", "tariff_version", "quantity", "price", "state", "collection", "method",
                    "current_period_start", "current_period_end",
                )
            },
        ),
        (
            _("Подробнее"),
            {
                "fields": (
                    "parent", "offer", "trial_days", "anchor_date", "billed_until", "end_date", "resume_date",
                    "is_parked", "failures", "cancelled_at", "cancel_reason", "cancel_at_period_end", "shown_channel",
                    "created_at", "started_at", "ended_at", "end_reason",
                )
            },
        ),
    )  # fmt: skip

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        row = Subscription.objects.filter(pk=object_id).select_related("customer").first()
        extra = {**(extra_context or {}), "glance": glance.of(row) if row else None}
        return super().change_view(request, object_id, form_url, extra)

    @display(description=_("цена за период"), ordering="price")
    def shown_price(self, row: Subscription) -> str:
        return str(row.money)

    @display(description=_("состояние"), label=SUBSCRIPTION_COLOURS, ordering="state")
    def shown_state(self, row: Subscription) -> tuple[str, Any]:
        leaves = row.is_live and row.cancel_at_period_end
        return "past_due" if leaves else row.state, row.state_text

    def has_support_permission(self, request: Any, object_id: Any = None) -> bool:
        """Who may act for a customer."""
        return bool(request.rights.may("manager", "support"))

    @action(description=_("Отменить"), url_path="cancel", permissions=["support"])
    def cancel_subscription(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(Subscription, pk=object_id)
        form = CancelForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            at_period_end = form.cleaned_data["when"] == "period_end"
            return self._do(
                request,
                row,
                lambda: retention.leave(
                    row,
                    at_period_end=at_period_end,
                    reason=form.cleaned_data["reason"],
                    actor=_who(request),
                ),
                _("Подписка отменена: больше ничего не спишется"),
            )
        return console.form_page(self, request, form, _("Отменить подписку"), about=about(row))

    @action(description=_("Возобновить"), url_path="resume", permissions=["support"])
    def resume_subscription(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(Subscription, pk=object_id)
        form = forms.Form(request.POST or None)
        if request.method == "POST":
            return self._do(
                request,
                row,
                lambda: (
                    pauses.resume(subscription=row, actor=_who(request))
                    if row.state == SubscriptionState.PAUSED
                    else subscriptions.uncancel(row, actor=_who(request))
                ),
                _("Подписка продлится как обычно"),
            )
        return console.form_page(self, request, form, _("Возобновить подписку"), about=about(row))


@console.register(Invoice, sites=(console.partner_site,))
class InvoiceAdmin(
    MailingPages, document_admin.BankPages, InvoicePages, channel_pages.Named, console.ReadOnlyAdmin
):
    """Issued documents do not change: the database refuses."""

    list_display = (
        "number",
        "business_date",
        "customer",
        "shown_state",
        "shown_total",
        "purpose",
        "pdf_link",
    )
    list_filter = ("state", "purpose", "collection", "business_date", channel_pages.ChannelFilter)
    list_select_related = ("customer",)
    search_fields = (
        "number",
        "customer__phone",
        "customer__email",
        "customer__name",
        "customer__company__inn",
    )
    inlines = (LineInline, PaymentInline, *document_admin.INLINES)
    exclude = ("channel_id", "channel_code")
    readonly_fields = ("shown_channel", "pdf_link", "letters")
    actions_detail = ("pdf", "send", "pay_link", "money_received", "credit", "void")

    @display(description=_("состояние"), label=INVOICE_COLOURS, ordering="state")
    def shown_state(self, row: Invoice) -> tuple[str, Any]:
        return row.state, row.get_state_display()

    @display(description=_("сумма"), ordering="total")
    def shown_total(self, row: Invoice) -> str:
        return str(row.money)

    @display(description="PDF")
    def pdf_link(self, row: Invoice) -> str:
        return format_html(
            '<a href="{}" target="_blank">PDF</a>', reverse("admin:billing_invoice_pdf", args=[row.pk])
        )

    @action(description=_("Открыть PDF"), url_path="pdf", permissions=["view"])
    def pdf(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        return pdf_answer(get_object_or_404(Invoice, pk=object_id))


class SubscriptionsOfCustomer(channel_pages.Named, console.Belongings):
    model = Subscription
    fields = ("name", "state", "price", "current_period_end", "cancel_at_period_end", "shown_channel")
    verbose_name_plural = _("Подписки")


class InvoicesOfCustomer(console.Belongings):
    model = Invoice
    fields = ("number", "business_date", "purpose", "state", "total", "paid_at")
    verbose_name_plural = _("Счета")


class InvoicesOfPayment(console.ReadOnlyInline):
    """What a payment pays."""

    model, tab = InvoicePayment, True
    fields = ("shown_invoice", "shown_total", "shown_state", "failed")
    readonly_fields = ("shown_invoice", "shown_total", "shown_state")
    verbose_name_plural = _("Счета")

    @display(description=_("счёт"))
    def shown_invoice(self, row: InvoicePayment) -> SafeString | str:
        return links.linked(row.invoice.number or row.invoice, links.to("billing.Invoice", row.invoice_id))

    @display(description=_("сумма"))
    def shown_total(self, row: InvoicePayment) -> str:
        return str(row.invoice.money)

    @display(description=_("состояние"))
    def shown_state(self, row: InvoicePayment) -> str:
        return row.invoice.get_state_display()


console.show_below(Customer, SubscriptionsOfCustomer, InvoicesOfCustomer)
console.show_below(Payment, InvoicesOfPayment)


def _who(request: HttpRequest) -> str:
    return request.user.get_username()


__all__ = ["promotions_admin", "statement_admin"]
"""Pages of their own, registered when they are imported here."""


__all__ = ["mass_admin", "moving_admin"]
"""Have pages of their own, registered when they are imported here."""
