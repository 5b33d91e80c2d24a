"""Console: debts that are chased («Неоплаты»), and bills that wait for a person («Счета на проверке»)."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldBooleanSwitchWidget

from apps.billing import parking, pay_links
from apps.billing.dunning_models import Dunning, ParkedBill
from apps.billing.models import Invoice
from apps.core import clock, console, links
from apps.core.errors import Refused
from apps.core.money import Money
from apps.policies.dunning import Action, DeclineClass

DUNNING_COLOURS = {"running": "warning", "recovered": "success", "lost": "danger", "stopped": "info"}
PARKED_COLOURS = {"waiting": "warning", "released": "success", "voided": "danger"}
DONE = {
    "failed": _("Списание не прошло"),
    "refused": _("Клиент отозвал способ оплаты"),
    "no_method": _("Списать не с чего"),
    "forbidden": _("Не списываем: правила шлюза не разрешают"),
    "skipped": _("Повтор пропущен: в этот день уже списывали"),
    "new_card": _("Клиент привязал карту, списываем с неё"),
    Action.RETRY: _("Списываем ещё раз"),
    Action.REMIND: _("Напомнили"),
    Action.SUSPEND: _("Услуга приостановлена"),
    Action.END: _("Подписка завершена"),
}
PAID_BY = {
    "retry": _("повторным списанием"),
    "customer": _("клиентом"),
    "balance": _("с баланса или в обход шлюза"),
}


@console.register(Dunning, sites=(console.partner_site,))
class DunningAdmin(console.ReadOnlyAdmin):
    """What is owed, what was done about it and what comes next."""

    list_display = (
        "subscription", "customer", "shown_state", "shown_amount", "decline_class", "next", "started_date",
    )  # fmt: skip
    list_filter = ("state", "decline_class", "started_date")
    list_select_related = ("subscription__customer", "invoice")
    empty_hint = _("Сюда попадает продление, которое не удалось списать. Что с ним делать, решает политика.")
    search_fields = (
        "invoice__number",
        "subscription__name",
        "subscription__customer__phone",
        "subscription__customer__email",
    )
    fields = (
        "subscription",
        "invoice",
        "state",
        "shown_amount",
        "policy",
        "first_class",
        "decline_class",
        "reason",
        "started_at",
        "retries",
        "next",
        "suspended_at",
        "closed_at",
        "paid_by",
        "done_so_far",
        "pay_page",
    )
    readonly_fields = ("shown_amount", "policy", "next", "paid_by", "done_so_far", "pay_page")

    @display(description=_("итог"), label=DUNNING_COLOURS, ordering="state")
    def shown_state(self, row: Dunning) -> tuple[str, Any]:
        return row.state, row.get_state_display()

    @display(description=_("клиент"))
    def customer(self, row: Dunning) -> str:
        return str(row.subscription.customer) if row.subscription else "—"

    @display(description=_("долг"), ordering="amount")
    def shown_amount(self, row: Dunning) -> str:
        return str(row.money)

    @display(description=_("политика"))
    def policy(self, row: Dunning) -> str:
        return str(row.version)

    @display(description=_("что дальше"), ordering="next_date")
    def next(self, row: Dunning) -> str:
        if row.state != Dunning.State.RUNNING:
            return "—"
        if row.next_date is None:
            return str(_("Ждём ответа банка"))
        return f"{row.next_date:%d.%m.%Y}: {Action(row.next_action).label}"

    @display(description=_("чем оплачено"))
    def paid_by(self, row: Dunning) -> str:
        return str(PAID_BY.get(row.recovered_by, "—"))

    @display(description=_("что сделано"))
    def done_so_far(self, row: Dunning) -> str:
        return format_html_join("", "<div>{} · {}{}</div>", [_told(one) for one in row.log]) or "—"

    @display(description=_("ссылка для клиента"))
    def pay_page(self, row: Dunning) -> str:
        if row.state != Dunning.State.RUNNING:
            return "—"
        url = pay_links.to_pay(row.invoice)
        return format_html('<a href="{}" target="_blank" rel="noreferrer">{}</a>', url, url)


def _told(one: dict[str, Any]) -> tuple[str, str, str]:
    moment = parse_datetime(one["at"])
    when = f"{clock.local(moment):%d.%m.%Y %H:%M}" if moment else ""
    declined = one.get("decline_class", "")
    why = f": {DeclineClass(declined).label}" if declined else ""
    return when, str(DONE.get(one["what"], one["what"])), why


class DecisionForm(forms.Form):
    """Why so: it stays in the journal."""

    note = forms.CharField(label=_("Почему так решили"), max_length=300, widget=UnfoldAdminTextareaWidget)


class VoidForm(DecisionForm):
    """And whether the subscription goes on."""

    cancel = forms.BooleanField(
        label=_("Подписку больше не продлевать"),
        help_text=_("Иначе счёт будет рассчитан заново: сначала исправьте условия подписки"),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
    )


@console.register(ParkedBill, sites=(console.partner_site,))
class ParkedBillAdmin(console.ReadOnlyAdmin):
    """Nothing of such a bill was issued or charged; whoever decides says why."""

    list_display = ("subscription", "shown_state", "shown_total", "shown_usual", "reason", "parked_at")
    list_filter = ("state", "parked_at")
    list_select_related = ("subscription",)
    search_fields = ("subscription__name",)
    fields = (
        "subscription_page",
        "state",
        "reason",
        "shown_total",
        "shown_usual",
        "shown_lines",
        "parked_at",
        "decided_at",
        "actor",
        "note",
    )
    readonly_fields = ("subscription_page", "shown_total", "shown_usual", "shown_lines")
    actions_detail = ("release", "void")

    def has_decide_permission(self, request: Any, object_id: Any = None) -> bool:
        """Whose decision it is: of those who answer for money."""
        return bool(request.rights.may("finance", "manager"))

    @display(description=_("подписка"))
    def subscription_page(self, row: ParkedBill) -> str:
        return str(links.linked(row.subscription, links.to("billing.Subscription", row.subscription_id)))

    @display(description=_("решение"), label=PARKED_COLOURS, ordering="state")
    def shown_state(self, row: ParkedBill) -> tuple[str, Any]:
        return row.state, row.get_state_display()

    @display(description=_("сумма счёта"), ordering="total")
    def shown_total(self, row: ParkedBill) -> str:
        return str(row.money)

    @display(description=_("обычно за то же"))
    def shown_usual(self, row: ParkedBill) -> str:
        return str(row.usual_money) if row.usual else "—"

    @display(description=_("что в счёте"))
    def shown_lines(self, row: ParkedBill) -> str:
        return format_html_join("", "<div>{}: {} × {}, {} – {}</div>", [_line(row, one) for one in row.lines])

    @action(description=_("Выставить счёт"), url_path="release", permissions=["decide"])
    def release(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(ParkedBill, pk=object_id)
        form = DecisionForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            return self._decide(request, row, _("Счёт будет выставлен"), parking.release, form)
        notes = [_("%(sum)s будет списано с клиента. %(why)s") % {"sum": row.money, "why": row.reason}]
        return console.form_page(self, request, form, _("Выставить счёт"), notes=notes)

    @action(description=_("Не выставлять"), url_path="void", permissions=["decide"])
    def void(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(ParkedBill, pk=object_id)
        form = VoidForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            return self._decide(request, row, _("Этот счёт выставлен не будет"), parking.void, form)
        return console.form_page(self, request, form, _("Не выставлять счёт"), notes=[row.reason])

    def _decide(
        self, request: HttpRequest, row: ParkedBill, done: Any, decide: Any, form: forms.Form
    ) -> HttpResponse:
        try:
            decide(row.pk, actor=request.user.get_username(), **form.cleaned_data)
        except Refused as refusal:
            messages.error(request, str(refusal.message))
        else:
            messages.success(request, done)
        return redirect("admin:billing_parkedbill_change", row.pk)


def _line(row: ParkedBill, one: dict[str, Any]) -> tuple[Any, ...]:
    start, end = (parse_date(one[name]) for name in ("start", "end"))
    sum = Money(Decimal(one["amount"]), row.currency)
    return one["name"], one["quantity"], sum, f"{start:%d.%m.%Y}", f"{end:%d.%m.%Y}"


class InvoicePages:
    """Pages of one invoice, mixed into its ModelAdmin."""

    @action(description=_("Ссылка на оплату"), url_path="pay-link", permissions=["view"])
    def pay_link(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """For whoever talks with the customer: the same link as in the messages."""
        row = get_object_or_404(Invoice, pk=object_id)
        if row.state == Invoice.State.OPEN:
            url = pay_links.to_pay(row)
            messages.info(
                request, format_html('<a href="{}" target="_blank" rel="noreferrer">{}</a>', url, url)
            )
        else:
            messages.warning(request, _("Платить по этому счёту не нужно"))
        return redirect(reverse("admin:billing_invoice_change", args=[object_id]))
