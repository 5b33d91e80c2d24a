"""Console of the operator: a provider's people and keys, what is asked of it in its own console, and its usage."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import password_validation
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from apps import journal
from apps.core import console, sheets
from apps.core.tenancy import in_partner
from apps.partners.models import Partner
from apps.providers.portal import claims, letters
from apps.providers.portal.models import (
    DefectiveKey,
    LetterKind,
    ProviderKey,
    ProviderRequest,
    ProviderUser,
    RequestLetter,
    ServiceList,
    UsageFile,
    UsageRow,
)

OPERATOR = (console.operator_site,)
STATES = {
    "pending": "warning",
    "inquiring": "warning",
    "approved": "success",
    "failed": "danger",
    "canceled": "info",
}


class UserForm(forms.ModelForm):
    """A new person of a provider: no staff of ours, so that no console but the provider's opens."""

    username = forms.CharField(label=_("Имя для входа"), max_length=150, widget=UnfoldAdminTextInputWidget)
    password = forms.CharField(label=_("Пароль"), widget=UnfoldAdminPasswordWidget, strip=False)

    class Meta:
        model = ProviderUser
        fields = ("provider", "role")

    def clean_username(self) -> str:
        name = str(self.cleaned_data["username"]).strip()
        if User.objects.filter(username__iexact=name).exists():
            raise forms.ValidationError(_("Такое имя уже занято"))
        return name

    def clean_password(self) -> str:
        password = str(self.cleaned_data["password"])
        password_validation.validate_password(password)
        return password


@console.register(ProviderUser, sites=OPERATOR)
class ProviderUserAdmin(console.ConsoleAdmin):
    """Who signs in to a provider's console."""

    list_display = ("user", "provider", "role", "shown_active")
    list_filter = ("provider", "role")
    list_select_related = ("user", "provider")
    search_fields = ("user__username",)
    change_roles = ()
    actions_detail = ("shut_out",)
    empty_hint = _("Людей поставщиков заводит администратор платформы.")

    @display(description=_("входит"), boolean=True)
    def shown_active(self, row: ProviderUser) -> bool:
        return row.user.is_active

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return ["user", "provider", "role"] if obj else ["username", "password", "provider", "role"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ["user", "provider"] if obj else []

    def get_form(self, request: Any, obj: Any = None, change: bool = False, **options: Any) -> Any:
        if obj is None:
            options["form"] = UserForm
            # The name and the password are the form's own, not the model's.
            options["fields"] = ["provider", "role"]
        return super().get_form(request, obj, change=change, **options)

    def save_model(self, request: HttpRequest, obj: ProviderUser, form: Any, change: bool) -> None:
        with transaction.atomic():
            if not change:
                given = form.cleaned_data
                obj.user = User.objects.create_user(given["username"], password=given["password"])
            super().save_model(request, obj, form, change)
            data = {"provider": obj.provider.code, "role": obj.role}
            actor = request.user.get_username()
            journal.record("provider-user.changed", "providers.ProviderUser", obj.pk, actor=actor, data=data)

    @action(description=_("Закрыть или открыть вход"), url_path="shut-out", permissions=["change"])
    def shut_out(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Who left the provider comes in no more, at once."""
        row = get_object_or_404(ProviderUser.objects.select_related("user", "provider"), pk=object_id)
        if request.method == "POST":
            row.user.is_active = not row.user.is_active
            row.user.save(update_fields=["is_active"])
            data = {"provider": row.provider.code, "is_active": row.user.is_active}
            actor = request.user.get_username()
            journal.record("provider-user.changed", "providers.ProviderUser", row.pk, actor=actor, data=data)
            messages.success(request, _("Готово"))
            return redirect("admin:providers_provideruser_change", row.pk)
        return console.form_page(self, request, forms.Form(), _("Закрыть или открыть вход: %s") % row)


@console.register(ProviderKey, sites=OPERATOR)
class ProviderKeyAdmin(console.ConsoleAdmin):
    """Keys of providers' systems: issued and revoked, never changed; the key itself is shown once."""

    list_display = ("shown", "provider", "name", "created_at", "last_used_at", "revoked_at")
    list_filter = ("provider",)
    list_select_related = ("provider",)
    change_roles = ()
    actions = ("revoke",)

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_revoke_permission(self, request: Any) -> bool:
        return bool(request.rights.may(*self.change_roles))

    def save_model(self, request: HttpRequest, obj: ProviderKey, form: Any, change: bool) -> None:
        made, text = ProviderKey.issue(obj.provider, name=obj.name, actor=request.user.get_username())
        obj.pk, obj.prefix = made.pk, made.prefix
        messages.warning(request, _("Скопируйте ключ сейчас, больше мы его не покажем: %s") % text)

    def log_addition(self, request: Any, obj: Any, message: Any) -> None:
        """The journal has it already."""

    @display(description=_("ключ"))
    def shown(self, key: ProviderKey) -> str:
        return str(key)

    def get_fields(self, request: Any, obj: ProviderKey | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("provider", "name")
        return ("shown", "provider", "name", "created_at", "last_used_at", "revoked_at")

    def get_readonly_fields(self, request: Any, obj: ProviderKey | None = None) -> tuple[str, ...]:
        return () if obj is None else self.get_fields(request, obj)

    @admin.action(description=_("Отозвать: перестанет работать сразу и навсегда"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ProviderKey]) -> None:
        live = list(queryset.filter(revoked_at=None))
        for key in live:
            key.revoke(actor=request.user.get_username())
        messages.success(request, _("Отозвано ключей: %d") % len(live))


class LetterLines(console.Belongings):
    model = RequestLetter
    fields = ("wanted_at", "kind", "to", "state", "attempts", "sent_at", "answer_by", "error")
    verbose_name_plural = _("Письма")
    show_change_link = False


@console.register(ProviderRequest, sites=OPERATOR)
class ProviderRequestAdmin(console.ReadOnlyAdmin):
    """What providers have been asked for in their own consoles, and what they decided."""

    list_display = ("created_at", "provider", "kind", "sku", "shown_state", "settled_at", "settled_by")
    list_filter = ("state", "kind", "provider", "is_test")
    list_select_related = ("provider",)
    search_fields = ("id", "request_id", "customer_ref")
    # What customers told and got is the partner's staff's to see, on the service's page.
    exclude = ("parameters", "key", "url", "instructions", "answer")
    inlines = (LetterLines,)
    actions_detail = ("write_again",)

    @display(description=_("состояние"), label=STATES, ordering="state")
    def shown_state(self, row: ProviderRequest) -> tuple[str, Any]:
        return row.state, row.get_state_display()

    def has_write_permission(self, request: Any, object_id: Any = None) -> bool:
        return bool(request.rights.may("manager", "support"))

    @action(description=_("Написать поставщику ещё раз"), url_path="write-again", permissions=["write"])
    def write_again(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """A letter with a new link, to the address that the connection has now."""
        row = get_object_or_404(ProviderRequest, pk=object_id)
        if request.method == "POST":
            actor = request.user.get_username()
            if row.connection_id is None or not row.is_open:
                messages.error(
                    request, _("Пишут только о нерешённом запросе и только тому, кого спрашивают письмом")
                )
            else:
                with in_partner(Partner.objects.get(pk=row.partner_id)), transaction.atomic():
                    held = ProviderRequest.objects.select_for_update(of=("self",)).select_related(
                        "connection"
                    )
                    letters.write(held.get(pk=row.pk), LetterKind.REMINDER)
                    journal.record("provider-request.written", letters.KIND, row.pk, actor=actor)
                messages.success(request, _("Письмо отправляется"))
            return redirect("admin:providers_providerrequest_change", row.pk)
        return console.form_page(self, request, forms.Form(), _("Написать поставщику ещё раз: %s") % row)


@console.register(DefectiveKey, sites=OPERATOR)
class DefectiveKeyAdmin(console.ReadOnlyAdmin):
    """Keys that did not work: what to claim from each provider."""

    list_display = ("reported_at", "provider", "sku", "reason", "comment", "given_at", "actor")
    list_filter = ("provider", "reason", "reported_at")
    list_select_related = ("provider",)
    search_fields = ("sku", "request_id", "replacement_id")
    exclude = ("key",)
    actions = ("claim",)
    empty_hint = _("Сюда попадает ключ, который сотрудник заменил на странице услуги.")

    def has_claim_permission(self, request: Any) -> bool:
        return bool(request.rights.may("manager", "finance"))

    @admin.action(description=_("Рекламация поставщику: CSV"), permissions=["claim"])
    def claim(self, request: HttpRequest, queryset: QuerySet[DefectiveKey]) -> HttpResponse:
        """The keys themselves, for their provider; that they were taken out stands in the journal."""
        rows = list(queryset.select_related("provider").order_by("provider", "pk"))
        actor, data = request.user.get_username(), {"keys": len(rows)}
        first = rows[0].pk if rows else 0
        journal.record("defects.claimed", "providers.DefectiveKey", first, actor=actor, data=data)
        return sheets.file(claims.table(rows), "defective-keys.csv", "text/csv; charset=utf-8")


class UsageLines(console.Belongings):
    model = UsageRow
    fields = ("service_id", "month", "quantity", "unit", "doubt")
    verbose_name_plural = _("Строки")
    show_change_link = False


@console.register(UsageFile, sites=OPERATOR)
class UsageFileAdmin(console.ReadOnlyAdmin):
    """Usage that providers have told of, beside the services that it is of."""

    list_display = ("loaded_at", "provider", "name", "rows", "shown_errors", "loaded_by")
    list_filter = ("provider", "loaded_at")
    list_select_related = ("provider",)
    fields = ("provider", "name", "rows", "shown_error_lines", "loaded_at", "loaded_by")
    readonly_fields = ("shown_error_lines",)
    inlines = (UsageLines,)

    @display(description=_("с ошибками"))
    def shown_errors(self, file: UsageFile) -> int:
        return len(file.errors)

    @display(description=_("строки с ошибками"))
    def shown_error_lines(self, file: UsageFile) -> str:
        return format_html_join("", "<div>{}: {}</div>", file.errors) or "—"


@console.register(ServiceList, sites=OPERATOR)
class ServiceListAdmin(console.ReadOnlyAdmin):
    """Lists of live services that providers have sent, by day."""

    list_display = ("day", "provider", "is_test", "name", "rows", "shown_errors", "loaded_at", "loaded_by")
    list_filter = ("provider", "is_test", "day")
    list_select_related = ("provider",)
    fields = ("provider", "day", "is_test", "name", "rows", "shown_error_lines", "loaded_at", "loaded_by")
    readonly_fields = ("shown_error_lines",)
    empty_hint = _(
        "Список загружает поставщик в своём кабинете или финансы на странице «Сверка с поставщиками»."
    )

    @display(description=_("с ошибками"))
    def shown_errors(self, one: ServiceList) -> int:
        return len(one.errors)

    @display(description=_("строки с ошибками"))
    def shown_error_lines(self, one: ServiceList) -> str:
        return format_html_join("", "<div>{}: {}</div>", one.errors) or "—"
