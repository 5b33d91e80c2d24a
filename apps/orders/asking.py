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
from apps.orders import fulfilment
from apps.orders.models import FulfilmentAction, FulfilmentState, Service

KIND = "orders.Service"


def questions(service: Service) -> list[ProductParameter]:
    """The parameters of its product whose values are told when it is given out."""
    asked = ProductParameter.objects.filter(
        product=service.product_id, asked_at=parameters.AskedAt.FULFILMENT
    )
    return list(asked)


def tell(service: Service, given: Mapping[str, Any], *, actor: str = "") -> Service:
    """Keeps the answers, encrypted; what waited for them goes on. Raises Refused: `bad_answers`, `service_off`."""
    with transaction.atomic():
        service = Service.objects.select_for_update(no_key=True).get(pk=service.pk)
        if service.is_over:
            raise Refused("service_off", _("Эта услуга уже отключена"))
        try:
            told = parameters.answers(questions(service), given)
        except parameters.BadAnswers as wrong:
            raise Refused("bad_answers", str(wrong), status=400, answers=wrong.reasons) from None
        service.answers_text = json.dumps(told, ensure_ascii=False)
        service.save(update_fields=["answers_text"])
        # What was said may be personal: the journal knows only that it was.
        journal.record("service.answers", KIND, service.pk, actor=actor, data={"codes": sorted(told)})
        waiting = service.fulfilments.filter(
            action=FulfilmentAction.PROVISION, state=FulfilmentState.INFORMATION_REQUIRED
        )
        for one in waiting:
            fulfilment.retry(one, actor=actor)
    return service
