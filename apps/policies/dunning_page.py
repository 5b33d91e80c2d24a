"""The editor of a dunning policy: a timeline for each class of declines; what is saved is a new edition."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps import journal
from apps.core import clock
from apps.policies import dunning
from apps.policies.dunning import Action, DeclineClass, MessageChoice, Step, Timeline
from apps.policies.dunning_models import DunningPolicy, DunningVersion, ResultState

# What each class means to whoever chooses its steps.
HINTS = {
    DeclineClass.FUNDS: gettext_lazy(
        "Деньги могут появиться: повторы через несколько дней помогают чаще всего"
    ),
    DeclineClass.TECHNICAL: gettext_lazy("Клиент ни при чём: сначала спишите ещё раз, потом пишите"),
    DeclineClass.UNKNOWN: gettext_lazy("Причина неизвестна: попробуйте ещё раз и напишите клиенту"),
    DeclineClass.CARD: gettext_lazy("Нужна другая карта: помогает ссылка в сообщении"),
    DeclineClass.FRAUD: gettext_lazy("Поможет другая карта: ссылка на оплату есть в сообщении"),
    DeclineClass.REVOKED: gettext_lazy("Списывать нельзя по закону: остаётся предложить другую оплату"),
}
SPARE_ROWS = 2
"""Empty rows for whoever works without JavaScript."""


class HeadForm(forms.Form):
    """Name of the policy, and whether it is everybody's."""

    name = forms.CharField(label=gettext_lazy("Название"), max_length=100)
    is_default = forms.BooleanField(label=gettext_lazy("Для всех, у кого не выбрана другая"), required=False)


@dataclass(slots=True)
class Row:
    """One step as it was typed."""

    day: str = ""
    action: str = ""
    message: str = ""


@dataclass(slots=True)
class Section:
    """One class of declines on the page: rows to be edited, and how they look on a line."""

    code: str
    title: Any
    hint: Any
    rows: list[Row]
    errors: list[str] = field(default_factory=list)

    @property
    def steps(self) -> Timeline:
        """The rows that can be read, in order."""
        return sorted((one for row in self.rows if (one := _step(row))), key=lambda one: one.key)

    @property
    def is_forbidden_to_retry(self) -> bool:
        """Whether every gateway forbids to charge again after such a decline."""
        return any(self.code in rules.never for rules in dunning.gateway_rules())

    @property
    def places(self) -> list[tuple[str, Step]]:
        """Steps with their place on the line, in per cent of its length."""
        steps = self.steps
        longest = max((step.day for step in steps), default=0) or 1
        return [(f"{step.day * 92 / longest + 2:.1f}", step) for step in steps]


def page(model_admin: Any, request: HttpRequest, policy: DunningPolicy | None) -> HttpResponse:
    """Shows the editor, and saves what is posted where nothing is wrong with it."""
    may_change = (
        model_admin.has_change_permission(request) if policy else model_admin.has_add_permission(request)
    )
    if request.method == "POST":
        if not may_change:
            raise PermissionDenied
        head, sections = HeadForm(request.POST), _posted(request.POST)
        _check(sections)
        if head.is_valid() and not any(section.errors for section in sections):
            saved = _save(request, policy, head, sections)
            if saved is not None:
                messages.success(request, _("Записано. Идущие неоплаты продолжатся по своей редакции."))
                return redirect("admin:policies_dunningpolicy_change", saved.pk)
    else:
        head = HeadForm(initial={"name": policy.name, "is_default": policy.is_default} if policy else None)
        sections = _stored(policy)
    return _render(model_admin, request, policy, head, sections, may_change=may_change)


def _stored(policy: DunningPolicy | None) -> list[Section]:
    current = policy.current if policy else None
    timelines = dunning.loaded(current.timelines) if current else dunning.usual()
    return [
        _section(code, [Row(str(step.day), step.action, step.message) for step in timelines[code]])
        for code in DeclineClass.values
    ]


def _posted(data: Any) -> list[Section]:
    found = []
    for code in DeclineClass.values:
        columns = (data.getlist(f"{code}-{name}") for name in ("day", "action", "message"))
        rows = [Row(day.strip(), action, message) for day, action, message in zip(*columns, strict=False)]
        found.append(_section(code, [row for row in rows if row.day or row.action]))
    return found


def _section(code: str, rows: list[Row]) -> Section:
    return Section(code, DeclineClass(code).label, HINTS[DeclineClass(code)], rows)


def _step(row: Row) -> Step | None:
    is_known = row.action in Action.values and row.message in {"", *MessageChoice.values}
    if not (row.day.isascii() and row.day.isdigit() and len(row.day) < 4 and is_known):
        return None
    return Step(int(row.day), row.action, row.message)


def _check(sections: list[Section]) -> None:
    for section in sections:
        if any(_step(row) is None for row in section.rows):
            section.errors.append(_("У каждого шага нужны день (число) и действие"))
    by_code = {section.code: section for section in sections}
    for code, text in dunning.problems({section.code: section.steps for section in sections}):
        by_code[code].errors.append(text)


def _save(
    request: HttpRequest, policy: DunningPolicy | None, head: HeadForm, sections: list[Section]
) -> DunningPolicy | None:
    """A new edition where the steps are new; None, and the form says why, where the name is taken."""
    timelines = dunning.dumped({section.code: section.steps for section in sections})
    try:
        with transaction.atomic():
            saved = _write(policy, head.cleaned_data, timelines, actor=request.user.get_username())
    except IntegrityError:
        head.add_error("name", _("Политика с таким названием уже есть"))
        return None
    return saved


def _write(
    policy: DunningPolicy | None, given: Mapping[str, Any], timelines: dict[str, Any], *, actor: str
) -> DunningPolicy:
    if policy is None:
        policy = DunningPolicy(name=given["name"])
    else:
        policy = DunningPolicy.objects.select_for_update().select_related(None).get(pk=policy.pk)
    policy.name = given["name"]
    if given["is_default"] and not policy.is_default:
        DunningPolicy.objects.filter(is_default=True).update(is_default=False)
        policy.is_default = True
    policy.save()
    if policy.current is None or policy.current.timelines != timelines:
        last = policy.versions.order_by("-number").values_list("number", flat=True).first() or 0
        policy.current = DunningVersion.objects.create(
            policy=policy, number=last + 1, timelines=timelines, actor=actor, created_at=clock.wall()
        )
        policy.save(update_fields=["current"])
    journal.record(
        "dunning-policy.changed",
        "policies.DunningPolicy",
        policy.pk,
        actor=actor,
        data={"version": policy.current.number, "default": policy.is_default},
    )
    return policy


def _render(
    model_admin: Any,
    request: HttpRequest,
    policy: DunningPolicy | None,
    head: HeadForm,
    sections: list[Section],
    *,
    may_change: bool,
) -> TemplateResponse:
    site = model_admin.admin_site
    versions = policy.versions.annotate(running=_count(ResultState.RUNNING)) if policy else []
    context = {
        **site.each_context(request),
        "title": policy.name if policy else _("Новая политика неоплаты"),
        "opts": model_admin.opts,
        "policy": policy,
        "head": head,
        "sections": sections,
        "may_change": may_change,
        "actions": Action.choices,
        "message_choices": MessageChoice.choices,
        "spare": range(SPARE_ROWS),
        "versions": versions,
        "choices": policy.choices.select_related("partner") if policy else [],
        "gateways": dunning.gateway_rules(),
        "longest": dunning.LONGEST,
    }
    return TemplateResponse(request, "policies/dunning.html", context)


def _count(state: str) -> Count:
    return Count("results", filter=Q(results__state=state))
