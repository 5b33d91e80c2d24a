"""Console: the ledger, to be read."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.decorators import display

from apps.core import console, links
from apps.core.money import Money
from apps.ledger.models import Account, Transfer

# What staff call the kinds of documents, and the model whose page shows each.
DOCUMENTS = {
    "invoice": (_("Счёт"), "billing.Invoice"),
    "payment": (_("Платёж"), "payments.Payment"),
    "refund": (_("Возврат"), "payments.Refund"),
    "dispute": (_("Спор"), "payments.Dispute"),
    "credit": (_("Корректировка счёта"), "payments.Refund"),
    "credit_note": (_("Корректировка счёта"), "billing.CreditNote"),
    "outside_payment": (_("Поступление"), "billing.OutsidePayment"),
    "outside_refund": (_("Возврат поступления"), "billing.OutsideRefund"),
    "payout": (_("Возврат с баланса"), "payments.Refund"),
    "gateway_payout": (_("Выплата шлюза"), "settlements.GatewayPayout"),
}


class DocumentFilter(admin.SimpleListFilter):
    """By the document that was posted."""

    title, parameter_name = _("документ"), "document"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(kind, title) for kind, (title, _model) in DOCUMENTS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Transfer]) -> QuerySet[Transfer]:
        return queryset.filter(document_kind=self.value()) if self.value() in DOCUMENTS else queryset


class AccountFilter(admin.SimpleListFilter):
    """By an account, on whichever side: what a sum of the trial balance consists of."""

    title, parameter_name = _("счёт"), "account"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(Account.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Transfer]) -> QuerySet[Transfer]:
        if self.value() not in Account.values:
            return queryset
        return queryset.filter(Q(debit=self.value()) | Q(credit=self.value()))


@console.register(Transfer, sites=(console.operator_site,))
class TransferAdmin(console.ReadOnlyAdmin):
    """Transfers over all partners."""

    view_roles = ("manager", "finance")
    list_display = ("day", "partner", "document", "debit", "credit", "money", "kind", "is_sandbox")
    readonly_fields = ("document",)
    exclude = ("document_kind", "posting")
    list_filter = (
        ("business_date", RangeDateFilter),
        AccountFilter,
        "debit",
        "credit",
        "kind",
        DocumentFilter,
        "partner",
        "seller",
        "is_sandbox",
    )
    list_filter_submit = True
    list_select_related = ("partner",)
    search_fields = ("document_id", "customer_id", "subscription_id")
    search_help_text = _("Номер (UUID) документа, клиента или подписки целиком")
    ordering = ("-id",)
    show_full_result_count = False

    @display(description=_("дата"), ordering="business_date")
    def day(self, transfer: Transfer) -> str:
        return f"{transfer.business_date:%d.%m.%Y}"

    @display(description=_("документ"))
    def document(self, transfer: Transfer) -> SafeString | str:
        known = DOCUMENTS.get(transfer.document_kind)
        if known is None:
            return transfer.document_kind
        return links.linked(known[0], links.to(known[1], transfer.document_id, slug=transfer.partner.slug))

    @display(description=_("сумма"), ordering="amount")
    def money(self, transfer: Transfer) -> SafeString:
        return format_html('<span class="armor-sum">{}</span>', Money(transfer.amount, transfer.currency))
