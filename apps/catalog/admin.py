"""Console of the operator: products, tariffs with their versions, the price list, offers to partners."""

from typing import Any

from django.contrib import admin, messages
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _
from import_export.admin import ImportExportModelAdmin
from import_export.results import Result, RowResult
from import_export.tmp_storages import MediaStorage
from unfold.contrib.import_export.forms import ExportForm, ImportForm
from unfold.decorators import action, display

from apps import journal
from apps.catalog import offers
from apps.catalog.formats import PriceListCSV, PriceListXLSX
from apps.catalog.forms import OfferForm, ParameterForm, ProductForm, VersionForm
from apps.catalog.models import (
    Category,
    Offer,
    Product,
    ProductParameter,
    ProductPicture,
    Tariff,
    TariffVersion,
)
from apps.catalog.resources import TariffResource
from apps.core import console

OPERATOR = (console.operator_site,)


@console.register(Category, sites=OPERATOR)
class CategoryAdmin(console.ConsoleAdmin):
    """Headings of the catalogue."""

    list_display = ("title", "code", "sort")
    list_display_links = ("title",)

    @display(description=_("название"))
    def title(self, category: Category) -> str:
        return str(category)


class ParameterInline(console.ConsoleInline):
    """Parameters of a product."""

    model = ProductParameter
    form = ParameterForm


@console.register(Product, sites=OPERATOR)
class ProductAdmin(console.ConsoleAdmin):
    """Products with their parameters."""

    form = ProductForm
    list_display = ("title", "code", "category", "provider", "delivery", "is_archived")
    list_display_links = ("title",)
    list_filter = ("category", "provider", "delivery", "is_archived")
    list_select_related = ("category", "provider")
    search_fields = ("code", "name__ru")
    inlines = (ParameterInline,)

    def save_model(self, request: HttpRequest, obj: Product, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if form.picture:
            ProductPicture.put(obj, *form.picture)

    @display(description=_("название"))
    def title(self, product: Product) -> str:
        return str(product)


class VersionInline(console.ReadOnlyInline):
    """Versions of a tariff, newest first."""

    model = TariffVersion
    fields = readonly_fields = (
        "number", "price", "period", "trial_days", "vat_code", "parameters", "published_at", "sold_at",
    )  # fmt: skip

    @display(description=_("период"))
    def period(self, version: TariffVersion) -> str:
        return version.period


@console.register(Tariff, sites=OPERATOR)
class TariffAdmin(console.ConsoleAdmin, ImportExportModelAdmin):
    """Tariffs with their versions; the price list comes in and goes out here."""

    list_display = ("title", "code", "price", "period", "is_archived")
    list_display_links = ("title",)
    list_filter = ("product__category", "product", "is_archived")
    list_select_related = ("product", "current")
    search_fields = ("code", "name__ru", "product__code", "product__name__ru")
    fields = ("product", "code", "name", "description", "sort", "is_archived")
    inlines = (VersionInline,)
    actions_detail = ("new_version",)

    resource_classes = (TariffResource,)
    formats = import_formats = export_formats = [PriceListCSV, PriceListXLSX]
    import_form_class = ImportForm
    export_form_class = ExportForm
    import_template_name = "catalog/price_list.html"
    # Any web host may get the confirmation: the file waits where all of them see it.
    tmp_storage_class = MediaStorage
    skip_admin_log = True

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
        tariff = Tariff.objects.select_related("product", "current").get(pk=object_id)
        form = VersionForm(request.POST or None, tariff=tariff)
        if form.is_valid():
            version = form.publish()
            _note(request, "tariff.version-published", tariff, {"number": version.number})
            messages.success(
                request, _("Редакция %d действует. Прежние подписчики платят по своей.") % version.number
            )
            return redirect("admin:catalog_tariff_change", object_id)
        return console.form_page(self, request, form, _("Новая редакция: %s") % tariff)

    # -- price list ----------------------------------------------------------------------------------

    def has_import_permission(self, request: Any) -> bool:
        return self.has_change_permission(request)

    def has_export_permission(self, request: Any) -> bool:
        return self.has_view_permission(request)

    def add_data_read_fail_error_to_form(self, form: Any, error: Exception) -> None:
        """What is wrong with the file, in words; anything unexpected is ours to see."""
        if not isinstance(error, ValueError):
            raise error
        form.add_error("import_file", str(error))

    def process_result(self, result: Result, request: HttpRequest) -> HttpResponse:
        """After the confirmation: what was true in the preview may have changed since."""
        if result.has_errors() or result.has_validation_errors():
            for problem in result.problems()[:20]:
                messages.error(request, problem)
            return redirect("admin:catalog_tariff_import")
        totals = {
            name: result.totals[name] for name in (RowResult.IMPORT_TYPE_NEW, RowResult.IMPORT_TYPE_UPDATE)
        }
        journal.record("price-list.imported", "catalog.Tariff", "", actor=_actor(request), data=totals)
        return super().process_result(result, request)

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


@console.register(Offer, sites=OPERATOR)
class OfferAdmin(console.ConsoleAdmin):
    """What each partner may sell."""

    list_display = ("tariff", "partner", "price", "is_on_sale", "sort")
    list_editable = ("is_on_sale", "sort")
    list_filter = ("partner", "is_on_sale", "tariff__product")
    list_select_related = ("tariff__product", "tariff__current", "partner")
    search_fields = ("tariff__code", "partner__name")
    actions = ("start_selling", "stop_selling")
    actions_list = ("offer_many",)

    @display(description=_("цена"))
    def price(self, offer: Offer) -> str:
        return str(offer.tariff.current.money) if offer.tariff.current else "—"

    @action(description=_("Предложить партнёру"), url_path="offer", permissions=["add"])
    def offer_many(self, request: HttpRequest) -> HttpResponse:
        """Lets a partner sell many tariffs at once."""
        form = OfferForm(request.POST or None)
        if form.is_valid():
            partner, tariffs = form.cleaned_data["partner"], form.cleaned_data["tariffs"]
            offers.put_on_sale(partner_id=partner.pk, tariffs=tariffs)
            _note(request, "partner.offered", partner, {"tariffs": [tariff.code for tariff in tariffs]})
            messages.success(
                request,
                _("%(partner)s продаёт тарифов: %(count)d") % {"partner": partner, "count": len(tariffs)},
            )
            return redirect("admin:catalog_offer_changelist")
        return console.form_page(self, request, form, _("Предложить партнёру"))

    @admin.action(description=_("Начать продажи"), permissions=["change"])
    def start_selling(self, request: HttpRequest, queryset: "models.QuerySet[Offer]") -> None:
        queryset.update(is_on_sale=True)

    @admin.action(description=_("Остановить продажи"), permissions=["change"])
    def stop_selling(self, request: HttpRequest, queryset: "models.QuerySet[Offer]") -> None:
        queryset.update(is_on_sale=False)


def _actor(request: HttpRequest) -> str:
    return request.user.get_username()


def _note(request: HttpRequest, done: str, row: models.Model, data: dict[str, Any]) -> None:
    journal.record(done, row._meta.label, row.pk, actor=_actor(request), data=data)
