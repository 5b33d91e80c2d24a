"""Customers' requests: taken in, moved on, and out of the staff's queue when solved."""

from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.accounts.models import Customer
from apps.callcenters.models import OPEN, CustomerRequest, RequestState
from apps.core import clock, work
from apps.core.errors import Refused

KIND = "callcenters.CustomerRequest"


def open_request(*, customer: Customer, subject: str, text: str, actor: str = "") -> CustomerRequest:
    """Takes a request in and puts it into the staff's queue."""
    with transaction.atomic():
        made = CustomerRequest.objects.create(
            customer=customer, subject=subject[:150], text=text, created_at=clock.now()
        )
        journal.record("request.opened", KIND, made.pk, actor=actor)
        # The subject is the customer's words: it stays in the partner's schema.
        work.open(KIND, made.pk, str(_("Обращение клиента")))
    return made


def move(*, request_id: UUID, state: str, answer: str = "", actor: str = "") -> CustomerRequest:
    """Moves a request to a state. Raises Refused where it would be solved without a word of what was done."""
    with transaction.atomic():
        request = CustomerRequest.objects.select_for_update().get(pk=request_id)
        was, request.state, request.answer = request.state, RequestState(state), answer or request.answer
        if request.state == RequestState.SOLVED and not request.answer.strip():
            raise Refused("request_answer", _("Напишите, что сделано"), 400)
        request.closed_at = None if request.state in OPEN else request.closed_at or clock.now()
        request.save()
        journal.record(
            "request.moved", KIND, request.pk, actor=actor, data={"from": was, "to": str(request.state)}
        )
        if request.state in OPEN:
            work.open(KIND, request.pk, str(_("Обращение клиента")))
        else:
            work.close(KIND, request.pk)
    return request
