"""Console: customers' requests, call lists and incoming calls of one partner."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from apps.accounts.models import Customer
from apps.callcenters import lists, requests
from apps.callcenters.models import CallList, CallTask, CustomerRequest, IncomingCall, RequestState
from apps.core import clock, console, links
from apps.core.errors import Refused

REQUEST_COLOURS = {
    "new": "danger",
    "in_progress": "info",
    "waiting": "warning",
    "elsewhere": "warning",
    "solved": "success",
    "closed": "",
}
CALL_COLOURS = {"ringing": "warning", "answered": "info", "ended": "success", "missed": "danger"}


def customer_link(customer: Customer | None) -> Any:
    """The customer's card."""
    if customer is None:
        return "—"
    url = links.to("accounts.Customer", customer.pk)
    return format_html('<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>', url, customer)


class RequestForm(forms.ModelForm):
    """A solved request says what was done."""

    class Meta:
        model = CustomerRequest
        fields = ("customer", "subject", "text", "state", "answer")

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if given.get("state") == RequestState.SOLVED and not (given.get("answer") or "").strip():
            self.add_error("answer", _("Напишите, что сделано"))
        return given


@console.register(CustomerRequest, sites=(console.partner_site,))
class CustomerRequestAdmin(console.ConsoleAdmin):
    """The queue of customers' requests."""

    form = RequestForm
    change_roles = ("manager", "support")
    list_display = ("subject", "who", "shown_state", "created_at", "closed_at")
    list_filter = ("state", "created_at")
    list_select_related = ("customer",)
    search_fields = ("subject", "customer__name", "customer__email", "customer__phone")
    autocomplete_fields = ("customer",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        first = ("customer", "subject", "text")
        return first if obj is None else (*first, "state", "answer", "created_at", "closed_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # What the customer said stays as it was said.
        return () if obj is None else ("customer", "subject", "text", "created_at", "closed_at")

    def save_model(self, request: HttpRequest, obj: CustomerRequest, form: Any, change: bool) -> None:
        actor = request.user.get_username()
        if change:
            made = requests.move(request_id=obj.pk, state=obj.state, answer=obj.answer, actor=actor)
        else:
            made = requests.open_request(
                customer=obj.customer, subject=obj.subject, text=obj.text, actor=actor
            )
        obj.__dict__.update(made.__dict__)

    @display(description=_("клиент"), ordering="customer__name")
    def who(self, row: CustomerRequest) -> Any:
        return customer_link(row.customer)

    @display(description=_("состояние"), label=REQUEST_COLOURS)
    def shown_state(self, row: CustomerRequest) -> tuple[str, Any]:
        return row.state, row.get_state_display()


class TaskInline(console.ReadOnlyInline):
    """The customers of a list and what came of the calls."""

    model = CallTask
    fields = readonly_fields = ("customer", "result", "called_at", "comment")
    view_roles = ("manager", "support")
    per_page = 50


@console.register(CallList, sites=(console.partner_site,))
class CallListAdmin(console.ReadOnlyAdmin):
    """Made from customers that were chosen in their list; out and back as CSV."""

    view_roles = ("manager", "support")
    list_display = ("name", "size", "called", "created_at", "created_by")
    fields = ("name", "script", "created_at", "created_by")
    inlines = (TaskInline,)
    actions_detail = ("download", "results")

    def get_queryset(self, request: HttpRequest) -> QuerySet[CallList]:
        found: QuerySet[CallList] = super().get_queryset(request)
        return found.annotate(
            task_count=Count("tasks"), called_count=Count("tasks", filter=~Q(tasks__result=""))
        )

    @display(description=_("клиентов"), ordering="task_count")
    def size(self, row: Any) -> int:
        return int(row.task_count)

    @display(description=_("обзвонено"), ordering="called_count")
    def called(self, row: Any) -> int:
        return int(row.called_count)

    @action(description=_("Скачать CSV"), url_path="csv", permissions=["view"], icon="download")
    def download(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        call_list = get_object_or_404(CallList, pk=object_id)
        content = lists.export(call_list, actor=request.user.get_username())
        name = f"calls-{clock.local(call_list.created_at):%Y-%m-%d}.csv"
        return HttpResponse(
            content,
            content_type="text/csv; charset=utf-8",
            headers={
                "Content-Disposition": f'attachment; filename="{name}"',
                "Cache-Control": "private, no-store",
            },
        )

    @action(description=_("Загрузить результаты"), url_path="results", permissions=["view"], icon="upload")
    def results(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        call_list = get_object_or_404(CallList, pk=object_id)
        form = ResultsForm(request.POST or None, request.FILES or None)
        wrong: list[str] = []
        if request.method == "POST" and form.is_valid():
            try:
                content = form.cleaned_data["file"].read()
                done = lists.read_back(call_list, content, actor=request.user.get_username())
            except lists.BadRows as error:
                wrong = error.rows
            else:
                messages.success(request, _("Записано результатов: %d") % done)
                return redirect("admin:callcenters_calllist_change", object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Результаты обзвона «%s»") % call_list.name,
            "opts": self.opts,
            "form": form,
            "wrong": wrong,
            "back": links.to("callcenters.CallList", object_id),
        }
        return TemplateResponse(request, "callcenters/results.html", context)


class ResultsForm(forms.Form):
    """The file that the call centre sent back."""

    file = forms.FileField(label=_("Файл CSV с результатами"))


class ListForm(forms.Form):
    """How a new call list is called and what is to be said."""

    name = forms.CharField(label=_("Название обзвона"), max_length=120)
    script = forms.CharField(label=_("Что сказать"), required=False, widget=forms.Textarea(attrs={"rows": 4}))


@admin.action(description=_("Обзвонить выбранных"))
def to_call_list(model_admin: Any, request: Any, queryset: QuerySet[Customer]) -> HttpResponse | None:
    """Asks for a name, and makes a call list of the chosen customers."""
    if not request.rights.may("manager", "support"):
        raise PermissionDenied
    form = ListForm(request.POST if "name" in request.POST else None)
    if form.is_valid():
        try:
            made = lists.create(
                name=form.cleaned_data["name"],
                script=form.cleaned_data["script"],
                customers=queryset,
                actor=request.user.get_username(),
            )
        except Refused as refusal:
            messages.error(request, str(refusal.message))
            return None
        return redirect("admin:callcenters_calllist_change", made.pk)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("Новый обзвон"),
        "opts": model_admin.opts,
        "form": form,
        "chosen": queryset,
        "action": "to_call_list",
    }
    return TemplateResponse(request, "callcenters/new_list.html", context)


# Customers stand below and know nothing of call lists; what may be done with them is added from here.
_customers = console.partner_site.get_model_admin(Customer)
_customers.actions = [*_customers.actions, to_call_list]


@console.register(IncomingCall, sites=(console.partner_site,))
class IncomingCallAdmin(console.ReadOnlyAdmin):
    """Calls, and the cards of those who call."""

    view_roles = ("manager", "support")
    list_display = ("started_at", "phone", "who", "shown_state", "agent", "ended_at")
    list_filter = ("state", "started_at")
    list_select_related = ("customer",)
    search_fields = ("phone", "customer__name")
    fields = ("started_at", "phone", "who", "state", "agent", "ended_at", "connection", "call_id")
    readonly_fields = ("who",)

    @display(description=_("клиент"))
    def who(self, row: IncomingCall) -> Any:
        return customer_link(row.customer) if row.customer else _("Неизвестный номер")

    @display(description=_("состояние"), label=CALL_COLOURS)
    def shown_state(self, row: IncomingCall) -> tuple[str, Any]:
        return row.state, row.get_state_display()


class RequestsOfCustomer(console.Belongings):
    """What the customer asked for."""

    model = CustomerRequest
    fields = ("subject", "state", "created_at", "closed_at")
    verbose_name_plural = _("Обращения")
    view_roles = CustomerRequestAdmin.view_roles


class CallsOfCustomer(console.Belongings):
    """When the customer called, and who answered."""

    model = IncomingCall
    fields = ("started_at", "phone", "state", "agent", "ended_at")
    verbose_name_plural = _("Звонки")
    view_roles = IncomingCallAdmin.view_roles


console.show_below(Customer, RequestsOfCustomer, CallsOfCustomer)
