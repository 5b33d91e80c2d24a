"""«Условия поставщиков»: what was in force stays; a change is a new version."""

from typing import Any

from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps.catalog.admin.pages import OPERATOR, note
from apps.catalog.models import ProviderTerms, Trade
from apps.core import clock, console
from apps.partners.models import words


@console.register(ProviderTerms, sites=OPERATOR)
class ProviderTermsAdmin(console.ConsoleAdmin):
    """What providers are owed, by day, product and tariff."""

    change_roles = ("finance",)
    view_roles = ("manager", "finance")
    list_display = (
        "provider",
        "scope",
        "number",
        "valid_from",
        "how",
        "owed",
        "clawback",
    )
    empty_hint = _(
        "Сколько причитается поставщику с каждой продажи и с какого дня. Без условий себестоимости нет."
    )
    list_filter = ("provider", "trade")
    list_select_related = ("provider", "product", "tariff__product")
    autocomplete_fields = ("provider", "product", "tariff")

    @display(description=ProviderTerms._meta.get_field("product").verbose_name)
    def scope(self, terms: ProviderTerms) -> Any:
        return terms.tariff or terms.product or "—"

    @display(description=_("как продаём"), ordering="trade")
    def how(self, terms: ProviderTerms) -> Any:
        return _("агент поставщика") if terms.trade == Trade.AGENCY else _("перепродажа")

    @display(description=_("условия"))
    def owed(self, terms: ProviderTerms) -> str:
        return words(terms.percent, terms.get_base_display(), terms.fixed, terms.get_earned_on_display())

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        in_force = isinstance(obj, ProviderTerms) and obj.valid_from <= clock.today()
        return super().has_change_permission(request, obj) and not in_force

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        note(request, "provider_terms.set", obj, {"changed": form.changed_data})
