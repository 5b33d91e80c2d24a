"""Console: customers of one partner."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import display

from apps.accounts import contacts, customers
from apps.accounts.models import Customer
from apps.core import console
from apps.core.errors import Refused


@console.register(Customer, sites=(console.partner_site,))
class CustomerAdmin(console.ReadOnlyAdmin):
    """Looked up by phone, e-mail, name or the partner's own id; erased on demand."""

    list_display = ("who", "phone", "email", "external_id", "created_at")
    list_filter = (("erased_at", admin.EmptyFieldListFilter), "language")
    search_fields = ("name", "email", "external_id")
    search_help_text = _("Имя, телефон, почта или номер у партнёра")
    fields = ("name", "phone", "email", "external_id", "language", "created_at", "erased_at")
    actions = ("erase",)

    @display(description=_("клиент"))
    def who(self, customer: Customer) -> str:
        return str(customer)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Customer], search_term: str
    ) -> tuple[QuerySet[Customer], bool]:
        """A phone however it is spelt, or any part of the rest."""
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        try:
            number = contacts.phone(search_term)
        except Refused:
            return found, may_repeat
        return (found | queryset.filter(Q(phone=number)) if number else found), may_repeat

    @admin.action(description=_("Стереть персональные данные без возможности вернуть"), permissions=["erase"])
    def erase(self, request: HttpRequest, queryset: QuerySet[Customer]) -> None:
        chosen = list(queryset)
        for customer in chosen:
            customers.erase(customer, actor=request.user.get_username())
        count = len(chosen)
        messages.success(
            request,
            ngettext("Данные %d клиента стёрты", "Данные %d клиентов стёрты", count) % count,
        )

    def has_erase_permission(self, request: Any) -> bool:
        """Erasing cannot be taken back, so support and finance may not."""
        return bool(request.rights.may("manager"))
