"""Console: partners and what belongs to them, staff and their roles."""

from collections.abc import Callable
from datetime import date
from typing import Any

from django.contrib import messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from apps import journal
from apps.core import clock, console, links
from apps.core.errors import Refused
from apps.partners import books, duty, duty_page, schemas
from apps.partners.forms import CloseForm, NewPartnerForm, OwnStaffForm, PartnerForm, ReopenForm
from apps.partners.models import ContractTerms, Domain, LegalEntity, Partner, StaffRole, words
from apps.partners.services import create_partner

STATUS_COLOURS = {
    "setup": "info",
    "testing": "info",
    "live": "success",
    "stopped": "warning",
    "closed": "danger",
}
LINK = '<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>'


class DomainInline(console.ReadOnlyInline):
    """The partner's addresses, to be looked at."""

    model = Domain
    fields = readonly_fields = ("address", "primary")

    @display(description=_("адрес"))
    def address(self, domain: Domain) -> str:
        return domain.domain

    @display(description=_("основной"), boolean=True)
    def primary(self, domain: Domain) -> bool:
        return bool(domain.is_primary)


@console.register(Partner, sites=(console.operator_site,))
class PartnerAdmin(console.ConsoleAdmin):
    """A partner is live as soon as it is saved."""

    list_display = ("name", "storefront", "console_link", "shown_status", "is_sandbox", "created_at")
    list_filter = ("status", "is_sandbox")
    search_fields = ("name", "slug")
    inlines = (DomainInline,)
    readonly_fields = ("slug", "is_sandbox", "clock_at", "created_at", "storefront", "console_link")

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.migrations)
        return [path("migrations/", page, name="partners_partner_migrations"), *super().get_urls()]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["form"] = PartnerForm if obj else NewPartnerForm
        kwargs["fields"] = None
        return super().get_form(request, obj, change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            look = ["tagline", "colour", "support_phone", "support_email"]
            return [
                (None, {"fields": ["name", "slug", "legal_entity", "time_zone", "is_sandbox"]}),
                (_("Витрина"), {"fields": look}),
            ]
        own = ["name", "status", "legal_entity", "time_zone"]
        return [(None, {"fields": own}), (_("Адреса и состояние"), {"fields": list(self.readonly_fields)})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.readonly_fields if obj else ()

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return self.inlines if obj else ()

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        try:
            return super().add_view(request, form_url, extra_context)
        except Refused as refusal:
            messages.error(request, str(refusal.message))
            return redirect("admin:partners_partner_add")

    def save_model(self, request: HttpRequest, obj: Partner, form: Any, change: bool) -> None:
        actor = request.user.get_username()
        if change:
            obj.save(update_fields=["name", "status", "legal_entity", "time_zone"])
            data = {"changed": form.changed_data}
            journal.record("partner.changed", "partners.Partner", obj.pk, actor=actor, data=data)
            return
        made = create_partner(
            slug=obj.slug,
            name=obj.name,
            legal_entity=form.cleaned_data["legal_entity"],
            is_sandbox=obj.is_sandbox,
            time_zone=obj.time_zone,
            actor=actor,
            **form.brand(),
        )
        obj.__dict__.update(made.__dict__)

    def response_add(self, request: HttpRequest, obj: Partner, post_url_continue: Any = None) -> HttpResponse:
        shown = format_html(
            "{} <a href='{}'>{}</a> · <a href='{}'>{}</a>",
            _("Партнёр «%s» работает.") % obj.name,
            obj.url("/"),
            _("Витрина"),
            links.console(obj.slug),
            _("Консоль"),
        )
        messages.success(request, shown)
        return redirect("admin:partners_partner_change", obj.pk)

    def migrations(self, request: Any) -> HttpResponse:
        """«Миграции»: who is where."""
        if not request.rights.may():
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": _("Миграции"),
            "opts": self.opts,
            "script_count": schemas.MigrationScript.objects.count(),
            "partner_count": Partner.objects.count(),
            "behind": sorted(schemas.behind().items(), key=lambda pair: -len(pair[1])),
        }
        return TemplateResponse(request, "partners/migrations.html", context)

    @display(description=_("витрина"))
    def storefront(self, partner: Partner) -> Any:
        return format_html(LINK, partner.url("/"), partner.host)

    @display(description=_("консоль"))
    def console_link(self, partner: Partner) -> Any:
        return format_html(LINK, links.console(partner.slug), _("Открыть"))

    @display(description=_("состояние"), label=STATUS_COLOURS)
    def shown_status(self, partner: Partner) -> tuple[str, Any]:
        return partner.status, partner.get_status_display()


@console.register(LegalEntity, sites=(console.operator_site,))
class LegalEntityAdmin(console.ConsoleAdmin):
    """Who issues documents; whose books are closed up to a day."""

    change_roles = ("finance",)
    list_display = ("name", "inn", "kpp", "is_operator", "closed_until")
    search_fields = ("name", "inn")
    readonly_fields = ("closed_until", "closed_at")
    actions_detail = ("close_books", "reopen_books")

    @action(description=_("Закрыть период"), url_path="close-books", permissions=["close"])
    def close_books(self, request: HttpRequest, object_id: Any) -> HttpResponse:
        entity = get_object_or_404(LegalEntity, pk=object_id)
        form = CloseForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            actor = request.user.get_username()
            return self._moved(
                request, entity, lambda: books.close(entity, until=form.cleaned_data["until"], actor=actor)
            )
        notes = [
            _(
                "Документы и проводки этих дней больше не изменятся: исправления лягут на первый открытый день."
            )
        ]
        return console.form_page(self, request, form, _("Закрыть период"), notes=notes)

    @action(description=_("Открыть период снова"), url_path="reopen-books", permissions=["reopen"])
    def reopen_books(self, request: HttpRequest, object_id: Any) -> HttpResponse:
        entity = get_object_or_404(LegalEntity, pk=object_id)
        form = ReopenForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            given, actor = form.cleaned_data, request.user.get_username()
            return self._moved(
                request,
                entity,
                lambda: books.reopen(entity, until=given["until"], reason=given["reason"], actor=actor),
            )
        return console.form_page(self, request, form, _("Открыть период снова"))

    def _moved(
        self, request: HttpRequest, entity: LegalEntity, move: Callable[[], LegalEntity]
    ) -> HttpResponse:
        try:
            entity = move()
        except Refused as refusal:
            messages.error(request, str(refusal.message))
        else:
            until = f"{entity.closed_until:%d.%m.%Y}" if entity.closed_until else _("всё открыто")
            messages.success(request, _("Период закрыт по: %s") % until)
        return redirect("admin:partners_legalentity_change", entity.pk)

    def has_close_permission(self, request: Any, object_id: Any = None) -> bool:
        """Finance closes."""
        return bool(request.rights.may("finance"))

    def has_reopen_permission(self, request: Any, object_id: Any = None) -> bool:
        """Only an administrator opens again what finance has reported."""
        return bool(request.rights.may())


@console.register(ContractTerms, sites=(console.operator_site,))
class ContractTermsAdmin(console.ConsoleAdmin):
    """«Договоры и условия»: what was in force stays; a change is a new version."""

    change_roles = ("finance",)
    view_roles = ("manager", "finance")
    list_display = (
        "partner",
        "number",
        "valid_from",
        "share",
        "clawback",
        "clawback_days",
    )
    list_filter = ("partner",)
    empty_hint = _("Вознаграждение партнёра: с какого дня, сколько и за что. Без условий вознаграждения нет.")
    list_select_related = ("partner",)
    ordering = ("partner__name", "-valid_from")

    @display(description=_("вознаграждение"))
    def share(self, terms: ContractTerms) -> str:
        base, earned_on = terms.get_share_base_display(), terms.get_earned_on_display()
        return words(terms.share_percent, base, terms.share_fixed, earned_on)

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        in_force = isinstance(obj, ContractTerms) and obj.valid_from <= self._today()
        return super().has_change_permission(request, obj) and not in_force

    def _today(self) -> date:
        return clock.today()

    def save_model(self, request: HttpRequest, obj: ContractTerms, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        data = {"partner": obj.partner_id, "changed": form.changed_data}
        journal.record(
            "contract.set", "partners.ContractTerms", obj.pk, actor=request.user.get_username(), data=data
        )


class RoleAdmin(console.ConsoleAdmin):
    """Roles are given and taken by administrators only; both leave a line in the journal."""

    change_roles = view_roles = ()
    list_select_related = ("user", "partner")
    list_filter: tuple[Any, ...] = ("role",)
    search_fields = ("user__username", "user__first_name", "user__email")

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        # A role is taken and another given: the journal then says so.
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return bool(request.rights.may()) and (obj is None or self._mine(request).filter(pk=obj.pk).exists())

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.duty)
        return [path("duty/", page, name="partners_staffrole_duty"), *super().get_urls()]

    def duty(self, request: Any) -> HttpResponse:
        """«Кто на смене»: everybody by one button of their own, others by an administrator."""
        return duty_page.answer(self, request)

    def _mine(self, request: Any) -> QuerySet[StaffRole]:
        return StaffRole.objects.filter(partner=request.tenant) if request.tenant else StaffRole.objects.all()

    def get_queryset(self, request: HttpRequest) -> QuerySet[StaffRole]:
        return self._mine(request).select_related("user", "partner").order_by("user__username", "pk")

    def save_model(self, request: HttpRequest, obj: StaffRole, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        self._note("role.given", request, obj)

    def delete_model(self, request: HttpRequest, obj: StaffRole) -> None:
        self._note("role.taken", request, obj)
        super().delete_model(request, obj)
        if not StaffRole.objects.filter(user=obj.user, partner=obj.partner).exists():
            duty.end(obj.user, obj.partner, actor=request.user.get_username())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[StaffRole]) -> None:
        for role in queryset:
            self.delete_model(request, role)

    def _note(self, what: str, request: HttpRequest, role: StaffRole) -> None:
        data = {"role": role.role, "partner": role.partner_id}
        journal.record(what, "auth.User", role.user_id, actor=request.user.get_username(), data=data)


@console.register(StaffRole, sites=(console.operator_site,))
class OperatorRoleAdmin(RoleAdmin):
    """Roles at the platform and at every partner."""

    list_display = ("user", "role", "partner")
    list_filter = ("role", "partner")
    autocomplete_fields = ("user", "partner")


@console.register(StaffRole, sites=(console.partner_site,))
class OwnRoleAdmin(RoleAdmin):
    """Roles at this partner only, whatever the form says."""

    list_display = ("user", "person", "role")
    fields = ("username", "first_name", "email", "password", "role")

    def get_form(self, request: Any, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            return super().get_form(request, obj, change, fields=("user", "role"))
        return type("OwnStaffFormOfPartner", (OwnStaffForm,), {"partner": request.tenant})

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.fields if obj is None else ("user", "role")

    def save_model(self, request: Any, obj: StaffRole, form: Any, change: bool) -> None:
        obj.partner, obj.user = request.tenant, form.person()
        super().save_model(request, obj, form, change)

    @display(description=_("имя"))
    def person(self, role: StaffRole) -> str:
        return role.user.get_full_name() or role.user.email


@console.register(User, sites=(console.operator_site,))
class StaffAdmin(UserAdmin, console.ConsoleAdmin):
    """Staff of the platform and of partners. Nobody gives more than they have."""

    change_roles = view_roles = ()
    form, add_form, change_password_form = UserChangeForm, UserCreationForm, AdminPasswordChangeForm
    list_display = ("username", "first_name", "email", "is_active", "last_login")
    list_filter = ("is_active",)
    search_fields = ("username", "first_name", "last_name", "email")
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password", "first_name", "last_name", "email", "is_active")}),
        (_("Входы"), {"fields": ("last_login", "date_joined")}),
    )

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return console.ConsoleAdmin.has_add_permission(self, request, obj)

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        above = isinstance(obj, User) and obj.is_superuser and not request.user.is_superuser
        return super().has_change_permission(request, obj) and not above

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        # Everybody here works in a console; what they may do there is said by their roles.
        obj.is_staff = True
        super().save_model(request, obj, form, change)
        data = {"changed": [name for name in form.changed_data if "password" not in name]}
        journal.record(
            "staff.changed" if change else "staff.added",
            "auth.User",
            obj.pk,
            actor=request.user.get_username(),
            data=data,
        )
