"""«Остановки продаж»: planned works and stops by hand; those that come and go by themselves are there to be seen."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from apps.catalog import stops
from apps.catalog.admin.pages import OPERATOR, actor_of, note
from apps.catalog.models import SalesStop
from apps.catalog.models.stops import BY_STAFF
from apps.core import clock, console
from apps.core.errors import Refused

STAGES = {"planned": _("Запланирована"), "open": _("Продажи закрыты"), "over": _("Закончилась")}


@console.register(SalesStop, sites=OPERATOR)
class SalesStopAdmin(console.ConsoleAdmin):
    """When and why what was not sold; planned works ahead of us."""

    change_roles = ("manager", "support")
    list_display = ("stage", "cause", "whose", "starts_at", "ends_at", "closed_at", "note", "made_by")
    list_filter = ("cause", "provider")
    list_select_related = ("provider", "product", "tariff__product")
    date_hierarchy = "starts_at"
    fields = (
        "cause",
        "provider",
        "product",
        "tariff",
        "starts_at",
        "ends_at",
        "message",
        "note",
    )
    autocomplete_fields = ("provider", "product", "tariff")
    actions_detail = ("end_now",)
    empty_hint = _(
        "Здесь планируют работы поставщика и останавливают продажи вручную. Когда поставщик не отвечает или кончились "
        "ключи, продажи закрываются и открываются сами."
    )

    @display(description=_("состояние"), label={"planned": "info", "open": "danger", "over": "success"})
    def stage(self, stop: SalesStop) -> tuple[str, Any]:
        stage = stop.stage(clock.wall())
        return stage, STAGES[stage]

    @display(description=_("что не продаётся"))
    def whose(self, stop: SalesStop) -> str:
        return stop.target

    def formfield_for_choice_field(self, db_field: Any, request: Any, **options: Any) -> Any:
        if db_field.name == "cause":
            options["choices"] = [(one.value, one.label) for one in reversed(BY_STAFF)]
        return super().formfield_for_choice_field(db_field, request, **options)

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        """What is over, and what no person has stopped, is only looked at."""
        may = super().has_change_permission(request, obj)
        if not isinstance(obj, SalesStop):
            return may
        return may and obj.cause in BY_STAFF and obj.stage(clock.wall()) != "over"

    def save_model(self, request: HttpRequest, obj: SalesStop, form: Any, change: bool) -> None:
        obj.made_by = obj.made_by or actor_of(request)
        super().save_model(request, obj, form, change)
        done = "sales-stop.changed" if change else "sales-stop.planned"
        note(request, done, obj, {"cause": obj.cause, "changed": form.changed_data})

    @action(description=_("Открыть продажи сейчас"), url_path="end-now", permissions=["change"])
    def end_now(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Ends it before its time."""
        try:
            stops.end(get_object_or_404(SalesStop, pk=object_id), actor=actor_of(request))
            messages.success(request, _("Продажи открыты"))
        except Refused as refused:
            messages.error(request, str(refused.message))
        return redirect("admin:catalog_salesstop_change", object_id)
