"""What a customer was given is sent again, by another channel: the letter was lost, the phone is at hand."""

from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import UnfoldAdminSelectWidget

from apps import journal
from apps.core import console, links
from apps.core.errors import Refused
from apps.notifications.models import Message
from apps.orders import letters, replacing
from apps.orders.models import ENDED_STATES, Service
from apps.policies.models import Channel

KIND = "orders.Service"


def send_again(service: Service, *, channel: str, key: str, actor: str) -> Message:
    """Sends the key, link or instructions once more by `channel`; the same `key` is the same message.

    Raises Refused: `nothing_given`, `service_off`, `no_contact`.
    """
    with transaction.atomic():
        service = Service.objects.select_for_update(no_key=True, of=("self",)).get(pk=service.pk)
        if service.state in ENDED_STATES or service.customer.erased_at:
            raise Refused("service_off", _("Эта услуга уже отключена"))
        if replacing.is_open(service):
            raise Refused("nothing_given", _("Ключ заменяют: новый придёт клиенту сам"))
        if not (service.key or service.url or service.instructions):
            raise Refused("nothing_given", _("Клиенту ещё ничего не выдано"))
        reason = f"key_delivered:{service.request_id}:{key}"
        if (known := Message.objects.filter(key=reason).first()) is not None:
            return known
        sent = letters.again(service, channel=channel, key=reason)
        if sent is None:
            raise Refused("no_contact", _("У клиента нет такого контакта"))
        data = {"channel": channel, "message": str(sent.pk)}
        journal.record("service.sent-again", KIND, service.pk, actor=actor, data=data)
    return sent


class AgainForm(forms.Form):
    """By which of the customer's channels; a second press of one page sends nothing more."""

    channel = forms.ChoiceField(label=_("Куда"), widget=UnfoldAdminSelectWidget)
    press = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, service: Service, data: Any = None) -> None:
        super().__init__(data, initial={"press": uuid4()})
        known = ((Channel.SMS, service.customer.phone), (Channel.EMAIL, service.customer.email))
        channel: Any = self.fields["channel"]
        channel.choices = [(one.value, f"{one.label}: {to}") for one, to in known if to]


@action(description=_("Отправить ещё раз"), url_path="send-again", permissions=["support"])
def send_service_again(self: Any, request: Any, object_id: UUID) -> HttpResponse:
    """The customer did not get it."""
    service = get_object_or_404(Service.objects.select_related("customer"), pk=object_id)
    form = AgainForm(service, request.POST or None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            send_again(
                service,
                channel=given["channel"],
                key=str(given["press"]),
                actor=request.user.get_username(),
            )
        except Refused as refusal:
            messages.error(request, str(refusal.message))
        else:
            messages.success(request, _("Отправлено"))
        return redirect(links.to("orders.Service", service.pk))
    notes = [str(_("Отправим ключ, ссылку или инструкцию так же, как при выдаче."))]
    return console.form_page(self, request, form, _("Отправить ещё раз"), notes=notes, press=_("Отправить"))
