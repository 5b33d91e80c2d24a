"""What a provider decided in its own console: its fulfilment goes on at once, its question goes to staff."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from apps.core import clock, events, work
from apps.core.models import Event
from apps.orders import fulfilment
from apps.orders.models import Fulfilment, FulfilmentAction, FulfilmentState
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
