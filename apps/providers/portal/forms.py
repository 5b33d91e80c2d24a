"""Forms of the provider's console."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from apps.core.staff_sign_in import StaffSignInForm
from apps.providers.models import KeyPool, Provider
from apps.providers.portal.models import ProviderUser


class SignInForm(StaffSignInForm):
    """As staff sign in, counted as they are; but these people are no staff of ours."""

    def confirm_login_allowed(self, user: Any) -> None:
        if not user.is_active or not ProviderUser.objects.filter(user=user).exists():
            raise ValidationError(
                self.error_messages["invalid_login"], code="invalid_login", params={"username": ""}
            )


class ApproveForm(forms.Form):
    """What the customer gets."""

    key = forms.CharField(label=_("Ключ или номер"), required=False, max_length=500)
    url = forms.URLField(label=_("Ссылка"), required=False, assume_scheme="https", max_length=500)
    instructions = forms.CharField(
        label=_("Как пользоваться"), required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 3})
    )


class ReasonForm(forms.Form):
    """A reason or a question."""

    text = forms.CharField(label=_("Напишите"), max_length=2000, widget=forms.Textarea(attrs={"rows": 3}))


class KeysForm(forms.Form):
    """Keys as text or a file, for one of the provider's own pools."""

    pool = forms.ModelChoiceField(label=_("Пул"), queryset=KeyPool.objects.none())
    text = forms.CharField(
        label=_("Ключи, по одному в строке"), required=False, widget=forms.Textarea(attrs={"rows": 6})
    )
    file = forms.FileField(label=_("или файл: текст или CSV, ключ в первом столбце"), required=False)

    def __init__(self, provider: Provider, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["pool"].queryset = KeyPool.objects.filter(provider=provider)  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not cleaned.get("text", "").strip() and not cleaned.get("file"):
            raise ValidationError(_("Вставьте ключи или выберите файл"))
        return cleaned

    def content(self) -> bytes | str:
        """What was sent: the file, where there is one."""
        file = self.cleaned_data.get("file")
        return file.read() if file else self.cleaned_data["text"]


class ListForm(forms.Form):
    """Which services were live on a day."""

    day = forms.DateField(label=_("День"), widget=forms.DateInput(attrs={"type": "date"}))
    file = forms.FileField(label=_("CSV или XLSX: услуга, стоимость (если есть)"))


class UsageForm(forms.Form):
    """A file of usage."""

    file = forms.FileField(label=_("CSV или XLSX: услуга, месяц, количество, единица"))
