"""What a provider decided in its own console: its fulfilment goes on at once, its question goes to staff."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.core import clock, console, events, work
from apps.core.errors import Refused
from apps.core.models import Event
from apps.orders import fulfilment
from apps.orders.models import Fulfilment, FulfilmentAction, FulfilmentState
from apps.providers.portal import requests
from apps.providers.portal.models import ProviderRequest, RequestKind, RequestState

_WAITS = (FulfilmentState.IN_PROGRESS, FulfilmentState.UNKNOWN, FulfilmentState.RETRY)


@events.on("providers.RequestAnswered")
def provider_decided(event: Event) -> None:
    request = ProviderRequest.objects.get(pk=event.object_id)
    for one in Fulfilment.objects.filter(**_of(request), state__in=_WAITS).select_related("service"):
        if request.state == RequestState.INQUIRING:
            asked = str(_("Поставщик спрашивает: {question}")).format(question=request.question)
            work.open(fulfilment.KIND, one.pk, f"{one.service.name}: {asked}")
        else:
            fulfilment.plan(one, clock.wall())


def _of(request: ProviderRequest) -> dict[str, Any]:
    """Which fulfilment it is of: the request has its id, but for that which takes a service back."""
    if request.kind == RequestKind.CANCEL:
        return {"service__request_id": request.request_id, "action": FulfilmentAction.CANCEL}
    return {"pk": request.pk}


def question_of(one: Fulfilment) -> ProviderRequest | None:
    """What its provider asks now, if it does."""
    ids = [one.pk, one.service.request_id]
    asked = ProviderRequest.objects.filter(state=RequestState.INQUIRING)
    return (
        asked.filter(pk__in=ids).first()
        or asked.filter(request_id=one.service.request_id, kind=RequestKind.CANCEL).first()
    )


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
