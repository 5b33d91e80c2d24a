"""What a provider decided in its own console: its fulfilment goes on at once, its question goes to staff."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from apps.core import clock, events, work
from apps.core.models import Event
from apps.orders import fulfilment, inquiries, steps
from apps.orders.models import Fulfilment, FulfilmentAction
from apps.providers.portal.models import ProviderRequest, RequestKind, RequestState


@events.on("providers.RequestAnswered")
def provider_decided(event: Event) -> None:
    request = ProviderRequest.objects.get(pk=event.object_id)
    for one in Fulfilment.objects.filter(**_of(request), state__in=inquiries.AT_PROVIDER).select_related(
        "service"
    ):
        if request.state != RequestState.INQUIRING:
            fulfilment.plan(one, clock.wall())
        elif request.customer_asked_at is None:
            # Else staff have seen it, and asked the customer, before this news came.
            asked = str(_("Поставщик спрашивает: {question}")).format(question=request.question)
            work.open(fulfilment.KIND, one.pk, f"{one.service.name}: {asked}")


def _of(request: ProviderRequest) -> dict[str, Any]:
    """Which fulfilment it is of: the request has its id, but for that which takes a service back. Of a step at another
    provider it has the task's, and is of interest while the fulfilment is there.
    """
    if request.kind in {RequestKind.REGISTER, RequestKind.CANCEL}:
        task = steps.current_among([request.request_id]).first()
        if task is not None:
            return {"pk": task.fulfilment_id, "step": task.position}
    if request.kind == RequestKind.CANCEL:
        return {"service__request_id": request.request_id, "action": FulfilmentAction.CANCEL}
    return {"pk": request.pk}
