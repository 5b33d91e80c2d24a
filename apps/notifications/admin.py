"""Console: the log of messages of one partner."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps.core import console
from apps.core.errors import Refused
from apps.notifications import delivery, types
from apps.notifications.models import Message, State

COLOURS = {
    State.QUEUED: "info",
    State.SENDING: "info",
    State.SENT: "success",
    State.DELIVERED: "success",
    State.FAILED: "danger",
    State.UNKNOWN: "warning",
}


@console.register(Message, sites=(console.partner_site,))
class MessageAdmin(console.ReadOnlyAdmin):
    """What was written to whom, and what became of it. What hangs may be sent again."""

    list_display = ("created_at", "what", "channel", "to", "state_label", "attempts", "error")
    list_filter = ("state", "channel", "type")
    fields = (
        "created_at",
        "what",
        "channel",
        "to",
        "subject_shown",
        "text_shown",
        "attached",
        "state",
        "error",
        "attempts",
        "tried_at",
        "sent_at",
        "settled_at",
        "connection",
        "provider_id",
        "customer_ref",
    )
    readonly_fields = ("what", "subject_shown", "text_shown", "attached")
    list_select_related = ("connection",)
    actions = ("resend",)

    @display(description=_("сообщение"))
    def what(self, message: Message) -> str:
        return str(types.of(message.type).title)

    @display(description=_("состояние"), label=COLOURS)
    def state_label(self, message: Message) -> tuple[str, str]:
        return message.state, message.get_state_display()

    @display(description=_("тема"))
    def subject_shown(self, message: Message) -> str:
        return self._shown(message, message.subject)

    @display(description=_("текст"))
    def text_shown(self, message: Message) -> str:
        return self._shown(message, message.text)

    @display(description=_("вложения"))
    def attached(self, message: Message) -> str:
        return ", ".join(one["name"] for one in message.attachments) or "—"

    def _shown(self, message: Message, text: str) -> str:
        # Whoever reads a sign-in code could sign in as the customer.
        return str(_("скрыто: код для входа")) if types.of(message.type).secret else text

    @admin.action(description=_("Отправить ещё раз"), permissions=["resend"])
    def resend(self, request: HttpRequest, queryset: QuerySet[Message]) -> None:
        for message in queryset:
            try:
                delivery.resend(message, actor=request.user.get_username())
            except Refused as refusal:
                messages.error(request, refusal.message)
                return
        messages.success(request, _("Сообщения поставлены в очередь"))

    def has_resend_permission(self, request: HttpRequest) -> bool:
        return bool(request.rights.may("manager", "support"))  # type: ignore[attr-defined]
