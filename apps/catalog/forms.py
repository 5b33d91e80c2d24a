"""Forms of the operator's console: a new version of a tariff, offers to a partner."""

from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminImageFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps.catalog import parameters
from apps.catalog.models import Delivery, PeriodUnit, Product, ProductParameter, Tariff, TariffVersion
from apps.core import pictures
from apps.partners.models import Partner
from apps.policies import vat

MAX_PICTURE = 1000
"""KiB."""


class VersionForm(forms.Form):
    """Terms of a new version of a tariff; shows those in force."""

    price = forms.DecimalField(
        label=_("Цена, руб."),
        min_value=Decimal("0.01"),
        max_digits=14,
        decimal_places=2,
        widget=UnfoldAdminDecimalFieldWidget,
    )
    period_count = forms.IntegerField(
        label=_("Сколько периодов"), min_value=1, max_value=999, widget=UnfoldAdminIntegerFieldWidget
    )
    period_unit = forms.ChoiceField(
        label=_("Единица периода"), choices=PeriodUnit.choices, widget=UnfoldAdminSelectWidget
    )
    trial_days = forms.IntegerField(
        label=_("Пробный период, дней"),
        min_value=0,
        max_value=366,
        initial=0,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    vat_code = forms.ChoiceField(label=_("НДС"), widget=UnfoldAdminSelectWidget)

    def __init__(self, *args: Any, tariff: Tariff, **options: Any) -> None:
        version = tariff.current
        self.tariff, self.declared = tariff, list(tariff.product.parameters.all())
        options["initial"] = _initial(tariff, version) | options.get("initial", {})
        super().__init__(*args, **options)
        self.fields["vat_code"].choices = vat.choices()  # type: ignore[attr-defined]
        for one in self.declared:
            self.fields[f"parameter_{one.code}"] = forms.CharField(
                label=str(one.name),
                required=False,
                help_text=one.get_kind_display(),
                widget=UnfoldAdminTextInputWidget,
            )
        if tariff.product.delivery == Delivery.BUNDLE:
            others = Tariff.objects.filter(is_archived=False).exclude(product__delivery=Delivery.BUNDLE)
            self.fields["parts"] = forms.ModelMultipleChoiceField(
                others.select_related("product"), label=_("Состав"), widget=UnfoldAdminSelectMultipleWidget
            )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        values = {}
        for one in self.declared:
            text = (cleaned.get(f"parameter_{one.code}") or "").strip()
            try:
                if text:
                    values[one.code] = parameters.read(text, one.kind, one.choices)
            except ValueError as error:
                self.add_error(f"parameter_{one.code}", str(error))
        cleaned["parameters"] = values
        return cleaned

    def publish(self) -> TariffVersion:
        """The new version, sold by from now on. Call it when the form is valid."""
        names = ("price", "period_count", "period_unit", "trial_days", "vat_code", "parameters")
        terms = {name: self.cleaned_data[name] for name in names}
        return self.tariff.publish(parts=list(self.cleaned_data.get("parts", [])), **terms)


def _initial(tariff: Tariff, version: TariffVersion | None) -> dict[str, Any]:
    if version is None:
        return {"period_count": 1, "period_unit": PeriodUnit.MONTH, "vat_code": tariff.product.vat_code}
    names = ("price", "period_count", "period_unit", "trial_days", "vat_code")
    values = {name: getattr(version, name) for name in names}
    texts = {f"parameter_{code}": parameters.write(value) for code, value in version.parameters.items()}
    return {**values, **texts, "parts": version.parts()}


class OfferForm(forms.Form):
    """Which tariffs a partner is to sell."""

    partner = forms.ModelChoiceField(
        Partner.objects.all(), label=_("Партнёр"), widget=UnfoldAdminSelectWidget
    )
    tariffs = forms.ModelMultipleChoiceField(
        Tariff.objects.filter(is_archived=False, product__is_archived=False, current__isnull=False)
        .select_related("product")
        .order_by("product__sort", "product__code", "sort"),
        label=_("Тарифы"),
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["tariffs"].initial = self.fields["tariffs"].queryset  # type: ignore[attr-defined]


class ProductForm(forms.ModelForm):
    """A product and its picture; its VAT rate is one of those that staff have set."""

    vat_code = forms.ChoiceField(label=_("НДС"), widget=UnfoldAdminSelectWidget)
    picture_file = forms.FileField(
        label=_("Картинка"),
        required=False,
        widget=UnfoldAdminImageFieldWidget,
        help_text=_(
            "PNG, JPEG или WebP до 1000 КБ: для витрин и товарных фидов. Без неё нарисуем по категории."
        ),
    )

    class Meta:
        model = Product
        fields = (
            "code",
            "name",
            "description",
            "category",
            "provider",
            "delivery",
            "vat_code",
            "sort",
            "is_archived",
        )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["vat_code"].choices = vat.choices()  # type: ignore[attr-defined]
        self.picture: tuple[bytes, str] | None = None

    def clean_picture_file(self) -> Any:
        """Read here: its bytes are what is checked and what is kept."""
        if file := self.cleaned_data["picture_file"]:
            content = file.read()
            self.picture = content, pictures.checked(content, max_kib=MAX_PICTURE)
        return file


class ParameterForm(forms.ModelForm):
    """A parameter whose kind must fit the values that versions in force have."""

    class Meta:
        model = ProductParameter
        fields = ("code", "name", "kind", "choices", "sort")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        code, kind = self.instance.code, cleaned.get("kind", "")
        if self.instance.pk is None:
            return cleaned
        in_force = Tariff.objects.filter(
            product_id=self.instance.product_id, current__parameters__has_key=code
        )
        for version in TariffVersion.objects.filter(pk__in=in_force.values("current")):
            try:
                parameters.check(version.parameters[code], kind, cleaned.get("choices") or [])
            except ValueError as error:
                raise ValidationError({"kind": str(error)}) from None
        return cleaned
