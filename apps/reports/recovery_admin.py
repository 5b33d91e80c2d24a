"""Console: the report «Неоплаты», on the screen and as a file."""

from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _

from apps.core import console, sheets, spans
from apps.partners.models import Partner
from apps.reports import recovery
from apps.reports.models import Recovery
from apps.reports.page import Page


class RecoveryForm(spans.SpanForm):
    """Days of the first failure, and what makes a line; a partner's console asks for its own."""

    partner = forms.ModelChoiceField(
        Partner.objects.filter(is_sandbox=False), label=_("Партнёр"), required=False, empty_label=_("Все")
    )
    by = forms.MultipleChoiceField(
        label=_("Строки"),
        required=False,
        choices=recovery.DIMENSIONS.items(),
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, data: Any, *, own: Partner | None) -> None:
        self.own = own
        super().__init__(data)
        if own is not None:
            del self.fields["partner"]
            named = [pair for pair in recovery.DIMENSIONS.items() if pair[0] != "partner"]
            self.fields["by"].choices = named  # type: ignore[attr-defined]

    def question(self) -> recovery.Question:
        """What the form asks; it must be valid."""
        given = self.cleaned_data
        chosen = self.own or given.get("partner")
        return recovery.Question(
            since=given["since"],
            until=given["until"],
            by=tuple(name for name in recovery.DIMENSIONS if name in given["by"]) or ("month", "decline"),
            partner_id=chosen.pk if chosen else None,
            sandbox=bool(self.own and self.own.is_sandbox),
        )


@console.register(Recovery, sites=(console.operator_site, console.partner_site))
class RecoveryAdmin(Page):
    """What failed, what came after all, what was lost."""

    view_roles = ("manager", "finance")

    def page(self, request: Any) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = RecoveryForm(request.GET, own=request.tenant)
        context: dict[str, Any] = {"title": _("Неоплаты"), "form": form}
        if form.is_valid():
            question = form.question()
            rows = recovery.answer(question)
            if request.GET.get("format") == "xlsx":
                return _file(question, rows)
            asked = request.GET.copy()
            asked.pop("format", None)
            context |= {
                "question": question,
                "headings": [recovery.DIMENSIONS[name] for name in question.by],
                "measures": list(recovery.MEASURES.values()),
                "rows": rows,
                "totals": recovery.totals(rows),
                "query": asked.urlencode(),
            }
        return self.show(request, "reports/recovery.html", **context)


def _file(question: recovery.Question, rows: list[recovery.Row]) -> HttpResponse:
    headings = [recovery.DIMENSIONS[name] for name in question.by]
    sheet = sheets.Sheet(
        title=str(_("Неоплаты")),
        headings=[*headings, *recovery.MEASURES.values(), _("Валюта")],
        rows=[[*row.names, *row.values(), row.currency] for row in rows],
        above=[str(_("Неоплаты")), f"{question.since:%d.%m.%Y} – {question.until:%d.%m.%Y}"],
    )
    name = f"recovery-{question.since:%Y-%m-%d}-{question.until:%Y-%m-%d}.xlsx"
    return sheets.file(sheets.xlsx([sheet]), name)
