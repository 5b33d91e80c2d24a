"""Console: channels and the keys of the systems behind them."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget

from apps.catalog.models import Offer
from apps.channels.models import ApiKey, Channel, ChannelOffer, Scope
from apps.core import console
from apps.core.tenancy import current_partner


class ChosenOffers(console.ConsoleInline):
    """What the channel sells, where that is not everything."""

    model = ChannelOffer
    tab = True

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        # A choice is taken back the way it was made.
        return self.has_change_permission(request, obj)

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **options: Any) -> Any:
        if db_field.name == "offer":
            options["queryset"] = Offer.objects.with_terms().filter(partner_id=current_partner().pk)
            options["widget"] = UnfoldAdminSelectWidget()
        return super().formfield_for_foreignkey(db_field, request, **options)


@console.register(Channel, sites=(console.partner_site,))
class ChannelAdmin(console.ConsoleAdmin):
    """Where orders come from, and what goes there."""

    list_display = ("name", "code", "kind", "is_active", "feed")
    fields = ("name", "code", "kind", "is_active", "feed")
    inlines = (ChosenOffers,)

    def get_readonly_fields(self, request: Any, obj: Channel | None = None) -> tuple[str, ...]:
        # The code stands in orders and in the ledger.
        return ("feed", "code") if obj else ("feed",)

    @display(description=_("товарный фид YML"))
    def feed(self, channel: Channel) -> str:
        if channel.pk is None or not channel.code:
            return "—"
        url = current_partner().url(f"/feeds/{channel.code}.yml")
        return format_html('<a href="{}" class="underline">{}</a>', url, f"{channel.code}.yml")


class IssueForm(forms.ModelForm):
    """For which channel, what for, and what it may do."""

    scopes = forms.MultipleChoiceField(
        label=_("Права"), choices=Scope.choices, widget=UnfoldAdminCheckboxSelectMultipleWidget
    )

    class Meta:
        model = ApiKey
        fields = ("channel", "name", "scopes")


@console.register(ApiKey, sites=(console.partner_site,))
class ApiKeyAdmin(console.ConsoleAdmin):
    """Issued and revoked, never changed; the key itself is shown once."""

    form = IssueForm
    list_display = ("shown", "channel", "name", "created_at", "last_used_at", "revoked_at")
    list_filter = ("channel",)
    list_select_related = ("channel",)
    actions = ("revoke",)

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_revoke_permission(self, request: Any) -> bool:
        return bool(request.rights.may(*self.change_roles))

    def save_model(self, request: Any, obj: ApiKey, form: Any, change: bool) -> None:
        key, plaintext = ApiKey.issue(
            obj.channel, obj.scopes, name=obj.name, actor=request.user.get_username()
        )
        obj.pk, obj.prefix = key.pk, key.prefix
        messages.warning(request, _("Скопируйте ключ сейчас, больше мы его не покажем: %s") % plaintext)

    def log_addition(self, request: Any, obj: Any, message: Any) -> None:
        """The journal has it already."""

    @display(description=_("ключ"))
    def shown(self, key: ApiKey) -> str:
        return str(key)

    @display(description=_("права"))
    def rights(self, key: ApiKey) -> str:
        return ", ".join(str(Scope(scope).label) for scope in key.scopes)

    def get_fields(self, request: Any, obj: ApiKey | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("channel", "name", "scopes")
        return ("shown", "channel", "name", "rights", "created_at", "last_used_at", "revoked_at")

    def get_readonly_fields(self, request: Any, obj: ApiKey | None = None) -> tuple[str, ...]:
        return () if obj is None else self.get_fields(request, obj)

    @admin.action(description=_("Отозвать: перестанет работать сразу и навсегда"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        live = list(queryset.filter(revoked_at=None))
        for key in live:
            key.revoke(actor=request.user.get_username())
        count = len(live)
        messages.success(request, _("Отозвано ключей: %d") % count)
