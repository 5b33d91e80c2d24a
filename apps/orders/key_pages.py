"""Pages of staff at a service and its fulfilment: another key, the same one sent again, its provider's question."""

from collections.abc import Callable, Iterator
from hashlib import sha256
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
from apps.core import clock, console, links
from apps.core.errors import Refused
from apps.orders import inquiries, missing
from apps.orders.models import Fulfilment, Service
from apps.orders.replacing import replace_key
from apps.orders.sending_again import send_again
from apps.policies.models import Channel
from apps.providers.portal import requests
from apps.providers.portal.models import DefectReason, ProviderRequest


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
    """What the provider wants to know, with its question as it stood on the page."""

    title, is_for_customer = _("Ответить поставщику"), False
    text = forms.CharField(label=_("Ответ"), max_length=requests.LONGEST, widget=UnfoldAdminTextareaWidget)
    seen = forms.CharField(required=False, widget=forms.HiddenInput)


class CustomerForm(ReplyForm):
    """What the customer is asked: the provider's question, in words that a customer understands."""

    title, is_for_customer = _("Спросить клиента"), True
    text = forms.CharField(
        label=_("Вопрос клиенту"), max_length=requests.LONGEST, widget=UnfoldAdminTextareaWidget
    )


def is_asked(request: Any, object_id: Any, *, of_customer: bool = False) -> bool:
    """Whether the provider of this fulfilment asks something, and there is a customer to hand it on to.

    Found once for all buttons of a page.
    """
    if object_id is None or request.method == "POST":
        # Of what is sent too late the page says so, and keeps what was written.
        return True
    known = request.__dict__.setdefault("_provider_asks", {})
    if object_id not in known:
        row = Fulfilment.objects.select_related("service").filter(pk=object_id).first()
        asked = inquiries.question_of(row) if row else None
        # An address without a row is answered by its page.
        known[object_id] = (
            row is None or asked is not None,
            row is None or (asked is not None and inquiries.may_be_asked(row, asked)),
        )
    return bool(known[object_id][of_customer])


@action(description=_("Ответить поставщику"), url_path="reply", permissions=["inquiry"])
def reply_to_provider(self: Any, request: HttpRequest, object_id: UUID) -> HttpResponse:
    """The question of a provider that works in its own console, and the answer to it."""
    one = get_object_or_404(Fulfilment.objects.select_related("service"), pk=object_id)
    return _inquiry_page(self, request, one, ReplyForm, inquiries.answer, _("Ответ у поставщика"))


@action(description=_("Спросить клиента"), url_path="ask-customer", permissions=["hand_on"])
def ask_customer(self: Any, request: HttpRequest, object_id: UUID) -> HttpResponse:
    """The same question, handed on to who knows the answer."""
    one = get_object_or_404(Fulfilment.objects.select_related("service"), pk=object_id)
    return _inquiry_page(self, request, one, CustomerForm, missing.hand_on, _("Клиента спросили"))


def _inquiry_page(
    page: Any, request: HttpRequest, one: Fulfilment, kind: Any, do: Callable[..., Any], done: Any
) -> HttpResponse:
    asked = inquiries.question_of(one)
    question = asked.question if asked else ""
    # A browser changes line ends: what was seen is known by its digest.
    seen = sha256(question.encode()).hexdigest()
    form = kind(
        request.POST or None, initial={"seen": seen, "text": question if kind.is_for_customer else ""}
    )
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            if asked is None or given["seen"] != seen:
                raise requests.nothing_asked()
            do(one, given["text"], to=question, actor=request.user.get_username())
        except Refused as refusal:
            # What was written stays on the page, beside what is asked now.
            form.add_error(None, str(refusal.message))
            form.data = {**form.data.dict(), "seen": seen}
        else:
            messages.success(request, done)
            return redirect(reverse("admin:orders_fulfilment_change", args=[one.pk]))
    notes = [*said(asked), *([str(_WHAT_FOLLOWS)] if kind.is_for_customer else [])]
    return console.form_page(page, request, form, kind.title, notes=notes, press=kind.title)


def said(asked: ProviderRequest | None) -> Iterator[str]:
    """What a provider asks, and what its customer was asked about it, line by line."""
    if asked:
        yield str(_("Поставщик спрашивает: {question}")).format(question=asked.question)
    if asked and asked.customer_asked_at:
        day = f"{clock.local(asked.customer_asked_at):%d.%m.%Y %H:%M}"
        yield str(_("Клиента спросили {day}: {text}")).format(day=day, text=asked.customer_question)


_WHAT_FOLLOWS = _(
    "Клиенту уйдёт письмо или SMS со ссылкой в кабинет; его ответ сразу получит поставщик. "
    "Через сутки и через трое напомним, потом скажем дежурным."
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
