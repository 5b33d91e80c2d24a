"""Console: a base moves in. Files with their doubts, shadow months, batches that are moved and given back."""

from collections import Counter
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Count, DecimalField, ExpressionWrapper, F, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
)

from apps import journal
from apps.billing import sheets
from apps.billing.moving import batches, doubts, loading, reading, shadow
from apps.billing.moving.doubts import Doubt
from apps.billing.moving.models import (
    BaseBatch,
    BaseImport,
    BaseRow,
    BaseRowState,
    BatchState,
    ShadowRun,
)
from apps.core import console
from apps.core.errors import Refused
from apps.core.money import Money

PAGE = 100


class BaseForm(forms.Form):
    """A file of subscriptions, and where its tokens are known."""

    file = forms.FileField(label=_("Файл CSV или XLSX"), widget=UnfoldAdminFileFieldWidget)
    connection = forms.TypedChoiceField(
        label=_("Шлюз, у которого сохранены способы оплаты"),
        coerce=int,
        empty_value=None,
        required=False,
        widget=UnfoldAdminSelectWidget,
    )

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.fields["connection"].choices = [  # type: ignore[attr-defined]
            ("", _("Токенов в файле нет")),
            *((one.pk, one.name) for one in loading.gateways()),
        ]


class ShadowForm(forms.Form):
    """What the old system charged, and in which period."""

    file = forms.FileField(
        label=_("Файл списаний прежней системы, CSV или XLSX"), widget=UnfoldAdminFileFieldWidget
    )
    start = forms.DateField(label=_("С"), widget=UnfoldAdminSingleDateWidget)
    end = forms.DateField(label=_("До (не включая)"), widget=UnfoldAdminSingleDateWidget)


class BatchForm(forms.Form):
    """How many are moved next, how many at once."""

    count = forms.IntegerField(
        label=_("Сколько подписок перенести"), min_value=1, widget=UnfoldAdminIntegerFieldWidget
    )
    size = forms.IntegerField(
        label=_("По сколько в пачке"),
        min_value=1,
        max_value=2000,
        initial=batches.SIZE,
        help_text=_("Пачка переносится целиком или никак и возвращается целиком"),
        widget=UnfoldAdminIntegerFieldWidget,
    )


class Moving(console.ReadOnlyAdmin):
    """Managers and finance look; only managers load and move."""

    view_roles = ("manager", "finance")
    add_roles = ("manager",)
    list_before_template = "billing/moving/overview.html"

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return bool(request.rights.may(*self.add_roles))

    def changelist_view(self, request: Any, extra_context: Any = None) -> HttpResponse:
        extra = {"moving": overview(), "here": self.opts.model_name, **(extra_context or {})}
        return super().changelist_view(request, extra)

    def page(self, request: HttpRequest, template: str, title: Any, **context: Any) -> TemplateResponse:
        """A page of the console with what all of them have."""
        site = self.admin_site
        shown = {**site.each_context(request), "title": title, "opts": self.opts, **context}
        return TemplateResponse(request, f"billing/moving/{template}.html", shown)

    def must_look(self, request: HttpRequest) -> None:
        """Raises PermissionDenied."""
        if not self.has_view_permission(request):
            raise PermissionDenied


def overview() -> dict[str, Any]:
    """How far the move is."""
    whole = ExpressionWrapper(
        F("price") * F("quantity"), output_field=DecimalField(max_digits=16, decimal_places=2)
    )
    rows = BaseRow.objects.values_list("state").annotate(count=Count("pk"), total=Sum(whole)).order_by()
    counts = {state: (count, total) for state, count, total in rows}
    waits, moved = (
        counts.get(state, (0, None)) for state in (BaseRowState.WAITING.value, BaseRowState.MOVED.value)
    )
    last = ShadowRun.objects.first()
    return {
        "waiting": waits[0],
        "waiting_money": Money(waits[1] or Decimal(0)),
        "moved": moved[0],
        "moved_money": Money(moved[1] or Decimal(0)),
        "planned": BaseBatch.objects.filter(state=BatchState.PLANNED).count(),
        "shadow": last,
    }


@console.register(BaseImport, sites=(console.partner_site,))
class BaseImportAdmin(Moving):
    """A file is looked at, its doubts are shown, and then its good rows are loaded."""

    empty_hint = _(
        "Загрузите файл с подписками прежней системы: сначала покажем все вопросы к нему, ничего не записывая."
    )
    list_display = ("name", "shown_state", "rows", "errors", "warnings", "created_at", "actor")
    list_display_links = ("name",)
    actions_detail = ("doubts_file",)

    @display(description=_("состояние"), label={"looked": "warning", "loaded": "success"})
    def shown_state(self, row: BaseImport) -> tuple[str, Any]:
        return row.state, row.get_state_display()

    @display(description=_("ошибок"))
    def errors(self, row: BaseImport) -> int:
        return int(row.report.get(doubts.ERROR, 0))

    @display(description=_("предупреждений"))
    def warnings(self, row: BaseImport) -> int:
        return int(row.report.get(doubts.WARNING, 0))

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = BaseForm(*((request.POST, request.FILES) if request.method == "POST" else ()))
        if request.method == "POST" and form.is_valid():
            try:
                made = self._look(request, form)
            except ValueError as error:
                form.add_error("file", str(error))
            else:
                return redirect("admin:billing_baseimport_change", made.pk)
        columns = reading.sample(reading.COLUMNS)
        return self.page(request, "upload", _("Загрузить базу"), form=form, columns=columns, is_base=True)

    def _look(self, request: HttpRequest, form: BaseForm) -> BaseImport:
        file, connection = form.cleaned_data["file"], form.cleaned_data["connection"]
        known = {one.pk: one for one in loading.gateways()}
        return loading.keep(
            name=file.name, content=_content(file), connection=known.get(connection), actor=_who(request)
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        self.must_look(request)
        made = get_object_or_404(BaseImport, pk=object_id)
        if request.method == "POST":
            return self._load(request, made)
        found = [Doubt(*kept) for kept in made.report.get("doubts", [])]
        asked = request.GET.get("code", ""), request.GET.get("severity", "")
        shown = [one for one in found if asked[0] in {"", one.code} and asked[1] in {"", one.severity}]
        return self.page(
            request,
            "report",
            made.name,
            made=made,
            severities=[
                (name, words, made.report.get(name, 0), name == asked[1])
                for name, words in doubts.SEVERITIES.items()
            ],
            codes=[
                (code, doubts.CODES[code][1], count, code == asked[0])
                for code, count in Counter(one.code for one in found).most_common()
            ],
            doubts=Paginator(shown, PAGE).get_page(request.GET.get("page")),
            words=doubts.SEVERITIES,
            may_load=bool(made.content) and self.has_add_permission(request),
            asked="&".join(f"{k}={v}" for k, v in zip(("code", "severity"), asked, strict=True) if v),
        )

    def _load(self, request: HttpRequest, made: BaseImport) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        back = redirect("admin:billing_baseimport_change", made.pk)
        try:
            loading.load_kept(made, actor=_who(request))
        except (Refused, ValueError) as error:
            messages.error(request, str(error.message) if isinstance(error, Refused) else str(error))
        else:
            messages.success(request, _("Строки загружены и ждут переноса. Ничего не списывается."))
        return back

    @action(description=_("Скачать вопросы"), url_path="doubts", permissions=["view"], icon="download")
    def doubts_file(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        self.must_look(request)
        made = get_object_or_404(BaseImport, pk=object_id)
        found = [Doubt(*kept) for kept in made.report.get("doubts", [])]
        headings = (_("Строка"), _("Важность"), _("Номер подписки"), _("Вопрос"), _("Подробности"))
        rows = [
            (
                one.line,
                doubts.SEVERITIES[one.severity],
                one.external_id,
                doubts.CODES[one.code][1],
                one.detail,
            )
            for one in found
        ]
        journal.record("base.doubts-exported", loading.KIND, made.pk, actor=_who(request))
        return sheets.answer(f"doubts-{made.created_at:%Y-%m-%d}", headings, rows)


@console.register(ShadowRun, sites=(console.partner_site,))
class ShadowRunAdmin(Moving):
    """What we would have charged beside what the old system did."""

    list_display = ("__str__", "name", "compared", "equal", "explained", "unexplained", "created_at")
    actions_detail = ("differences_file",)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ShadowForm(*((request.POST, request.FILES) if request.method == "POST" else ()))
        if request.method == "POST" and form.is_valid():
            given = form.cleaned_data
            try:
                old = reading.old_charges(reading.dataset(given["file"].name, _content(given["file"])))
                made = shadow.run(
                    name=given["file"].name,
                    old=old,
                    start=given["start"],
                    end=given["end"],
                    actor=_who(request),
                )
            except ValueError as error:
                form.add_error("file", str(error))
            except Refused as refused:
                form.add_error(None, str(refused.message))
            else:
                return redirect("admin:billing_shadowrun_change", made.pk)
        columns = reading.sample(reading.OLD_CHARGES)
        return self.page(request, "upload", _("Теневой месяц"), form=form, columns=columns)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        self.must_look(request)
        run = get_object_or_404(ShadowRun, pk=object_id)
        found = list(shadow.read_back(run))
        asked = request.GET.get("kind", "")
        shown = [one for one in found if asked in {"", one.kind}]
        kinds = [
            (kind, *shadow.CLASSES[kind], count, kind == asked)
            for kind, count in Counter(one.kind for one in found).most_common()
        ]
        return self.page(
            request,
            "shadow",
            _("Теневой месяц %s") % run,
            run=run,
            kinds=sorted(kinds, key=lambda one: one[1]),
            words={kind: words for kind, (_is, words) in shadow.CLASSES.items()},
            differences=Paginator(shown, PAGE).get_page(request.GET.get("page")),
            ours=Money(run.ours),
            theirs=Money(run.theirs),
            asked=f"kind={asked}" if asked else "",
        )

    @action(
        description=_("Скачать расхождения"), url_path="differences", permissions=["view"], icon="download"
    )
    def differences_file(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        self.must_look(request)
        run = get_object_or_404(ShadowRun, pk=object_id)
        headings = (
            _("Номер подписки"),
            _("Расхождение"),
            _("Объяснено"),
            _("Мы: день"),
            _("Мы: сумма"),
            _("Там: день"),
            _("Там: сумма"),
            _("Похоже на"),
        )
        rows = [
            (
                one.external_id,
                shadow.CLASSES[one.kind][1],
                _("да") if one.is_explained else _("нет"),
                one.ours and one.ours.day,
                one.ours and one.ours.amount,
                one.theirs and one.theirs.day,
                one.theirs and one.theirs.amount,
                one.hint,
            )
            for one in shadow.read_back(run)
        ]
        journal.record("base.differences-exported", shadow.KIND, run.pk, actor=_who(request))
        return sheets.answer(f"shadow-{run.start_date:%Y-%m-%d}", headings, rows)


@console.register(BaseBatch, sites=(console.partner_site,))
class BaseBatchAdmin(Moving):
    """Batches: planned, moved in the background, given back while nothing is billed."""

    list_display = ("__str__", "shown_state", "size", "moved", "left_behind", "done_at", "undone_at", "actor")
    actions_detail = ("undo",)

    @display(description=_("состояние"), label={"planned": "info", "done": "success", "undone": "warning"})
    def shown_state(self, row: BaseBatch) -> tuple[str, Any]:
        return row.state, row.get_state_display()

    @display(description=_("осталось"))
    def left_behind(self, row: BaseBatch) -> int:
        return len(row.left)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = BatchForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                made = batches.plan(**form.cleaned_data, actor=_who(request))
            except Refused as refused:
                form.add_error(None, str(refused.message))
            else:
                messages.success(request, _("Пачек в очереди: %d. Переносим в фоне.") % len(made))
                return redirect("admin:billing_basebatch_changelist")
        return self.page(request, "plan", _("Перенести подписки"), form=form, moving=overview())

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        self.must_look(request)
        batch = get_object_or_404(BaseBatch, pk=object_id)
        rows = BaseRow.objects.filter(batch=batch).select_related("subscription", "customer")
        return self.page(
            request,
            "batch",
            _("Пачка от %s") % batch,
            batch=batch,
            rows=Paginator(rows.defer("person", "secrets"), PAGE).get_page(request.GET.get("page")),
            may_undo=batch.state == BatchState.DONE and self.has_add_permission(request),
            is_waiting=batch.state == BatchState.PLANNED,
        )

    def has_move_permission(self, request: Any, object_id: Any = None) -> bool:
        """Who may give a batch back."""
        return self.has_add_permission(request)

    @action(description=_("Вернуть пачку"), url_path="undo", permissions=["move"])
    def undo(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        batch = get_object_or_404(BaseBatch, pk=object_id)
        if request.method == "POST":
            try:
                batches.undo(batch.pk, actor=_who(request))
            except Refused as refused:
                messages.error(request, str(refused.message))
            else:
                messages.success(request, _("Пачка возвращена: её подписки снова ждут переноса"))
        return redirect("admin:billing_basebatch_change", batch.pk)


def _content(file: Any) -> bytes:
    if file.size > loading.MOST_BYTES:
        raise ValueError(_("Файл больше 30 МБ: разделите его"))
    found: bytes = file.read()
    return found


def _who(request: HttpRequest) -> str:
    return str(request.user.get_username())
