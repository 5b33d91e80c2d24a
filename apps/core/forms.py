"""Form fields of money and of texts in two languages."""

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget


class MoneyField(forms.DecimalField):
    """A sum above zero, typed as it is written here: «49,50».

    A box of type=number would show a sum with a comma as nothing at all.
    """

    def __init__(self, **options: Any) -> None:
        box = UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal", "autocomplete": "off"})
        given = {"max_digits": 14, "decimal_places": 2, "min_value": Decimal("0.01"), "widget": box}
        super().__init__(localize=True, **(given | options))


class TranslatedWidget(forms.MultiWidget):
    """Two boxes: Russian above English."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        boxes = [
            UnfoldAdminTextareaWidget(attrs={"rows": 2, "aria-label": label, "placeholder": label})
            for label in (_("по-русски"), _("по-английски"))
        ]
        super().__init__(boxes, attrs)

    def decompress(self, value: Any) -> list[str]:
        return [value.get("ru", ""), value.get("en", "")] if value else ["", ""]


class TranslatedFormField(forms.MultiValueField):
    """Gives `{"ru": …, "en": …}` without empty parts."""

    def __init__(self, **options: Any) -> None:
        options.pop("encoder", None)
        options.pop("decoder", None)
        options.pop("widget", None)
        boxes = (forms.CharField(required=options.get("required", True)), forms.CharField(required=False))
        super().__init__(boxes, widget=TranslatedWidget, require_all_fields=False, **options)

    def compress(self, values: list[str]) -> dict[str, str]:
        return {language: text for language, text in zip(("ru", "en"), values, strict=False) if text}
