"""What a product needs to know when it is given out: told by the customer or by staff, then passed to its provider."""

import json
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.catalog import parameters
from apps.catalog.models import ProductParameter
from apps.core.errors import Refused
from apps.orders import fulfilment, inquiries
from apps.orders.models import FulfilmentAction, FulfilmentState, Service
from apps.providers.portal import requests

KIND = "orders.Service"


def questions(service: Service) -> list[ProductParameter]:
    """What is to be told of it now: a question of its provider where one waits, else what its product asks."""
    asked = inquiries.of(service)
    return [inquiries.as_parameter(asked[1])] if asked else declared(service)


def declared(service: Service) -> list[ProductParameter]:
    """The parameters of its product whose values are told when it is given out."""
    asked = ProductParameter.objects.filter(
        product=service.product_id, asked_at=parameters.AskedAt.FULFILMENT
    )
    return list(asked)


def tell(service: Service, given: Mapping[str, Any], *, actor: str = "") -> Service:
    """Keeps the answers, encrypted; what waited for them goes on. What its provider asked goes to that one alone.

    Raises Refused: `bad_answers`, `service_off`, `not_inquiring`.
    """
    with transaction.atomic():
        service = Service.objects.select_for_update(no_key=True).get(pk=service.pk)
        if service.is_over:
            raise Refused("service_off", _("Эта услуга уже отключена"))
        asked = inquiries.of(service)
        code = inquiries.code_of(asked[1]) if asked else ""
        if inquiries.is_late(given, [code]):
            raise requests.nothing_asked()
        if asked:
            waiting, request = asked
            told = _read([inquiries.as_parameter(request)], given)
            inquiries.answer(waiting, told[code], to=request.question, actor=actor)
            return service
        told = _read(declared(service), given)
        service.answers_text = json.dumps(told, ensure_ascii=False)
        service.save(update_fields=["answers_text"])
        # What was said may be personal: the journal knows only that it was.
        journal.record("service.answers", KIND, service.pk, actor=actor, data={"codes": sorted(told)})
        stopped = service.fulfilments.filter(
            action=FulfilmentAction.PROVISION, state=FulfilmentState.INFORMATION_REQUIRED
        )
        for one in stopped:
            fulfilment.retry(one, actor=actor)
    return service


def _read(asked: list[ProductParameter], given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return parameters.answers(asked, given)
    except parameters.BadAnswers as wrong:
        raise Refused("bad_answers", str(wrong), status=400, answers=wrong.reasons) from None
