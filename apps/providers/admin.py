"""Console of the operator: providers, pools of keys, keys."""

from typing import Any

from django import forms
from django.contrib import messages
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminTextareaWidget

from apps import journal
from apps.connectors import breaker
from apps.connectors.base import Kind
from apps.core import console
from apps.core.codes import code_for
from apps.providers import definition_admin, keys
from apps.providers.models import ActivationKey, KeyPool, Provider

__all__ = ["definition_admin"]
OPERATOR = (console.operator_site,)
STATES = {"free": "success", "reserved": "info", "sold": "info", "revoked": "warning", "defective": "danger"}


@console.register(Provider, sites=OPERATOR)
class ProviderAdmin(console.ConsoleAdmin):
    """Providers; the price list is imported only for known ones."""

    list_display = ("name", "code", "connection", "test_connection", "is_archived")
    list_filter = ("is_archived",)
    list_select_related = ("connection", "test_connection")
    search_fields = ("name", "code")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [
            "name",
            "contact",
            ("legal_name", "inn", "phone"),
            "connection",
            "test_connection",
            ("sells_when_down", "promise_hours"),
            ("has_portal", "pauses"),
            "is_archived",
        ]

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **options: Any) -> Any:
        if db_field.name in {"connection", "test_connection"}:
            options["queryset"] = db_field.related_model.objects.filter(
                kind=Kind.PROVIDER, is_test=db_field.name == "test_connection"
            )
        return super().formfield_for_foreignkey(db_field, request, **options)

    def save_model(self, request: HttpRequest, obj: Provider, form: Any, change: bool) -> None:
        obj.code = obj.code or code_for(obj.name, set(Provider.objects.values_list("code", flat=True)))
        super().save_model(request, obj, form, change)
        if change and "connection" in form.changed_data:
            # Its sale may have stood still because of the one before, or of this one.
            breaker.tell(obj.connection_id or form.initial["connection"])


class LoadForm(forms.Form):
    """Keys as text or as a file."""

    text = forms.CharField(
        label=_("Ключи, по одному в строке"),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 10}),
    )
    file = forms.FileField(
        label=_("или файл: текст или CSV, ключ в первом столбце"),
        required=False,
        widget=UnfoldAdminFileFieldWidget,
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not cleaned.get("text", "").strip() and not cleaned.get("file"):
            raise forms.ValidationError(_("Вставьте ключи или выберите файл"))
        return cleaned

    def content(self) -> bytes | str:
        """What was sent: the file, where there is one."""
        file = self.cleaned_data.get("file")
        return file.read() if file else self.cleaned_data["text"]


@console.register(KeyPool, sites=OPERATOR)
class KeyPoolAdmin(console.ConsoleAdmin):
    """Pools with what is left in them."""

    list_display = ("sku", "provider", "is_test", "free", "sold", "stock")
    list_filter = ("provider", "is_test")
    list_select_related = ("provider",)
    search_fields = ("sku",)
    actions_detail = ("load_keys",)

    def get_queryset(self, request: HttpRequest) -> "models.QuerySet[KeyPool]":
        is_free = models.Q(keys__state=ActivationKey.State.FREE)
        return (
            super()
            .get_queryset(request)
            .annotate(free_keys=models.Count("keys", filter=is_free), all_keys=models.Count("keys"))
        )

    @display(description=_("свободно"))
    def free(self, pool: Any) -> int:
        return pool.free_keys

    @display(description=_("выдано"))
    def sold(self, pool: Any) -> int:
        return pool.all_keys - pool.free_keys

    @display(description=_("запас"), label={"low": "danger", "enough": "success"})
    def stock(self, pool: Any) -> tuple[str, Any]:
        return (
            ("low", _("Заканчиваются")) if pool.free_keys <= pool.low_stock else ("enough", _("Достаточно"))
        )

    @action(description=_("Загрузить ключи"), url_path="load-keys", permissions=["change"])
    def load_keys(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Adds keys; those that were left out are named."""
        pool = get_object_or_404(KeyPool, pk=object_id)
        sent = (request.POST, request.FILES) if request.method == "POST" else ()
        form = LoadForm(*sent)
        if not form.is_valid():
            return console.form_page(self, request, form, _("Загрузить ключи: %s") % pool)
        loaded = keys.load(pool=pool, content=form.content())
        counts = {"added": loaded.added, "rejected": len(loaded.rejected)}
        journal.record(
            "keys.loaded", "providers.KeyPool", pool.pk, actor=request.user.get_username(), data=counts
        )
        messages.success(request, _("Добавлено ключей: %d") % loaded.added)
        for rejected in loaded.rejected[:50]:
            messages.warning(request, str(rejected))
        if len(loaded.rejected) > 50:
            messages.warning(request, _("И ещё не загружено: %d") % (len(loaded.rejected) - 50))
        return redirect("admin:providers_keypool_change", object_id)


@console.register(ActivationKey, sites=OPERATOR)
class ActivationKeyAdmin(console.ReadOnlyAdmin):
    """Keys without their values: to whom each went."""

    list_display = ("id", "pool", "state_label", "request_id", "partner_id", "loaded_at", "sold_at")
    list_filter = ("pool", "state")
    list_select_related = ("pool",)
    search_fields = ("request_id",)
    fields = ("pool", "state", "request_id", "partner_id", "loaded_at", "sold_at")
    ordering = ("-id",)

    @display(description=_("состояние"), label=STATES)
    def state_label(self, key: ActivationKey) -> tuple[str, Any]:
        return key.state, key.get_state_display()


import apps.providers.portal.admin  # noqa: E402, F401 - more pages of this app
