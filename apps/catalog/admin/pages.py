"""What the pages of the catalogue share: moves through the lifecycle, copies, import and export with preview."""

from typing import Any

from django.contrib import messages
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext_lazy as _
from import_export.admin import ImportExportModelAdmin
from import_export.results import Result, RowResult
from import_export.tmp_storages import MediaStorage
from unfold.contrib.import_export.forms import ExportForm, ImportForm
from unfold.decorators import action, display

from apps import journal
from apps.catalog import lifecycle
from apps.catalog.formats import PriceListCSV, PriceListXLSX
from apps.catalog.forms import CloneForm, MoveForm
from apps.core import console
from apps.core.errors import Refused

OPERATOR = (console.operator_site,)


def actor_of(request: HttpRequest) -> str:
    """Who is at work, for the journal."""
    return request.user.get_username()


def note(request: HttpRequest, done: str, row: models.Model, data: dict[str, Any]) -> None:
    """Writes into the journal what was done in the console."""
    journal.record(done, row._meta.label, row.pk, actor=actor_of(request), data=data)


class Exchanged(ImportExportModelAdmin):
    """Comes in and goes out as a table, previewed before anything is written."""

    formats = import_formats = export_formats = [PriceListCSV, PriceListXLSX]
    import_form_class = ImportForm
    export_form_class = ExportForm
    # Any web host may get the confirmation: the file waits where all of them see it.
    tmp_storage_class = MediaStorage
    skip_admin_log = True

    def has_import_permission(self, request: Any) -> bool:
        return bool(self.has_change_permission(request))

    def has_export_permission(self, request: Any) -> bool:
        return bool(self.has_view_permission(request))

    def add_data_read_fail_error_to_form(self, form: Any, error: Exception) -> None:
        """What is wrong with the file, in words; anything unexpected is ours to see."""
        if not isinstance(error, ValueError):
            raise error
        form.add_error("import_file", str(error))

    def process_result(self, result: Result, request: HttpRequest) -> HttpResponse:
        """After the confirmation: what was true in the preview may have changed since."""
        if result.has_errors() or result.has_validation_errors():
            messages.error(request, _("Ничего не записано: с тех пор, как файл показали, что-то изменилось"))
            return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_import")
        totals = {
            name: result.totals[name] for name in (RowResult.IMPORT_TYPE_NEW, RowResult.IMPORT_TYPE_UPDATE)
        }
        action = f"{self.opts.model_name}.imported"
        journal.record(action, self.opts.label, "", actor=actor_of(request), data=totals)
        return super().process_result(result, request)


class Lifecycle:
    """Pages of a product or tariff: to another state, and a copy."""

    @display(
        description=_("состояние"),
        ordering="state",
        label={"on_sale": "success", "approved": "info", "draft": "warning", "closed": "danger"},
    )
    def stage(self, row: lifecycle.Sellable) -> tuple[str, str]:
        return row.state, row.get_state_display()

    @action(description=_("Изменить состояние"), url_path="move", permissions=["change"])
    def move(self: Any, request: HttpRequest, object_id: int) -> HttpResponse:
        """Asks where to and why."""
        row = get_object_or_404(self.model, pk=object_id)
        form = MoveForm(request.POST or None, row=row)
        if form.is_valid():
            try:
                to = form.cleaned_data["to"]
                lifecycle.move(row, to, actor=actor_of(request), reason=form.cleaned_data["reason"])
                messages.success(request, _("Состояние: %s") % row.get_state_display())
                return redirect(f"admin:catalog_{self.opts.model_name}_change", object_id)
            except Refused as refused:
                form.add_error(None, str(refused.message))
        return console.form_page(self, request, form, _("Изменить состояние: %s") % row)

    @action(description=_("Копия"), url_path="clone", permissions=["add"])
    def clone(self: Any, request: HttpRequest, object_id: int) -> HttpResponse:
        """Asks for a code and a name, and makes a draft like it."""
        row = get_object_or_404(self.model, pk=object_id)
        form = CloneForm(request.POST or None, initial={"name": row.name.get("ru", "")})
        if form.is_valid():
            try:
                made = self.cloner(row, actor=actor_of(request), **form.cleaned_data)
                messages.success(request, _("Черновик «%s» готов") % made)
                return redirect(f"admin:catalog_{self.opts.model_name}_change", made.pk)
            except Refused as refused:
                form.add_error("code", str(refused.message))
        return console.form_page(self, request, form, _("Копия: %s") % row)
