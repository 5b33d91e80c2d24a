"""Console: a deed of the board is asked for, agreed to, and watched while it is done."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.catalog.models import Product
from apps.core import clock, console, ids, links, mass
from apps.core.errors import Refused
from apps.core.mass import MassRowState, MassState
from apps.core.money import Money
from apps.orders.control import board
from apps.orders.control import mass as board_mass
from apps.orders.control.deeds import DEEDS, DeedKind
from apps.orders.models import Service
from apps.partners.models import Partner
from apps.policies.models import Channel
from apps.providers.models import OpenRequest, RequestDeed, RequestDeedRow
from apps.providers.portal.models import DefectReason

PAGE = 100
SKEW = timedelta(minutes=1)
"""By how much the clocks of two servers may differ."""
SHOWN = 10
"""Rows named before anybody agrees."""
ROW_COLOURS = {"new": "info", "counted": "info", "done": "success", "refused": "danger"}
STATE_COLOURS = {
    "counting": "info",
    "ready": "warning",
    "running": "info",
    "done": "success",
    "dropped": "danger",
}


class WhyForm(forms.Form):
    """Why it is done."""

    reason = forms.CharField(
        label=_("Почему"),
        max_length=200,
        help_text=_("Увидят в пути каждого заказа и в журнале действий"),
        widget=UnfoldAdminTextInputWidget,
    )


class ReplaceForm(WhyForm):
    """What is wrong with the keys: their providers are told that."""

    defect = forms.ChoiceField(
        label=_("Что с ключами"), choices=DefectReason.choices, widget=UnfoldAdminSelectWidget
    )
    field_order = ("defect", "reason")

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        self.fields["reason"].help_text = _(
            "Прочтёт и поставщик, вместе с ключом; увидят в пути каждого заказа и в журнале действий"
        )


class ResendForm(WhyForm):
    """By which way it goes this time."""

    channel = forms.ChoiceField(label=_("Куда"), choices=Channel.choices, widget=UnfoldAdminSelectWidget)
    field_order = ("channel", "reason")


FORMS: dict[str, type[WhyForm]] = {DeedKind.REPLACE: ReplaceForm, DeedKind.RESEND: ResendForm}


def offered(request: Any) -> list[dict[str, Any]]:
    """The deeds that this member of staff may do."""
    return [
        {"kind": kind, "title": DeedKind(kind).label, "icon": deed.icon, "is_costly": deed.is_costly}
        for kind, deed in DEEDS.items()
        if request.rights.may(*deed.roles)
    ]


def ask(model_admin: Any, request: Any, asked: board.Filter) -> HttpResponse:
    """How many, what sum, what will happen, and why; with the reason given it is begun."""
    rows = _chosen(request, asked)
    kept = ("do", "row", "all", "partner", "provider", "product", "state", "age", "mine", "q", "back")

    def shown() -> dict[str, Any]:
        return {
            "count": rows.count(),
            "total": board.total(rows),
            "rows": board.shown(rows[:SHOWN]),
            "kept": [(name, value) for name in kept for value in request.POST.getlist(name)],
            "back": links.list_of(OpenRequest),
        }

    return _asked(
        model_admin, request, request.POST.get("do", ""), partial(board_mass.create, rows=rows), shown
    )


def _chosen(request: Any, asked: board.Filter) -> QuerySet[OpenRequest]:
    """The ticked rows, or all of the filter; a partner's console reaches its own only."""
    if request.POST.get("all"):
        return asked.rows()
    keys = [int(one) for one in request.POST.getlist("row") if one.isdecimal() and len(one) < 18]
    return (
        board.Filter(partner_id=asked.partner_id if request.tenant is not None else None)
        .rows()
        .filter(pk__in=keys)
    )


def ask_of_services(
    model_admin: Any, request: Any, kind: str, services: QuerySet[Service], named: str
) -> HttpResponse:
    """The same for services of the current partner that were chosen in their list, by the action `named`."""

    def shown() -> dict[str, Any]:
        chosen = [(ACTION_CHECKBOX_NAME, one) for one in request.POST.getlist(ACTION_CHECKBOX_NAME)]
        across = [("select_across", one) for one in request.POST.getlist("select_across")[:1]]
        return {
            "count": services.count(),
            "services": [(one.name, one.get_state_display()) for one in services[:SHOWN]],
            "kept": [("action", named), *across, *chosen],
            "back": request.get_full_path(),
        }

    return _asked(model_admin, request, kind, partial(board_mass.of_services, services=services), shown)


def _asked(
    model_admin: Any,
    request: Any,
    kind: str,
    create: Callable[..., RequestDeed],
    shown: Callable[[], dict[str, Any]],
) -> HttpResponse:
    """Begins a deed that has its reason, by `create`; without one asks for it on a page of what is `shown`."""
    deed = DEEDS.get(kind)
    if deed is None or not request.rights.may(*deed.roles):
        raise PermissionDenied
    form = _form(request, kind)
    if form.is_bound and form.is_valid():
        actor, given = request.user.get_username(), dict(form.cleaned_data)
        reason = given.pop("reason")
        try:
            made = create(kind=kind, params=given, reason=reason, actor=actor, press=_press(request))
            return _begin(request, made)
        except Refused as refused:
            form.add_error(None, str(refused.message))
    told = shown()
    context = {
        **model_admin.admin_site.each_context(request),
        "title": DeedKind(kind).label,
        "opts": model_admin.opts,
        "form": form,
        "deed": deed,
        "here": request.tenant,
        **told,
        "more": max(0, told["count"] - SHOWN),
        "kept": [*told["kept"], ("press", _press(request))],
    }
    return TemplateResponse(request, "orders/deed_ask.html", context)


def _form(request: Any, kind: str) -> WhyForm:
    return FORMS.get(kind, WhyForm)(request.POST if "reason" in request.POST else None)


def _press(request: Any) -> UUID:
    """The id of the page on which it was chosen, made when it was first shown: one press of it is one deed."""
    try:
        press = UUID(request.POST.get("press", ""))
    except ValueError:
        return ids.uuid7()
    # A later moment than now would let a key be replaced that was put in its place meanwhile.
    is_ours = press.version == 7 and press < ids.floor(clock.wall() + SKEW)
    return press if is_ours else ids.uuid7()


def _begin(request: Any, made: RequestDeed) -> HttpResponseRedirect:
    actor = request.user.get_username()
    if not DEEDS[made.kind].is_costly:
        try:
            board_mass.confirm(made.pk, actor=actor)
        except Refused:
            # The other click of a double one was first.
            return redirect("admin:providers_requestdeed_change", made.pk)
        if made.size == 1:
            # Whoever asks for one waits for it.
            board_mass.work(made.pk)
            return _told(request, made)
    return redirect("admin:providers_requestdeed_change", made.pk)


def _told(request: Any, made: RequestDeed) -> HttpResponseRedirect:
    row: Any = made.rows.get()
    if row.state == MassRowState.REFUSED:
        messages.error(request, f"{row.number}: {row.result}")
    else:
        messages.success(request, f"{row.number}: {row.result}")
    if request.tenant is not None:
        return redirect("admin:orders_fulfilment_way", row.request_id)
    return redirect("admin:providers_openrequest_changelist")


@console.register(RequestDeed, sites=(console.operator_site, console.partner_site))
class RequestDeedAdmin(console.ReadOnlyAdmin):
    """Begun on the board; here it is agreed to, watched and stopped."""

    empty_hint = _(
        "Отметьте строки на пульте исполнения и выберите действие: сначала покажем, сколько их и на какую сумму."
    )
    list_display = ("kind_text", "shown_state", "size", "reason", "asked_by", "confirmed_by", "created_at")
    list_filter = ("state",)
    actions_detail = ("confirm", "drop")

    def get_queryset(self, request: Any) -> QuerySet[RequestDeed]:
        found: QuerySet[RequestDeed] = super().get_queryset(request)
        return found if request.tenant is None else found.filter(partner_id=request.tenant.pk)

    @display(description=_("что сделать"), ordering="kind")
    def kind_text(self, row: RequestDeed) -> str:
        return str(dict(DeedKind.choices).get(row.kind, row.kind))

    @display(description=_("состояние"), ordering="state", label=STATE_COLOURS)
    def shown_state(self, row: RequestDeed) -> tuple[str, Any]:
        return row.state, row.get_state_display()

    def has_confirm_permission(self, request: Any, object_id: Any = None) -> bool:
        """Who may agree to some deed; which, is looked at with the deed at hand."""
        return bool(request.rights.may("manager", "support", "finance"))

    def change_view(
        self, request: Any, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        made = get_object_or_404(self.get_queryset(request), pk=object_id)
        known, deed = mass.summary(made), DEEDS[made.kind]
        finished, progress = mass.progress(made, known)
        asked = request.GET.get("state", "")
        rows = RequestDeedRow.objects.filter(action=made).order_by("id")
        if asked in MassRowState.values:
            rows = rows.filter(state=asked)
        needs_second = board_mass.of_requests.needs_second(made, known)
        mine, may = request.user.get_username() == made.asked_by, request.rights.may(*deed.roles)
        page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
        context = {
            **self.admin_site.each_context(request),
            "title": self.kind_text(made),
            "opts": self.opts,
            "made": made,
            "known": known,
            "deed": deed,
            "total": Money(known.total, made.currency),
            "done_total": Money(known.done, made.currency),
            "progress": progress,
            "finished": finished,
            "states": [
                (state, label, known.counts[state], state == asked) for state, label in MassRowState.choices
            ],
            "pages": page,
            "rows": _rows(page, request.tenant),
            "is_moving": made.state in {MassState.COUNTING, MassState.RUNNING},
            "may_confirm": made.state == MassState.READY and may and not (mine and needs_second),
            "needs_another": made.state == MassState.READY and mine and needs_second,
            "may_drop": made.state not in {MassState.DONE, MassState.DROPPED} and may,
            "board_url": links.list_of(OpenRequest),
            "here": request.tenant,
            "asked": f"state={asked}" if asked else "",
        }
        return TemplateResponse(request, "orders/deed.html", context)

    @action(description=_("Подтвердить"), url_path="confirm", permissions=["confirm"])
    def confirm(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        return self._do(
            request, object_id, board_mass.confirm, _("Выполняем в фоне: эту страницу можно закрыть")
        )

    @action(description=_("Остановить"), url_path="drop", permissions=["confirm"])
    def drop(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        return self._do(request, object_id, board_mass.drop, _("Остановлено: что сделано, то осталось"))

    def _do(self, request: Any, object_id: UUID, deed: Any, told: Any) -> HttpResponse:
        made = get_object_or_404(self.get_queryset(request), pk=object_id)
        if not request.rights.may(*DEEDS[made.kind].roles):
            raise PermissionDenied
        if request.method == "POST":
            try:
                deed(made.pk, actor=request.user.get_username())
            except Refused as refused:
                messages.error(request, str(refused.message))
            else:
                messages.success(request, told)
        return redirect("admin:providers_requestdeed_change", made.pk)


def _rows(page: Any, here: Partner | None) -> list[dict[str, Any]]:
    found = list(page)
    partners = Partner.objects.in_bulk({one.partner_id for one in found})
    products = Product.objects.in_bulk({one.product_id for one in found if one.product_id})
    shown = []
    for one in found:
        partner = partners.get(one.partner_id)
        slug = "" if here is not None else partner.slug if partner else ""
        shown.append(
            {
                "row": one,
                "partner": partner,
                "product": getattr(products.get(one.product_id or 0), "name", "—"),
                "money": Money(one.amount),
                "colour": ROW_COLOURS[one.state],
                "url": links.page("orders_fulfilment_way", one.request_id, slug=slug) if here or slug else "",
            }
        )
    return shown
