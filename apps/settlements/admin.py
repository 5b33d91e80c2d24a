"""Console: statements are loaded, and what came with no invoice to its name is given one."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from apps.core import console, links
from apps.core.errors import Refused
from apps.core.forms import MoneyField
from apps.core.money import Money
from apps.settlements import matching, statements
from apps.settlements.models import Allocation, BankLine, BankStatement, LineState

OPERATOR = (console.operator_site,)


class LoadForm(forms.Form):
    """A file of the bank."""

    file = forms.FileField(
        label=_("Файл выписки"),
        help_text=_(
            "Формат 1CClientBankExchange: его выгружает любой банк, файл обычно зовётся kl_to_1c.txt"
        ),
        widget=UnfoldAdminFileFieldWidget,
    )


class AssignForm(forms.Form):
    """Which invoice, and how much of the line."""

    number = forms.CharField(label=_("Номер счёта"), max_length=60, widget=UnfoldAdminTextInputWidget)
    amount = MoneyField(
        label=_("Сколько отнести, ₽"),
        help_text=_("Пусто — сколько осталось оплатить по счёту, но не больше, чем пришло"),
        required=False,
    )
    keep_rest = forms.BooleanField(
        label=_("Лишнее оставить на балансе клиента"), required=False, widget=UnfoldBooleanSwitchWidget
    )


class AsideForm(forms.Form):
    """Why no invoice is paid by it."""

    reason = forms.CharField(
        label=_("Что это за деньги"),
        help_text=_("Например: заём учредителя, возврат поставщика, выплата эквайера"),
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
    )


class FinancePages(console.ReadOnlyAdmin):
    """Only finance looks and acts: a statement is nobody else's business."""

    view_roles = ("finance",)

    def has_finance_permission(self, request: Any, object_id: Any = None) -> bool:
        """Who loads statements and gives money its invoice."""
        return bool(request.rights.may("finance"))


class LineInline(console.Belongings):
    """The movements that this file was the first to tell of."""

    model = BankLine
    view_roles = ("finance",)
    fields = ("booked_date", "number", "is_credit", "amount", "state", "reason")
    verbose_name_plural = _("Строки, новые в этой выписке")


@console.register(BankStatement, sites=OPERATOR)
class BankStatementAdmin(FinancePages):
    """Files as they were loaded."""

    list_display = ("shown", "legal_entity", "sum_received", "sum_spent", "sum_closing", "loaded_at", "actor")
    list_filter = ("legal_entity", ("end_date", RangeDateFilter))
    list_filter_submit = True
    list_select_related = ("legal_entity",)
    inlines = (LineInline,)
    empty_hint = _(
        "Загрузите выписку банка: что оплачено по счетам, отметится само, остальное встанет в очередь."
    )

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return bool(request.rights.may("finance"))

    @display(description=_("счёт и дни"))
    def shown(self, row: BankStatement) -> str:
        return str(row)

    @display(description=_("поступило"))
    def sum_received(self, row: BankStatement) -> SafeString | str:
        return _shown(row.received, row.currency)

    @display(description=_("списано"))
    def sum_spent(self, row: BankStatement) -> SafeString | str:
        return _shown(row.spent, row.currency)

    @display(description=_("остаток на конец"))
    def sum_closing(self, row: BankStatement) -> SafeString | str:
        return _shown(row.closing, row.currency)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = LoadForm(*((request.POST, request.FILES) if request.method == "POST" else ()))
        if request.method == "POST" and form.is_valid():
            file = form.cleaned_data["file"]
            try:
                loaded = statements.load(file.read(), name=file.name, actor=request.user.get_username())
            except Refused as refused:
                form.add_error("file", str(refused.message))
            else:
                return self._told(request, loaded)
        return console.form_page(self, request, form, _("Загрузить выписку"), press=_("Загрузить"))

    def _told(self, request: HttpRequest, loaded: statements.Loaded) -> HttpResponse:
        told = _(
            "Новых строк: %(new)d; отнесено на счета: %(matched)d, выплат шлюзов: %(payouts)d,"
            " не опознано: %(rest)d, списаний: %(spent)d"
        ) % {
            "new": loaded.matched + loaded.payouts + loaded.unidentified + loaded.spent,
            "payouts": loaded.payouts,
            "matched": loaded.matched,
            "rest": loaded.unidentified,
            "spent": loaded.spent,
        }
        messages.success(request, told)
        if loaded.known:
            messages.info(request, _("Были уже загружены раньше: %d") % loaded.known)
        if loaded.unidentified:
            state = f"?state__exact={LineState.UNIDENTIFIED}"
            return redirect(reverse("admin:settlements_bankline_changelist") + state)
        return redirect("admin:settlements_bankstatement_changelist")


class AllocationInline(console.ReadOnlyInline):
    """The invoices that the line paid."""

    model = Allocation
    view_roles = ("finance",)
    fields = ("invoice", "partner", "sum", "actor", "made_at")
    readonly_fields = ("invoice", "sum")

    @display(description=_("счёт"))
    def invoice(self, row: Allocation) -> SafeString | str:
        url = links.to("billing.Invoice", row.invoice_id, slug=row.partner.slug)
        return links.linked(row.invoice_number, url)

    @display(description=_("сумма"))
    def sum(self, row: Allocation) -> SafeString:
        return _shown(row.amount, row.line.currency)


@console.register(BankLine, sites=OPERATOR)
class BankLineAdmin(FinancePages):
    """Movements on the accounts; those that nobody has identified are the queue."""

    list_display = ("booked_date", "number", "payer", "sum", "shown_state", "short_purpose", "reason")
    list_display_links = ("booked_date", "number")
    list_filter = ("state", "statement__legal_entity", ("booked_date", RangeDateFilter))
    list_filter_submit = True
    list_select_related = ("statement__legal_entity",)
    search_fields = ("number",)
    search_help_text = _("Номер платёжного поручения")
    inlines = (AllocationInline,)
    actions_detail = ("assign", "assign_payout", "rematch", "set_aside", "put_back")
    empty_hint = _("Строки появляются из выписок банка: «Деньги» → «Выписки банка» → «Добавить».")
    fields = (
        "state",
        "reason",
        "sum",
        "left",
        "party",
        "purpose",
        "suggestions",
        ("kind", "number"),
        ("document_date", "booked_date"),
        "statement",
        ("settled_by", "settled_at"),
    )
    readonly_fields = ("sum", "left", "party", "suggestions")

    @display(
        description=_("состояние"),
        label={
            "matched": "success",
            "unidentified": "warning",
            "payout": "success",
            "set_aside": "info",
            "spent": "info",
        },
    )
    def shown_state(self, row: BankLine) -> tuple[str, Any]:
        return console.Label(row.state, row.get_state_display())

    @display(description=_("от кого или кому"))
    def payer(self, row: BankLine) -> str:
        return str(row.counterparty.get("name", ""))[:60] or "—"

    @display(description=_("назначение платежа"))
    def short_purpose(self, row: BankLine) -> str:
        return row.purpose if len(row.purpose) <= 90 else row.purpose[:90] + "…"

    @display(description=_("сумма"), ordering="amount")
    def sum(self, row: BankLine) -> SafeString:
        return _shown(row.amount if row.is_credit else -row.amount, row.currency)

    @display(description=_("осталось отнести"))
    def left(self, row: BankLine) -> str:
        return str(row.left()) if row.state == LineState.UNIDENTIFIED else "—"

    @display(description=_("от кого или кому"))
    def party(self, row: BankLine) -> SafeString:
        named = {"inn": _("ИНН"), "kpp": _("КПП"), "account": _("счёт"), "bank": "", "bik": _("БИК")}
        told = [row.counterparty.get("name") or "—"]
        told += [
            f"{name} {row.counterparty[key]}".strip()
            for key, name in named.items()
            if row.counterparty.get(key)
        ]
        return format_html_join(", ", "{}", ((one,) for one in told))

    @display(description=_("счета из назначения"))
    def suggestions(self, row: BankLine) -> SafeString | str:
        if row.state != LineState.UNIDENTIFIED:
            return "—"
        found = matching.candidates(row)
        if not found:
            return str(_("Номеров счетов этого юридического лица в назначении нет"))
        return format_html_join(
            "",
            "<div>{} · {} · {} · {}{}</div>",
            (
                (
                    one.number,
                    one.customer,
                    one.partner,
                    _("осталось оплатить %s") % one.left,
                    f" · {one.doubt}" if one.doubt else "",
                )
                for one in found
            ),
        )

    @action(description=_("Отнести на счёт"), url_path="assign", permissions=["finance"])
    def assign(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self._row(object_id)
        named = matching.numbers(row.purpose)
        form = AssignForm(request.POST or None, initial={"number": named[0] if named else ""})
        if request.method == "POST" and form.is_valid():
            given = form.cleaned_data
            amount = Money(given["amount"], row.currency) if given["amount"] else None
            return self._done(
                request,
                row,
                lambda: matching.assign(
                    row.pk,
                    number=given["number"],
                    amount=amount,
                    keep_rest=given["keep_rest"],
                    actor=request.user.get_username(),
                ),
                _("Отнесено на счёт"),
            )
        notes = [
            f"{row}: {row.counterparty.get('name', '')}",
            row.purpose,
            _("Осталось отнести: %s") % row.left(),
        ]
        return console.form_page(self, request, form, _("Отнести на счёт"), notes=notes, press=_("Отнести"))

    @action(description=_("Сопоставить заново"), url_path="rematch", permissions=["finance"])
    def rematch(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self._row(object_id)
        if request.method != "POST":
            told = [_("Номера счетов в назначении будут найдены ещё раз: счёт мог быть выставлен позже.")]
            title = _("Сопоставить заново")
            return console.form_page(self, request, forms.Form(), title, notes=told, press=title)
        line = matching.settle(row.pk, actor=request.user.get_username())
        if line.state == LineState.UNIDENTIFIED:
            messages.warning(request, line.reason)
        else:
            messages.success(request, line.get_state_display())
        return redirect("admin:settlements_bankline_change", row.pk)

    @action(description=_("Это не оплата счёта"), url_path="set-aside", permissions=["finance"])
    def set_aside(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self._row(object_id)
        form = AsideForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            reason, actor = form.cleaned_data["reason"], request.user.get_username()
            act = lambda: matching.set_aside(row.pk, reason=reason, actor=actor)  # noqa: E731
            return self._done(request, row, act, _("Отложено"))
        return console.form_page(self, request, form, _("Это не оплата счёта"), press=_("Отложить"))

    @action(description=_("Вернуть в очередь"), url_path="put-back", permissions=["finance"])
    def put_back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self._row(object_id)
        if request.method != "POST":
            title = _("Вернуть в очередь")
            return console.form_page(self, request, forms.Form(), title, press=title)
        act = lambda: matching.put_back(row.pk, actor=request.user.get_username())  # noqa: E731
        return self._done(request, row, act, _("Строка снова в очереди"))

    def _row(self, object_id: str | UUID) -> BankLine:
        return get_object_or_404(BankLine.objects.select_related("statement"), pk=unquote(str(object_id)))

    def _done(self, request: HttpRequest, row: BankLine, act: Callable[[], Any], done: Any) -> HttpResponse:
        try:
            act()
        except Refused as refused:
            messages.error(request, str(refused.message))
        else:
            messages.success(request, done)
        return redirect("admin:settlements_bankline_change", row.pk)


def _shown(amount: Any, currency: str) -> SafeString:
    return format_html(
        '<span class="armor-sum">{}</span>', "—" if amount is None else Money(amount, currency)
    )
