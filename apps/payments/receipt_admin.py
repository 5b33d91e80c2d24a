"""Console: fiscal receipts: what was refused is made anew, what is wrong is corrected, what has none gets one."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.connectors.models import Connection
from apps.core import console, links
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.money import Money
from apps.journal import reading
from apps.payments import correcting, receipt_letters, receipt_routes, receipts_apart, registering
from apps.payments.models import Payment
from apps.payments.money_pages import EXCHANGE_ROLES, MoneyAdmin
from apps.payments.receipt_models import Receipt, ReceiptState, ReceiptWay
from apps.policies.fiscal import ReceiptMethod, Taxation

RECEIPT_COLOURS = {
    "waiting": "info",
    "held": "info",
    "void": "info",
    "queued": "info",
    "sending": "info",
    "sent": "info",
    "unknown": "warning",
    "registered": "success",
    "failed": "danger",
    "corrected": "info",
}
OPERATIONS = {"sell": _("приход"), "sell_refund": _("возврат прихода")}
METHODS = {one.value: one.label for one in ReceiptMethod}
RATES = ("22", "20", "10", "7", "5", "0")
"""VAT in percent that a line may have; `NO_VAT` beside them."""
NO_VAT = "none"
BY_GATEWAY = frozenset(ReceiptWay) - {ReceiptWay.OWN}


class WhyForm(forms.Form):
    """Why a receipt is corrected: it stays in the journal."""

    reason = forms.CharField(
        label=_("Причина"),
        help_text=_("Что было не так: останется в журнале"),
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
    )


class CorrectForm(WhyForm):
    """What is right: the VAT of each line, and the seller's tax regime. The sum is the money's, and stays."""

    taxation = forms.ChoiceField(
        label=_("Система налогообложения"), choices=Taxation.choices, widget=UnfoldAdminSelectWidget
    )

    def __init__(self, made: Receipt, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["taxation"].initial = made.seller["taxation"]
        self._names = [f"rate_{number}" for number, _line in enumerate(made.lines)]
        for name, line in zip(self._names, made.lines, strict=True):
            rate = _rate(line)
            known = [*RATES, *([rate] if rate not in {*RATES, NO_VAT} else [])]
            self.fields[name] = forms.ChoiceField(
                label=_("НДС: %s") % line["name"],
                initial=rate,
                choices=[(NO_VAT, _("без НДС")), *((one, f"{one} %") for one in known)],
                widget=UnfoldAdminSelectWidget,
            )
        self.order_fields(["reason", *self._names, "taxation"])

    def right(self) -> correcting.Right:
        """What was chosen."""
        rates = [self.cleaned_data[name] for name in self._names]
        return correcting.Right(
            rates=[None if one == NO_VAT else one for one in rates],
            seller={"taxation": self.cleaned_data["taxation"]},
        )


class LetterForm(forms.Form):
    """The key makes a second click the same letter."""

    key = forms.UUIDField(widget=forms.HiddenInput)


def _is(request: Any, object_id: Any, states: Iterable[str], ways: Iterable[str] = ReceiptWay) -> bool:
    """Whether a button is of use to the receipt. What was pressed is answered by the action, with its reason."""
    if object_id is None or request.method == "POST":
        return True
    return Receipt.objects.filter(pk=object_id, state__in=states, way__in=ways).exists()


class MakeUpReceipt:
    """The action of a payment that has no receipt."""

    def has_receiptless_permission(self: Any, request: Any, object_id: Any = None) -> bool:
        """Money people, and only where there is no receipt."""
        if not self.has_money_permission(request):
            return False
        found = Payment.objects.filter(pk=object_id).first() if object_id else None
        return object_id is None or (found is not None and correcting.lacks(found))

    @action(description=_("Пробить чек коррекции"), url_path="make-up", permissions=["receiptless"])
    def make_up(self: Any, request: HttpRequest, object_id: UUID) -> HttpResponse:
        if not self.has_money_permission(request):
            raise PermissionDenied
        payment = get_object_or_404(Payment, pk=object_id)
        form = WhyForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                correcting.make_up(
                    payment.pk, reason=form.cleaned_data["reason"], actor=request.user.get_username()
                )
            except Refused as refusal:
                form.add_error(None, str(refusal.message))
            else:
                messages.success(request, _("Чек коррекции в очереди"))
                return redirect("admin:payments_payment_change", object_id)
        notes = [
            _("Для денег, по которым чека не было: касса пробьёт чек коррекции на %s.") % payment.money,
            _("Если чек уже пробит в кабинете кассы или шлюза, второй не нужен."),
        ]
        return console.form_page(
            self, request, form, _("Пробить чек коррекции"), notes=notes, press=_("Пробить")
        )


@console.register(Receipt, sites=(console.partner_site,))
class ReceiptAdmin(MoneyAdmin):
    """Receipts as the register has them; one that was not registered is made anew by a button."""

    list_display = ("created_at", "cause", "shown_total", "shown_receipt", "way", "payment", "reason")
    list_filter = ("state", "cause", "way", ("business_date", RangeDateFilter))
    list_filter_submit = True
    list_select_related = ("payment",)
    search_fields = ("=gateway_id",)
    actions_detail = ("replace", "correct", "send_to_customer", "ask_register", "deny")
    empty_hint = _("Чеки появляются с оплатами и возвратами, если у продавца есть правило чеков.")
    fields = (
        "shown_receipt",
        "reason",
        ("cause", "shown_operation", "way"),
        ("shown_total", "shown_prepaid"),
        "shown_lines",
        "shown_seller",
        "contact",
        "shown_fiscal",
        ("payment", "refund"),
        "replaces",
        "shown_correction",
        ("business_date", "closes_on"),
        ("created_at", "settled_at"),
        ("connection", "gateway_id"),
    )
    readonly_fields = (
        "shown_receipt",
        "shown_operation",
        "shown_total",
        "shown_prepaid",
        "shown_lines",
        "shown_seller",
        "shown_fiscal",
        "shown_correction",
        "conversation",
    )

    def get_fieldsets(self, request: Any, obj: Any = None) -> Any:
        sets = super().get_fieldsets(request, obj)
        if obj is not None and not obj.correction:
            shown = [name for name in sets[0][1]["fields"] if name != "shown_correction"]
            sets[0] = (sets[0][0], {**sets[0][1], "fields": shown})
        if request.rights.may(*EXCHANGE_ROLES):
            sets.append((_("Обмен с кассой"), {"fields": ["conversation"]}))
        return sets

    @display(description=_("обмен с кассой"))
    def conversation(self, row: Receipt) -> SafeString | str:
        return reading.about([row.pk])

    @display(description=_("состояние"), label=RECEIPT_COLOURS)
    def shown_receipt(self, row: Receipt) -> tuple[str, Any]:
        return console.Label(row.state, row.get_state_display())

    @display(description=_("сумма"))
    def shown_total(self, row: Receipt) -> str:
        return str(row.money)

    @display(description=_("признак расчёта"))
    def shown_operation(self, row: Receipt) -> str:
        return str(OPERATIONS.get(row.operation, row.operation))

    @display(description=_("из неё зачтено из предоплаты"))
    def shown_prepaid(self, row: Receipt) -> str:
        return str(Money(row.prepaid, row.currency))

    @display(description=_("строки"))
    def shown_lines(self, row: Receipt) -> SafeString:
        return format_html_join("", "<div>{}</div>", ((_line(line, row.currency),) for line in row.lines))

    @display(description=_("продавец"))
    def shown_seller(self, row: Receipt) -> str:
        seller = row.seller
        taxation = Taxation(seller["taxation"]).label
        return f"{_('ИНН')} {seller['inn']}, {taxation}, {seller['place']}, {seller['email']}"

    @display(description=_("фискальные данные"))
    def shown_fiscal(self, row: Receipt) -> SafeString | str:
        fiscal = row.fiscal
        if not fiscal:
            return "—"
        told = _("ФН %(fn)s, ФД %(document)s, ФПД %(attribute)s") % fiscal
        url = fiscal.get("url", "")
        return links.linked(told, url if url.startswith("https://") else "")

    @display(description=_("чек коррекции"))
    def shown_correction(self, row: Receipt) -> SafeString | str:
        told = f"{_('за %s') % row.correction['on']}: {row.correction['reason']}"
        wrong = row.correction.get("of")
        return links.linked(told, links.to("payments.Receipt", wrong)) if wrong else told

    def has_correction_permission(self, request: Any, object_id: Any = None) -> bool:
        """Money people, of a receipt that is registered."""
        if not self.has_money_permission(request):
            return False
        row = Receipt.objects.filter(pk=object_id).first() if object_id else None
        return object_id is None or (row is not None and correcting.can_correct(row))

    @action(description=_("Скорректировать"), url_path="correct", permissions=["correction"])
    def correct(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """What was registered wrong: undone by one receipt, said right by another."""
        row = get_object_or_404(Receipt, pk=object_id)
        form = CorrectForm(row, request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                made = correcting.correct(
                    row.pk,
                    form.right(),
                    reason=form.cleaned_data["reason"],
                    actor=request.user.get_username(),
                )
            except Refused as refusal:
                form.add_error(None, str(refusal.message))
            else:
                messages.success(request, _("Чеки коррекции в очереди"))
                return redirect("admin:payments_receipt_change", made.pk)
        notes = [
            _("Сумма чека: %s. Она не меняется.") % row.money,
            _("Касса пробьёт два чека коррекции: первый отменит этот чек, второй скажет, как правильно."),
            _line(row.lines[0], row.currency) if len(row.lines) == 1 else "",
        ]
        title = _("Скорректировать чек")
        return console.form_page(
            self, request, form, title, notes=[one for one in notes if one], press=_("Скорректировать")
        )

    def has_letter_permission(self, request: Any, object_id: Any = None) -> bool:
        """Whoever talks with customers, of a receipt that stands."""
        if not request.rights.may("manager", "support", "finance"):
            return False
        row = Receipt.objects.filter(pk=object_id).first() if object_id else None
        return object_id is None or (row is not None and receipt_letters.can_send(row))

    @action(description=_("Выслать клиенту"), url_path="send", permissions=["letter"])
    def send_to_customer(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """The receipt's link and fiscal attributes, by our own letter."""
        row = get_object_or_404(Receipt, pk=object_id)
        form = LetterForm(request.POST or None, initial={"key": uuid7()})
        if request.method == "POST" and form.is_valid():
            key, actor = form.cleaned_data["key"], request.user.get_username()
            try:
                sent = receipt_letters.send(row.pk, actor=actor, key=key)
            except Refused as refusal:
                messages.error(request, str(refusal.message))
            else:
                messages.success(request, _("Чек уйдёт клиенту: %s") % sent.to)
            return redirect("admin:payments_receipt_change", object_id)
        customer, title = row.payment.customer, _("Выслать чек клиенту")
        notes = [
            _("Кому: %s") % (customer.email or customer.phone or "—"),
            _("В письме: %s, признаки чека и ссылка на него, если её дал оператор фискальных данных.")
            % row.money,
        ]
        return console.form_page(self, request, form, title, notes=notes, press=_("Выслать"))

    def has_replacement_permission(self, request: Any, object_id: Any = None) -> bool:
        """Money people, of a receipt that was not registered."""
        return self.has_money_permission(request) and _is(request, object_id, {ReceiptState.FAILED})

    def has_denial_permission(self, request: Any, object_id: Any = None) -> bool:
        """Money people, of a receipt that its gateway is silent about."""
        may = self.has_money_permission(request)
        return may and _is(request, object_id, registering.SILENT, BY_GATEWAY)

    def has_question_permission(self, request: Any, object_id: Any = None) -> bool:
        """Whoever may look, of a receipt that is at its register."""
        return self.has_view_permission(request) and _is(request, object_id, registering.AT_REGISTER)

    @action(description=_("Пробить заново"), url_path="replace", permissions=["replacement"])
    def replace(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(Receipt, pk=object_id)
        if request.method != "POST":
            notes = [_("Тот же чек уйдёт в кассу под новым номером."), _whither(row), row.reason]
            title = _("Пробить заново")
            return console.form_page(self, request, forms.Form(), title, notes=notes, press=title)
        try:
            made = receipts_apart.replace(row.pk, actor=request.user.get_username())
        except Refused as refusal:
            messages.error(request, str(refusal.message))
            return redirect("admin:payments_receipt_change", object_id)
        messages.success(request, _("Новый чек в очереди"))
        return redirect("admin:payments_receipt_change", made.pk)

    @action(description=_("Спросить кассу"), url_path="ask", permissions=["question"])
    def ask_register(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Only reads there, and so is safe for everybody who may look."""
        row = registering.settle(get_object_or_404(Receipt, pk=object_id).pk)
        messages.info(request, _("Состояние чека: %s") % row.get_state_display())
        return redirect("admin:payments_receipt_change", object_id)

    @action(description=_("У шлюза чека нет"), url_path="deny", permissions=["denial"])
    def deny(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Where the gateway tells nothing: a person has looked there, and the receipt is made anew."""
        row = get_object_or_404(Receipt, pk=object_id)
        if request.method != "POST":
            notes = [
                _("Только если вы посмотрели в кабинете шлюза и этого чека там нет: иначе чеков станет два."),
                _("Чек станет непробитым и, где это возможно, сразу уйдёт ещё раз."),
            ]
            title = _("У шлюза чека нет")
            return console.form_page(self, request, forms.Form(), title, notes=notes, press=title)
        try:
            registering.deny(row.pk, actor=request.user.get_username())
        except Refused as refusal:
            messages.error(request, str(refusal.message))
        else:
            messages.success(request, _("Чек отмечен непробитым"))
        return redirect("admin:payments_receipt_change", object_id)


def _whither(row: Receipt) -> str:
    """Where a receipt goes when it is made anew."""
    if row.state != ReceiptState.FAILED:
        return ""
    route = receipt_routes.replacement(row)
    if route is None:
        return str(receipt_routes.NO_WAY)
    name = Connection.objects.get(pk=route.connection_id).name
    return str(_("Его пробьёт: %(who)s, подключение «%(name)s».")) % {
        "who": ReceiptWay(route.way).label,
        "name": name,
    }


def _line(line: dict[str, Any], currency: str) -> str:
    rate = (
        _("без НДС")
        if line["vat_rate"] is None
        else _("НДС %s %%") % f"{Decimal(line['vat_rate']).normalize():f}"
    )
    money = Money(Decimal(line["amount"]), currency)
    told = f"{line['name']} × {line['quantity']} — {money}, {rate}, {METHODS.get(line['method'], line['method'])}"
    agent = line["agent"]
    return (
        f"{told}; {_('агент, поставщик')} {agent['supplier_name']}, {_('ИНН')} {agent['supplier_inn']}"
        if agent
        else told
    )


def _rate(line: dict[str, Any]) -> str:
    """The VAT of a line as a form shows it."""
    return NO_VAT if line["vat_rate"] is None else f"{Decimal(line['vat_rate']).normalize():f}"
