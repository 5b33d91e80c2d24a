"""The two consoles: the operator's over public data, and a partner's, also opened by the operator at /p/<slug>/."""

from collections.abc import Callable, Sequence
from typing import Any

from django.contrib import admin
from django.core.exceptions import NON_FIELD_ERRORS
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin
from unfold.sites import UnfoldAdminSite

from apps.core.staff_sign_in import TOO_MANY, StaffSignInForm


class Console(UnfoldAdminSite):
    """An admin site whose rights are the staff's roles, re-read at each request."""

    login_template = None
    login_form = StaffSignInForm

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        response = super().login(request, extra_context)
        if request.user.is_authenticated:
            request.session["host"] = request.get_host()
        form = (getattr(response, "context_data", None) or {}).get("form")
        if form is not None and form.is_bound and form.has_error(NON_FIELD_ERRORS, TOO_MANY):
            response.status_code = 429
        return response


class OperatorConsole(Console):
    """Only for the platform's own staff."""

    def has_permission(self, request: Any) -> bool:
        return request.rights.is_operator


class PartnerConsole(Console):
    """For the partner's staff on its host, and for the platform's at /p/<slug>/."""

    def has_permission(self, request: Any) -> bool:
        return request.rights.is_operator if request.switched else bool(request.rights.roles)


operator_site = OperatorConsole(name="admin")
partner_site = PartnerConsole(name="admin")


def register(model: type[models.Model], *, sites: Sequence[admin.AdminSite]) -> Callable[[Any], Any]:
    """Registers a ModelAdmin with consoles: public models with the operator's, a partner's with the partner's."""

    def wrapper(model_admin: Any) -> Any:
        for site in sites:
            site.register(model, model_admin)
        return model_admin

    return wrapper


class ConsoleAdmin(ModelAdmin):
    """A ModelAdmin whose rights are roles: everybody here may look, `change_roles` may change. Nothing is deleted."""

    change_roles: tuple[str, ...] = ("manager",)
    view_roles: tuple[str, ...] = ("manager", "support", "finance")
    list_per_page = 50
    show_full_result_count = False
    compressed_fields = True
    warn_unsaved_form = True

    def has_module_permission(self, request: Any) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: Any, obj: Any = None) -> bool:
        return request.rights.may(*self.view_roles)

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return request.rights.may(*self.change_roles)

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return request.rights.may(*self.change_roles)

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(ConsoleAdmin):
    """Documents and logs: to be looked at; what may be done with them are actions."""

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False


def form_page(
    model_admin: ModelAdmin, request: HttpRequest, form: Any, title: Any, **context: Any
) -> TemplateResponse:
    """A page of the console with one form of its own: what an action asks before it is done."""
    site = model_admin.admin_site
    shown = {**site.each_context(request), "title": title, "opts": model_admin.opts, "form": form, **context}
    return TemplateResponse(request, "core/form_page.html", shown)
