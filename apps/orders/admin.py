"""Console: orders and services to look at; fulfilments that wait for staff are retried or handed over by hand."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget, UnfoldAdminURLInputWidget

from apps.accounts.models import Customer
from apps.billing import channel_names, channel_pages
from apps.billing.admin import Documents
from apps.catalog import parameters
from apps.core import clock, console
from apps.core.errors import Refused
from apps.orders import (
    asking,
    bulk_admin,  # noqa: F401 - registers itself
    cancelling,
    draft_admin,
    former_phone,
    fulfilment,
    history,
    inquiries,
    key_pages,
    states,
    task_admin,
)
from apps.orders.control import admin as control_admin
from apps.orders.control import deed_pages
from apps.orders.control.deeds import DeedKind
from apps.orders.models import Fulfilment, Order, OrderItem, OrderKind, OrderState, Service
from apps.providers.portal import requests

ORDER_COLOURS = {
    "draft": "info",
    "acknowledged": "info",
    "pending": "warning",
    "held": "warning",
    "in_progress": "info",
    "assessing_cancellation": "warning",
    "pending_cancellation": "warning",
    "completed": "success",
    "partial": "warning",
    "failed": "danger",
    "rejected": "danger",
    "cancelled": "danger",
}
FULFILMENT_COLOURS = {
    "queued": "info",
    "in_progress": "info",
    "retry": "warning",
    "unknown": "warning",
    "done": "success",
    "needs_staff": "danger",
    "revoked": "info",
    "held": "warning",
    "info_needed": "warning",
    "compensating": "warning",
    "failed": "danger",
}
SERVICE_COLOURS = {
    "created": "info",
    "pending_active": "info",
    "active": "success",
    "suspended": "warning",
    "pending_terminate": "warning",
    "terminated": "danger",
    "cancelled": "info",
    "aborted": "danger",
}


class ItemInline(Documents):
    model = OrderItem
    fields = ("position", "action", "name", "quantity", "price", "total", "state", "subscription")
    verbose_name_plural = _("Позиции")


class FulfilmentInline(Documents):
    model = Fulfilment
    fields = ("service", "action", "state", "attempts", "error", "done_at")
    verbose_name_plural = _("Исполнение")
    show_change_link = True


class HistoryAdmin(console.ReadOnlyAdmin):
    """An object whose changes of state are shown below it."""

    colours: dict[str, str] = {}
    paginator = console.CappedPaginator

    @display(description=_("история"))
    def shown_history(self, row: Any) -> str:
        labels = dict(row._meta.get_field("state").flatchoices)
        channels = channel_names.known()
        lines = (
            (
                f"{clock.local(line.at):%d.%m.%Y %H:%M}",
                str(labels.get(line.became, line.became)),
                channel_names.of_actor(line.actor, channels),
                # Written down in Russian; what is a text of ours is shown in the reader's language.
                gettext(line.reason) if line.reason else "",
            )
            for line in history.of(row)
        )
        return format_html_join("", "<div>{}</div>", ((" · ".join(filter(None, told)),) for told in lines))


SOMETIMES = ("invoice", "cancels", "scheduled_at", "closed_at")


@console.register(Order, sites=(console.partner_site,))
class OrderAdmin(draft_admin.Drafts, channel_pages.Named, HistoryAdmin):
    """What was ordered, what became of it."""

    list_display = (
        "number",
        "created_at",
        "customer",
        "shown_name",
        "shown_total",
        "shown_state",
        "shown_channel",
    )
    list_filter = ("state", "kind", channel_pages.ChannelFilter, "created_at")
    list_select_related = ("customer",)
    search_fields = (
        "number",
        "customer__phone",
        "customer__email",
        "customer__external_id",
        "customer__name",
    )
    inlines = (ItemInline, FulfilmentInline)
    fields = (
        "kind",
        "number",
        "shown_name",
        "customer",
        "total",
        "state",
        "shown_channel",
        "invoice",
        "cancels",
        "created_at",
        "scheduled_at",
        "closed_at",
        "shown_actor",
        "shown_history",
    )
    readonly_fields = ("shown_name", "shown_channel", "shown_actor", "shown_history")
    actions_detail = ("edit_draft", "place_draft", "drop_draft", "cancel_order", "let_go_on", "keep_order")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What an order has none of takes no line."""
        return [one for one in self.fields if one not in SOMETIMES or getattr(obj, one, None) is not None]

    def has_support_permission(self, request: Any, object_id: Any = None) -> bool:
        """Who may act for a customer."""
        return bool(request.rights.may("manager", "support"))

    def has_cancel_permission(self, request: Any, object_id: Any = None) -> bool:
        """Of what goes on; a draft is deleted, a subscription that is to be off goes on."""
        over = Q(state__in=[*states.CLOSED, OrderState.DRAFT]) | Q(kind=OrderKind.CANCEL)
        if not self.has_support_permission(request):
            return False
        return object_id is None or not Order.objects.filter(over, pk=object_id).exists()

    def has_go_on_permission(self, request: Any, object_id: Any = None) -> bool:
        """Of what disconnects a subscription, while it waits."""
        if not self.has_support_permission(request):
            return False
        waits = Order.objects.filter(pk=object_id, kind=OrderKind.CANCEL, state=OrderState.PENDING)
        return object_id is None or waits.exists()

    def has_keep_permission(self, request: Any, object_id: Any = None) -> bool:
        """Of what somebody asks to cancel."""
        if not self.has_support_permission(request):
            return False
        return object_id is None or Order.objects.filter(pk=object_id, state=OrderState.ASSESSING).exists()

    @action(description=_("Отменить заказ"), url_path="cancel", permissions=["cancel"])
    def cancel_order(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        order = get_object_or_404(Order, pk=object_id)
        form = ReasonForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            why, who = form.cleaned_data["reason"], request.user.get_username()
            return _done(
                request, order, lambda: cancelling.cancel(order, reason=why, actor=who, decided=True)
            )
        notes = [
            str(_("Неоплаченное снимется. За то, что ещё не выдано, деньги вернутся полностью.")),
            str(_("Выданное останется: такую подписку отключают отдельно.")),
        ]
        return console.form_page(self, request, form, _("Отменить заказ"), notes=notes)

    @action(description=_("Не отключать подписку"), url_path="go-on", permissions=["go_on"])
    def let_go_on(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        order = get_object_or_404(Order, pk=object_id)
        form = ReasonForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            why, who = form.cleaned_data["reason"], request.user.get_username()
            return _done(request, order, lambda: cancelling.cancel(order, reason=why, actor=who))
        notes = [str(_("Подписка пойдёт дальше, как будто её не отменяли."))]
        title = _("Не отключать подписку")
        return console.form_page(self, request, form, title, about=order.name, notes=notes)

    @action(description=_("Не отменять"), url_path="keep", permissions=["keep"])
    def keep_order(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        order = get_object_or_404(Order, pk=object_id)
        form = ReasonForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            why, who = form.cleaned_data["reason"], request.user.get_username()
            return _done(request, order, lambda: cancelling.refuse(order, reason=why, actor=who))
        return console.form_page(self, request, form, _("Не отменять заказ"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        return super().get_queryset(request).prefetch_related("items")

    @display(description=_("кто оформил"))
    def shown_actor(self, row: Order) -> str:
        return channel_names.of_actor(row.actor, channel_names.known())

    @display(description=_("что заказано"))
    def shown_name(self, row: Order) -> str:
        return _named(row)

    @display(description=_("состояние"), label=ORDER_COLOURS, ordering="state")
    def shown_state(self, row: Order) -> tuple[str, Any]:
        return row.state, row.get_state_display()

    @display(description=_("сумма"), ordering="total")
    def shown_total(self, row: Order) -> str:
        return str(row.money)


def _named(row: Order) -> str:
    """What was ordered; of an order that is no sale, its kind too."""
    return row.name if row.kind == OrderKind.NEW else f"{row.get_kind_display()}: {row.name}"


class ReasonForm(forms.Form):
    """Why, for the history."""

    reason = forms.CharField(label=_("Причина"), max_length=300, widget=UnfoldAdminTextInputWidget)


class HandOverForm(forms.Form):
    """What the customer gets."""

    key = forms.CharField(
        label=_("Ключ или номер"), required=False, max_length=500, widget=UnfoldAdminTextInputWidget
    )
    url = forms.URLField(
        label=_("Ссылка"), required=False, assume_scheme="https", widget=UnfoldAdminURLInputWidget
    )
    instructions = forms.CharField(
        label=_("Как пользоваться"), required=False, max_length=2000, widget=UnfoldAdminTextareaWidget
    )


@console.register(Fulfilment, sites=(console.partner_site,))
class FulfilmentAdmin(task_admin.Buttons, HistoryAdmin):
    """The desk of fulfilment: what waits for a provider or for a person."""

    list_display = ("service", "action", "shown_state", "attempts", "next_at", "error", "created_at")
    list_filter = ("state", "action", "created_at")
    list_select_related = ("service",)
    search_fields = ("service__name", "order__number", "service__customer__phone", "service__customer__email")
    exclude = ("step", "promised_at", "jeopardy_at")
    readonly_fields = ("shown_promise", "shown_inquiry", "shown_notes", "shown_history")
    inlines = (task_admin.TasksOfFulfilment,)
    actions = ("retry_chosen",)
    actions_detail = ("retry_one", "hand_over", "ask", *task_admin.BUTTONS)

    @display(description=_("состояние"), label=FULFILMENT_COLOURS, ordering="state")
    def shown_state(self, row: Fulfilment) -> tuple[str, Any]:
        text = row.get_state_display()
        if row.state == Fulfilment.State.RETRY and row.next_at:
            text = str(_("Повтор в {time}")).format(time=f"{clock.local(row.next_at):%H:%M}")
        return row.state, text

    def has_support_permission(self, request: Any, object_id: Any = None) -> bool:
        """Who may act for a customer."""
        return bool(request.rights.may("manager", "support"))

    def has_inquiry_permission(self, request: Any, object_id: Any = None) -> bool:
        """The same, where its provider asks something."""
        return self.has_support_permission(request) and key_pages.is_asked(request, object_id)

    def has_hand_on_permission(self, request: Any, object_id: Any = None) -> bool:
        """The same, where there is a customer to ask."""
        is_asked = key_pages.is_asked(request, object_id, of_customer=True)
        return self.has_support_permission(request) and is_asked

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What is asked of a customer may be personal: it is for who may act for them."""
        found = super().get_readonly_fields(request, obj)
        return (
            found
            if self.has_support_permission(request)
            else [one for one in found if one != "shown_inquiry"]
        )

    @display(description=_("вопрос поставщика"))
    def shown_inquiry(self, row: Fulfilment) -> str:
        return "\n".join(key_pages.said(inquiries.question_of(row))) or "—"

    @action(description=_("Повторить выбранные"), permissions=["support"])
    def retry_chosen(self, request: HttpRequest, chosen: QuerySet[Fulfilment]) -> None:
        retried = 0
        for row in chosen:
            try:
                fulfilment.retry(row, actor=request.user.get_username())
            except Refused:
                continue
            retried += 1
        messages.success(request, _("Повторяем: %d") % retried)

    @action(description=_("Повторить"), url_path="retry", permissions=["support"])
    def retry_one(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(Fulfilment, pk=object_id)
        if request.method == "POST":
            return _done(request, row, lambda: fulfilment.retry(row, actor=request.user.get_username()))
        return console.form_page(self, request, forms.Form(), _("Повторить запрос поставщику"))

    @action(description=_("Выдать"), url_path="hand-over", permissions=["support"])
    def hand_over(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(Fulfilment, pk=object_id)
        form = HandOverForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            given = form.cleaned_data
            return _done(
                request, row, lambda: fulfilment.hand_over(row, **given, actor=request.user.get_username())
            )
        return console.form_page(self, request, form, _("Выдать вручную"))

    @action(description=_("Данные для выдачи"), url_path="asked", permissions=["support"])
    def ask(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """What the product needs to know of this customer, where they told it on the phone."""
        row = get_object_or_404(Fulfilment.objects.select_related("service"), pk=object_id)
        form = AskedForm(row.service, request.POST or None)
        if request.method == "POST" and form.is_valid() and not form.late():
            told = form.values()
            return _done(
                request,
                row,
                lambda: asking.tell(row.service, told, actor=request.user.get_username()),
            )
        notes = [] if form.fields else [str(_("Этот продукт при выдаче ничего не спрашивает"))]
        if late := form.late():
            notes = [str(requests.nothing_asked().message), late]
        return console.form_page(self, request, form, _("Данные для выдачи"), notes=notes)


class AskedForm(forms.Form):
    """The questions that a product asks when it is given out, with what is known already."""

    def __init__(self, service: Service, data: Any = None) -> None:
        self.asked = asking.questions(service)
        super().__init__(data, initial=service.answers)
        for one in self.asked:
            self.fields[one.code] = forms.CharField(
                label=str(one.name),
                required=one.is_required,
                help_text=str(one.help) or one.get_kind_display(),
                widget=UnfoldAdminTextInputWidget,
            )

    def late(self) -> str:
        """What was written to a question that nobody asks any more."""
        lost = (str(text) for code, text in self.data.items() if inquiries.is_late([code], self.fields))
        return "\n".join(lost)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for one in self.asked:
            text = str(cleaned.get(one.code) or "").strip()
            try:
                if text:
                    cleaned[one.code] = parameters.read(text, one.kind, one.choices)
                    parameters.check_by(one.rule, cleaned[one.code])
            except ValueError as error:
                self.add_error(one.code, str(error))
        return cleaned

    def values(self) -> dict[str, Any]:
        """Answers by code, typed; call it when the form is valid."""
        return {code: value for code, value in self.cleaned_data.items() if value not in (None, "")}


@console.register(Service, sites=(console.partner_site,))
class ServiceAdmin(HistoryAdmin):
    """What customers have. Keys are shown to those who help customers."""

    list_display = ("name", "customer", "shown_state", "active_until", "activated_at")
    list_filter = ("state", "active_until")
    list_select_related = ("customer",)
    search_fields = ("name", "customer__phone", "customer__email", "customer__external_id", "customer__name")
    readonly_fields = ("shown_history", "shown_answers")
    exclude = ("answers_text",)
    view_roles = ("manager", "support")
    actions_detail = ()
    actions = ("replace_chosen", "send_chosen_again")

    @admin.action(description=_("Заменить ключ"), permissions=["support"])
    def replace_chosen(self, request: HttpRequest, queryset: Any) -> HttpResponse:
        """A batch of keys does not work."""
        return deed_pages.ask_of_services(self, request, DeedKind.REPLACE, queryset, "replace_chosen")

    @admin.action(description=_("Отправить ещё раз"), permissions=["support"])
    def send_chosen_again(self, request: HttpRequest, queryset: Any) -> HttpResponse:
        """Their letters were lost."""
        return deed_pages.ask_of_services(self, request, DeedKind.RESEND, queryset, "send_chosen_again")

    def has_support_permission(self, request: Any, object_id: Any = None) -> bool:
        """Who may act for a customer."""
        return bool(request.rights.may("manager", "support"))

    @display(description=_("данные для выдачи"))
    def shown_answers(self, row: Service) -> str:
        names = {one.code: str(one.name) for one in asking.declared(row)}
        told = ((names.get(code, code), parameters.in_words(value)) for code, value in row.answers.items())
        return format_html_join("", "<div>{}: {}</div>", told)

    @display(description=_("состояние"), label=SERVICE_COLOURS, ordering="state")
    def shown_state(self, row: Service) -> tuple[str, Any]:
        return row.state, row.get_state_display()


console.act_on(Fulfilment, key_pages.reply_to_provider, key_pages.ask_customer)
console.act_on(Service, key_pages.replace_service_key, key_pages.send_service_again)


class OrdersOfCustomer(channel_pages.Named, console.Belongings):
    model = Order
    fields = ("number", "created_at", "shown_name", "total", "state", "shown_channel")
    readonly_fields = ("shown_name", "shown_channel")
    verbose_name_plural = _("Заказы")

    @display(description=_("что заказано"))
    def shown_name(self, row: Order) -> str:
        return _named(row)


class ServicesOfCustomer(console.Belongings):
    model = Service
    fields = ("name", "state", "active_until", "activated_at")
    verbose_name_plural = _("Услуги")
    view_roles = ServiceAdmin.view_roles


console.show_below(Customer, OrdersOfCustomer, ServicesOfCustomer)


@action(description=_("Услуги на прежнем номере"), url_path="former-phone", permissions=["former_phone"])
def former_phone_looked(self: Any, request: Any, object_id: UUID) -> HttpResponse:
    """What was made for a number that is somebody else's now: staff say what they have decided."""
    customer = get_object_or_404(Customer, pk=object_id)
    found = former_phone.affected(customer)
    if not found:
        messages.info(request, _("На прежнем номере ничего не осталось"))
        return redirect("admin:accounts_customer_change", customer.pk)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        why, who = form.cleaned_data["reason"], request.user.get_username()
        try:
            former_phone.looked(customer, note=why, actor=who)
        except Refused as refusal:
            form.add_error(None, str(refusal.message))
        else:
            messages.success(request, _("Записано, задача закрыта"))
            return redirect("admin:accounts_customer_change", customer.pk)
    notes = [f"{service.name}: {why}" for service, why in found]
    return console.form_page(
        self,
        request,
        form,
        _("Услуги на прежнем номере"),
        about=f"{customer} · {customer.former_phone}",
        notes=notes,
    )


console.act_on(Customer, draft_admin.order_for_customer, former_phone_looked)
console.act_on(Order, control_admin.way)
console.act_on(Fulfilment, control_admin.way)


def _done(request: HttpRequest, row: Fulfilment | Order, change: Callable[[], Any]) -> HttpResponse:
    try:
        change()
    except Refused as refusal:
        messages.error(request, str(refusal.message))
    else:
        messages.success(request, _("Готово"))
    return redirect(reverse(f"admin:orders_{row._meta.model_name}_change", args=[row.pk]))
