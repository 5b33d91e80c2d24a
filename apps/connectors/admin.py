"""Console: connections, and what came in from outside."""

from collections.abc import Iterable, Iterator
from typing import Any, cast

from django.conf import settings
from django.contrib import admin, messages
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from apps import journal
from apps.connectors import breaker, masking, webhooks
from apps.connectors.base import Connector, ConnectorError, Kind, connector_class
from apps.connectors.forms import PREFIX, form_for, setting_names
from apps.connectors.models import Connection, GatewayReference, InboundMessage
from apps.core import clock, console, links
from apps.journal import reading
from apps.partners.models import Partner

STATES = {"new": "info", "done": "success", "unmatched": "warning", "rejected": "danger"}
CHECK_AND_SAVE = "connectors_connection_check_and_save"
HEALTH = {"ok": "success", "error": "danger", "off": "warning", "new": "info"}


@console.register(Connection, sites=(console.operator_site,))
class ConnectionAdmin(console.ConsoleAdmin):
    """A connection's form is made from its connector's Config; only administrators change it."""

    change_roles = ()
    view_roles = ("manager", "finance")
    list_display = ("name", "kind", "partner", "is_test", "is_enabled", "health", "last_ok_at")
    list_filter = ("kind", "is_enabled", "is_test", "partner")
    list_select_related = ("partner",)
    search_fields = ("name",)
    readonly_fields = (
        "health",
        "hook",
        "last_ok_at",
        "last_error",
        "last_error_at",
        "opened_at",
        "next_try_at",
    )
    actions_detail = ("check_now", "close_breaker")
    actions_submit_line = ("check_and_save",)

    @display(description=_("состояние"), label=HEALTH)
    def health(self, connection: Connection) -> tuple[str, Any]:
        if not connection.is_enabled:
            return console.Label("off", _("Выключено"))
        if connection.opened_at:
            return console.Label("error", _("Не отвечает, вызовы остановлены"))
        ok_at, error_at = connection.last_ok_at, connection.last_error_at
        if error_at and (ok_at is None or error_at > ok_at):
            return console.Label("error", _("Ошибка"))
        worked = connection.last_ok_at is not None
        return console.Label("ok", _("Работает")) if worked else console.Label("new", _("Не проверялось"))

    @display(description=_("адрес для уведомлений"))
    def hook(self, connection: Connection) -> Any:
        """What to enter at the service: it tells us there."""
        path = reverse("hook", args=[connection.pk], urlconf=settings.PUBLIC_SCHEMA_URLCONF)
        port = f":{settings.PUBLIC_PORT}" if settings.PUBLIC_PORT else ""
        url = f"{settings.PUBLIC_SCHEME}://{settings.PUBLIC_HOST}{port}{path}"
        return format_html('<code class="select-all">{}</code>', url)

    @action(description=_("Проверить"), url_path="check", permissions=["change"])
    def check_now(self, request: HttpRequest, object_id: int) -> HttpResponse:
        connection = get_object_or_404(Connection, pk=object_id)
        try:
            with breaker.by_hand():
                said = connection.open().check()
        except (ConnectorError, LookupError) as error:
            messages.error(request, _("Не работает: %s") % error)
            Connection.objects.filter(pk=object_id).update(
                last_error=str(error)[:500], last_error_at=clock.wall()
            )
        else:
            messages.success(request, _("Работает. %s") % said)
            Connection.objects.filter(pk=object_id).update(last_ok_at=clock.wall())
            breaker.close(connection, actor=request.user.get_username())
        return redirect("admin:connectors_connection_change", object_id)

    @action(description=_("Проверить и сохранить"), permissions=["change"])
    def check_and_save(self, request: HttpRequest, obj: Connection) -> None:
        """A button of the form: settings that the service does not take are not saved (`changeform_view`)."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        # Asked before the page's transaction begins: no call outside goes while one is open.
        if object_id and request.method == "POST" and CHECK_AND_SAVE in request.POST:
            self._try(request, object_id)
        return cast(HttpResponse, super().changeform_view(request, object_id, form_url, extra_context))

    def _try(self, request: HttpRequest, object_id: str) -> None:
        """Asks the service with what was filled in; `request.refused` is why it does not take that."""
        found = self.get_object(request, object_id)
        if found is None or not self.has_change_permission(request, found):
            return
        form = self.get_form(request, found, change=True)(request.POST, request.FILES, instance=found)
        if not form.is_valid():
            return
        found.config = form.settings_over(found.config)
        try:
            with breaker.by_hand():
                said = found.reader().check()
        except (ConnectorError, LookupError) as error:
            request.refused = _("Не сохранено: с этими настройками не работает. %s") % error  # type: ignore[attr-defined]
        else:
            messages.success(request, _("Работает. %s") % said)

    @action(description=_("Закрыть предохранитель"), url_path="close-breaker", permissions=["change"])
    def close_breaker(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Staff knows that the service is back: calls go at once."""
        connection = get_object_or_404(Connection, pk=object_id)
        if breaker.close(connection, actor=request.user.get_username()):
            messages.success(request, _("Вызовы снова идут"))
        else:
            messages.info(request, _("Вызовы и так идут: предохранитель замкнут"))
        return redirect("admin:connectors_connection_change", object_id)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """First what to plug in, then its own form."""
        if request.GET.get("connector") in settings.CONNECTORS:
            return cast(HttpResponse, super().add_view(request, form_url, extra_context))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Новое подключение"),
            "opts": self.opts,
            "connectors": list(_choice()),
        }
        return TemplateResponse(request, "connectors/choose.html", context)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        path, connector = _asked(request, obj)
        kwargs["form"] = form_for(path, connector, refused=getattr(request, "refused", ""))
        return super().get_form(request, obj, change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        _path, connector = _asked(request, obj)
        ours = ["name", "legal_entity", "partner", "is_test", "is_enabled"]
        sets: list[Any] = [
            (f"{Kind(connector.kind).label}: {connector.title}", {"fields": ours}),
            (_("Настройки сервиса"), {"fields": setting_names(connector)}),
            (_("Ограничения"), {"fields": [("in_flight", "per_second")]}),
        ]
        if obj is not None:
            takes = connector.receive is not Connector.receive
            shown = [name for name in self.readonly_fields if takes or name != "hook"]
            sets.insert(1, (_("Состояние"), {"fields": shown}))
        return sets

    def save_model(self, request: HttpRequest, obj: Connection, form: Any, change: bool) -> None:
        if change:
            # Its health and breaker are written by calls meanwhile, and somebody may be changing another secret.
            stored = Connection.objects.select_for_update(no_key=True).get(pk=obj.pk)
            obj.config = form.settings_over(stored.config)
            ours = [name for name in form.fields if not name.startswith(PREFIX)]
            obj.save(update_fields=[*ours, "config", "connector", "kind"])
        else:
            super().save_model(request, obj, form, change)
        done = "changed" if change else "created"
        if change and "is_enabled" in form.changed_data:
            done = "switched-on" if obj.is_enabled else "switched-off"
        # Names of what was changed only: values may be secrets.
        journal.record(
            f"connection.{done}",
            "connectors.Connection",
            obj.pk,
            actor=request.user.get_username(),
            data={"changed": form.changed_data},
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _choice() -> Iterator[tuple[str, Any, Any]]:
    for path in settings.CONNECTORS:
        connector = connector_class(path)
        yield path, connector.title, Kind(connector.kind).label


def _asked(request: HttpRequest, connection: Connection | None) -> tuple[str, type[Connector]]:
    path = connection.connector if connection else request.GET.get("connector", "")
    return path, connector_class(path)


@console.register(InboundMessage, sites=(console.operator_site,))
class InboundMessageAdmin(console.ReadOnlyAdmin):
    """What came in; a message can be processed again."""

    view_roles = ("manager", "support")
    list_display = ("received_at", "connection", "subject", "state_label", "copies", "error")
    list_filter = ("state", "connection")
    list_select_related = ("connection",)
    ordering = ("-received_at",)
    fields = (
        ("state_label", "error"),
        ("connection", "subject"),
        ("received_at", "copies"),
        ("method", "laid_out_query"),
        "laid_out_body",
    )
    readonly_fields = ("state_label", "subject", "laid_out_query", "laid_out_body")
    actions = ("replay",)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        page = super().get_changelist_instance(request)
        page.result_list = list(page.result_list)
        _find_subjects(page.result_list)
        return page

    @display(description=_("о чём"))
    def subject(self, message: InboundMessage) -> SafeString | str:
        if not hasattr(message, "subject_link"):
            _find_subjects([message])
        return links.linked(*message.subject_link)  # type: ignore[attr-defined]

    @display(description=_("параметры"))
    def laid_out_query(self, message: InboundMessage) -> str:
        return masking.text(message.query) or "—"

    @display(description=_("тело"))
    def laid_out_body(self, message: InboundMessage) -> SafeString:
        """As it came; secrets and card numbers are hidden."""
        text = reading.pretty(masking.body(message.body.encode("latin-1")))
        return format_html('<pre class="armor-pre">{}</pre>', text or "—")

    @admin.action(description=_("Обработать ещё раз"))
    def replay(self, request: HttpRequest, queryset: "models.QuerySet[InboundMessage]") -> None:
        for message in queryset:
            webhooks.replay(message)
            journal.record(
                "inbound.replayed",
                "connectors.InboundMessage",
                message.pk,
                actor=request.user.get_username(),
            )
        messages.success(request, _("Сообщения будут обработаны ещё раз"))

    @display(description=_("состояние"), label=STATES)
    def state_label(self, message: InboundMessage) -> tuple[str, Any]:
        return console.Label(message.state, message.get_state_display())


def _find_subjects(rows: Iterable[Any]) -> None:
    """Gives each message the name and the page of what it is about, in two queries."""
    found = list(rows)
    references = GatewayReference.objects.in_bulk({one.reference for one in found if one.reference})
    slugs = dict(
        Partner.objects.filter(pk__in={one.partner_id for one in references.values()}).values_list(
            "pk", "slug"
        )
    )
    for one in found:
        about = references.get(one.reference)
        if about is None:
            one.subject_link = ("—", "")
            continue
        url = links.to(about.kind, about.object_id, slug=slugs.get(about.partner_id, ""))
        one.subject_link = (links.title(about.kind), url)
