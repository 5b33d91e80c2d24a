"""A span of days that a report or a statement is asked for."""

from datetime import date, timedelta
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from apps.core import clock
from apps.core.errors import Refused

LONGEST = timedelta(days=366 * 3)
_DAY = {"type": "date"}


def with_days(data: QueryDict) -> QueryDict:
    """What was asked, with the current month where no days were."""
    given, today = data.copy(), clock.today()
    given["until"] = given.get("until") or f"{today:%Y-%m-%d}"
    given["since"] = given.get("since") or f"{given['until']}"[:8] + "01"
    return given


class SpanForm(forms.Form):
    """From which day to which, both included: the current month where nothing is said."""

    since = forms.DateField(label=_("С"), widget=forms.DateInput(_DAY, format="%Y-%m-%d"))
    until = forms.DateField(label=_("По"), widget=forms.DateInput(_DAY, format="%Y-%m-%d"))

    def __init__(self, data: QueryDict, **options: Any) -> None:
        super().__init__(with_days(data), **options)

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        since, until = given.get("since"), given.get("until")
        if since and until and (problem := _problem(since, until)):
            self.add_error("since", problem)
        return given


def asked(data: QueryDict) -> tuple[date, date]:
    """The days that a request of the API names. Raises Refused `bad_period` (400)."""
    form = SpanForm(data)
    if not form.is_valid():
        reasons = {name: [str(one) for one in errors] for name, errors in form.errors.items()}
        raise Refused("bad_period", _("Период: дни since и until, не длиннее трёх лет"), 400, errors=reasons)
    return form.cleaned_data["since"], form.cleaned_data["until"]


def _problem(since: date, until: date) -> Any:
    if since > until:
        return _("Начало периода позже конца")
    return _("Период длиннее трёх лет") if until - since > LONGEST else None
