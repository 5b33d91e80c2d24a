"""What a customer fills in about a subscription."""

from datetime import timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.billing import changes
from apps.billing.models import Subscription
from apps.billing.pauses import LONGEST
from apps.billing.promotion_models import CancelReason
from apps.catalog import parameters
from apps.catalog.models import ProductParameter
from apps.core import clock
from apps.orders import asking, inquiries
from apps.orders.models import Service
from apps.providers.portal import requests
from apps.storefronts.forms import AccessibleForm, field_of


class QuantityForm(AccessibleForm):
    """How many."""

    quantity = forms.IntegerField(
        label=_("Количество"),
        min_value=1,
        max_value=changes.LIMIT,
        error_messages={"required": _("Укажите количество."), "invalid": _("Нужно целое число.")},
        widget=forms.TextInput(attrs={"inputmode": "numeric"}),
    )

    def __init__(self, row: Subscription, data: Any = None) -> None:
        super().__init__(data, initial={"quantity": row.quantity})


class PauseForm(AccessibleForm):
    """Until when."""

    until = forms.DateField(
        label=_("Возобновить"),
        error_messages={"required": _("Выберите день."), "invalid": _("Выберите день.")},
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )

    def __init__(self, data: Any = None) -> None:
        today = clock.today()
        super().__init__(data, initial={"until": today + timedelta(days=30)})
        self.fields["until"].widget.attrs |= {
            "min": f"{today + timedelta(days=1):%Y-%m-%d}",
            "max": f"{today + LONGEST:%Y-%m-%d}",
        }


class PromoForm(AccessibleForm):
    """A code."""

    code = forms.CharField(
        label=_("Промокод"),
        max_length=60,
        error_messages={"required": _("Введите промокод.")},
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}
        ),
    )


class HolderForm(AccessibleForm):
    """Whose place it is."""

    name = forms.CharField(label=_("Имя"), required=False, max_length=100)
    email = forms.EmailField(
        label=_("Почта"),
        required=False,
        widget=forms.TextInput(attrs={"type": "email", "inputmode": "email"}),
    )
    phone = forms.CharField(
        label=_("Телефон"),
        required=False,
        max_length=30,
        widget=forms.TextInput(attrs={"type": "tel", "inputmode": "tel"}),
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors and not any(cleaned.values()):
            self.add_error("name", _("Назовите, чьё это место: имя, почта или телефон."))
        return cleaned


class TransferForm(AccessibleForm):
    """To whom."""

    contact = forms.CharField(
        label=_("Телефон или почта нового владельца"),
        max_length=254,
        error_messages={"required": _("Укажите телефон или почту.")},
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


class LeaveForm(AccessibleForm):
    """When, and why, if they like to say so."""

    when = forms.ChoiceField(
        choices=[("period_end", _("Когда кончится оплаченное")), ("now", _("Сейчас"))], required=False
    )
    reason = forms.ChoiceField(
        label=_("Почему уходите? (необязательно)"),
        required=False,
        choices=[("", _("Не хочу отвечать")), *CancelReason.choices],
    )


class AskedForm(AccessibleForm):
    """What a product asks when it is given out, or its provider asks before it goes on."""

    def __init__(self, service: Service, data: Any = None) -> None:
        self.service, self.asked = service, asking.questions(service)
        known = {f"answer_{code}": _typed(value) for code, value in service.answers.items()}
        super().__init__(data, initial=known)
        for one in self.asked:
            is_inquiry = inquiries.is_question(one.code)
            self.fields[f"answer_{one.code}"] = _inquiry_field(one) if is_inquiry else field_of(one)

    @property
    def is_inquiry(self) -> bool:
        """Whether it is the provider that asks."""
        return any(inquiries.is_question(one.code) for one in self.asked)

    def late(self) -> str:
        """What was written to a question that is not asked any more."""
        sent = {name.removeprefix("answer_"): str(text) for name, text in self.data.items()}
        known = [one.code for one in self.asked]
        return "\n".join(text for code, text in sent.items() if inquiries.is_late([code], known))

    def again(self, text: str) -> "AskedForm":
        """The page of another question than was answered, with what was written."""
        box = f"answer_{self.asked[0].code}"
        form = AskedForm(self.service, {box: text})
        form.add_error(box, _("Вопрос изменился: прочитайте его и ответьте ещё раз."))
        return form

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for one in self.asked:
            value = cleaned.get(f"answer_{one.code}")
            if value not in (None, ""):
                try:
                    parameters.check_by(one.rule, value)
                except ValueError as error:
                    self.add_error(f"answer_{one.code}", str(error))
        return cleaned

    def values(self) -> dict[str, Any]:
        """Answers by code, typed; call it when the form is valid."""
        found = {one.code: self.cleaned_data.get(f"answer_{one.code}") for one in self.asked}
        return {code: value for code, value in found.items() if value not in (None, "")}


def _inquiry_field(one: ProductParameter) -> forms.Field:
    return forms.CharField(
        label=str(one.name),
        max_length=requests.LONGEST,
        error_messages={"required": _("Нужно заполнить.")},
        widget=forms.Textarea(attrs={"rows": 4}),
    )


def _typed(value: Any) -> Any:
    return {True: "1", False: "0"}.get(value, value) if isinstance(value, bool) else value
