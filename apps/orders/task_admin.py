"""Console: a fulfilment's tasks, what people wrote and filed, and the buttons by which staff steer it."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.admin import SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.html import format_html, format_html_join
from django.utils.http import content_disposition_header
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from apps.catalog.models import PlanStep
from apps.core import clock, console, links
from apps.core.errors import Refused
from apps.orders import fulfilment, history, tasks
from apps.orders.models import TO_DO_STATES, Fulfilment, FulfilmentState
from apps.orders.task_models import OPEN, Task, TaskNote, TaskState
from apps.partners.models import StaffRole

TASK_COLOURS = {
    "pending": "info",
    "active": "info",
    "waiting": "warning",
    "done": "success",
    "failed": "danger",
    "skipped": "info",
    "compensating": "warning",
    "compensated": "info",
}
_F = FulfilmentState


class WhyForm(forms.Form):
    """What is done wants a reason, which stands in the history."""

    reason = forms.CharField(label=_("Почему"), max_length=400, widget=UnfoldAdminTextInputWidget)


class CommentForm(forms.Form):
    """A few words, if there is something to say."""

    text = forms.CharField(
        label=_("Комментарий"), max_length=2000, required=False, widget=UnfoldAdminTextareaWidget
    )


class NoteForm(CommentForm):
    """Words, a file, or both."""

    file = forms.FileField(
        label=_("Файл"),
        required=False,
        widget=UnfoldAdminFileFieldWidget,
        help_text=_("PDF, PNG, JPEG, WebP или текст, до 5 МБ"),
    )

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if not given.get("text") and not given.get("file"):
            raise forms.ValidationError(_("Напишите что-нибудь или приложите файл"))
        return given


class EscalateForm(forms.Form):
    """To whom, and what they should know."""

    to = forms.ChoiceField(label=_("Кому"), choices=StaffRole.Role.choices, widget=UnfoldAdminSelectWidget)
    comment = forms.CharField(label=_("Что им нужно знать"), max_length=400, widget=UnfoldAdminTextareaWidget)


def _sent(request: HttpRequest) -> Any:
    """What was sent, be it nothing at all: some buttons ask nothing."""
    return request.POST if request.method == "POST" else None


class Steered:
    """Pages whose buttons do one thing each, with a form before it."""

    def has_support_permission(self, request: Any, object_id: Any = None) -> bool:
        """Who may act for a customer."""
        return bool(request.rights.may("manager", "support"))

    def _ask(
        self,
        request: HttpRequest,
        row: Any,
        form: forms.Form,
        title: Any,
        act: Callable[[str, dict[str, Any]], Any],
        *,
        notes: Any = (),
        press: Any = "",
    ) -> HttpResponse:
        if request.method == "POST" and form.is_valid():
            try:
                act(request.user.get_username(), form.cleaned_data)
            except Refused as refusal:
                form.add_error(None, str(refusal.message))
            else:
                messages.success(request, _("Готово"))
                return redirect(f"admin:{row._meta.label_lower.replace('.', '_')}_change", row.pk)
        return console.form_page(self, request, form, title, notes=notes, press=press or title)


class Whose(SimpleListFilter):
    """Mine and those that nobody has taken come first."""

    title, parameter_name = _("чьи"), "whose"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, Any]]:
        return [("mine", _("Мои")), ("free", _("Ничьи")), ("all", _("Все, и сделанные"))]

    def queryset(self, request: HttpRequest, rows: QuerySet[Task]) -> QuerySet[Task]:
        me, wanted = request.user.get_username(), self.value()
        if wanted == "all":
            return rows
        rows = rows.filter(state__in=OPEN)
        if wanted == "mine":
            return rows.filter(owner=me)
        return rows.filter(owner="") if wanted == "free" else rows.filter(Q(owner=me) | Q(owner=""))


@console.register(Task, sites=(console.partner_site,))
class TaskAdmin(Steered, console.ReadOnlyAdmin):
    """«Ручные задачи»: what waits for a person, the most urgent first."""

    list_display = ("shown_name", "service", "shown_state", "shown_deadline", "owner", "started_at")
    list_display_links = ("shown_name",)
    list_filter = (Whose, "kind", "state")
    list_select_related = ("fulfilment__service",)
    search_fields = ("=owner", "fulfilment__order__number")
    ordering = ("deadline_at", "pk")
    fields = (
        ("shown_name", "shown_state"),
        ("about", "what"),
        ("owner", "shown_deadline"),
        ("attempts", "undo"),
        "error",
        ("started_at", "done_at"),
        "shown_notes",
        "shown_history",
    )
    readonly_fields = fields[0] + ("about", "what", "shown_deadline", "shown_notes", "shown_history")
    actions_detail = ("claim", "release", "complete", "give_up", "note")
    empty_hint = _("Задачи появляются, когда до них доходит план исполнения продукта.")

    @display(description=_("задача"), ordering="position")
    def shown_name(self, row: Task) -> str:
        return str(row.name) if row.state != TaskState.COMPENSATING else gettext("Отменить: %s") % row.name

    @display(description=_("услуга"))
    def service(self, row: Task) -> str:
        return str(row.fulfilment.service)

    @display(description=_("состояние"), label=TASK_COLOURS, ordering="state")
    def shown_state(self, row: Task) -> Any:
        return console.Label(row.state, row.get_state_display())

    @display(description=_("срок"), ordering="deadline_at")
    def shown_deadline(self, row: Task) -> str:
        return _until(row)

    @display(description=_("исполнение"))
    def about(self, row: Task) -> SafeString | str:
        return links.linked(row.fulfilment, links.to("orders.Fulfilment", row.fulfilment_id))

    @display(description=_("что сделать"))
    def what(self, row: Task) -> str:
        return str(PlanStep.objects.get(pk=row.step_id).text) or "—"

    @display(description=_("комментарии и файлы"))
    def shown_notes(self, row: Task) -> SafeString | str:
        return _notes(row.notes.defer("content"))

    @display(description=_("история"))
    def shown_history(self, row: Task) -> SafeString:
        names = dict(TaskState.choices)
        lines = (
            (
                f"{clock.local(one.at):%d.%m.%Y %H:%M}",
                names.get(one.became, one.became),
                one.actor,
                gettext(one.reason) if one.reason else "",
            )
            for one in history.of(row)
        )
        return format_html_join("", "<div>{} · {} · {} {}</div>", lines)

    @action(description=_("Взять"), url_path="claim", permissions=["support"])
    def claim(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(Task, pk=object_id)
        notes = [_("Сейчас её делает %s: она перейдёт к вам.") % row.owner] if row.owner else []
        return self._ask(
            request,
            row,
            forms.Form(_sent(request)),
            _("Взять задачу"),
            lambda actor, _given: tasks.claim(row, actor=actor, take_over=bool(row.owner)),
            notes=notes,
        )

    @action(description=_("Отдать"), url_path="release", permissions=["support"])
    def release(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(Task, pk=object_id)
        form = forms.Form(_sent(request))
        return self._ask(
            request, row, form, _("Отдать задачу"), lambda actor, _given: tasks.release(row, actor=actor)
        )

    @action(description=_("Сделано"), url_path="complete", permissions=["support"])
    def complete(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(Task, pk=object_id)
        return self._ask(
            request,
            row,
            CommentForm(_sent(request)),
            _("Задача сделана"),
            lambda actor, given: tasks.complete(row, actor=actor, comment=given["text"]),
        )

    @action(description=_("Не сделать"), url_path="give-up", permissions=["support"])
    def give_up(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(Task, pk=object_id)
        return self._ask(
            request,
            row,
            WhyForm(_sent(request)),
            _("Задачу сделать нельзя"),
            lambda actor, given: tasks.fail(row, given["reason"], actor=actor),
            notes=[_("Сделанное отменится с конца, деньги за заказанное вернутся клиенту.")],
        )

    @action(description=_("Написать"), url_path="note", permissions=["support"])
    def note(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(Task.objects.select_related("fulfilment"), pk=object_id)
        return self._ask(
            request,
            row,
            NoteForm(_sent(request), request.FILES or None),
            _("Комментарий или файл"),
            lambda actor, given: _write(row.fulfilment, actor, given, task=row),
            press=_("Записать"),
        )


@console.register(TaskNote, sites=(console.partner_site,))
class TaskNoteAdmin(console.ReadOnlyAdmin):
    """What people wrote and filed; it is opened from its fulfilment."""

    list_display = ("at", "actor", "fulfilment", "text", "file_name")
    list_select_related = ("fulfilment__service",)
    fields = ("at", "actor", "fulfilment", "text", "file_name", "sha256")
    view_roles = ("manager", "support")
    actions_detail = ("file",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("content")

    @action(description=_("Открыть файл"), url_path="file", permissions=["view"])
    def file(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(TaskNote.objects.exclude(file_name=""), pk=object_id)
        # Somebody's file: it is shown as what it was checked to be, and runs nothing.
        answer = HttpResponse(
            bytes(row.content or b""),
            content_type=row.file_type,
            headers={
                "Cache-Control": "private, no-store",
                "X-Content-Type-Options": "nosniff",
                "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
            },
        )
        answer.headers["Content-Disposition"] = content_disposition_header(False, row.file_name) or "inline"
        return answer


class TasksOfFulfilment(console.ReadOnlyInline):
    model = Task
    fields = readonly_fields = (
        "position",
        "name",
        "shown_state",
        "owner",
        "shown_deadline",
        "attempts",
        "error",
    )
    verbose_name_plural = _("Шаги плана")
    show_change_link = True
    ordering = ("position",)

    @display(description=_("состояние"))
    def shown_state(self, row: Task) -> str:
        return str(row.get_state_display())

    @display(description=_("срок"))
    def shown_deadline(self, row: Task) -> str:
        return _until(row)


def _until(row: Task) -> str:
    if row.deadline_at is None:
        return "—"
    shown = f"{clock.local(row.deadline_at):%d.%m %H:%M}"
    return gettext("%s, прошёл") % shown if row.state in OPEN and row.deadline_at < clock.now() else shown


def _notes(notes: Any) -> SafeString | str:
    lines = [
        (
            f"{clock.local(one.at):%d.%m.%Y %H:%M}",
            one.actor,
            one.text,
            links.linked(one.file_name, f"../../../tasknote/{one.pk}/file/") if one.file_name else "",
        )
        for one in notes
    ]
    return format_html_join("", "<div>{} · {} · {} {}</div>", lines) or "—"


def _write(row: Fulfilment, actor: str, given: dict[str, Any], *, task: Task | None = None) -> None:
    file = given.get("file")
    if file is None:
        tasks.comment(row, given["text"], actor=actor, task=task)
    elif file.size > tasks.LARGEST:
        raise Refused("bad_file", gettext("Файл тяжелее 5 МБ"), status=400)
    else:
        tasks.attach(row, name=file.name, content=file.read(), actor=actor, text=given["text"], task=task)


def _may(request: Any, object_id: Any, *states: str) -> bool:
    """Whether somebody may act on a fulfilment that stands so; asked once for each button of a page."""
    if not request.rights.may("manager", "support"):
        return False
    if object_id is None:
        return True
    known = request.__dict__.setdefault("_fulfilment_states", {})
    if object_id not in known:
        known[object_id] = Fulfilment.objects.filter(pk=object_id).values_list("state", flat=True).first()
    # An address without a row is answered by its page.
    return known[object_id] is None or known[object_id] in states


class Buttons(Steered):
    """What staff may do about a fulfilment; buttons stand where they can be pressed."""

    def has_hold_permission(self, request: Any, object_id: Any = None) -> bool:
        return _may(request, object_id, *(one for one in TO_DO_STATES if one != _F.HELD))

    def has_resume_permission(self, request: Any, object_id: Any = None) -> bool:
        return _may(request, object_id, _F.HELD)

    def has_steer_permission(self, request: Any, object_id: Any = None) -> bool:
        return _may(request, object_id, *TO_DO_STATES, _F.COMPENSATING)

    @action(description=_("Отложить"), url_path="hold", permissions=["hold"])
    def hold(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(Fulfilment, pk=object_id)
        return self._ask(
            request,
            row,
            WhyForm(_sent(request)),
            _("Отложить исполнение"),
            lambda actor, given: fulfilment.hold(row, given["reason"], actor=actor),
        )

    @action(description=_("Продолжить"), url_path="resume", permissions=["resume"])
    def resume(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(Fulfilment, pk=object_id)
        form = forms.Form(_sent(request))
        return self._ask(
            request,
            row,
            form,
            _("Продолжить исполнение"),
            lambda actor, _given: fulfilment.resume(row, actor=actor),
        )

    @action(description=_("Пропустить шаг"), url_path="skip", permissions=["steer"])
    def skip(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(Fulfilment, pk=object_id)
        return self._ask(
            request,
            row,
            WhyForm(_sent(request)),
            _("Пропустить шаг"),
            lambda actor, given: fulfilment.skip(row, given["reason"], actor=actor),
        )

    @action(description=_("Передать старшему"), url_path="escalate", permissions=["steer"])
    def escalate(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(Fulfilment, pk=object_id)
        return self._ask(
            request,
            row,
            EscalateForm(_sent(request)),
            _("Передать старшему"),
            lambda actor, given: fulfilment.escalate(row, actor=actor, **given),
        )

    @action(description=_("Не исполнить"), url_path="fail", permissions=["hold"])
    def fail(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(Fulfilment, pk=object_id)
        return self._ask(
            request,
            row,
            WhyForm(_sent(request)),
            _("Признать неисполнимым"),
            lambda actor, given: fulfilment.fail(row, given["reason"], actor=actor),
            notes=[_("Сделанное отменится с конца, деньги за заказанное вернутся клиенту. Назад пути нет.")],
        )

    @action(description=_("Написать"), url_path="note", permissions=["support"])
    def note(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(Fulfilment, pk=object_id)
        return self._ask(
            request,
            row,
            NoteForm(_sent(request), request.FILES or None),
            _("Комментарий или файл"),
            lambda actor, given: _write(row, actor, given),
            press=_("Записать"),
        )

    @display(description=_("комментарии и файлы"))
    def shown_notes(self, row: Fulfilment) -> SafeString | str:
        return _notes(row.notes.defer("content"))

    @display(description=_("обещано клиенту"))
    def shown_promise(self, row: Fulfilment) -> SafeString | str:
        if row.promised_at is None:
            return "—"
        until = f"{clock.local(row.promised_at):%d.%m.%Y %H:%M}"
        if row.jeopardy_at is None:
            return until
        return format_html("{} · <strong>{}</strong>", until, _("под угрозой срока"))


BUTTONS = ("hold", "resume", {"title": _("Ещё"), "items": ["skip", "escalate", "fail", "note"]})
