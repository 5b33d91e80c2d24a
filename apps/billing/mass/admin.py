"""Console: mass actions on a filtered list. What it would do is shown first; above the limit another person agrees."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps import journal
from apps.billing import changes, gifts, sheets
from apps.billing.mass import actions
from apps.billing.mass.deeds import DEEDS, money
from apps.billing.mass.models import MassAction, MassKind, MassRow, MassRowState, MassState
from apps.billing.models import Subscription
from apps.catalog.models import Offer
from apps.core import console, mass
from apps.core.errors import Refused
from apps.core.tenancy import current_partner

PAGE = 100
ROW_COLOURS = {"new": "info", "counted": "info", "done": "success", "refused": "danger"}


class MassForm(forms.Form):
    """What is to be done with the chosen subscriptions, and why."""

    kind = forms.ChoiceField(label=_("Что сделать"), choices=MassKind.choices, widget=UnfoldAdminSelectWidget)
    days = forms.IntegerField(
        label=_("Продлить: на сколько дней"),
        min_value=1,
        max_value=gifts.LONGEST,
        required=False,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    percent = forms.DecimalField(
        label=_("Вернуть: сколько процентов последней оплаты"),
        min_value=0,
        max_value=100,
        decimal_places=2,
        required=False,
        help_text=_("100 % последней оплаты отключает подписку: за её дни деньги вернулись"),
    )
    offer = forms.TypedChoiceField(
        label=_("Сменить: новый тариф"),
        coerce=int,
        empty_value=None,
        required=False,
        widget=UnfoldAdminSelectWidget,
    )
    when = forms.ChoiceField(
        label=_("Сменить: когда"),
        choices=[
            (changes.PERIOD_END, _("Когда кончится оплаченное")),
            (changes.NOW, _("Сейчас, с доплатой")),
        ],
        widget=UnfoldAdminSelectWidget,
    )
    reason = forms.CharField(
        label=_("Почему"),
        max_length=200,
        help_text=_("Увидят в истории каждой подписки"),
        widget=UnfoldAdminTextInputWidget,
    )

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        found = Offer.objects.on_sale(current_partner().pk)
        self.fields["offer"].choices = [("", "—"), *((one.pk, f"{one}, {one.money}") for one in found)]  # type: ignore[attr-defined]
        self.fields["percent"].widget.attrs["class"] = UnfoldAdminTextInputWidget().attrs["class"]

    def params(self) -> dict[str, Any]:
        """The parameters of the deed."""
        given = self.cleaned_data
        return {
            MassKind.EXTEND.value: {"days": given["days"]},
            MassKind.REFUND.value: {"percent": str(given["percent"] or "")},
            MassKind.CHANGE.value: {"offer": given["offer"], "when": given["when"]},
        }[given["kind"]]


@admin.action(description=_("Массовое действие…"))
def for_many(model_admin: Any, request: Any, queryset: QuerySet[Subscription]) -> HttpResponse | None:
    """Asks what to do, fixes the list, and leads to the page where its sum is counted."""
    if not request.rights.may("manager", "support"):
        raise PermissionDenied
    form = MassForm(request.POST if "reason" in request.POST else None)
    count = queryset.count()
    if form.is_bound and form.is_valid():
        try:
            made = actions.create(
                kind=form.cleaned_data["kind"],
                params=form.params(),
                subscription_ids=queryset.values_list("pk", flat=True),
                reason=form.cleaned_data["reason"],
                actor=request.user.get_username(),
            )
        except Refused as refused:
            form.add_error(None, str(refused.message))
        else:
            return redirect("admin:billing_massaction_change", made.pk)
    site = model_admin.admin_site
    context = {
        **site.each_context(request),
        "title": _("Массовое действие"),
        "opts": model_admin.opts,
        "form": form,
        "count": count,
        "kept": [
            (name, value)
            for name in ("action", "select_across", "index", "_selected_action")
            for value in request.POST.getlist(name)
        ],
        "query": request.GET.urlencode(),
    }
    return TemplateResponse(request, "billing/mass/ask.html", context)


@console.register(MassAction, sites=(console.partner_site,))
class MassActionAdmin(console.ReadOnlyAdmin):
    """Made from the list of subscriptions; here it is counted, agreed to and watched."""

    empty_hint = _(
        "Отметьте подписки в их списке (сверху — фильтры и поиск) и выберите массовое действие: сначала покажем сумму."
    )
    list_display = ("kind_text", "shown_state", "size", "reason", "asked_by", "confirmed_by", "created_at")
    list_filter = ("kind", "state", "created_at")
    actions_detail = ("confirm", "drop", "rows_file")

    @display(description=_("что сделать"), ordering="kind")
    def kind_text(self, row: MassAction) -> str:
        return row.get_kind_display()

    @display(
        description=_("состояние"),
        ordering="state",
        label={
            "counting": "info",
            "ready": "warning",
            "running": "info",
            "done": "success",
            "dropped": "danger",
        },
    )
    def shown_state(self, row: MassAction) -> tuple[str, Any]:
        return row.state, row.get_state_display()

    def has_confirm_permission(self, request: Any, object_id: Any = None) -> bool:
        """Who may agree to what will be done, their own below the limit: managers and finance."""
        return bool(request.rights.may("manager", "finance"))

    def has_ask_permission(self, request: Any, object_id: Any = None) -> bool:
        """Who may begin and stop one."""
        return bool(request.rights.may("manager", "support", "finance"))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        made = get_object_or_404(MassAction, pk=object_id)
        known = actions.summary(made)
        finished, progress = mass.progress(made, known)
        asked = request.GET.get("state", "")
        rows = made.rows.select_related("subscription__customer").order_by("id")
        if asked in MassRowState.values:
            rows = rows.filter(state=asked)
        mine = request.user.get_username() == made.asked_by
        context = {
            **self.admin_site.each_context(request),
            "title": made.get_kind_display(),
            "opts": self.opts,
            "made": made,
            "told": in_words(made),
            "known": known,
            "sum_is": DEEDS[made.kind].sum_is,
            "total": money(made, known.total),
            "done_total": money(made, known.done),
            "progress": progress,
            "finished": finished,
            "states": [
                (state, label, known.counts[state], state == asked) for state, label in MassRowState.choices
            ],
            "rows": Paginator(rows, PAGE).get_page(request.GET.get("page")),
            "colours": ROW_COLOURS,
            "is_moving": made.state in {MassState.COUNTING, MassState.RUNNING},
            "may_confirm": made.state == MassState.READY
            and self.has_confirm_permission(request)
            and not (mine and actions.needs_second(known)),
            "needs_another": made.state == MassState.READY and mine and actions.needs_second(known),
            "may_drop": made.state not in {MassState.DONE, MassState.DROPPED}
            and self.has_ask_permission(request),
            "limits": actions.limits(),
            "asked": f"state={asked}" if asked else "",
        }
        return TemplateResponse(request, "billing/mass/action.html", context)

    @action(description=_("Подтвердить"), url_path="confirm", permissions=["confirm"])
    def confirm(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        return self._do(
            request,
            object_id,
            self.has_confirm_permission(request),
            actions.confirm,
            _("Выполняем в фоне: эту страницу можно закрыть"),
        )

    @action(description=_("Остановить"), url_path="drop", permissions=["ask"])
    def drop(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        return self._do(
            request,
            object_id,
            self.has_ask_permission(request),
            actions.drop,
            _("Остановлено: что сделано, то осталось"),
        )

    def _do(self, request: HttpRequest, object_id: UUID, may: bool, deed: Any, told: Any) -> HttpResponse:
        if not may:
            raise PermissionDenied
        made = get_object_or_404(MassAction, pk=object_id)
        if request.method == "POST":
            try:
                deed(made.pk, actor=request.user.get_username())
            except Refused as refused:
                messages.error(request, str(refused.message))
            else:
                messages.success(request, told)
        return redirect("admin:billing_massaction_change", made.pk)

    @action(description=_("Скачать XLSX"), url_path="rows", permissions=["view"], icon="download")
    def rows_file(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        made = get_object_or_404(MassAction, pk=object_id)
        headings = (_("Подписка"), _("Клиент"), _("Тариф"), _("Состояние"), _("Сумма"), _("Результат"))
        journal.record("mass.exported", actions.KIND, made.pk, actor=request.user.get_username())
        return sheets.answer(f"mass-{made.created_at:%Y-%m-%d}", headings, _cells(made))


def _cells(made: MassAction) -> Iterator[tuple[Any, ...]]:
    rows: QuerySet[MassRow] = made.rows.select_related("subscription__customer").order_by("id")
    for row in rows.iterator(chunk_size=2000):
        one = row.subscription
        yield str(one.pk), str(one.customer), one.name, row.get_state_display(), row.amount, row.result


def in_words(made: MassAction) -> str:
    """What it does to each, in one line."""
    if made.kind == MassKind.EXTEND:
        return str(_("Каждой на {days} дн.")).format(days=made.params["days"])
    if made.kind == MassKind.REFUND:
        return str(_("{percent} % последней оплаты, обратно на карту")).format(percent=made.params["percent"])
    offer = Offer.objects.filter(pk=made.params["offer"]).first()
    when = _("сейчас") if made.params["when"] == changes.NOW else _("когда кончится оплаченное")
    return f"{offer}, {when}"
