"""Tariffs with their versions and relations; the price list comes in and goes out here."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext_lazy as _
from import_export.results import Result, RowResult
from unfold.decorators import action, display

from apps import journal
from apps.catalog import cloning, lifecycle, tables
from apps.catalog.admin.pages import OPERATOR, Exchanged, Lifecycle, actor_of, note
from apps.catalog.forms import VersionForm
from apps.catalog.models import Tariff, TariffRelation, TariffVersion
from apps.catalog.resources import TariffResource
from apps.core import console


class VersionInline(console.ReadOnlyInline):
    """Versions of a tariff, newest first."""

    model = TariffVersion
    fields = readonly_fields = (
        "number", "price", "period", "trial_days", "trial_needs_method", "vat_code", "parameters", "features",
        "published_at", "sold_at",
    )  # fmt: skip

    @display(description=_("период"))
    def period(self, version: TariffVersion) -> str:
        return version.period


class RelationInline(console.ConsoleInline):
    """What the tariff requires or excludes."""

    model = TariffRelation
    fk_name = "tariff"
    autocomplete_fields = ("other",)

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return bool(request.rights.may(*self.change_roles))


@console.register(TariffRelation, sites=OPERATOR)
class RelationAdmin(console.ConsoleAdmin, Exchanged):
    """All relations, to come in and go out as a table."""

    list_display = ("tariff", "kind", "other")
    list_select_related = ("tariff__product", "other__product")
    autocomplete_fields = ("tariff", "other")
    resource_classes = (tables.RelationTable,)


@console.register(Tariff, sites=OPERATOR)
class TariffAdmin(Lifecycle, console.ConsoleAdmin, Exchanged):
    """Tariffs with their versions; the price list comes in and goes out here."""

    list_display = ("title", "code", "price", "period", "is_addon", "stage")
    list_display_links = ("title",)
    list_filter = ("state", "product__category", "product")
    list_select_related = ("product", "current")
    search_fields = ("code", "name__ru", "product__code", "product__name__ru")
    fields = ("product", "code", "name", "description", "on_sale_from", "on_sale_until", "is_addon", "sort")
    inlines = (RelationInline, VersionInline)
    actions_detail = ("new_version", "move", "clone")

    resource_classes = (TariffResource,)
    import_template_name = "catalog/price_list.html"
    cloner = staticmethod(cloning.tariff)

    def save_model(self, request: HttpRequest, obj: Tariff, form: Any, change: bool) -> None:
        if not change:
            obj.state = lifecycle.DRAFT
        super().save_model(request, obj, form, change)

    @display(description=_("название"))
    def title(self, tariff: Tariff) -> str:
        return str(tariff)

    @display(description=_("цена"), ordering="current__price")
    def price(self, tariff: Tariff) -> str:
        return str(tariff.current.money) if tariff.current else "—"

    @display(description=_("период"))
    def period(self, tariff: Tariff) -> str:
        return tariff.current.period if tariff.current else "—"

    @action(description=_("Новая редакция"), url_path="new-version", permissions=["change"])
    def new_version(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Asks for new terms and publishes them."""
        tariff = get_object_or_404(Tariff.objects.select_related("product", "current"), pk=object_id)
        form = VersionForm(request.POST or None, tariff=tariff)
        if form.is_valid():
            version = form.publish()
            note(request, "tariff.version-published", tariff, {"number": version.number})
            messages.success(
                request, _("Редакция %d действует. Прежние подписчики платят по своей.") % version.number
            )
            return redirect("admin:catalog_tariff_change", object_id)
        return console.form_page(self, request, form, _("Новая редакция: %s") % tariff)

    # -- price list ----------------------------------------------------------------------------------

    def process_result(self, result: Result, request: HttpRequest) -> HttpResponse:
        """After the confirmation: what was true in the preview may have changed since."""
        if result.has_errors() or result.has_validation_errors():
            for problem in result.problems()[:20]:
                messages.error(request, problem)
            return redirect("admin:catalog_tariff_import")
        totals = {
            name: result.totals[name] for name in (RowResult.IMPORT_TYPE_NEW, RowResult.IMPORT_TYPE_UPDATE)
        }
        journal.record("price-list.imported", "catalog.Tariff", "", actor=actor_of(request), data=totals)
        return super(Exchanged, self).process_result(result, request)

    def add_success_message(self, result: Result, request: HttpRequest) -> None:
        totals = result.totals
        messages.success(
            request,
            _("Прайс-лист загружен: новых %(new)d, изменено %(changed)d, без изменений %(same)d")
            % {
                "new": totals[RowResult.IMPORT_TYPE_NEW],
                "changed": totals[RowResult.IMPORT_TYPE_UPDATE],
                "same": totals[RowResult.IMPORT_TYPE_SKIP],
            },
        )
