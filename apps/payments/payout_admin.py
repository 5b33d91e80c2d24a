"""Console: refunds that go by payment order: details, the file for the bank, and what the bank made of it."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
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
from apps.payments import bank_payouts, timing
from apps.payments.bank_payout_models import BankPayout, PayoutState
from apps.payments.money_pages import MoneyAdmin, days_left


class DetailsForm(forms.Form):
    """Where the money goes, as the customer's bank writes it."""

    name = forms.CharField(
        label=_("Получатель"),
        help_text=_("Фамилия, имя и отчество или название организации"),
        max_length=160,
        widget=UnfoldAdminTextInputWidget,
    )
    account = forms.CharField(label=_("Счёт получателя"), max_length=30, widget=UnfoldAdminTextInputWidget)
    bik = forms.CharField(label=_("БИК банка"), max_length=12, widget=UnfoldAdminTextInputWidget)
    bank = forms.CharField(label=_("Банк"), max_length=120, required=False, widget=UnfoldAdminTextInputWidget)
    bank_account = forms.CharField(
        label=_("Корреспондентский счёт"), max_length=30, required=False, widget=UnfoldAdminTextInputWidget
    )
    inn = forms.CharField(
        label=_("ИНН получателя"), max_length=14, required=False, widget=UnfoldAdminTextInputWidget
    )


class WhyForm(forms.Form):
    """Why."""

    reason = forms.CharField(label=_("Причина"), max_length=200, widget=UnfoldAdminTextInputWidget)


@console.register(BankPayout, sites=(console.partner_site,))
class BankPayoutAdmin(MoneyAdmin):
    """The accountant's list: what waits for details, what is to be exported, what the bank has."""

    view_roles = ("finance",)
    list_display = ("day", "customer", "shown_amount", "shown_state", "term", "order")
    list_filter = ("state", "created_at")
    list_select_related = ("refund__payment__customer", "customer")
    actions = ("export",)
    actions_detail = ("details", "link", "export_one", "paid", "returned", "cancel")
    empty_hint = _(
        "Выплаты появляются, когда карта клиента закрыта, или когда возврат начат «Переводом по реквизитам»."
    )
    fields = (
        ("shown_state", "term"),
        ("shown_amount", "legal_entity"),
        "about",
        "to",
        ("given_by", "details_at"),
        ("number", "order_date"),
        ("exported_by", "exported_at"),
        ("paid_by", "paid_at"),
        "line",
        "created_at",
    )
    readonly_fields = ("shown_state", "term", "shown_amount", "about", "to", "given_by", "line")

    @display(description=_("создана"), ordering="id")
    def day(self, row: BankPayout) -> str:
        return f"{clock.local(row.created_at):%d.%m.%Y}"

    @display(description=_("поручение"))
    def order(self, row: BankPayout) -> str:
        return f"№ {row.number} · {row.order_date:%d.%m.%Y}" if row.order_date else "—"

    @display(description=_("клиент"))
    def customer(self, row: BankPayout) -> str:
        return str(row.payee)

    @display(description=_("вернуть до"))
    def term(self, row: BankPayout) -> SafeString | str:
        if row.state in {PayoutState.PAID, PayoutState.CANCELLED}:
            return "—"
        return days_left(timing.deadline(row.term))

    @display(description=_("возврат"))
    def about(self, row: BankPayout) -> SafeString | str:
        if row.refund is None:
            return links.linked(f"{row.payee} · {row.why}", links.to("billing.OutsideRefund", row.of))
        told = f"{row.payee} · {row.refund.payment} · {row.why}"
        return links.linked(told, links.to("payments.Refund", row.of))

    @display(description=_("кому"))
    def to(self, row: BankPayout) -> str:
        found = row.details
        if not found:
            return "—"
        told = [found["name"], f"{_('счёт')} {found['account']}", f"{_('БИК')} {found['bik']}", found["bank"]]
        told.append(f"{_('ИНН')} {found['inn']}" if found["inn"] else "")
        return ", ".join(part for part in told if part)

    @display(description=_("кто указал реквизиты"))
    def given_by(self, row: BankPayout) -> str:
        if row.details_by == bank_payouts.CUSTOMER:
            return str(_("клиент по ссылке"))
        return row.details_by or "—"

    @display(description=_("строка выписки"))
    def line(self, row: BankPayout) -> SafeString | str:
        if row.bank_line is None:
            return str(_("отмечено вручную")) if row.state == PayoutState.PAID else "—"
        return links.linked(row.bank_line, links.to("settlements.BankLine", row.bank_line))

    @action(description=_("Указать реквизиты"), url_path="details", permissions=["money"])
    def details(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = self._row(request, object_id)
        form = DetailsForm(request.POST or None, initial=row.details)
        if request.method == "POST" and form.is_valid():
            try:
                bank_payouts.set_details(row.pk, form.cleaned_data, actor=request.user.get_username())
            except ValidationError as wrong:
                form.add_error(None, wrong)
            except Refused as refusal:
                form.add_error(None, str(refusal.message))
            else:
                messages.success(request, _("Реквизиты записаны: выгрузите поручение"))
                return redirect("admin:payments_bankpayout_change", row.pk)
        title = _("Реквизиты для возврата %s") % row.money
        return console.form_page(self, request, form, title, notes=[str(row.payee)])

    @action(description=_("Ссылка клиенту"), url_path="link", permissions=["money"])
    def link(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = self._row(request, object_id)
        title = _("Ссылка клиенту")
        if request.method != "POST":
            notes = [
                _(
                    "Клиент сам введёт реквизиты по одноразовой ссылке. Она действует 14 дней, новая отменяет прежнюю."
                )
            ]
            return console.form_page(
                self, request, forms.Form(), title, notes=notes, press=_("Сделать ссылку")
            )
        try:
            url = bank_payouts.make_link(row.pk, actor=request.user.get_username())
        except Refused as refusal:
            messages.error(request, str(refusal.message))
        else:
            told = _("Отправьте клиенту эту ссылку, больше она не покажется:")
            messages.success(request, format_html("{} <code>{}</code>", told, url))
        return redirect("admin:payments_bankpayout_change", row.pk)

    @admin.action(description=_("Выгрузить поручения в банк"), permissions=["money"])
    def export(self, request: HttpRequest, queryset: QuerySet[BankPayout]) -> HttpResponse | None:
        try:
            return _file(request, list(queryset.values_list("pk", flat=True)))
        except Refused as refusal:
            messages.error(request, str(refusal.message))
            return None

    @action(description=_("Выгрузить поручение"), url_path="export", permissions=["money"])
    def export_one(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = self._row(request, object_id)
        if request.method != "POST":
            notes = [
                row.masked,
                _("Файл 1CClientBankExchange загрузите в банк. Номер поручения останется за выплатой."),
                _("Когда выписка с этим поручением будет загружена, возврат исполнится сам."),
            ]
            title = _("Выгрузить поручение на %s") % row.money
            return console.form_page(self, request, forms.Form(), title, notes=notes, press=_("Выгрузить"))
        try:
            return _file(request, [row.pk])
        except Refused as refusal:
            messages.error(request, str(refusal.message))
            return redirect("admin:payments_bankpayout_change", row.pk)

    @action(description=_("Выплачено"), url_path="paid", permissions=["money"])
    def paid(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = self._row(request, object_id)
        if request.method != "POST":
            notes = [
                f"{row.money}: {row.masked}",
                _("Обычно это отмечает выписка банка. Вручную — другой сотрудник, не тот, кто выгрузил."),
            ]
            title = _("Выплачено")
            return console.form_page(
                self, request, forms.Form(), title, notes=notes, press=_("Да, выплачено")
            )
        return self._done(
            request, row, lambda who: bank_payouts.paid(row.pk, actor=who), _("Возврат исполнен")
        )

    @action(description=_("Банк не исполнил"), url_path="returned", permissions=["money"])
    def returned(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        return self._why(
            request, object_id, bank_payouts.returned, _("Банк не исполнил"), _("Нужны реквизиты")
        )

    @action(description=_("Отменить выплату"), url_path="cancel", permissions=["money"])
    def cancel(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        return self._why(
            request, object_id, bank_payouts.cancel, _("Отменить выплату"), _("Выплата отменена")
        )

    def _why(self, request: HttpRequest, object_id: UUID, act: Any, title: Any, done: Any) -> HttpResponse:
        row = self._row(request, object_id)
        form = WhyForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            reason = form.cleaned_data["reason"]
            return self._done(request, row, lambda who: act(row.pk, actor=who, reason=reason), done)
        notes = [f"{row.money}: {row.masked}"]
        return console.form_page(self, request, form, title, notes=notes, press=title)

    def _row(self, request: HttpRequest, object_id: UUID) -> BankPayout:
        if not self.has_money_permission(request):
            raise PermissionDenied
        rows = BankPayout.objects.select_related("refund__payment__customer", "customer")
        return get_object_or_404(rows, pk=object_id)

    def _done(self, request: HttpRequest, row: BankPayout, act: Any, done: Any) -> HttpResponse:
        try:
            act(request.user.get_username())
        except Refused as refusal:
            messages.error(request, str(refusal.message))
        else:
            messages.success(request, done)
        return redirect("admin:payments_bankpayout_change", row.pk)


def _file(request: HttpRequest, keys: list[UUID]) -> HttpResponse:
    content = bank_payouts.export(keys, actor=request.user.get_username())
    return HttpResponse(
        content,
        content_type="text/plain; charset=windows-1251",
        headers={
            "Content-Disposition": f'attachment; filename="1c_to_kl_{clock.now():%Y%m%d}.txt"',
            "Cache-Control": "private, no-store",
        },
    )
