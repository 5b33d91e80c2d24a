"""Categories, products with parameters and documents, features; a product launched in one go."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from apps.catalog import cloning, documents, launch, lifecycle, tables
from apps.catalog.admin import plan_editor
from apps.catalog.admin.pages import OPERATOR, Exchanged, Lifecycle, actor_of
from apps.catalog.forms import DocumentForm, LaunchForm, ParameterForm, ProductForm
from apps.catalog.models import (
    Category,
    Feature,
    Product,
    ProductDocument,
    ProductParameter,
    ProductPicture,
)
from apps.core import console


@console.register(Category, sites=OPERATOR)
class CategoryAdmin(console.ConsoleAdmin, Exchanged):
    """Headings of the catalogue."""

    list_display = ("title", "code", "sort")
    list_display_links = ("title",)
    resource_classes = (tables.CategoryTable,)

    @display(description=_("название"))
    def title(self, category: Category) -> str:
        return str(category)


@console.register(Feature, sites=OPERATOR)
class FeatureAdmin(console.ConsoleAdmin, Exchanged):
    """What tariffs entitle to, apart from their price."""

    list_display = ("title", "code", "has_quantity", "sort")
    list_display_links = ("title",)
    resource_classes = (tables.FeatureTable,)

    @display(description=_("название"))
    def title(self, feature: Feature) -> str:
        return str(feature)


class ParameterInline(console.ConsoleInline):
    """Parameters of a product."""

    model = ProductParameter
    form = ParameterForm


class DocumentInline(console.ReadOnlyInline):
    """Versions of legal documents, newest first."""

    model = ProductDocument
    fields = readonly_fields = ("kind", "number", "valid_from", "file_name", "created_at")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("content")


@console.register(ProductParameter, sites=OPERATOR)
class ParameterAdmin(console.ConsoleAdmin, Exchanged):
    """All parameters, to come in and go out as a table."""

    form = ParameterForm
    list_display = ("title", "product", "kind", "asked_at", "is_required")
    list_display_links = ("title",)
    list_filter = ("product", "asked_at")
    list_select_related = ("product",)
    resource_classes = (tables.ParameterTable,)

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    @display(description=_("название"))
    def title(self, parameter: ProductParameter) -> str:
        return str(parameter)


@console.register(ProductDocument, sites=OPERATOR)
class DocumentAdmin(console.ReadOnlyAdmin, Exchanged):
    """Legal documents of all products; texts come in and go out as a table."""

    list_display = ("product", "kind", "number", "valid_from", "file_name")
    list_filter = ("product", "kind")
    list_select_related = ("product",)
    fields = readonly_fields = ("product", "kind", "number", "valid_from", "text", "file_name", "created_at")
    resource_classes = (tables.DocumentTable,)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("content")

    def has_import_permission(self, request: Any) -> bool:
        return bool(request.rights.may(*self.change_roles))


@console.register(Product, sites=OPERATOR)
class ProductAdmin(Lifecycle, console.ConsoleAdmin, Exchanged):
    """Products with their parameters and documents."""

    form = ProductForm
    list_display = ("title", "code", "category", "provider", "delivery", "stage")
    list_display_links = ("title",)
    list_filter = ("state", "category", "provider", "delivery")
    list_select_related = ("category", "provider")
    search_fields = ("code", "name__ru")
    inlines = (ParameterInline, DocumentInline)
    actions_detail = ("move", "clone", "add_document", "edit_plan")
    actions_list = ("launch",)
    resource_classes = (tables.ProductTable,)
    cloner = staticmethod(cloning.product)
    edit_plan = plan_editor.edit_plan

    def save_model(self, request: HttpRequest, obj: Product, form: Any, change: bool) -> None:
        if not change:
            obj.state = lifecycle.DRAFT
        super().save_model(request, obj, form, change)
        for language, picture in form.pictures.items():
            ProductPicture.put(obj, *picture, language=language)

    @display(description=_("название"))
    def title(self, product: Product) -> str:
        return str(product)

    @action(description=_("Добавить документ"), url_path="document", permissions=["change"])
    def add_document(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """A new version of a legal document."""
        product = get_object_or_404(Product, pk=object_id)
        form = DocumentForm(request.POST or None, request.FILES or None)
        if form.is_valid():
            made = documents.add(product, actor=actor_of(request), **form.values())
            messages.success(
                request,
                _("%(document)s действует с %(day)s")
                % {"document": made, "day": f"{made.valid_from:%d.%m.%Y}"},
            )
            return redirect("admin:catalog_product_change", object_id)
        return console.form_page(self, request, form, _("Документ: %s") % product)

    @action(description=_("Запустить новый продукт"), url_path="launch", permissions=["add"])
    def launch(self, request: HttpRequest) -> HttpResponse:
        """From nothing to on sale on one page."""
        form = LaunchForm(request.POST or None)
        if form.is_valid():
            made = launch.launch(actor=actor_of(request), **form.cleaned_data)
            partners = ", ".join(str(partner) for partner in form.cleaned_data["partners"])
            messages.success(
                request,
                _("«%(product)s» в продаже: %(partners)s") % {"product": made, "partners": partners}
                if partners
                else _("«%s» в продаже, но никому не предложен") % made,
            )
            return redirect("admin:catalog_product_change", made.pk)
        return console.form_page(self, request, form, _("Новый продукт: сразу в продажу"))
