"""Console: customers of one partner."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminEmailInputWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps.accounts import companies, contacts, customers
from apps.accounts.models import Company, Customer
from apps.core import console
from apps.core.errors import Refused


class CompanyInline(console.ReadOnlyInline):
    model = Company
    verbose_name_plural = _("Организация")


class CompanyForm(forms.ModelForm):
    """Requisites; what is wrong with them is said by the field."""

    class Meta:
        model = Company
        fields = companies.FIELDS
        widgets = {
            "name": UnfoldAdminTextInputWidget,
            "inn": UnfoldAdminTextInputWidget,
            "kpp": UnfoldAdminTextInputWidget,
            "address": UnfoldAdminTextInputWidget,
            "documents_email": UnfoldAdminEmailInputWidget,
            "pay_days": UnfoldAdminIntegerFieldWidget,
            "days_ahead": UnfoldAdminIntegerFieldWidget,
            "acts": UnfoldAdminSelectWidget,
        }

    def refuse(self, refused: Refused) -> None:
        """Shows each reason by its field."""
        for name, reason in refused.extra.get("fields", {"": refused.message}).items():
            self.add_error(name or None, reason)


@console.register(Customer, sites=(console.partner_site,))
class CustomerAdmin(console.ReadOnlyAdmin):
    """Looked up by phone, e-mail, name or the partner's own id; erased on demand."""

    list_display = ("who", "phone", "email", "external_id", "created_at")
    list_filter = (
        ("erased_at", admin.EmptyFieldListFilter),
        "language",
        ("company", admin.EmptyFieldListFilter),
    )
    search_fields = ("name", "email", "external_id", "company__inn", "company__name")
    search_help_text = _("Имя, телефон, почта, номер у партнёра, ИНН или название организации")
    inlines: tuple[Any, ...] = (CompanyInline,)
    actions_detail = ("set_company",)
    fields = (
        "name",
        "phone",
        "email",
        "external_id",
        "language",
        "wants_documents",
        "created_at",
        "erased_at",
    )
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

    @action(description=_("Реквизиты организации"), url_path="company", permissions=["company"])
    def set_company(self, request: HttpRequest, object_id: Any) -> HttpResponse:
        customer = get_object_or_404(Customer, pk=object_id)
        known = companies.of(customer.pk)
        form = CompanyForm(request.POST or None, instance=known)
        if request.method == "POST" and form.is_valid():
            try:
                companies.set_company(customer, actor=request.user.get_username(), **form.cleaned_data)
            except Refused as refused:
                form.refuse(refused)
            else:
                messages.success(request, _("Реквизиты сохранены: новые документы будут с ними"))
                return redirect("admin:accounts_customer_change", customer.pk)
        return console.form_page(self, request, form, _("Реквизиты организации"))

    def has_company_permission(self, request: Any, object_id: Any = None) -> bool:
        """Whoever may change what documents say."""
        return bool(request.rights.may("manager", "support", "finance"))

    def has_erase_permission(self, request: Any) -> bool:
        """Erasing cannot be taken back, so support and finance may not."""
        return bool(request.rights.may("manager"))
