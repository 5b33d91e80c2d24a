"""The two consoles: the operator's over public data, and a partner's, also opened by the operator at /p/<slug>/."""

from collections.abc import Callable, Sequence
from functools import cache, wraps
from importlib import import_module
from typing import Any, Self

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.core.paginator import Paginator
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils.functional import SimpleLazyObject, cached_property
from django.utils.module_loading import autodiscover_modules
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.sites import UnfoldAdminSite

from apps.core.money import Money
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

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        # It costs an address and the rights of every model; each page has it in its context, few show it.
        return SimpleLazyObject(lambda: super(Console, self).get_app_list(request, app_label))

    def get_urls(self) -> list[Any]:
        fill()
        patterns = super().get_urls()
        for pattern in patterns:
            if getattr(pattern, "name", "") == "view_on_site":
                pattern.callback = self.admin_view(_nowhere)
        return patterns


def _nowhere(request: HttpRequest, content_type_id: str, object_id: str) -> HttpResponse:
    """Django's way from an object to its page on the site: ours have none, and its look-up fails on a bad id."""
    raise Http404


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


@cache
def fill() -> None:
    """Registers the pages of all apps: with the first addresses of a console, for nobody else has use of them.

    Workers start without: pages and what they stand on take a third of that time.
    """
    autodiscover_modules("admin")
    for config in apps.get_app_configs():
        for name in getattr(config, "console_pages", ()):
            import_module(f"{config.name}.{name}")


def register(model: type[models.Model], *, sites: Sequence[admin.AdminSite]) -> Callable[[Any], Any]:
    """Registers a ModelAdmin with consoles: public models with the operator's, a partner's with the partner's."""

    def wrapper(model_admin: Any) -> Any:
        for site in sites:
            site.register(model, model_admin)
        return model_admin

    return wrapper


class Label(tuple[str, Any]):
    """A state and its words: a coloured label in a list (`@display(label=…)`), its words on the page of one object."""

    def __new__(cls, state: str, words: Any) -> Self:
        return super().__new__(cls, (state, words))

    def __str__(self) -> str:
        return str(self[1])


class CappedPaginator(Paginator):
    """Pages of a list that may hold millions: no more than its first rows are counted, and pages go no further."""

    MOST = 10_000

    @cached_property
    def _found(self) -> int:
        return int(self.object_list[: self.MOST + 1].count())  # type: ignore[attr-defined]

    @property
    def is_capped(self) -> bool:
        """Whether there are more than it counts."""
        return self._found > self.MOST

    @cached_property
    def count(self) -> int:
        return min(self._found, self.MOST)


class RightsByRole:
    """Rights are roles: everybody here may look, `change_roles` may change. Nothing is deleted."""

    change_roles: tuple[str, ...] = ("manager",)
    view_roles: tuple[str, ...] = ("manager", "support", "finance")

    def has_view_permission(self, request: Any, obj: Any = None) -> bool:
        return bool(request.rights.may(*self.view_roles))

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return bool(request.rights.may(*self.change_roles))

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return bool(request.rights.may(*self.change_roles))

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False


class ConsoleAdmin(RightsByRole, ModelAdmin):
    """A page of the console."""

    list_per_page = 50
    show_full_result_count = False
    compressed_fields = True
    empty_value_display = "—"
    warn_unsaved_form = True
    empty_hint: Any = ""
    """What an empty list says of how something comes here."""

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        page = super().get_changelist_instance(request)
        if not (page.query or page.has_active_filters):
            # These are all, and the heading need not offer to show them.
            page.full_result_count = page.result_count
        return page

    def get_urls(self) -> list[URLPattern]:
        patterns: list[URLPattern] = super().get_urls()
        for pattern in patterns:
            pattern.callback = self._only_possible_ids(pattern.callback)
        return patterns

    def _only_possible_ids(self, view: Callable[..., Any]) -> Callable[..., Any]:
        """Pages of one object answer 404 where the address holds what can be no id; «add» has none."""

        @wraps(view)
        def wrapper(request: Any, *args: Any, object_id: str | None = None, **kwargs: Any) -> Any:
            if object_id is not None:
                try:
                    self.opts.pk.get_prep_value(self.opts.pk.to_python(unquote(object_id)))
                except (ValidationError, ValueError) as error:
                    raise Http404 from error
                kwargs["object_id"] = object_id
            return view(request, *args, **kwargs)

        return wrapper

    def has_module_permission(self, request: Any) -> bool:
        return self.has_view_permission(request)


class OnlyToLookAt:
    """Nobody adds or changes anything by hand."""

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(OnlyToLookAt, ConsoleAdmin):
    """Documents and logs: to be looked at; what may be done with them are actions."""

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Sums stand in their currency, which then needs no line of its own."""
        found = super().get_fieldsets(request, obj)
        return [
            (name, {**options, "fields": in_currency(self.model, options["fields"])})
            for name, options in found
        ]


def in_currency(model: type[models.Model], fields: Sequence[Any]) -> list[Any]:
    """The fields of a page to look at, sums of a document among them as «1 490 ₽»."""
    known = {one.name: one for one in model._meta.get_fields() if isinstance(one, models.Field)}
    if "currency" not in known:
        return list(fields)

    def shown(one: Any) -> Any:
        if isinstance(one, tuple | list):
            return tuple(shown(each) for each in one)
        return _sum(model, one) if isinstance(one, str) and _is_amount(known.get(one)) else one

    return [shown(name) for name in fields if name != "currency"]


def _is_amount(one: Any) -> bool:
    return isinstance(one, models.DecimalField) and (one.max_digits, one.decimal_places) == (14, 2)


@cache
def _sum(model: type[models.Model], name: str) -> Callable[[Any], str]:
    """One and the same for a field: Django compares what it is given in several places."""

    @display(description=model._meta.get_field(name).verbose_name)  # type: ignore[union-attr]
    def shown(row: Any) -> str:
        amount = getattr(row, name)
        return "—" if amount is None else str(Money(amount, row.currency))

    return shown


class ConsoleInline(RightsByRole, TabularInline):
    """Rows on the page of what they belong to. Without roles of its own Django would show them to superusers only."""

    extra = 0


class ReadOnlyInline(OnlyToLookAt, ConsoleInline):
    """Rows to be looked at."""

    can_delete = False

    @property
    def hide_title(self) -> bool:
        """Cells say what a row is; its title would say it twice, or be an id. But the link to its page stands there."""
        return not self.show_change_link


class Belongings(ReadOnlyInline):
    """What somebody has, newest first, each line a link to its own page."""

    tab = True
    show_change_link = True
    per_page = 20
    ordering = ("-id",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields


def show_below(model: type[models.Model], *inlines: type[ReadOnlyInline]) -> None:
    """Adds rows to the partner's page of a model that stands below and knows nothing of them."""
    page = partner_site.get_model_admin(model)
    page.inlines = (*page.inlines, *inlines)


def act_on(model: type[models.Model], *actions: Any, is_rare: bool = False) -> None:
    """Adds buttons to the partner's page of a model that stands below and knows nothing of them.

    `is_rare`: into the page's menu «Ещё», where it has one.
    """
    page = partner_site.get_model_admin(model)
    for one in actions:
        setattr(type(page), one.__name__, one)
    names = [one.__name__ for one in actions]
    buttons = [one for one in page.actions_detail if isinstance(one, str)]
    menus = [one for one in page.actions_detail if not isinstance(one, str)]
    if menus and is_rare:
        menus = [*menus[:-1], {**menus[-1], "items": [*menus[-1]["items"], *names]}]
    else:
        buttons += names
    page.actions_detail = (*buttons, *menus)


def form_page(
    model_admin: ModelAdmin, request: HttpRequest, form: Any, title: Any, **context: Any
) -> TemplateResponse:
    """A page of the console with one form of its own: what an action asks before it is done."""
    site = model_admin.admin_site
    shown = {**site.each_context(request), "title": title, "opts": model_admin.opts, "form": form, **context}
    return TemplateResponse(request, "core/form_page.html", shown)
