"""Console: what came past the gateway is given back from its page; who decides, and what became of it."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelectWidget

from apps.billing import outside_refunds, returning
from apps.billing.outside_refund_models import OutsideRefund, OutsideRefundState, OutsideWay
from apps.billing.paperwork import OutsidePayment
from apps.core import clock, console, links
from apps.core.errors import Refused
from apps.core.forms import MoneyField
from apps.core.ids import uuid7
from apps.core.money import Money
from apps.journal import reading
from apps.payments import bank_payouts, timing
from apps.payments.bank_payout_models import BankPayout
from apps.payments.money_pages import EXCHANGE_ROLES, MONEY_ROLES, MoneyAdmin, days_left
from apps.payments.refund_admin import ApproveForm, DeclineForm
from apps.payments.refund_pages import ReasonForm


class GiveBackForm(ReasonForm):
    """How much goes back, why, and by which way. The key makes a second press the same refund."""

    amount = MoneyField(label=_("Сумма"))
    way = forms.ChoiceField(label=_("Каким путём"), widget=UnfoldAdminSelectWidget)
    key = forms.UUIDField(widget=forms.HiddenInput)
    field_order = ("amount", "reason_code", "comment", "demanded_on", "way")

    def __init__(self, *args: Any, ways: list[OutsideWay], **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["way"].choices = [(one.value, one.label) for one in ways]  # type: ignore[attr-defined]


class RefundsOfOutside(console.ReadOnlyInline):
    model, tab = OutsideRefund, True
    fields = ("created_at", "amount", "way", "state", "reason", "actor", "decided_by")
    verbose_name_plural = _("Возвраты")
    show_change_link = True


class GivingBack:
    """«Вернуть», mixed into the ModelAdmin of what came past the gateway."""

    def has_give_back_permission(self, request: Any, object_id: Any = None) -> bool:
        """Who may move money, where there is something to give back by a way that there is."""
        if not request.rights.may(*MONEY_ROLES):
            return False
        row = OutsidePayment.objects.select_related("invoice").filter(pk=object_id).first()
        return object_id is None or (row is not None and bool(outside_refunds.refundable(row)))

    @action(description=_("Вернуть"), url_path="give-back", permissions=["give_back"])
    def give_back(self, request: Any, object_id: UUID) -> HttpResponse:
        if not request.rights.may(*MONEY_ROLES):
            raise PermissionDenied
        rows = OutsidePayment.objects.select_related("invoice", "customer")
        row = get_object_or_404(rows, pk=object_id)
        left = outside_refunds.refundable(row)
        form = GiveBackForm(
            request.POST or None,
            initial={"amount": left, "key": uuid7()},
            ways=outside_refunds.ways_of(row),
        )
        if request.method == "POST" and form.is_valid() and (made := _given_back(request, row, form)):
            return redirect("admin:billing_outsiderefund_change", made.pk)
        title = _("Вернуть по поступлению № %s") % row.reference
        page: Any = self
        return console.form_page(page, request, form, title, notes=_notes(row, left), press=_("Вернуть"))


def _notes(row: OutsidePayment, left: Any) -> list[str]:
    told = {"sum": row.total, "day": f"{row.paid_date:%d.%m.%Y}", "invoice": row.invoice}
    notes = [
        f"{_('Клиент')}: {row.customer}",
        str(_("Поступило %(sum)s %(day)s по счёту %(invoice)s")) % told,
        str(_("Можно вернуть до %s")) % Money(left, row.currency),
    ]
    if row.to_balance:
        notes.append(str(_("Что осталось на балансе, возвращают со страницы взаиморасчётов с клиентом.")))
    return notes


def _given_back(request: Any, row: OutsidePayment, form: GiveBackForm) -> OutsideRefund | None:
    given = form.cleaned_data
    try:
        made = outside_refunds.give_back(
            outside_id=row.pk,
            amount=Money(given["amount"], row.currency),
            way=given["way"],
            reason=form.words(),
            reason_code=given["reason_code"],
            demanded_on=given["demanded_on"],
            actor=request.user.get_username(),
            key=f"console:{given['key']}",
        )
    except Refused as refusal:
        form.add_error("amount", str(refusal.message))
        return None
    if made.state == OutsideRefundState.REQUESTED:
        messages.warning(request, _("Возврат выше лимита: его должен подтвердить второй сотрудник"))
    elif made.way == OutsideWay.BANK:
        told = _("Возврат записан: укажите реквизиты получателя в «Выплатах по реквизитам»")
        messages.success(request, told)
    else:
        messages.success(request, _("Возврат записан, деньги возвращаются клиенту"))
    return made


@console.register(OutsideRefund, sites=(console.partner_site,))
class OutsideRefundAdmin(MoneyAdmin):
    """«Возвраты поступлений»: begun on the page of what came, decided and followed here."""

    list_display = ("created_at", "customer", "shown_amount", "way", "shown_state", "term", "reason", "actor")
    list_filter = ("state", "way", "created_at")
    list_select_related = ("customer", "outside__invoice")
    search_fields = ("outside__reference", "outside__invoice__number", "customer__name", "=reference")
    actions_detail = ("approve", "decline", "ask_partner")
    empty_hint = _("Возврат начинают на странице поступления: «Поступления» → поступление → «Вернуть».")
    fields = (
        "shown_state",
        ("shown_amount", "way"),
        "about",
        "shown_note",
        "reason",
        ("demanded_on", "term"),
        ("actor", "created_at"),
        "above",
        ("decided_by", "decided_at", "comment"),
        ("reference", "settled_at"),
        "shown_why",
        "payout",
    )
    readonly_fields = (
        "shown_state",
        "shown_amount",
        "about",
        "shown_note",
        "term",
        "shown_why",
        "payout",
        "conversation",
    )

    def get_fieldsets(self, request: Any, obj: Any = None) -> Any:
        found = list(super().get_fieldsets(request, obj))
        if obj is not None and obj.way == OutsideWay.PARTNER and request.rights.may(*EXCHANGE_ROLES):
            found.append((_("Обмен с партнёром"), {"fields": ["conversation"]}))
        return found

    @display(description=_("обмен с партнёром"))
    def conversation(self, row: OutsideRefund) -> SafeString | str:
        return reading.about([row.pk])

    @display(description=_("поступление"))
    def about(self, row: OutsideRefund) -> SafeString | str:
        told = f"{row.customer} · {row.outside.invoice} · {row.outside.total}, {row.outside}"
        return links.linked(told, links.to("billing.OutsidePayment", row.outside_id))

    @display(description=_("корректировка"))
    def shown_note(self, row: OutsideRefund) -> SafeString | str:
        if row.note is None:
            return str(_("не нужна: деньги были на балансе")) if row.of_balance else "—"
        return links.linked(row.note, links.to("billing.CreditNote", row.note.pk))

    @display(description=_("почему не исполнен"))
    def shown_why(self, row: OutsideRefund) -> str:
        # Else it is the partner's own word.
        ours = {
            outside_refunds.DECLINED: _("второй сотрудник отказал"),
            bank_payouts.CANCELLED: _("выплату отменили"),
        }
        return str(ours.get(row.decline_reason, row.decline_reason)) or "—"

    @display(description=_("выплата по реквизитам"))
    def payout(self, row: OutsideRefund) -> SafeString | str:
        found = BankPayout.objects.filter(pk=row.pk).first()
        return links.linked(found, links.to("payments.BankPayout", found.pk)) if found else "—"

    @display(description=_("вернуть до"), ordering="due_date")
    def term(self, row: OutsideRefund) -> SafeString | str:
        if row.due_date is None:
            return "—"
        if row.settled_at:
            return f"{row.due_date:%d.%m.%Y}"
        return days_left(timing.deadline(row.due_date))

    def has_second_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Money people, and only where a second person is waited for."""
        return self._may(request, object_id, state=OutsideRefundState.REQUESTED)

    def has_ask_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Money people, and only where the partner has not answered."""
        return self._may(request, object_id, state=OutsideRefundState.WAITING, way=OutsideWay.PARTNER)

    def _may(self, request: HttpRequest, object_id: Any, **wanted: Any) -> bool:
        if not self.has_money_permission(request):
            return False
        return object_id is None or OutsideRefund.objects.filter(pk=object_id, **wanted).exists()

    @action(description=_("Подтвердить"), url_path="approve", permissions=["second"])
    def approve(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        form, title = ApproveForm(request.POST or None), _("Подтвердить возврат %s")
        return self._decide(
            request,
            object_id,
            form,
            title,
            outside_refunds.approve,
            _("Возврат подтверждён"),
            _("Подтвердить"),
        )

    @action(description=_("Отклонить"), url_path="decline", permissions=["second"])
    def decline(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        form, title = DeclineForm(request.POST or None), _("Отклонить возврат %s")
        return self._decide(
            request, object_id, form, title, outside_refunds.decline, _("В возврате отказано"), _("Отклонить")
        )

    def _decide(
        self, request: HttpRequest, object_id: UUID, form: Any, title: Any, act: Any, done: Any, press: Any
    ) -> HttpResponse:
        row = self._row(request, object_id)
        if request.method != "POST" or not form.is_valid():
            page = (self, request, form, title % row.money)
            return console.form_page(*page, notes=_about(row), press=press)
        try:
            act(row.pk, actor=request.user.get_username(), comment=form.cleaned_data["comment"])
        except Refused as refusal:
            messages.error(request, str(refusal.message))
        else:
            messages.success(request, done)
        return redirect("admin:billing_outsiderefund_change", row.pk)

    @action(description=_("Спросить партнёра"), url_path="ask", permissions=["ask"])
    def ask_partner(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = self._row(request, object_id)
        if request.method != "POST":
            notes = [_("Сервис партнёра спросят сейчас же, возвращены ли деньги; второго возврата не будет.")]
            title = _("Спросить партнёра о возврате %s") % row.money
            return console.form_page(self, request, forms.Form(), title, notes=notes, press=_("Спросить"))
        returning.ask_now(row.pk)
        messages.success(request, _("Партнёр будет спрошен сейчас же"))
        return redirect("admin:billing_outsiderefund_change", row.pk)

    def _row(self, request: HttpRequest, object_id: UUID) -> OutsideRefund:
        if not self.has_money_permission(request):
            raise PermissionDenied
        rows = OutsideRefund.objects.select_related("customer", "outside__invoice")
        return get_object_or_404(rows, pk=object_id)


def _about(row: OutsideRefund) -> list[Any]:
    """What a second person is to know before they say anything."""
    told = {
        "sum": row.outside.total,
        "day": f"{row.outside.paid_date:%d.%m.%Y}",
        "invoice": row.outside.invoice,
    }
    notes: list[Any] = [
        f"{_('Клиент')}: {row.customer}",
        str(_("Поступило %(sum)s %(day)s по счёту %(invoice)s")) % told,
        f"{_('Причина')}: {row.reason}",
        f"{_('Попросил')}: {row.actor}, {clock.local(row.created_at):%d.%m.%Y %H:%M}",
        f"{_('Каким путём')}: {row.get_way_display()}",
        row.above,
    ]
    if row.due_date:
        notes.append(format_html("{}: {}", _("Вернуть до"), days_left(timing.deadline(row.due_date))))
    return notes
