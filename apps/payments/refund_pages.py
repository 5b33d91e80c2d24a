"""What is asked before money goes back, and what is said after: the same on every page of the console."""

from datetime import date
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminDateWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps.core import clock
from apps.core.forms import MoneyField
from apps.payments.models import Refund, RefundRoute, RefundState
from apps.policies import refunding


class ReasonForm(forms.Form):
    """Why money goes back: a reason of the list, words beside it, and since when the customer waits."""

    reason_code = forms.ChoiceField(
        label=_("Причина"),
        widget=UnfoldAdminSelectWidget,
        error_messages={"required": _("Укажите причину возврата")},
    )
    comment = forms.CharField(
        label=_("Подробности"), max_length=100, required=False, widget=UnfoldAdminTextInputWidget
    )
    demanded_on = forms.DateField(
        label=_("Клиент потребовал возврат"),
        help_text=_("От этого дня считается срок возврата. Пусто — клиент не требовал"),
        required=False,
        widget=UnfoldAdminDateWidget,
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        choices = [("", "—"), *((one.code, one.title) for one in refunding.reasons())]
        self.fields["reason_code"].choices = choices  # type: ignore[attr-defined]

    def clean_demanded_on(self) -> date | None:
        day: date | None = self.cleaned_data["demanded_on"]
        if day and day > clock.today():
            raise forms.ValidationError(_("Этот день ещё не наступил"))
        return day

    def words(self) -> str:
        """The reason as it stands in the refund."""
        reason = refunding.reason_of(self.cleaned_data["reason_code"])
        parts = (str(reason.title) if reason else "", self.cleaned_data["comment"])
        return ": ".join(part for part in parts if part)


class RefundForm(ReasonForm):
    """How much goes back, why, and how. The key makes a second click the same refund."""

    amount = MoneyField(label=_("Сумма"))
    route = forms.ChoiceField(
        label=_("Каким путём"),
        choices=[
            (RefundRoute.GATEWAY, _("Тем же способом, которым платил клиент")),
            (RefundRoute.BANK, _("Переводом по реквизитам: карта закрыта или срок возврата истёк")),
        ],
        widget=UnfoldAdminSelectWidget,
    )
    key = forms.UUIDField(widget=forms.HiddenInput)
    field_order = ("amount", "reason_code", "comment", "demanded_on", "route")


def told_of(request: HttpRequest, made: Refund) -> None:
    """Says what became of a refund that was asked for."""
    if made.state == RefundState.REQUESTED:
        messages.warning(request, _("Возврат выше лимита: его должен подтвердить второй сотрудник"))
    elif made.route == RefundRoute.BANK:
        messages.success(
            request, _("Возврат записан: укажите реквизиты получателя в «Выплатах по реквизитам»")
        )
    else:
        messages.success(request, _("Возврат отправлен в банк"))
