"""Console: days of providers beside what was charged, their differences, and what was decided about each."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from apps.core import console, links
from apps.core.errors import Refused
from apps.core.money import Money
from apps.providers.models import Provider
from apps.providers.portal import listing
from apps.settlements import provider_days, provider_named
from apps.settlements.admin import OPERATOR
from apps.settlements.checked_day_admin import CheckedDayAdmin, decision
from apps.settlements.provider_models import ProviderDay, ProviderDifference


class DayForm(forms.Form):
    """Which day of which provider, and its list where it has sent one."""

    provider = forms.ModelChoiceField(
        label=_("Поставщик"),
        queryset=Provider.objects.filter(is_archived=False),
        widget=UnfoldAdminSelectWidget,
    )
    day = forms.DateField(label=_("День"), widget=UnfoldAdminSingleDateWidget)
    is_test = forms.BooleanField(label=_("Песочница"), required=False, widget=UnfoldBooleanSwitchWidget)
    file = forms.FileField(
        label=_("Список услуг поставщика, CSV или XLSX"),
        required=False,
        help_text=_(
            "Колонки: услуга (номер услуги или запроса) и, если есть, стоимость. Без файла поставщик спрашивается "
            "по API, где это возможно, иначе сверяются наши данные"
        ),
        widget=UnfoldAdminFileFieldWidget,
    )


class NoteForm(forms.Form):
    """What was decided."""

    note = forms.CharField(label=_("Что решили и почему"), max_length=200, widget=UnfoldAdminTextInputWidget)


class DifferenceInline(console.ReadOnlyInline):
    """What does not agree."""

    model = ProviderDifference
    view_roles = ("finance",)
    fields = ("kind", "shown_service", "partner", "shown_amount", "decision")
    readonly_fields = ("shown_service", "shown_amount", "decision")

    def get_formset(self, request: Any, obj: Any = None, **kwargs: Any) -> Any:
        # An inline lives for one request: all services of the day are named at once.
        self.known = provider_named.of_day(obj) if obj is not None else {}
        return super().get_formset(request, obj, **kwargs)

    @display(description=_("услуга"))
    def shown_service(self, row: ProviderDifference) -> SafeString | str:
        known = self.known.get(row.service_id) if row.service_id else None
        if known is None or row.partner is None or row.service_id is None:
            return str(row.named)
        url = links.to("orders.Service", row.service_id, slug=row.partner.slug)
        return format_html("{}<br><small>{}</small>", links.linked(known, url), row.named)

    @display(description=_("сумма"))
    def shown_amount(self, row: ProviderDifference) -> str:
        return str(row.money)

    @display(description=_("решение"))
    def decision(self, row: ProviderDifference) -> SafeString | str:
        return decision(row, _("Решить"), "admin:settlements_providerday_decide")


@console.register(ProviderDay, sites=OPERATOR)
class ProviderDayAdmin(CheckedDayAdmin):
    """A day a line; what differs stands on its page."""

    list_display = (
        "shown_day",
        "provider",
        "shown_state",
        "source",
        "charged",
        "provisioned",
        "matched",
        "differing",
        "shown_lost",
        "shown_free",
    )
    list_filter = ("state", "provider", "source", "is_test", ("day", RangeDateFilter))
    list_select_related = ("provider",)
    fields = (
        ("provider", "day", "is_test"),
        ("state", "source", "file"),
        ("charged", "provisioned", "matched"),
        "shown_asked",
        ("shown_lost", "shown_free"),
        "checked_at",
        ("closed_by", "closed_at"),
    )
    readonly_fields = ("shown_asked", "shown_lost", "shown_free")
    inlines = (DifferenceInline,)
    actions_detail = ("check_again", "close_day")
    empty_hint = _(
        "Нажмите «Добавить»: выберите поставщика и день; каждое утро вчерашний день сверяется сам."
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        kinds = ProviderDifference.Kind
        lost = Q(differences__kind=kinds.NOT_PROVISIONED)
        return (
            super()
            .get_queryset(request)
            .annotate(
                left=Count("differences", filter=Q(differences__explained_at=None)),
                lost=Sum("differences__amount", filter=lost),
                free=Sum("differences__amount", filter=Q(differences__id__isnull=False) & ~lost),
            )
        )

    def get_urls(self) -> list[Any]:
        from django.urls import path

        view = self.admin_site.admin_view(self.decide_view)
        own = path("decide/<uuid:difference_id>/", view, name="settlements_providerday_decide")
        return [own, *super().get_urls()]

    @display(description=_("спрошено у поставщика"))
    def shown_asked(self, row: ProviderDay) -> str:
        if not row.to_ask:
            return "—"
        return _("{asked} из {all}").format(asked=row.asked, all=row.to_ask)

    @display(description=_("осталось решить"), ordering="left")
    def differing(self, row: Any) -> int:
        return int(row.left)

    @display(description=_("оплачено, не подключено"), ordering="lost")
    def shown_lost(self, row: Any) -> str:
        return str(Money(row.lost or Decimal("0.00"), row.currency))

    @display(description=_("подключено, не оплачено"), ordering="free")
    def shown_free(self, row: Any) -> str:
        return str(Money(row.free or Decimal("0.00"), row.currency))

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = DayForm(*((request.POST, request.FILES) if request.method == "POST" else ()))
        if request.method == "POST" and form.is_valid():
            given = form.cleaned_data
            row = self._check(request, form, **given)
            if row is not None:
                return redirect("admin:settlements_providerday_change", row.pk)
        return console.form_page(self, request, form, _("Сверить день поставщика"), press=_("Сверить"))

    def _check(
        self,
        request: HttpRequest,
        form: Any,
        *,
        provider: Provider,
        day: Any,
        is_test: bool,
        file: Any = None,
    ) -> ProviderDay | None:
        actor = request.user.get_username()
        try:
            if file is not None:
                listing.load(
                    provider=provider,
                    day=day,
                    name=file.name,
                    content=file.read(),
                    actor=actor,
                    is_test=is_test,
                )
            row = provider_days.check(provider, day, is_test=is_test, actor=actor)
            if row.asked < row.to_ask:
                messages.info(request, _("Спрашиваем поставщика о каждой услуге: итог появится здесь"))
            return row
        except Refused as refused:
            if form is not None:
                form.add_error("file" if refused.code == "bad_file" else "day", str(refused.message))
            else:
                messages.error(request, str(refused.message))
        return None

    def check_row(self, request: HttpRequest, row: Any) -> ProviderDay | None:
        return self._check(request, None, provider=row.provider, day=row.day, is_test=row.is_test)

    def close_row(self, row: Any, *, actor: str) -> ProviderDay:
        return provider_days.close(row.pk, actor=actor)

    def decide_view(self, request: Any, difference_id: UUID) -> HttpResponse:
        """What is done about one difference."""
        one = get_object_or_404(ProviderDifference.objects.select_related("day"), pk=difference_id)
        if not request.rights.may("finance"):
            raise PermissionDenied
        form = NoteForm(*([request.POST] if request.method == "POST" else []))
        if request.method == "POST" and form.is_valid():
            try:
                note = form.cleaned_data["note"]
                provider_days.decide(one.pk, note=note, actor=request.user.get_username())
            except Refused as refused:
                messages.error(request, str(refused.message))
            return redirect("admin:settlements_providerday_change", one.day_id)
        known = provider_named.of_day(one.day, only=one).get(one.service_id) if one.service_id else None
        notes = [str(one), *([known] if known else []), str(one.money)]
        return console.form_page(self, request, form, _("Решить расхождение"), notes=notes)
