"""What each partner may sell: a list, and the matrix of all of it."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from apps.catalog import matrix_page, offers, tables
from apps.catalog.admin.pages import OPERATOR, Exchanged, note
from apps.catalog.forms import OfferForm
from apps.catalog.models import Offer
from apps.core import console


@console.register(Offer, sites=OPERATOR)
class OfferAdmin(console.ConsoleAdmin, Exchanged):
    """What each partner may sell."""

    list_display = ("tariff", "partner", "channel_code", "cost", "payer", "is_on_sale", "sort")
    fields = (
        "partner",
        "tariff",
        "channel_code",
        "is_on_sale",
        "price",
        "on_sale_from",
        "on_sale_until",
        "payer",
        "hold_first",
        "sort",
    )
    list_editable = ("is_on_sale", "sort")
    list_filter = ("partner", "is_on_sale", "payer", "tariff__product")
    list_select_related = ("tariff__product", "tariff__current", "partner")
    search_fields = ("tariff__code", "partner__name")
    actions = ("start_selling", "stop_selling")
    actions_list = ("open_matrix", "offer_many")
    resource_classes = (tables.OfferTable,)
    autocomplete_fields = ("tariff",)

    @display(description=_("цена"))
    def cost(self, offer: Offer) -> str:
        return str(offer.money) if offer.tariff.current else "—"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.matrix)
        return [path("matrix/", view, name="catalog_offer_matrix"), *super().get_urls()]

    def matrix(self, request: HttpRequest) -> HttpResponse:
        """Tariff × partner × channel on one page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return matrix_page.page(self, request)

    @action(description=_("Матрица"), url_path="open-matrix", permissions=["view"])
    def open_matrix(self, request: HttpRequest) -> HttpResponse:
        return redirect("admin:catalog_offer_matrix")

    def save_model(self, request: HttpRequest, obj: Offer, form: Any, change: bool) -> None:
        """Counts the change, so that whoever edits the matrix meanwhile is told; keeps what was before."""
        was = Offer.objects.filter(pk=obj.pk).values(*form.changed_data).first() if change else None
        obj.revision += change
        super().save_model(request, obj, form, change)
        done = {name: [str((was or {}).get(name)), str(getattr(obj, name))] for name in form.changed_data}
        note(request, "offer.changed" if change else "offer.made", obj, {"changes": done})

    @action(description=_("Предложить партнёру"), url_path="offer", permissions=["add"])
    def offer_many(self, request: HttpRequest) -> HttpResponse:
        """Lets a partner sell many tariffs at once."""
        form = OfferForm(request.POST or None)
        if form.is_valid():
            partner, tariffs = form.cleaned_data["partner"], form.cleaned_data["tariffs"]
            offers.put_on_sale(partner_id=partner.pk, tariffs=tariffs)
            note(request, "partner.offered", partner, {"tariffs": [tariff.code for tariff in tariffs]})
            messages.success(
                request,
                _("%(partner)s продаёт тарифов: %(count)d") % {"partner": partner, "count": len(tariffs)},
            )
            return redirect("admin:catalog_offer_changelist")
        return console.form_page(self, request, form, _("Предложить партнёру"))

    @admin.action(description=_("Начать продажи"), permissions=["change"])
    def start_selling(self, request: HttpRequest, queryset: "models.QuerySet[Offer]") -> None:
        self._switch(request, queryset, to=True)

    @admin.action(description=_("Остановить продажи"), permissions=["change"])
    def stop_selling(self, request: HttpRequest, queryset: "models.QuerySet[Offer]") -> None:
        self._switch(request, queryset, to=False)

    def _switch(self, request: HttpRequest, queryset: "models.QuerySet[Offer]", *, to: bool) -> None:
        with transaction.atomic():
            for offer in queryset.select_for_update(of=("self",)).exclude(is_on_sale=to).order_by("pk"):
                offer.is_on_sale, offer.revision = to, offer.revision + 1
                offer.save(update_fields=["is_on_sale", "revision"])
                note(request, "offer.changed", offer, {"changes": {"is_on_sale": [str(not to), str(to)]}})
