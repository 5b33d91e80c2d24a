"""Console: days of gateways beside ours, their differences, and the tick that closes a day."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextInputWidget,
)

from apps.connectors.base import ConnectorError, Kind
from apps.connectors.models import Connection
from apps.core import console, links
from apps.core.errors import Refused
from apps.core.money import Money
from apps.journal.models import Exchange
from apps.settlements import calendar, comparing, reconciliation, uploading
from apps.settlements.admin import OPERATOR, FinancePages
from apps.settlements.checked_day_admin import CheckedDayAdmin, decision
from apps.settlements.models import Difference, GatewayDay

MODELS = {"payment": "payments.Payment", "refund": "payments.Refund", "dispute": "payments.Dispute"}
ENTRIES = {"payment": _("платёж"), "refund": _("возврат"), "dispute": _("чарджбэк"), "payout": _("выплата")}


class DayForm(forms.Form):
    """Which day of which gateway."""

    connection = forms.TypedChoiceField(label=_("Шлюз"), coerce=int, widget=UnfoldAdminSelectWidget)
    day = forms.DateField(label=_("День"), widget=UnfoldAdminSingleDateWidget)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        gateways = Connection.objects.filter(kind=Kind.PAYMENT).order_by("is_test", "name")
        self.fields["connection"].choices = [(one.pk, str(one)) for one in gateways]  # type: ignore[attr-defined]


class RegisterForm(forms.Form):
    """A file of a gateway's cabinet."""

    connection = forms.TypedChoiceField(label=_("Шлюз"), coerce=int, widget=UnfoldAdminSelectWidget)
    file = forms.FileField(
        label=_("Файл реестра, CSV или XLSX"),
        help_text=_(
            "Выгрузите его в кабинете шлюза: дни в нём должны быть целиком. Тот же файл можно загрузить снова"
        ),
        widget=UnfoldAdminFileFieldWidget,
    )
    first = forms.DateField(
        label=_("С"),
        required=False,
        help_text=_("Если на краях периода операций не было; иначе дни возьмутся из файла"),
        widget=UnfoldAdminSingleDateWidget,
    )
    last = forms.DateField(label=_("По"), required=False, widget=UnfoldAdminSingleDateWidget)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        gateways = Connection.objects.filter(kind=Kind.PAYMENT).order_by("is_test", "name")
        by_file = [(one.pk, str(one)) for one in gateways if _gives_file(one)]
        self.fields["connection"].choices = by_file  # type: ignore[attr-defined]


def _gives_file(connection: Connection) -> bool:
    try:
        return bool(connection.connector_class.register_is_file)  # type: ignore[attr-defined]
    except LookupError:
        return False


class NoteForm(forms.Form):
    """Why something differs."""

    note = forms.CharField(label=_("Почему не сошлось"), max_length=200, widget=UnfoldAdminTextInputWidget)


class DifferenceInline(console.ReadOnlyInline):
    """What does not agree."""

    model = Difference
    view_roles = ("finance",)
    fields = (
        "kind",
        "shown_entry",
        "shown_id",
        "shown_ours",
        "shown_theirs",
        "exchange",
        "partner",
        "explanation",
    )
    readonly_fields = ("shown_entry", "shown_id", "shown_ours", "shown_theirs", "exchange", "explanation")

    @display(description=_("операция"))
    def shown_entry(self, row: Difference) -> str:
        return str(ENTRIES.get(row.entry, row.entry))

    @display(description=_("номер"))
    def shown_id(self, row: Difference) -> SafeString | str:
        return shown_id(row)

    @display(description=_("обмен"))
    def exchange(self, row: Difference) -> SafeString | str:
        return shown_exchange(row)

    @display(description=_("объяснение"))
    def explanation(self, row: Difference) -> SafeString | str:
        return decision(row, _("Объяснить"), "admin:settlements_difference_explain")

    @display(description=_("у нас"))
    def shown_ours(self, row: Difference) -> str:
        return "—" if row.ours is None else str(Money(row.ours, row.day.currency))

    @display(description=_("у шлюза"))
    def shown_theirs(self, row: Difference) -> str:
        return "—" if row.theirs is None else str(Money(row.theirs, row.day.currency))


def shown_id(row: Difference) -> SafeString | str:
    """The number of what differs, which leads to its page."""
    if row.entry == "payout" and row.day.payout_id:
        return links.linked(row.gateway_id, links.to("settlements.GatewayPayout", row.day.payout_id))
    if row.object_id is None or row.partner is None:
        return row.gateway_id
    return links.linked(row.gateway_id, links.to(MODELS[row.entry], row.object_id, slug=row.partner.slug))


def shown_exchange(row: Difference) -> SafeString | str:
    """The day's calls to the gateway in the partner's journal of exchange."""
    if row.partner is None:
        return "—"
    since, until = comparing.bounds(row.day.connection, row.day.day)
    asked = {
        "connection_id__exact": row.day.connection_id,
        "at__gte": since.isoformat(),
        "at__lt": until.isoformat(),
    }
    address = links.list_of(Exchange, slug=row.partner.slug)
    return links.linked(_("журнал"), f"{address}?{urlencode(asked)}" if address else "")


@console.register(GatewayDay, sites=OPERATOR)
class GatewayDayAdmin(CheckedDayAdmin):
    """A day a line; what differs stands on its page."""

    list_display = (
        "shown_day",
        "connection",
        "shown_state",
        "own",
        "theirs",
        "shown_fees",
        "shown_net",
        "paid_out",
        "differing",
    )
    list_before_template = "settlements/calendar.html"
    actions_list = ("upload",)
    fields = (
        ("connection", "day"),
        ("state", "source"),
        ("own_payments", "own_refunds"),
        ("payments", "refunds"),
        ("shown_fees", "shown_net"),
        ("paid_out", "matched"),
        "checked_at",
        ("closed_by", "closed_at"),
    )
    readonly_fields = ("shown_fees", "shown_net", "paid_out")
    list_filter = ("state", "connection", ("day", RangeDateFilter))
    list_select_related = ("connection", "payout__line")
    inlines = (DifferenceInline,)
    actions_detail = ("close_day", "check_again")
    empty_hint = _(
        "Нажмите «Добавить»: выберите шлюз и день, его реестр сравнится с нашими платежами и возвратами."
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        left = Count("differences", filter=Q(differences__explained_at=None))
        return super().get_queryset(request).annotate(left=left)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        # Not the list's own word: it would be taken for a filter that there is none of.
        asked = request.GET.copy()
        month = request.GET.get("month")
        asked.pop("month", None)
        request.GET = asked  # type: ignore[assignment]
        shown = {"calendar": calendar.of(calendar.month_of(month)), **(extra_context or {})}
        return super().changelist_view(request, shown)

    @display(description=_("у нас"), ordering="own_payments")
    def own(self, row: GatewayDay) -> str:
        return str(Money(row.own_payments - row.own_refunds, row.currency))

    @display(description=_("у шлюза"), ordering="payments")
    def theirs(self, row: GatewayDay) -> str:
        return str(Money(row.payments - row.refunds, row.currency))

    @display(description=_("комиссия"), ordering="fees")
    def shown_fees(self, row: GatewayDay) -> str:
        return str(Money(row.fees, row.currency))

    @display(description=_("к выплате"))
    def shown_net(self, row: GatewayDay) -> str:
        return str(row.net)

    @display(description=_("выплата"))
    def paid_out(self, row: GatewayDay) -> SafeString | str:
        if row.payout is None:
            return "—"
        name = f"{row.payout.line.booked_date:%d.%m.%Y}, {Money(row.payout.amount, row.currency)}"
        return links.linked(name, links.to("settlements.GatewayPayout", row.payout.pk))

    @display(description=_("расхождений"), ordering="left")
    def differing(self, row: Any) -> int:
        return int(row.left)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = DayForm(*([request.POST] if request.method == "POST" else []))
        if request.method == "POST" and form.is_valid():
            given = form.cleaned_data
            row = self._check(request, given["connection"], given["day"])
            if row is not None:
                return redirect("admin:settlements_gatewayday_change", row.pk)
        return console.form_page(self, request, form, _("Сверить день"), press=_("Сверить"))

    def _check(self, request: HttpRequest, connection_id: int, day: Any) -> GatewayDay | None:
        try:
            return reconciliation.check(connection_id, day, actor=request.user.get_username())
        except Refused as refused:
            messages.error(request, str(refused.message))
        except ConnectorError as error:
            messages.error(request, _("Шлюз не отдал реестр: %s") % error)
        return None

    @action(description=_("Загрузить реестр"), url_path="upload", permissions=["finance"])
    def upload(self, request: HttpRequest) -> HttpResponse:
        """The file of a gateway that gives its register so."""
        form = RegisterForm(*((request.POST, request.FILES) if request.method == "POST" else ()))
        if request.method == "POST" and form.is_valid():
            given = form.cleaned_data
            file = given["file"]
            try:
                done = uploading.upload(
                    given["connection"],
                    file.read(),
                    name=file.name,
                    first=given["first"],
                    last=given["last"],
                    actor=request.user.get_username(),
                )
            except Refused as refused:
                form.add_error("file", str(refused.message))
            else:
                return _told(request, done)
        return console.form_page(self, request, form, _("Загрузить реестр"), press=_("Загрузить"))

    def check_row(self, request: HttpRequest, row: Any) -> GatewayDay | None:
        return self._check(request, row.connection_id, row.day)

    def close_row(self, row: Any, *, actor: str) -> Any:
        return reconciliation.close(row.pk, actor=actor)

    def close_notes(self, row: Any) -> list[Any]:
        return [*super().close_notes(row), _("К выплате: %s") % row.net]


def _told(request: HttpRequest, done: uploading.Uploaded) -> HttpResponse:
    if done.closed:
        days = ", ".join(f"{day:%d.%m.%Y}" for day in done.closed)
        messages.warning(request, _("Закрытые дни остались как были: %s") % days)
    if done.days and done.is_known:
        messages.info(request, _("Этот реестр уже загружен: строки те же"))
    left = sum(row.differences.filter(explained_at=None).count() for row in done.days)
    told = {"days": len(done.days), "lines": done.lines, "left": left}
    messages.success(
        request, _("Сверено дней: %(days)d, строк реестра: %(lines)d, расхождений: %(left)d") % told
    )
    if len(done.days) == 1:
        return redirect("admin:settlements_gatewayday_change", done.days[0].pk)
    return redirect("admin:settlements_gatewayday_changelist")


@console.register(Difference, sites=OPERATOR)
class DifferenceAdmin(FinancePages):
    """One difference, to be explained."""

    list_display = ("day", "kind", "shown_entry", "shown_number", "shown_ours", "shown_theirs", "note")
    list_filter = ("kind", "entry", ("day__day", RangeDateFilter))
    list_select_related = ("day__connection", "partner")
    fields = (
        "day",
        ("kind", "shown_entry"),
        ("shown_number", "exchange"),
        ("shown_ours", "shown_theirs"),
        "partner",
        ("note", "explained_by", "explained_at"),
    )
    readonly_fields = ("shown_entry", "shown_number", "shown_ours", "shown_theirs", "exchange")
    search_fields = ("=gateway_id",)
    actions_detail = ("explain",)

    @display(description=_("операция"), ordering="entry")
    def shown_entry(self, row: Difference) -> str:
        return str(ENTRIES.get(row.entry, row.entry))

    @display(description=_("номер"), ordering="gateway_id")
    def shown_number(self, row: Difference) -> SafeString | str:
        return shown_id(row)

    @display(description=_("обмен"))
    def exchange(self, row: Difference) -> SafeString | str:
        return shown_exchange(row)

    @display(description=_("у нас"), ordering="ours")
    def shown_ours(self, row: Difference) -> str:
        return "—" if row.ours is None else str(Money(row.ours, row.day.currency))

    @display(description=_("у шлюза"), ordering="theirs")
    def shown_theirs(self, row: Difference) -> str:
        return "—" if row.theirs is None else str(Money(row.theirs, row.day.currency))

    @action(description=_("Объяснить"), url_path="explain", permissions=["finance"])
    def explain(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(Difference, pk=object_id)
        form = NoteForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                reconciliation.explain(
                    row.pk, note=form.cleaned_data["note"], actor=request.user.get_username()
                )
            except Refused as refused:
                messages.error(request, str(refused.message))
            return redirect("admin:settlements_gatewayday_change", row.day_id)
        return console.form_page(
            self,
            request,
            form,
            _("Объяснить расхождение"),
            notes=[str(row), str(row.day)],
            press=_("Объяснить"),
        )
