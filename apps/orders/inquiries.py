"""What a provider asks in its own console: staff answer it, or the customer, to whom they have handed it on."""

from django.db import transaction
from django.db.models import Q, QuerySet

from apps.catalog.models import ProductParameter
from apps.catalog.parameters import Kind
from apps.core import work
from apps.core.fields import Translated
from apps.core.tenancy import current_partner
from apps.orders.models import OPEN_STATES, Fulfilment, Service
from apps.providers.portal import requests
from apps.providers.portal.models import ProviderRequest, RequestKind, RequestState

KIND = "orders.Fulfilment"
CODE = "provider.question"
"""Of such a question among a service's others. No parameter of a product is called so: theirs have no dots."""


def question_of(one: Fulfilment) -> ProviderRequest | None:
    """What its provider asks now, if it does."""
    ids = [one.service.request_id]
    if one.step is not None:
        ids += one.tasks.values_list("pk", flat=True)
    asked = ProviderRequest.objects.filter(state=RequestState.INQUIRING)
    return (
        asked.filter(pk__in=[one.pk, *ids]).first()
        or asked.filter(request_id__in=ids, kind=RequestKind.CANCEL).first()
    )


def handed_on(one: Fulfilment) -> ProviderRequest | None:
    """The same, where its customer is asked it."""
    found = question_of(one)
    return found if found is not None and found.customer_asked_at else None


def of(service: Service) -> tuple[Fulfilment, ProviderRequest] | None:
    """What the customer of a service is asked now, and what waits for it."""
    for one in service.fulfilments.filter(state__in=OPEN_STATES):
        one.service = service
        if asked := handed_on(one):
            return one, asked
    return None


def services_asked() -> QuerySet[Service]:
    """Those of the partner whose customers are asked something now."""
    rows = ProviderRequest.objects.filter(partner_id=current_partner().pk, customer_asked_at__isnull=False)
    ids = list(rows.values_list("request_id", flat=True))
    return Service.objects.filter(Q(request_id__in=ids) | Q(fulfilments__tasks__pk__in=ids))


def as_parameter(asked: ProviderRequest) -> ProductParameter:
    """It, as a question of the product: read by the same forms and the same API."""
    return ProductParameter(
        code=CODE,
        name=Translated(ru=asked.customer_question),
        kind=Kind.STRING,
        is_required=True,
        maximum=requests.LONGEST,
    )


def answer(one: Fulfilment, text: str, *, to: str, actor: str) -> None:
    """What the provider wanted to know, by the customer or by staff: `to` is its question as it was seen.

    Raises Refused: `no_reason`, `not_inquiring` (answered already, decided meanwhile, or something else is asked now).
    """
    asked = question_of(one)
    if asked is None:
        raise requests.nothing_asked()
    with transaction.atomic():
        requests.reply(asked.pk, text, to=to, actor=actor)
        work.close(KIND, one.pk)
