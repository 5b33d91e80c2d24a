"""Console: disputes as cases: the deadline, the evidence that collected itself, what was done, and how it ended."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminDateWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from apps.core import clock, console, links
from apps.core.errors import Refused
from apps.core.forms import MoneyField
from apps.core.money import Money
from apps.journal import words
from apps.journal.models import Entry
from apps.payments import disputes, evidence, timing
from apps.payments.dispute_models import Dispute, DisputeFile, DisputeKind, DisputeState
from apps.payments.models import Payment
from apps.payments.money_pages import MoneyAdmin, days_left


class OpenForm(forms.Form):
    """A chargeback that the bank told of by letter, or a customer's claim."""

    kind = forms.ChoiceField(
        label=_("Что пришло"), choices=DisputeKind.choices, widget=UnfoldAdminSelectWidget
    )
    amount = MoneyField(label=_("Сумма"))
    reason = forms.CharField(
        label=_("Чего требуют и почему"), max_length=500, widget=UnfoldAdminTextInputWidget
    )
    reason_code = forms.CharField(
        label=_("Код причины у банка"), max_length=40, required=False, widget=UnfoldAdminTextInputWidget
    )
    gateway_id = forms.CharField(
        label=_("Номер у банка или шлюза"), max_length=100, required=False, widget=UnfoldAdminTextInputWidget
    )
    respond_by = forms.DateField(
        label=_("Ответить до"),
        help_text=_("Срок из письма банка; на претензию о деньгах по закону отвечают за 10 дней"),
        widget=UnfoldAdminDateWidget,
    )
    is_taken = forms.BooleanField(
        label=_("Банк уже списал эти деньги"), required=False, widget=UnfoldBooleanSwitchWidget
    )

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if given.get("is_taken") and given.get("kind") == DisputeKind.CLAIM:
            self.add_error("is_taken", _("По претензии банк ничего не списывает: это бывает при чарджбэке"))
        return given


class DecideForm(forms.Form):
    """How it ended, and what the bank wrote."""

    state = forms.ChoiceField(
        label=_("Чем кончилось"),
        choices=[(one.value, one.label) for one in map(DisputeState, disputes.DECIDED)],
        widget=UnfoldAdminSelectWidget,
    )
    comment = forms.CharField(
        label=_("Решение банка или ваше"), max_length=500, widget=UnfoldAdminTextInputWidget
    )


class AgainForm(forms.Form):
    """What the bank wants more, and by when."""

    reason = forms.CharField(label=_("О чём спрашивают"), max_length=200, widget=UnfoldAdminTextInputWidget)
    respond_by = forms.DateField(label=_("Ответить до"), widget=UnfoldAdminDateWidget)


class FilesOfDispute(console.ReadOnlyInline):
    model, tab = DisputeFile, True
    fields = ("link", "made_at", "made_by", "sha256")
    readonly_fields = ("link",)
    verbose_name_plural = _("Собранные PDF")

    @display(description=_("файл"))
    def link(self, row: DisputeFile) -> SafeString:
        return links.linked(row.name, f"../../../disputefile/{row.pk}/pdf/")  # type: ignore[return-value]


@console.register(Dispute, sites=(console.partner_site,))
class DisputeAdmin(MoneyAdmin):
    """«Споры и претензии»: one page has all that an answer to the bank needs."""

    list_display = (
        "day",
        "shown_kind",
        "customer",
        "shown_amount",
        "shown_state",
        "deadline",
        "reason",
    )
    list_filter = ("state", "kind", "opened_at")
    list_select_related = ("payment__customer",)
    search_fields = ("=gateway_id",)
    actions_detail = ("collect", "answered", "ask_again", "decide")
    inlines = (FilesOfDispute,)
    empty_hint = _("Чарджбэк открывает шлюз, претензию — сотрудник: «Платежи» → платёж → «Открыть спор».")
    fields = (
        ("shown_state", "deadline"),
        ("shown_amount", "is_taken"),
        ("kind", "gateway_id"),
        "why",
        "about",
        ("opened_at", "answered_at"),
        ("decided_at", "comment"),
        "proofs",
        "timeline",
    )
    readonly_fields = ("shown_state", "deadline", "shown_amount", "why", "about", "proofs", "timeline")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Without what has not happened yet."""
        return [one for one in self.fields if obj is None or not obj.is_open or "decided_at" not in one]

    @display(description=_("открыт"), ordering="opened_at")
    def day(self, row: Dispute) -> str:
        return f"{clock.local(row.opened_at):%d.%m.%Y}"

    @display(description=_("чего требуют и почему"))
    def why(self, row: Dispute) -> str:
        return " · ".join(part for part in (row.reason_code, row.reason) if part)

    @display(description=_("вид"))
    def shown_kind(self, row: Dispute) -> str:
        return str(row.get_kind_display()).split(":")[0]

    @display(description=_("клиент"))
    def customer(self, row: Dispute) -> str:
        return str(row.payment.customer)

    @display(description=_("срок ответа"), ordering="respond_by")
    def deadline(self, row: Dispute) -> SafeString | str:
        if row.state != DisputeState.NEEDS_RESPONSE:
            return f"{clock.local(row.respond_by):%d.%m.%Y}"
        return days_left(row.respond_by)

    @display(description=_("платёж"))
    def about(self, row: Dispute) -> SafeString | str:
        payment = row.payment
        told = f"{payment.customer} · {payment} · {payment.description}"
        return links.linked(told, links.to("payments.Payment", payment.pk))

    @display(description=_("доказательства"))
    def proofs(self, row: Dispute) -> SafeString:
        return render_to_string("payments/evidence.html", {"sections": evidence.collect(row.payment)})

    @display(description=_("что сделано"))
    def timeline(self, row: Dispute) -> SafeString:
        entries = Entry.objects.filter(object_kind=disputes.KIND, object_id=str(row.pk)).order_by("at", "pk")
        facts = [
            {
                "at": entry.at,
                "what": words.action(entry.action),
                "details": [
                    part
                    for part in (entry.actor, entry.data.get("reason"), entry.data.get("comment"))
                    if part
                ],
            }
            for entry in entries
        ]
        return render_to_string("payments/timeline.html", {"facts": facts})

    @action(description=_("Собрать PDF"), url_path="collect", permissions=["money"])
    def collect(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = self._row(request, object_id)
        if request.method != "POST":
            notes = [
                _("Согласия, уведомления, выдача, платёж и возвраты соберутся в один PDF на русском."),
                _("Он останется в деле таким, каким собран: новый PDF не заменит старый."),
            ]
            title = _("Собрать доказательства")
            return console.form_page(self, request, forms.Form(), title, notes=notes, press=_("Собрать PDF"))
        evidence.make(row.pk, actor=request.user.get_username())
        messages.success(request, _("PDF собран: он на вкладке «Собранные PDF»"))
        return redirect("admin:payments_dispute_change", row.pk)

    @action(description=_("Ответ отправлен"), url_path="answered", permissions=["money"])
    def answered(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = self._row(request, object_id)
        if request.method != "POST":
            title = _("Ответ отправлен")
            notes = [_("Дело перейдёт на рассмотрение и уйдёт из очереди.")]
            return console.form_page(self, request, forms.Form(), title, notes=notes, press=title)
        return self._done(
            request, row, lambda actor: disputes.answered(row.pk, actor=actor), _("Ответ отмечен")
        )

    @action(description=_("Банк просит ещё"), url_path="ask-again", permissions=["money"])
    def ask_again(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = self._row(request, object_id)
        form = AgainForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            given = form.cleaned_data
            return self._done(
                request,
                row,
                lambda actor: disputes.ask_again(
                    row.pk, respond_by=end_of(given["respond_by"]), reason=given["reason"], actor=actor
                ),
                _("Дело снова ждёт ответа"),
            )
        return console.form_page(self, request, form, _("Банк просит ещё"), press=_("Записать"))

    @action(description=_("Записать решение"), url_path="decide", permissions=["money"])
    def decide(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = self._row(request, object_id)
        form = DecideForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            given = form.cleaned_data
            return self._done(
                request,
                row,
                lambda actor: disputes.decide(row.pk, given["state"], actor=actor, comment=given["comment"]),
                _("Решение записано"),
            )
        notes = [str(row), row.reason]
        if row.is_taken:
            notes.append(
                str(_("Проиграли или признали — сумма станет убытком; выиграли — вернётся на шлюз."))
            )
        else:
            notes.append(str(_("Признали претензию — верните деньги на странице платежа: само не вернётся.")))
        return console.form_page(
            self, request, form, _("Чем кончилось дело"), notes=notes, press=_("Записать")
        )

    def _row(self, request: HttpRequest, object_id: UUID) -> Dispute:
        if not self.has_money_permission(request):
            raise PermissionDenied
        return get_object_or_404(Dispute.objects.select_related("payment__customer"), pk=object_id)

    def _done(self, request: HttpRequest, row: Dispute, act: Any, done: Any) -> HttpResponse:
        try:
            act(request.user.get_username())
        except Refused as refusal:
            messages.error(request, str(refusal.message))
        else:
            messages.success(request, done)
        return redirect("admin:payments_dispute_change", row.pk)


@console.register(DisputeFile, sites=(console.partner_site,))
class DisputeFileAdmin(MoneyAdmin):
    """The PDFs as they were made; they are opened from their case."""

    list_display = ("name", "dispute", "made_at", "made_by")
    list_select_related = ("dispute",)
    fields = ("name", "dispute", "made_at", "made_by", "sha256")
    actions_detail = ("pdf",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("content")

    @action(description=_("Открыть PDF"), url_path="pdf", permissions=["view"])
    def pdf(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(DisputeFile, pk=object_id)
        return HttpResponse(
            bytes(row.content),
            content_type="application/pdf",
            headers={
                "Content-Disposition": f'inline; filename="{row.name}"',
                "Cache-Control": "private, no-store",
            },
        )


class DisputesOfPayment(console.ReadOnlyInline):
    model, tab = Dispute, True
    fields = ("opened_at", "kind", "amount", "state", "respond_by")
    verbose_name_plural = _("Споры")
    show_change_link = True


@action(description=_("Открыть спор"), url_path="dispute", permissions=["money"])
def dispute(self: Any, request: HttpRequest, object_id: UUID) -> HttpResponse:
    """From the page of the payment that is disputed."""
    if not self.has_money_permission(request):
        raise PermissionDenied
    payment = get_object_or_404(Payment, pk=object_id)
    form = OpenForm(request.POST or None, initial={"amount": payment.amount, "is_taken": True})
    if request.method == "POST" and form.is_valid():
        made = _opened(request, payment, form)
        if made is not None:
            messages.success(request, _("Дело открыто"))
            return redirect("admin:payments_dispute_change", made.pk)
    notes = [f"{payment.customer} · {payment} · {payment.description}"]
    if given := payment.given_back():
        notes.append(str(_("Уже возвращено клиенту: %s")) % Money(given, payment.currency))
    return console.form_page(self, request, form, _("Открыть спор"), notes=notes, press=_("Открыть"))


def _opened(request: HttpRequest, payment: Payment, form: OpenForm) -> Dispute | None:
    given = dict(form.cleaned_data)
    try:
        return disputes.open(
            payment=payment,
            amount=Money(given.pop("amount"), payment.currency),
            respond_by=end_of(given.pop("respond_by")),
            actor=request.user.get_username(),
            **given,
        )
    except Refused as refusal:
        form.add_error("amount", str(refusal.message))
        return None


def end_of(day: date) -> datetime:
    """The last moment of a day of the partner."""
    found = timing.deadline(day)
    assert found is not None  # a day has an end
    return found


console.act_on(Payment, dispute)
_page = console.partner_site.get_model_admin(Payment)
_page.inlines = (DisputesOfPayment, *_page.inlines)
