"""Console: how a storefront looks and what it says; what its buyers agreed to."""

from typing import Any

from django import forms
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminColorInputWidget, UnfoldAdminImageFieldWidget

from apps.core import console, pictures
from apps.core.tenancy import current_partner
from apps.storefronts.models import Checkout, Storefront

MAX_LOGO = 300
"""KiB."""


class StorefrontForm(forms.ModelForm):
    """Takes a logo as a file and keeps it in the row."""

    logo_file = forms.FileField(
        label=_("Логотип"),
        required=False,
        widget=UnfoldAdminImageFieldWidget,
        help_text=_("PNG, JPEG, WebP или SVG до 300 КБ. Без логотипа покажем первые буквы названия."),
    )

    class Meta:
        model = Storefront
        fields = (
            "name",
            "is_open",
            "closed_text",
            "language",
            "channel",
            "colour",
            "tagline",
            "intro",
            "support_phone",
            "support_email",
            "terms",
            "recurring",
            "privacy",
        )
        widgets = {"colour": UnfoldAdminColorInputWidget}

    def clean_logo_file(self) -> Any:
        """Keeps content and type together, or neither."""
        file = self.cleaned_data["logo_file"]
        if file:
            content = file.read()
            self.instance.logo_type = pictures.checked(content, max_kib=MAX_LOGO, drawing=True)
            self.instance.logo = content
        return file


@console.register(Storefront, sites=(console.partner_site,))
class StorefrontAdmin(console.ConsoleAdmin):
    """The partner's shop window: brand, texts, open or closed."""

    form = StorefrontForm
    list_display = ("name", "is_open", "address")
    readonly_fields = ("address",)
    fieldsets = (
        (None, {"fields": ("name", "address", "is_open", "closed_text", "language", "channel")}),
        (_("Оформление"), {"classes": ("tab",), "fields": ("colour", "logo_file", "tagline", "intro")}),
        (_("Поддержка"), {"classes": ("tab",), "fields": ("support_phone", "support_email")}),
        (_("Условия"), {"classes": ("tab",), "fields": ("terms", "recurring", "privacy")}),
    )

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        """A partner has one from its first minute."""
        return False

    @display(description=_("адрес"))
    def address(self, storefront: Storefront) -> str:
        url = current_partner().url()
        return format_html('<a href="{}" class="underline">{}</a>', url, url)


@console.register(Checkout, sites=(console.partner_site,))
class CheckoutAdmin(console.ReadOnlyAdmin):
    """The proof of consent to recurring charges, word for word."""

    list_display = ("placed_at", "order", "price", "currency", "ip")
    list_select_related = ("order",)
    fields = ("placed_at", "order", "offer", "price", "currency", "said", "ip", "user_agent")
    readonly_fields = ("said",)

    @display(description=_("на что согласился"))
    def said(self, checkout: Checkout) -> str:
        return "\n".join(consent["text"] for consent in checkout.consents)
