"""Pages of staff at a service and its fulfilment: another key, the same one sent again, an answer to its provider."""

from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from apps.accounts import recycled
from apps.core import console, links, work
from apps.core.errors import Refused
from apps.orders import fulfilment
from apps.orders.deciding import question_of
from apps.orders.models import Fulfilment, Service
from apps.orders.replacing import replace_key
from apps.orders.sending_again import send_again
from apps.policies.models import Channel
from apps.providers.portal import requests
from apps.providers.portal.models import DefectReason


class ReplaceForm(forms.Form):
    """Why the key is replaced; which key is meant goes along, so that a second press replaces nothing more."""

    reason = forms.ChoiceField(
        label=_("Что с ключом"), choices=DefectReason.choices, widget=UnfoldAdminSelectWidget
    )
    comment = forms.CharField(
        label=_("Подробности для поставщика"),
        required=False,
        max_length=500,
        widget=UnfoldAdminTextareaWidget,
    )
    seen = forms.CharField(required=False, widget=forms.HiddenInput)


@action(description=_("Заменить ключ"), url_path="replace-key", permissions=["support"])
def replace_service_key(self: Any, request: Any, object_id: UUID) -> HttpResponse:
    """The customer says that it does not work."""
    service = get_object_or_404(Service, pk=object_id)
    form = ReplaceForm(request.POST or None, initial={"seen": str(service.request_id)})
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            if given["seen"] != str(service.request_id):
                raise Refused("other_key", _("Этот ключ уже заменён"))
            replace_key(
                service,
                reason=given["reason"],
                comment=given["comment"],
                broken=service.key,
                actor=request.user.get_username(),
                may_exceed=request.rights.may("manager"),
            )
        except Refused as refusal:
            messages.error(request, str(refusal.message))
        else:
            messages.success(request, _("Новый ключ придёт клиенту, как только поставщик его даст"))
        return redirect(reverse("admin:orders_service_change", args=[service.pk]))
    notes = [
        str(
            _("Прежний ключ больше никому не выдадут и предъявят поставщику. Замен: %d")
            % service.replacements
        )
    ]
    return console.form_page(self, request, form, _("Заменить ключ"), notes=notes, press=_("Заменить"))


class ReplyForm(forms.Form):
    """What the provider wants to know."""

    answer = forms.CharField(label=_("Ответ"), max_length=2000, widget=UnfoldAdminTextareaWidget)


@action(description=_("Ответить поставщику"), url_path="reply", permissions=["support"])
def reply_to_provider(self: Any, request: HttpRequest, object_id: UUID) -> HttpResponse:
    """The question of a provider that works in its own console, and the answer to it."""
    one = get_object_or_404(Fulfilment.objects.select_related("service"), pk=object_id)
    asked = question_of(one)
    form = ReplyForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and asked is not None:
        try:
            requests.reply(asked.pk, form.cleaned_data["answer"], actor=request.user.get_username())
            work.close(fulfilment.KIND, one.pk)
        except Refused as refusal:
            messages.error(request, str(refusal.message))
        else:
            messages.success(request, _("Ответ у поставщика"))
        return redirect(reverse("admin:orders_fulfilment_change", args=[one.pk]))
    notes = [asked.question] if asked else [str(_("Поставщик ничего не спрашивает"))]
    return console.form_page(
        self, request, form if asked else forms.Form(), _("Ответить поставщику"), notes=notes
    )


class AgainForm(forms.Form):
    """By which of the customer's channels; a second press of one page sends nothing more."""

    channel = forms.ChoiceField(label=_("Куда"), widget=UnfoldAdminSelectWidget)
    press = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, service: Service, data: Any = None) -> None:
        super().__init__(data, initial={"press": uuid4()})
        customer = service.customer
        # Whose number it is by now, nobody knows.
        phone = "" if recycled.is_stale(customer) else customer.phone
        known = ((Channel.SMS, phone), (Channel.EMAIL, customer.email))
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
