"""Forms of the operator's console: a new version of a tariff, offers to a partner."""

from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminDateWidget,
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminImageFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelect2MultipleWidget,
    UnfoldAdminSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from apps.catalog import parameters, regions
from apps.catalog.lifecycle import ARCHIVED, MOVES, ON_SALE, Sellable, State
from apps.catalog.models import (
    Category,
    Delivery,
    DocumentKind,
    Feature,
    PeriodUnit,
    PriceChange,
    Product,
    ProductParameter,
    Tariff,
    TariffVersion,
)
from apps.core import clock, pictures
from apps.core.forms import TranslatedFormField
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
    trial_needs_method = forms.BooleanField(
        label=_("Пробный период только с картой"),
        required=False,
        initial=True,
        help_text=_("Без карты в конце пробного периода клиент сам выберет, как платить"),
        widget=UnfoldBooleanSwitchWidget,
    )
    vat_code = forms.ChoiceField(label=_("НДС"), widget=UnfoldAdminSelectWidget)

    def __init__(self, *args: Any, tariff: Tariff, **options: Any) -> None:
        version = tariff.current
        self.tariff = tariff
        self.declared = list(tariff.product.parameters.filter(asked_at=parameters.AskedAt.TARIFF))
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
        self.known_features = list(Feature.objects.all())
        for feature in self.known_features:
            self.fields[f"feature_{feature.code}"] = (
                forms.IntegerField(
                    label=str(feature),
                    required=False,
                    min_value=1,
                    help_text=_("возможность: сколько"),
                    widget=UnfoldAdminIntegerFieldWidget,
                )
                if feature.has_quantity
                else forms.BooleanField(
                    label=str(feature),
                    required=False,
                    help_text=_("возможность"),
                    widget=UnfoldBooleanSwitchWidget,
                )
            )
        if tariff.product.delivery == Delivery.BUNDLE:
            others = Tariff.objects.exclude(state=ARCHIVED).exclude(product__delivery=Delivery.BUNDLE)
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
                    parameters.check_by(one.rule, values[one.code])
                elif one.is_required:
                    raise ValueError(_("нужно заполнить"))
            except ValueError as error:
                self.add_error(f"parameter_{one.code}", str(error))
        cleaned["parameters"] = values
        given = {one.code: cleaned.get(f"feature_{one.code}") for one in self.known_features}
        cleaned["features"] = {code: value for code, value in given.items() if value}
        return cleaned

    def publish(self) -> TariffVersion:
        """The new version, sold by from now on. Call it when the form is valid."""
        names = (
            "price",
            "period_count",
            "period_unit",
            "trial_days",
            "trial_needs_method",
            "vat_code",
            "parameters",
            "features",
        )
        terms = {name: self.cleaned_data[name] for name in names}
        return self.tariff.publish(parts=list(self.cleaned_data.get("parts", [])), **terms)


def _initial(tariff: Tariff, version: TariffVersion | None) -> dict[str, Any]:
    if version is None:
        return {"period_count": 1, "period_unit": PeriodUnit.MONTH, "vat_code": tariff.product.vat_code}
    names = ("price", "period_count", "period_unit", "trial_days", "trial_needs_method", "vat_code")
    values = {name: getattr(version, name) for name in names}
    texts = {f"parameter_{code}": parameters.write(value) for code, value in version.parameters.items()}
    features = {f"feature_{code}": value for code, value in version.features.items()}
    return {**values, **texts, **features, "parts": version.parts()}


class OfferForm(forms.Form):
    """Which tariffs a partner is to sell."""

    partner = forms.ModelChoiceField(
        Partner.objects.all(), label=_("Партнёр"), widget=UnfoldAdminSelectWidget
    )
    tariffs = forms.ModelMultipleChoiceField(
        Tariff.objects.filter(state=ON_SALE, product__state=ON_SALE, current__isnull=False)
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

    picture_file_en = forms.FileField(
        label=_("Картинка по-английски"),
        required=False,
        widget=UnfoldAdminImageFieldWidget,
        help_text=_("Если на картинке есть слова. Без неё по-английски видят первую."),
    )
    regions = forms.MultipleChoiceField(
        label=_("Только в регионах"),
        required=False,
        choices=regions.choices,
        widget=UnfoldAdminSelect2MultipleWidget,
        help_text=_("Пусто: везде"),
    )

    class Meta:
        model = Product
        fields = (
            "code",
            "name",
            "short",
            "description",
            "category",
            "provider",
            "delivery",
            "vat_code",
            "on_sale_from",
            "on_sale_until",
            "min_age",
            "regions",
            "once_per_person",
            "companies_only",
            "sort",
        )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["vat_code"].choices = vat.choices()  # type: ignore[attr-defined]
        self.pictures: dict[str, tuple[bytes, str]] = {}

    def clean_picture_file(self) -> Any:
        return self._picture("picture_file", "ru")

    def clean_picture_file_en(self) -> Any:
        return self._picture("picture_file_en", "en")

    def _picture(self, name: str, language: str) -> Any:
        """Read here: its bytes are what is checked and what is kept."""
        if file := self.cleaned_data[name]:
            content = file.read()
            self.pictures[language] = content, pictures.checked(content, max_kib=MAX_PICTURE)
        return file


class ParameterForm(forms.ModelForm):
    """A parameter whose kind must fit the values that versions in force have."""

    class Meta:
        model = ProductParameter
        fields = (
            "code",
            "name",
            "kind",
            "choices",
            "asked_at",
            "is_required",
            "minimum",
            "maximum",
            "pattern",
            "help",
            "sort",
        )

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


class MoveForm(forms.Form):
    """Where a product or tariff is to go, and why."""

    to = forms.ChoiceField(label=_("Новое состояние"), widget=UnfoldAdminSelectWidget)
    reason = forms.CharField(
        label=_("Почему"), required=False, max_length=300, widget=UnfoldAdminTextInputWidget
    )

    def __init__(self, *args: Any, row: Sellable, **options: Any) -> None:
        super().__init__(*args, **options)
        choices = [(state, State(state).label) for state in MOVES[row.state]]
        self.fields["to"].choices = choices  # type: ignore[attr-defined]


class CloneForm(forms.Form):
    """What the copy is called."""

    code = forms.RegexField(
        r"^[\w.-]{1,50}$",
        label=_("Код копии"),
        widget=UnfoldAdminTextInputWidget,
        error_messages={"invalid": _("Код состоит из букв, цифр, точки и дефиса")},
    )
    name = forms.CharField(label=_("Название"), max_length=200, widget=UnfoldAdminTextInputWidget)


class DocumentForm(forms.Form):
    """A new version of a legal document: a text, or a PDF."""

    kind = forms.ChoiceField(
        label=_("Документ"), choices=DocumentKind.choices, widget=UnfoldAdminSelectWidget
    )
    valid_from = forms.DateField(label=_("Действует с"), initial=clock.today, widget=UnfoldAdminDateWidget)
    text = TranslatedFormField(label=_("Текст"), required=False)
    file = forms.FileField(
        label=_("или файл PDF"), required=False, widget=UnfoldAdminImageFieldWidget, help_text=_("до 2 МБ")
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        file, text = cleaned.get("file"), cleaned.get("text") or {}
        if bool(file) == bool(text.get("ru")):
            raise ValidationError(_("Нужен текст по-русски или файл, одно из двух"))
        cleaned["content"] = file.read() if file else b""
        if file and (not cleaned["content"].startswith(b"%PDF-") or file.size > 2_000_000):
            self.add_error("file", _("Нужен PDF до 2 МБ"))
        return cleaned

    def values(self) -> dict[str, Any]:
        """For `documents.add`."""
        names = ("kind", "valid_from", "text", "content")
        file = self.cleaned_data["file"]
        return {name: self.cleaned_data[name] for name in names} | {"file_name": file.name if file else ""}


class LaunchForm(forms.Form):
    """A product with its first tariff, to be on sale at once."""

    name = forms.CharField(label=_("Продукт"), max_length=200, widget=UnfoldAdminTextInputWidget)
    short = forms.CharField(
        label=_("Коротко, для карточки"), required=False, max_length=300, widget=UnfoldAdminTextInputWidget
    )
    category = forms.ModelChoiceField(
        Category.objects.all(), label=_("Категория"), widget=UnfoldAdminSelectWidget
    )
    provider: Any = forms.ModelChoiceField(None, label=_("Поставщик"), widget=UnfoldAdminSelectWidget)
    delivery = forms.ChoiceField(label=_("Выдача"), widget=UnfoldAdminSelectWidget)
    vat_code = forms.ChoiceField(label=_("НДС"), widget=UnfoldAdminSelectWidget)
    tariff_name = forms.CharField(
        label=_("Тариф"), max_length=200, initial=_("Месяц"), widget=UnfoldAdminTextInputWidget
    )
    price = forms.DecimalField(
        label=_("Цена, руб."),
        min_value=Decimal("0.01"),
        max_digits=14,
        decimal_places=2,
        widget=UnfoldAdminDecimalFieldWidget,
    )
    period_count = forms.IntegerField(
        label=_("Сколько периодов"),
        min_value=1,
        max_value=999,
        initial=1,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    period_unit = forms.ChoiceField(
        label=_("Единица периода"),
        choices=PeriodUnit.choices,
        initial=PeriodUnit.MONTH,
        widget=UnfoldAdminSelectWidget,
    )
    trial_days = forms.IntegerField(
        label=_("Пробный период, дней"),
        min_value=0,
        max_value=366,
        initial=0,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    trial_needs_method = forms.BooleanField(
        label=_("Пробный период только с картой"),
        required=False,
        initial=True,
        help_text=_("Без карты в конце пробного периода клиент сам выберет, как платить"),
        widget=UnfoldBooleanSwitchWidget,
    )
    partners = forms.ModelMultipleChoiceField(
        Partner.objects.exclude(status__in=["closed"]),
        label=_("Партнёры"),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        known: Any = self.fields
        provider: Any = Product._meta.get_field("provider").related_model
        known["provider"].queryset = provider._default_manager.filter(is_archived=False)
        known["delivery"].choices = [one for one in Delivery.choices if one[0] != Delivery.BUNDLE]
        known["vat_code"].choices = vat.choices()


class PriceChangeForm(forms.ModelForm):
    """A draft of a new price."""

    class Meta:
        model = PriceChange
        fields = ("tariff", "price", "policy", "notice_days", "effective_date", "note")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        tariff = cleaned.get("tariff")
        if tariff and (tariff.current is None or tariff.current.price == cleaned.get("price")):
            self.add_error("price", _("Цена и так такая: менять нечего"))
        if cleaned.get("effective_date") and cleaned["effective_date"] < clock.today():
            self.add_error("effective_date", _("Этот день уже прошёл"))
        return cleaned
