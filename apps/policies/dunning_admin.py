"""Console: policies of dunning with their editor, who goes by which, and the rules of charges."""

from typing import Any

from django import forms
from django.apps import apps
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget

from apps.core import console
from apps.policies import dunning_page
from apps.policies.admin import Journalled
from apps.policies.dunning_models import ChargeRules, DunningChoice, DunningPolicy


@console.register(DunningPolicy, sites=(console.operator_site,))
class DunningPolicyAdmin(console.ConsoleAdmin):
    """Its page is the editor; every save is a new edition, and what runs keeps its own."""

    change_roles = ("finance", "manager")
    list_display = ("name", "is_default", "edition")
    list_select_related = ("current",)

    @display(description=_("редакция"))
    def edition(self, policy: DunningPolicy) -> str:
        return str(policy.current.number) if policy.current else "—"

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        policy = get_object_or_404(DunningPolicy, pk=object_id) if object_id else None
        return dunning_page.page(self, request, policy)


class ChoiceForm(forms.ModelForm):
    """The tariff by its name: the catalogue stands above this app, which knows its number only."""

    tariff_id = forms.TypedChoiceField(
        label=_("Тариф"),
        coerce=int,
        empty_value=None,
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text=_("Пусто: на всех тарифах"),
    )

    class Meta:
        model = DunningChoice
        fields = ("partner", "tariff_id", "policy")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        tariffs = apps.get_model("catalog.Tariff").objects.select_related("product").order_by("code")
        self.fields["tariff_id"].choices = [  # type: ignore[attr-defined]
            ("", _("все тарифы")),
            *((tariff.pk, f"{tariff.code} · {tariff}") for tariff in tariffs),
        ]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if not given.get("partner") and not given.get("tariff_id"):
            raise forms.ValidationError(
                _("Выберите партнёра, тариф или то и другое. Для всех есть политика по умолчанию")
            )
        return given


@console.register(DunningChoice, sites=(console.operator_site,))
class DunningChoiceAdmin(Journalled):
    """Of several that fit, the one of the tariff at the partner counts, then the partner's, then the tariff's."""

    empty_hint = _("Пока все живут по общей политике. Здесь выбирают другую для партнёра или тарифа.")
    form = ChoiceForm
    change_roles = ("finance", "manager")
    list_display = ("whose", "tariff", "policy")
    list_select_related = ("partner", "policy")
    list_filter = ("policy", "partner")

    @display(description=_("партнёр"), ordering="partner")
    def whose(self, choice: DunningChoice) -> str:
        return str(choice.partner or _("все партнёры"))

    @display(description=_("тариф"))
    def tariff(self, choice: DunningChoice) -> str:
        if choice.tariff_id is None:
            return str(_("все тарифы"))
        found = apps.get_model("catalog.Tariff").objects.filter(pk=choice.tariff_id).first()
        return f"{found.code} · {found}" if found else str(choice.tariff_id)

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)


@console.register(ChargeRules, sites=(console.operator_site,))
class ChargeRulesAdmin(Journalled):
    """Notices before a charge, and what a bill may come to before a person looks at it."""

    empty_hint = _(
        "Пока действуют обычные правила: напоминание за три дня, границы счёта — как у платформы. Здесь задают свои."
    )
    change_roles = ("finance", "manager")
    list_display = (
        "__str__",
        "notice_days",
        "require_notice",
        "most_times_usual",
        "most_amount",
        "most_invoices_a_day",
        "most_periods",
    )
    list_select_related = ("partner",)
    fieldsets = (
        (None, {"fields": ("partner",)}),
        (_("Предупреждение о списании"), {"fields": ("notice_days", "require_notice")}),
        (
            _("Пределы: счёт сверх них ждёт сотрудника"),
            {"fields": ("most_times_usual", "most_amount", "most_invoices_a_day", "most_periods")},
        ),
    )

    def has_delete_permission(self, request: Any, obj: ChargeRules | None = None) -> bool:
        return self.has_change_permission(request, obj) and (obj is None or obj.partner_id is not None)
