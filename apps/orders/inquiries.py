"""What a provider asks in its own console: staff answer it, or the customer, to whom they have handed it on."""

from collections.abc import Iterable
from hashlib import sha256
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from apps.catalog.models import ProductParameter, StepKind
from apps.catalog.parameters import Kind
from apps.core import work
from apps.core.fields import Translated
from apps.core.tenancy import current_partner
from apps.orders import steps
from apps.orders.models import OPEN_STATES, Fulfilment, FulfilmentAction, FulfilmentState, Service
from apps.providers.portal import requests
from apps.providers.portal.models import ProviderRequest, RequestKind, RequestState

KIND = "orders.Fulfilment"
_CODE = "provider.question."
_A, _F = FulfilmentAction, FulfilmentState
AT_PROVIDER = (_F.IN_PROGRESS, _F.UNKNOWN, _F.RETRY, _F.COMPENSATING)
"""Whose place in the queue of staff is that of the question; the others stand there for a reason of their own."""


def question_of(one: Fulfilment) -> ProviderRequest | None:
    """What its provider asks now, if it does: of its current step, not of one that is over."""
    if one.state not in OPEN_STATES:
        return None
    task = steps.current(one)
    is_own = task is None or task.kind == StepKind.PROVISION
    known = one.service.request_id if is_own or task is None else task.pk
    asked = ProviderRequest.objects.filter(state=RequestState.INQUIRING)
    if one.action == _A.CANCEL or one.state == _F.COMPENSATING:
        return asked.filter(request_id=known, kind=RequestKind.CANCEL).first()
    is_new = one.action in {_A.PROVISION, _A.REPLACE}
    return asked.filter(pk=known if is_new else one.pk).first()


def may_be_asked(one: Fulfilment, asked: ProviderRequest) -> bool:
    """Whether there is a customer to ask: who has the service still, and had it when its provider was told."""
    return not one.service.is_over and asked.customer_ref == str(one.service.customer_id)


def handed_on(one: Fulfilment) -> ProviderRequest | None:
    """The question that its customer is asked now."""
    found = question_of(one)
    if found is None or found.customer_asked_at is None or not may_be_asked(one, found):
        return None
    return found


def of(service: Service) -> tuple[Fulfilment, ProviderRequest] | None:
    """What the customer of a service is asked now, and what waits for it."""
    for one in service.fulfilments.filter(state__in=OPEN_STATES):
        one.service = service
        if asked := handed_on(one):
            return one, asked
    return None


def services_asked() -> list[UUID]:
    """Services of the partner whose customers are asked something now: as many as there are open questions."""
    rows = ProviderRequest.objects.filter(partner_id=current_partner().pk, customer_asked_at__isnull=False)
    ids = list(rows.values_list("request_id", flat=True))
    if not ids:
        return []
    of_steps = Fulfilment.objects.filter(tasks__pk__in=ids).values("pk")
    waiting = Fulfilment.objects.filter(
        Q(service__request_id__in=ids) | Q(pk__in=of_steps), state__in=OPEN_STATES
    )
    return [one.service_id for one in waiting.select_related("service") if handed_on(one)]


def code_of(asked: ProviderRequest) -> str:
    """The question's code among a service's others: of its words, so that an answer to other words is not its own.

    No parameter of a product is called so: theirs have no dots.
    """
    words = f"{asked.question}\0{asked.customer_question}"
    return f"{_CODE}{sha256(words.encode()).hexdigest()[:12]}"


def is_question(code: str) -> bool:
    """Whether a code is that of a provider's question, of now or of before."""
    return code.startswith(_CODE)


def is_late(given: Iterable[str], asked: Iterable[str]) -> bool:
    """Whether there is an answer among those `given` to a question that is not `asked` any more."""
    return any(is_question(code) for code in set(given) - set(asked))


def as_parameter(asked: ProviderRequest) -> ProductParameter:
    """It, as a question of the product: read by the same forms and the same API."""
    return ProductParameter(
        code=code_of(asked),
        name=Translated(ru=asked.customer_question),
        kind=Kind.STRING,
        is_required=True,
        maximum=requests.LONGEST,
    )


def answer(one: Fulfilment, text: str, *, to: str, actor: str) -> None:
    """What the provider wanted to know, by the customer or by staff: `to` is its question as it was seen.

    Raises Refused: `no_reason`, `not_inquiring` (answered already, decided meanwhile, or something else is asked now).
    """
    with transaction.atomic():
        one = locked(one)
        asked = question_of(one)
        if asked is None:
            raise requests.nothing_asked()
        requests.reply(asked.pk, text, to=to, actor=actor)
        if one.state in AT_PROVIDER:
            work.close(KIND, one.pk)


def locked(one: Fulfilment) -> Fulfilment:
    """Before its request and its place in the queue, as whoever ends it locks them."""
    rows = Fulfilment.objects.select_for_update(no_key=True, of=("self",))
    return rows.select_related("service__customer").get(pk=one.pk)
