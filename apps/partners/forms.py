"""Forms of the console: a new partner, and who may do what."""

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminColorInputWidget,
    UnfoldAdminEmailInputWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextInputWidget,
)

from apps.partners.models import LegalEntity, Partner, StaffRole

ZONES = [(name, name) for name in sorted(available_timezones()) if "/" in name]
BRAND = ("tagline", "colour", "support_phone", "support_email")


class PartnerForm(forms.ModelForm):
    """A partner that exists: what may change without moving it."""

    time_zone = forms.ChoiceField(label=_("Часовой пояс"), choices=ZONES, widget=UnfoldAdminSelectWidget)

    class Meta:
        model = Partner
        fields = ("name", "status", "legal_entity", "time_zone")


class NewPartnerForm(forms.ModelForm):
    """What a new partner is made of; the rest it gets by itself."""

    legal_entity = forms.ModelChoiceField(
        LegalEntity.objects.all(),
        label=_("Юридическое лицо"),
        required=False,
        empty_label=_("Платформа"),
        widget=UnfoldAdminSelectWidget,
        help_text=_("Кто продаёт и выставляет счета"),
    )
    time_zone = forms.ChoiceField(
        label=_("Часовой пояс"), choices=ZONES, initial="Europe/Moscow", widget=UnfoldAdminSelectWidget
    )
    tagline = forms.CharField(
        label=_("Подпись витрины"), required=False, max_length=200, widget=UnfoldAdminTextInputWidget
    )
    colour = forms.RegexField(
        r"^#[0-9a-fA-F]{6}$",
        label=_("Цвет"),
        required=False,
        initial="#2563eb",
        widget=UnfoldAdminColorInputWidget,
    )
    support_phone = forms.CharField(
        label=_("Телефон поддержки"), required=False, max_length=20, widget=UnfoldAdminTextInputWidget
    )
    support_email = forms.EmailField(
        label=_("Почта поддержки"), required=False, widget=UnfoldAdminEmailInputWidget
    )

    class Meta:
        model = Partner
        fields = ("slug", "name", "legal_entity", "time_zone", "is_sandbox")

    def brand(self) -> dict[str, str]:
        """What the storefront is to look like."""
        return {name: self.cleaned_data.get(name) or "" for name in BRAND}


class OwnStaffForm(forms.ModelForm):
    """A partner's administrator gives a role to somebody new, or one more to somebody of its own.

    It neither lists nor changes staff of others: a login that is taken elsewhere is simply taken.
    """

    username = forms.CharField(label=_("Логин"), max_length=150, widget=UnfoldAdminTextInputWidget)
    first_name = forms.CharField(
        label=_("Имя"), required=False, max_length=150, widget=UnfoldAdminTextInputWidget
    )
    email = forms.EmailField(label=_("Почта"), required=False, widget=UnfoldAdminEmailInputWidget)
    password = forms.CharField(
        label=_("Пароль"),
        required=False,
        widget=UnfoldAdminPasswordWidget,
        help_text=_("Только для нового сотрудника"),
    )

    partner: Partner
    """Set by the admin: whose staff this is."""

    class Meta:
        model = StaffRole
        fields = ("role",)
        widgets = {"role": UnfoldAdminSelectWidget}

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        user = User.objects.filter(username=given.get("username") or "").first()
        if user is None:
            self._check_new(given)
        elif not StaffRole.objects.filter(user=user, partner=self.partner).exists():
            self.add_error("username", _("Этот логин занят"))
        elif StaffRole.objects.filter(user=user, partner=self.partner, role=given.get("role")).exists():
            self.add_error("role", _("Эта роль у сотрудника уже есть"))
        self.instance.partner = self.partner
        return given

    def _check_new(self, given: dict[str, Any]) -> None:
        try:
            validate_password(given.get("password") or "")
        except forms.ValidationError as error:
            self.add_error("password", error)

    def person(self) -> User:
        """Whom the role is for; made now, if new."""
        given = self.cleaned_data
        user = User.objects.filter(username=given["username"]).first()
        if user is not None:
            return user
        return User.objects.create_user(
            given["username"],
            given["email"],
            given["password"],
            is_staff=True,
            first_name=given["first_name"],
        )


class CloseForm(forms.Form):
    """Up to which day."""

    until = forms.DateField(label=_("Закрыть по этот день включительно"), widget=UnfoldAdminSingleDateWidget)


class ReopenForm(forms.Form):
    """From which day on, and why."""

    until = forms.DateField(
        label=_("Оставить закрытым по день (пусто: открыть всё)"),
        required=False,
        widget=UnfoldAdminSingleDateWidget,
    )
    reason = forms.CharField(label=_("Почему"), max_length=200, widget=UnfoldAdminTextInputWidget)
