"""Requests to charge that go to a partner's own service: sent once, asked about until it has answered.

Claim (commit) → call → record (commit). A partner without a service of its own polls and answers by our API instead.
"""

from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.billing import answers, partner_service, requests
from apps.billing.models import Invoice
from apps.billing.paperwork import ChargeRequest, RequestState
from apps.billing.partner_service import CHARGED, PENDING, ChargeAnswer, ChargeOrder, PartnerService
from apps.connectors import exchange
from apps.connectors.base import ConnectorError
from apps.connectors.models import GatewayReference
from apps.core import clock, due, faults, work
from apps.core.errors import Refused
from apps.core.money import Money

SEND, KIND = "billing.charge_ask", requests.KIND
ACTOR = "partner-service"
FAULT_POINTS = ("billing.ask-claimed-not-sent", "billing.asked-not-recorded")
SOON, LATER = timedelta(seconds=30), timedelta(minutes=10)
STAFF_AFTER = timedelta(hours=2)
"""For which a partner's service may owe an answer before staff are told."""


def plan(request_id: UUID) -> None:
    """A new request goes to the partner's service, where it has one, right after the commit."""
    connection = partner_service.service()
    if connection is None:
        return
    made = ChargeRequest.objects.select_for_update(no_key=True).get(pk=request_id)
    if made.state != RequestState.WAITING or made.connection_id is not None:
        return
    made.connection = connection
    made.reference_number = GatewayReference.allot(connection, KIND, made.pk)
    made.save(update_fields=["connection", "reference_number"])
    due.schedule(SEND, made.pk, clock.wall(), wall=True)


def step(request_id: UUID) -> None:
    """Sends a request, or asks what became of it; plans the next look while it has no answer."""
    made = ChargeRequest.objects.select_related("invoice__customer").get(pk=request_id)
    if made.state != RequestState.WAITING or made.connection is None:
        return
    was_sent = made.asked_at is not None
    _claim(request_id)
    faults.at("billing.ask-claimed-not-sent")
    try:
        connector: PartnerService = made.connection.open()
        order = _order(made, made.invoice)
        # What may have come there is asked about first; what never did, is sent under the same id.
        with exchange.about(request_id):
            answer = (connector.fetch(order) if was_sent else None) or connector.charge(order)
    except ConnectorError as error:
        _look_again(request_id, str(error))
        return
    faults.at("billing.asked-not-recorded")
    record(request_id, answer)


def _claim(request_id: UUID) -> None:
    with transaction.atomic():
        made = ChargeRequest.objects.select_for_update(no_key=True).get(pk=request_id)
        made.asked_at = made.asked_at or clock.wall()
        made.save(update_fields=["asked_at"])
        due.schedule(SEND, made.pk, clock.wall() + SOON, wall=True)


def _order(made: ChargeRequest, invoice: Invoice) -> ChargeOrder:
    if made.reference_number_id is None:
        raise ValueError("A request that goes to a service has a number for it")
    return ChargeOrder(
        key=made.pk,
        reference=made.reference_number_id,
        amount=Money(made.amount, made.currency),
        invoice=invoice.number,
        customer=invoice.customer.external_id or str(invoice.customer_id),
        description=str(invoice.lines.all()[0]),
    )


def record(request_id: UUID, answer: ChargeAnswer) -> None:
    """Writes down what the partner says of a charge, once."""
    if answer.status == PENDING:
        _look_again(request_id, "")
        return
    try:
        if answer.status == CHARGED:
            made = ChargeRequest.objects.get(pk=request_id)
            answers.charged(
                request_id,
                amount=answer.amount or Money(made.amount, made.currency),
                paid_date=answer.paid_date or clock.today(),
                reference=answer.reference or str(made.pk),
                actor=ACTOR,
            )
        else:
            answers.refused(request_id, reason=answer.reason or "refused", actor=ACTOR)
    except Refused as refusal:
        # It charged another sum, or what we had called off: nobody but a person can mend that.
        work.open(KIND, request_id, str(refusal.message))
    due.cancel(SEND, request_id)


def _look_again(request_id: UUID, error: str) -> None:
    with transaction.atomic():
        made = ChargeRequest.objects.select_for_update(no_key=True).get(pk=request_id)
        if made.state != RequestState.WAITING:
            return
        age = clock.wall() - (made.asked_at or clock.wall())
        due.schedule(SEND, made.pk, clock.wall() + min(max(age / 3, SOON), LATER), wall=True)
        if age > STAFF_AFTER:
            told = error or str(_("обещает ответить позже"))
            work.open(KIND, made.pk, str(_("Сервис партнёра не ответил, списано ли: %s") % told))
