"""Console: days of gateways beside ours, their differences, and the tick that closes a day."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextInputWidget,
)

from apps.connectors.base import ConnectorError, Kind
from apps.connectors.models import Connection
from apps.core import console, links
from apps.core.errors import Refused
from apps.core.money import Money
from apps.settlements import reconciliation
from apps.settlements.admin import OPERATOR, FinancePages
from apps.settlements.models import Difference, GatewayDay

MODELS = {"payment": "payments.Payment", "refund": "payments.Refund"}


class DayForm(forms.Form):
    """Which day of which gateway."""

    connection = forms.TypedChoiceField(label=_("Шлюз"), coerce=int, widget=UnfoldAdminSelectWidget)
    day = forms.DateField(label=_("День"), widget=UnfoldAdminSingleDateWidget)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        gateways = Connection.objects.filter(kind=Kind.PAYMENT).order_by("is_test", "name")
        self.fields["connection"].choices = [(one.pk, str(one)) for one in gateways]  # type: ignore[attr-defined]


class NoteForm(forms.Form):
    """Why something differs."""

    note = forms.CharField(label=_("Почему не сошлось"), max_length=200, widget=UnfoldAdminTextInputWidget)


class DifferenceInline(console.ReadOnlyInline):
    """What does not agree."""

    model = Difference
    view_roles = ("finance",)
    fields = ("kind", "entry", "shown_id", "shown_ours", "shown_theirs", "partner", "note", "explained_by")
    readonly_fields = ("shown_id", "shown_ours", "shown_theirs")
    show_change_link = True

    @display(description=_("номер у шлюза"))
    def shown_id(self, row: Difference) -> SafeString | str:
        if row.object_id is None or row.partner is None:
            return row.gateway_id
        return links.linked(row.gateway_id, links.to(MODELS[row.entry], row.object_id, slug=row.partner.slug))

    @display(description=_("у нас"))
    def shown_ours(self, row: Difference) -> str:
        return "—" if row.ours is None else str(Money(row.ours, row.day.currency))

    @display(description=_("у шлюза"))
    def shown_theirs(self, row: Difference) -> str:
        return "—" if row.theirs is None else str(Money(row.theirs, row.day.currency))


@console.register(GatewayDay, sites=OPERATOR)
class GatewayDayAdmin(FinancePages):
    """A day a line; what differs stands on its page."""

    list_display = ("day", "connection", "shown_state", "payments", "refunds", "fees", "matched", "differing")
    list_display_links = ("day",)
    list_filter = ("state", "connection", ("day", RangeDateFilter))
    list_filter_submit = True
    list_select_related = ("connection",)
    inlines = (DifferenceInline,)
    actions_detail = ("close_day", "check_again")
    empty_hint = _(
        "Нажмите «Добавить»: выберите шлюз и день, его реестр сравнится с нашими платежами и возвратами."
    )

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return bool(request.rights.may("finance"))

    @display(description=_("состояние"), label={"open": "warning", "closed": "success"})
    def shown_state(self, row: GatewayDay) -> tuple[str, Any]:
        return row.state, row.get_state_display()

    @display(description=_("расхождений"))
    def differing(self, row: GatewayDay) -> int:
        return row.differences.filter(explained_at=None).count()

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = DayForm(*([request.POST] if request.method == "POST" else []))
        if request.method == "POST" and form.is_valid():
            given = form.cleaned_data
            row = self._check(request, given["connection"], given["day"])
            if row is not None:
                return redirect("admin:settlements_gatewayday_change", row.pk)
        return console.form_page(self, request, form, _("Сверить день"), press=_("Сверить"))

    def _check(self, request: HttpRequest, connection_id: int, day: Any) -> GatewayDay | None:
        try:
            return reconciliation.check(connection_id, day, actor=request.user.get_username())
        except Refused as refused:
            messages.error(request, str(refused.message))
        except ConnectorError as error:
            messages.error(request, _("Шлюз не отдал реестр: %s") % error)
        return None

    @action(description=_("Сверить ещё раз"), url_path="check", permissions=["finance"])
    def check_again(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(GatewayDay, pk=object_id)
        if request.method != "POST":
            title = _("Сверить ещё раз")
            return console.form_page(self, request, forms.Form(), title, press=title)
        if self._check(request, row.connection_id, row.day):
            messages.success(request, _("Сверено"))
        return redirect("admin:settlements_gatewayday_change", object_id)

    @action(description=_("Закрыть день"), url_path="close", permissions=["finance"])
    def close_day(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(GatewayDay, pk=object_id)
        if request.method != "POST":
            notes = [_("После этого день больше не сверяется и не меняется."), _("К выплате: %s") % row.net]
            title = _("Закрыть день")
            return console.form_page(self, request, forms.Form(), title, notes=notes, press=title)
        try:
            reconciliation.close(row.pk, actor=request.user.get_username())
        except Refused as refused:
            messages.error(request, str(refused.message))
        else:
            messages.success(request, _("День закрыт"))
        return redirect("admin:settlements_gatewayday_change", object_id)


@console.register(Difference, sites=OPERATOR)
class DifferenceAdmin(FinancePages):
    """One difference, to be explained."""

    list_display = ("day", "kind", "entry", "gateway_id", "ours", "theirs", "note")
    list_filter = ("kind", "entry")
    list_select_related = ("day__connection",)
    search_fields = ("=gateway_id",)
    actions_detail = ("explain",)

    @action(description=_("Объяснить"), url_path="explain", permissions=["finance"])
    def explain(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(Difference, pk=object_id)
        form = NoteForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                reconciliation.explain(
                    row.pk, note=form.cleaned_data["note"], actor=request.user.get_username()
                )
            except Refused as refused:
                messages.error(request, str(refused.message))
            return redirect("admin:settlements_gatewayday_change", row.day_id)
        return console.form_page(
            self, request, form, _("Объяснить расхождение"), notes=[str(row), str(row.day)]
        )
