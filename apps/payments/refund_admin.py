"""Console: refunds, whoever made them; what is above a limit is approved or declined here by a second person."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.core import clock, console, links
from apps.core.errors import Refused
from apps.journal import reading
from apps.payments import payments, refunds, timing
from apps.payments.models import Refund, RefundRoute, RefundState
from apps.payments.money_pages import EXCHANGE_ROLES, MoneyAdmin, days_left
from apps.payments.refund_pages import told_of
from apps.policies import refunding

SETTLED = frozenset({RefundState.SUCCEEDED, RefundState.FAILED})


class ReasonFilter(admin.SimpleListFilter):
    """By reason of the list."""

    title, parameter_name = _("причина"), "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(one.code, one.title) for one in refunding.reasons()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Refund]) -> QuerySet[Refund]:
        return queryset.filter(reason_code=self.value()) if self.value() else queryset


class TermFilter(admin.SimpleListFilter):
    """By deadline: what is owed and late."""

    title, parameter_name = _("срок"), "term"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("late", _("просрочен")), ("open", _("идёт"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Refund]) -> QuerySet[Refund]:
        waiting = queryset.filter(due_date__isnull=False).exclude(state__in=sorted(SETTLED))
        if self.value() == "late":
            return waiting.filter(due_date__lt=clock.today())
        return waiting.filter(due_date__gte=clock.today()) if self.value() == "open" else queryset


class ApproveForm(forms.Form):
    """What the second person says of it."""

    comment = forms.CharField(
        label=_("Комментарий"), max_length=500, required=False, widget=UnfoldAdminTextInputWidget
    )


class DeclineForm(forms.Form):
    """Why no: whoever asked reads it."""

    comment = forms.CharField(label=_("Почему отказано"), max_length=500, widget=UnfoldAdminTextInputWidget)


@console.register(Refund, sites=(console.partner_site,))
class RefundAdmin(MoneyAdmin):
    """«Подтвердить» and «Отклонить» are for a second person; «Вернуть по реквизитам» for what a gateway refused."""

    list_display = ("created_at", "customer", "shown_amount", "shown_state", "term", "reason", "actor")
    list_filter = ("state", ReasonFilter, TermFilter, "route", "created_at")
    list_select_related = ("payment__customer",)
    search_fields = ("=gateway_id",)
    actions_detail = ("approve", "decline", "by_bank")
    empty_hint = _("Возврат начинают на странице платежа: «Платежи» → платёж → «Вернуть».")
    fields = (
        "shown_state",
        "shown_amount",
        "paid_by",
        ("reason", "reason_title"),
        ("demanded_on", "term"),
        "route",
        ("actor", "created_at"),
        "above",
        ("decided_by", "decided_at", "comment"),
        ("decline_reason", "settled_at"),
        "gateway_id",
    )
    readonly_fields = ("shown_state", "shown_amount", "paid_by", "reason_title", "term", "conversation")

    def get_fieldsets(self, request: Any, obj: Any = None) -> Any:
        found = list(super().get_fieldsets(request, obj))
        if request.rights.may(*EXCHANGE_ROLES):
            found.append((_("Обмен со шлюзом"), {"fields": ["conversation"]}))
        return found

    @display(description=_("обмен со шлюзом"))
    def conversation(self, row: Refund) -> SafeString | str:
        return reading.about([row.pk])

    @display(description=_("клиент"))
    def customer(self, row: Refund) -> str:
        return str(row.payment.customer)

    @display(description=_("платёж"))
    def paid_by(self, row: Refund) -> SafeString | str:
        payment = row.payment
        told = f"{payment.customer} · {payment} · {payment.description}"
        return links.linked(told, links.to("payments.Payment", payment.pk))

    @display(description=_("причина из списка"))
    def reason_title(self, row: Refund) -> str:
        reason = refunding.reason_of(row.reason_code) if row.reason_code else None
        return str(reason.title) if reason else "—"

    @display(description=_("вернуть до"), ordering="due_date")
    def term(self, row: Refund) -> SafeString | str:
        if row.due_date is None:
            return "—"
        if row.state in SETTLED:
            return f"{row.due_date:%d.%m.%Y}"
        return days_left(timing.deadline(row.due_date))

    def has_second_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Money people, and only where a second person is waited for."""
        return self._may(request, object_id, RefundState.REQUESTED)

    def has_again_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Money people, and only where the gateway has not sent it."""
        return self._may(request, object_id, RefundState.FAILED)

    def _may(self, request: HttpRequest, object_id: Any, state: str) -> bool:
        if not self.has_money_permission(request):
            return False
        return object_id is None or Refund.objects.filter(pk=object_id, state=state).exists()

    @action(description=_("Подтвердить"), url_path="approve", permissions=["second"])
    def approve(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = self._row(request, object_id)
        form = ApproveForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            return self._decide(
                request, row, refunds.approve, form.cleaned_data["comment"], _("Возврат подтверждён")
            )
        title = _("Подтвердить возврат %s") % row.money
        return console.form_page(self, request, form, title, notes=notes_of(row), press=_("Подтвердить"))

    @action(description=_("Отклонить"), url_path="decline", permissions=["second"])
    def decline(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = self._row(request, object_id)
        form = DeclineForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            return self._decide(
                request, row, refunds.decline, form.cleaned_data["comment"], _("В возврате отказано")
            )
        title = _("Отклонить возврат %s") % row.money
        return console.form_page(self, request, form, title, notes=notes_of(row), press=_("Отклонить"))

    def _decide(self, request: HttpRequest, row: Refund, act: Any, comment: str, done: Any) -> HttpResponse:
        try:
            act(row.pk, actor=request.user.get_username(), comment=comment)
        except Refused as refusal:
            messages.error(request, str(refusal.message))
        else:
            messages.success(request, done)
        return redirect("admin:payments_refund_change", row.pk)

    @action(description=_("Вернуть по реквизитам"), url_path="by-bank", permissions=["again"])
    def by_bank(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """What a gateway would not send goes by a payment order, as a refund of its own."""
        row = self._row(request, object_id)
        if request.method != "POST":
            title = _("Вернуть %s по реквизитам") % row.money
            notes = [*notes_of(row), _("Деньги уйдут платёжным поручением, когда будут известны реквизиты.")]
            return console.form_page(self, request, forms.Form(), title, notes=notes, press=_("Вернуть"))
        try:
            made = again_by_bank(row, actor=request.user.get_username())
        except Refused as refusal:
            messages.error(request, str(refusal.message))
            return redirect("admin:payments_refund_change", row.pk)
        told_of(request, made)
        return redirect("admin:payments_refund_change", made.pk)

    def _row(self, request: HttpRequest, object_id: UUID) -> Refund:
        if not self.has_money_permission(request):
            raise PermissionDenied
        return get_object_or_404(Refund.objects.select_related("payment__customer"), pk=object_id)


def again_by_bank(row: Refund, *, actor: str) -> Refund:
    """A refund that failed, written anew by bank details. Raises Refused `refund_not_failed`, `refund_too_much`."""
    if row.state != RefundState.FAILED:
        raise Refused("refund_not_failed", _("По реквизитам возвращают то, что шлюз не вернул"))
    return payments.refund(
        payment=row.payment,
        amount=row.money,
        reason=row.reason,
        reason_code=row.reason_code,
        demanded_on=row.demanded_on,
        route=RefundRoute.BANK,
        actor=actor,
    )


def notes_of(row: Refund) -> list[Any]:
    """What a second person is to know before they say anything."""
    payment = row.payment
    told = {
        "payment": payment.money,
        "day": f"{clock.local(payment.settled_at or payment.created_at):%d.%m.%Y}",
        "what": payment.description,
    }
    notes = [
        f"{_('Клиент')}: {payment.customer}",
        str(_("Платёж: %(payment)s от %(day)s, %(what)s")) % told,
        f"{_('Причина')}: {row.reason}",
        f"{_('Попросил')}: {row.actor}, {clock.local(row.created_at):%d.%m.%Y %H:%M}",
    ]
    if row.above:
        notes.append(row.above)
    if row.due_date:
        notes.append(format_html("{}: {}", _("Вернуть до"), days_left(timing.deadline(row.due_date))))
    return notes
