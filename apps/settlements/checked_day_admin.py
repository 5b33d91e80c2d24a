"""Console: what pages of days beside an outsider's register have in common: who acts on one, the ways to end it."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from apps.core import console, links
from apps.core.errors import Refused
from apps.settlements.admin import FinancePages
from apps.settlements.reconciliation_models import CheckedDay, DayState


class CheckedDayAdmin(FinancePages):
    """A day a line; what differs stands on its page. Whose day it is says `check_row` and `close_row`."""

    list_display_links = ("shown_day",)
    list_filter_submit = True

    def check_row(self, request: HttpRequest, row: Any) -> CheckedDay | None:
        """Compares it anew; None where that was refused, and staff were told."""
        raise NotImplementedError

    def close_row(self, row: Any, *, actor: str) -> Any:
        """Ends it. Raises Refused."""
        raise NotImplementedError

    def close_notes(self, row: Any) -> list[Any]:
        """What staff read before they close it."""
        return [_("После этого день больше не сверяется и не меняется.")]

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return bool(request.rights.may("finance"))

    def has_open_permission(self, request: Any, object_id: Any = None) -> bool:
        """Finance acts on a day until it is closed."""
        closed = self.model.objects.filter(pk=object_id, state=DayState.CLOSED)
        return bool(request.rights.may("finance")) and not (object_id and closed.exists())

    @display(description=_("день"), ordering="day")
    def shown_day(self, row: Any) -> str:
        return f"{row.day:%d.%m.%Y}"

    @display(description=_("состояние"), label={"open": "warning", "closed": "success"})
    def shown_state(self, row: Any) -> tuple[str, Any]:
        return console.Label(row.state, row.get_state_display())

    @action(description=_("Сверить заново"), url_path="check", permissions=["open"])
    def check_again(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(self.model, pk=object_id)
        if request.method != "POST":
            title = _("Сверить заново")
            return console.form_page(self, request, forms.Form(), title, press=title)
        if self.check_row(request, row):
            messages.success(request, _("Сверено"))
        return self._page(object_id)

    @action(description=_("Закрыть день"), url_path="close", permissions=["open"])
    def close_day(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(self.model, pk=object_id)
        if request.method != "POST":
            title, notes = _("Закрыть день"), self.close_notes(row)
            return console.form_page(self, request, forms.Form(), title, notes=notes, press=title)
        try:
            self.close_row(row, actor=request.user.get_username())
        except Refused as refused:
            messages.error(request, str(refused.message))
        else:
            messages.success(request, _("День закрыт"))
        return self._page(object_id)

    def _page(self, object_id: UUID) -> HttpResponse:
        return redirect(f"admin:settlements_{self.opts.model_name}_change", object_id)


def decision(row: Any, words: Any, page: str) -> SafeString | str:
    """What was said of a difference, and by whom; while its day is open, the way to say it (`words`, at `page`)."""
    if row.explained_at is not None:
        return f"{row.note} ({row.explained_by})"
    if row.day.state == DayState.CLOSED:
        return "—"
    return links.linked(words, reverse(page, args=[row.pk]))
