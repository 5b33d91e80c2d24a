"""Changes of prices: drafted, counted, looked at, published."""

from typing import Any

from django.contrib import messages
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps.catalog import price_changes, tables
from apps.catalog.admin.pages import OPERATOR, Exchanged, actor_of
from apps.catalog.forms import PriceChangeForm
from apps.catalog.models import PriceChange
from apps.core import clock, console
from apps.core.errors import Refused
from apps.core.money import Money


@console.register(PriceChange, sites=OPERATOR)
class PriceChangeAdmin(console.ConsoleAdmin, Exchanged):
    """A draft is saved and leads to its impact; there it is published."""

    form = PriceChangeForm
    list_display = ("tariff", "cost", "policy", "effective_date", "stands")
    list_filter = ("policy",)
    list_select_related = ("tariff__product",)
    autocomplete_fields = ("tariff",)
    resource_classes = (tables.PriceChangeTable,)
    empty_hint = _(
        "Новая цена тарифа: до публикации покажем, сколько подписок затронет и как изменится выручка."
    )

    @display(description=_("новая цена"), ordering="price")
    def cost(self, change: PriceChange) -> str:
        return str(Money(change.price))

    @display(description=_("состояние"), label={"draft": "warning", "planned": "info", "started": "success"})
    def stands(self, change: PriceChange) -> tuple[str, Any]:
        if not change.is_published:
            return "draft", _("Черновик")
        return ("started", _("Действует")) if change.started_at else ("planned", _("Опубликовано"))

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and not (obj and obj.is_published)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.impact)
        return [
            path("<uuid:change_id>/impact/", view, name="catalog_pricechange_impact"),
            *super().get_urls(),
        ]

    def save_model(self, request: HttpRequest, obj: PriceChange, form: Any, change: bool) -> None:
        obj.created_at = obj.created_at or clock.wall()
        super().save_model(request, obj, form, change)
        price_changes.count(obj)

    def response_add(
        self, request: HttpRequest, obj: PriceChange, post_url_continue: Any = None
    ) -> HttpResponse:
        return redirect("admin:catalog_pricechange_impact", obj.pk)

    def response_change(self, request: HttpRequest, obj: PriceChange) -> HttpResponse:
        return redirect("admin:catalog_pricechange_impact", obj.pk)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """What is published is looked at, not edited."""
        found = PriceChange.objects.filter(pk=object_id).first()
        if found is not None and found.is_published:
            return redirect("admin:catalog_pricechange_impact", found.pk)
        return super().change_view(request, object_id, form_url, extra_context)

    def impact(self, request: HttpRequest, change_id: Any) -> HttpResponse:
        """Whom it touches and what it does to a month; from here it is published."""
        rows = PriceChange.objects.select_related("tariff__product", "tariff__current", "version")
        change = get_object_or_404(rows, pk=change_id)
        if request.method == "POST" and super().has_change_permission(request):
            return self._done(request, change)
        impacts = list(change.impacts.select_related("partner").order_by("-subscriptions", "partner__name"))
        total = change.impacts.aggregate(
            subscriptions=Sum("subscriptions"),
            old=Sum("old_monthly"),
            new=Sum("new_monthly"),
            planned=Sum("planned"),
        )
        context = {
            **self.admin_site.each_context(request),
            "title": _("Изменение цены: %s") % change.tariff,
            "opts": self.opts,
            "change": change,
            "was": _before(change),
            "impacts": impacts,
            "total": total,
            "difference": (total["new"] or 0) - (total["old"] or 0),
            "is_counting": not change.is_published and any(one.counted_at is None for one in impacts),
            "may_change": super().has_change_permission(request),
        }
        return TemplateResponse(request, "catalog/price_impact.html", context)

    def _done(self, request: HttpRequest, change: PriceChange) -> HttpResponse:
        try:
            if "publish" in request.POST:
                price_changes.publish(change.pk, actor=actor_of(request))
                messages.success(
                    request, _("Опубликовано. Клиенты извещаются, действует с назначенного дня.")
                )
            elif not change.is_published:
                price_changes.count(change)
        except Refused as refused:
            messages.error(request, str(refused.message))
        return redirect("admin:catalog_pricechange_impact", change.pk)


def _before(change: PriceChange) -> Any:
    """The version that the change replaces, or has replaced."""
    if change.version is None:
        return change.tariff.current
    return change.tariff.versions.filter(number__lt=change.version.number).order_by("-number").first()
