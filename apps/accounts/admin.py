"""Console: customers of one partner."""

from datetime import timedelta
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
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps.accounts import companies, contact_change, contacts, customers, recycled
from apps.accounts.models import Company, Customer
from apps.core import console, throttle
from apps.core.errors import Refused

PASSWORDS = throttle.Limit("accounts.staff-password", 10, timedelta(minutes=15))


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


class ContactForm(forms.Form):
    """The new contact, why, and the password of who does it."""

    contact = forms.CharField(
        label=_("Новый телефон или почта"), max_length=254, widget=UnfoldAdminTextInputWidget
    )
    reason = forms.CharField(
        label=_("Почему без подтверждения старым"), max_length=200, widget=UnfoldAdminTextInputWidget
    )
    password = forms.CharField(label=_("Ваш пароль"), widget=UnfoldAdminPasswordWidget)
    code = forms.CharField(
        label=_("Код с нового контакта"), required=False, max_length=12, widget=UnfoldAdminTextInputWidget
    )

    def __init__(self, user: Any, *args: Any) -> None:
        super().__init__(*args)
        self.user = user

    def clean_password(self) -> str:
        password = str(self.cleaned_data["password"])
        try:
            throttle.take(
                [(PASSWORDS, str(self.user.pk))], code="too_many_sign_ins", message=contact_change.TOO_MANY
            )
        except Refused as refused:
            raise forms.ValidationError(str(refused.message)) from refused
        if not self.user.check_password(password):
            raise forms.ValidationError(_("Пароль не подошёл"))
        return password


@console.register(Customer, sites=(console.partner_site,))
class CustomerAdmin(console.ReadOnlyAdmin):
    """Looked up by phone, e-mail, name or the partner's own id; erased on demand."""

    list_display = ("who", "phone", "email", "external_id", "created_at")
    list_filter = (
        ("erased_at", admin.EmptyFieldListFilter),
        "language",
        ("company", admin.EmptyFieldListFilter),
    )
    search_fields = ("name", "email", "external_id", "former_phone", "company__inn", "company__name")
    search_help_text = _("Имя, телефон, почта, номер у партнёра, ИНН или название организации")
    inlines: tuple[Any, ...] = (CompanyInline,)
    actions_detail: tuple[Any, ...] = (
        "change_contact",
        {"title": _("Ещё"), "items": ["set_company", "phone_gone"]},
    )
    fields = (
        "name",
        "phone",
        "phone_proved_at",
        "former_phone",
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
        return console.form_page(self, request, form, _("Реквизиты организации"), about=_about(customer))

    @action(description=_("Сменить телефон или почту"), url_path="contact", permissions=["company"])
    def change_contact(self, request: Any, object_id: Any) -> HttpResponse:
        """For who has lost the old one: the code goes to the new one, the reason and the password are staff's."""
        customer = get_object_or_404(Customer, pk=object_id)
        form = ContactForm(request.user, request.POST or None)
        if request.method == "POST" and form.is_valid():
            given = form.cleaned_data
            try:
                if not given["code"]:
                    contact_change.begin_by_staff(customer, given["contact"])
                    messages.info(request, _("Код отправлен на новый контакт: спросите его у клиента"))
                    return console.form_page(
                        self, request, form, _("Сменить телефон или почту"), about=_about(customer)
                    )
                contact_change.finish_by_staff(
                    customer,
                    given["contact"],
                    code=given["code"],
                    reason=given["reason"],
                    actor=request.user.get_username(),
                )
            except Refused as refused:
                form.add_error(None, str(refused.message))
            else:
                messages.success(request, _("Контакт изменён, клиент везде вышел из кабинета"))
                return redirect("admin:accounts_customer_change", customer.pk)
        notes = [_("Сначала без кода: он уйдёт на новый телефон или почту. Потом введите его.")]
        title = _("Сменить телефон или почту")
        return console.form_page(self, request, form, title, about=_about(customer), notes=notes)

    @action(description=_("Номер больше не его"), url_path="phone-gone", permissions=["phone"])
    def phone_gone(self, request: Any, object_id: Any) -> HttpResponse:
        """The number was given to somebody else: it opens nothing of this customer's from now on."""
        customer = get_object_or_404(Customer, pk=object_id)
        if request.method == "POST":
            recycled.reassigned(customer.phone, actor=request.user.get_username())
            messages.success(request, _("Номер снят, услуги остались у клиента"))
            return redirect("admin:accounts_customer_change", customer.pk)
        notes = [_("Услуги остаются у клиента. По этому номеру он больше не войдёт.")]
        title = _("Номер больше не его")
        return console.form_page(
            self, request, forms.Form(), title, about=_about(customer), notes=notes, press=_("Снять номер")
        )

    def has_company_permission(self, request: Any, object_id: Any = None) -> bool:
        """Whoever may change what documents say."""
        return bool(request.rights.may("manager", "support", "finance"))

    def has_phone_permission(self, request: Any, object_id: Any = None) -> bool:
        """The same, of who has a number."""
        if not self.has_company_permission(request):
            return False
        return object_id is None or Customer.objects.filter(pk=object_id).exclude(phone="").exists()

    def has_former_phone_permission(self, request: Any, object_id: Any = None) -> bool:
        """Who may act for a customer, of whom a number was taken that is somebody else's now."""
        if not request.rights.may("manager", "support"):
            return False
        gone = Customer.objects.filter(pk=object_id, phone="").exclude(former_phone="")
        return object_id is None or gone.exists()

    def has_erase_permission(self, request: Any) -> bool:
        """Erasing cannot be taken back, so support and finance may not."""
        return bool(request.rights.may("manager"))


def _about(customer: Customer) -> str:
    """Who it is, and how they are reached."""
    told = (customer.name, customer.phone, customer.email)
    return " · ".join(one for one in told if one) or str(customer)
