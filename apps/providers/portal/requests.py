"""What a provider does with what it is asked for: approves, fails, or asks back. Each decision once, and for good."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.core import clock, events
from apps.core.errors import Refused
from apps.core.tenancy import in_partner
from apps.partners.models import Partner
from apps.providers.models import Provider
from apps.providers.portal import letters
from apps.providers.portal.models import (
    OPEN_REQUESTS,
    LetterKind,
    ProviderRequest,
    RequestKind,
    RequestState,
)

KIND = "providers.ProviderRequest"
LONGEST = 2000
"""Characters of a question and of an answer."""


def of(provider: Provider, request_id: UUID) -> ProviderRequest:
    """One of its own. Raises Refused `not_found`."""
    found = ProviderRequest.objects.filter(pk=request_id, provider=provider).first()
    if found is None:
        raise Refused("not_found", _("Такого запроса нет"), status=404)
    return found


def approve(
    request: ProviderRequest, *, key: str = "", url: str = "", instructions: str = "", actor: str
) -> ProviderRequest:
    """It is done. Raises Refused: `request_settled`, `nothing_given` (a new service opens by something)."""
    given = {"key": key.strip(), "url": url.strip(), "instructions": instructions.strip()}
    if request.kind == RequestKind.PROVISION and not any(given.values()):
        raise Refused("nothing_given", _("Укажите ключ, ссылку или инструкцию"), status=400)
    return _decide(request, RequestState.APPROVED, actor, **given)


def fail(request: ProviderRequest, reason: str, *, actor: str) -> ProviderRequest:
    """It will not be done. Raises Refused: `request_settled`, `no_reason`."""
    if not reason.strip():
        raise Refused("no_reason", _("Напишите причину"), status=400)
    return _decide(request, RequestState.FAILED, actor, reason=reason.strip()[:500])


def inquire(request: ProviderRequest, question: str, *, actor: str) -> ProviderRequest:
    """Something has to be known first. Raises Refused: `request_settled`, `no_reason`."""
    if not question.strip():
        raise Refused("no_reason", _("Напишите, что нужно узнать"), status=400)
    return _decide(request, RequestState.INQUIRING, actor, question=question.strip()[:LONGEST], answer="")


def reply(request_id: UUID, answer: str, *, to: str, actor: str) -> ProviderRequest:
    """What the provider wanted to know; `to`: its question as it was seen, another one is not answered by this.

    Raises Refused: `not_inquiring`, `no_reason`.
    """
    if not answer.strip():
        raise Refused("no_reason", _("Напишите ответ"), status=400)
    with transaction.atomic():
        row = _asking(request_id, to)
        row.state, row.answer = RequestState.PENDING, answer.strip()[:LONGEST]
        row.ask_no_more()
        row.save(update_fields=["state", "answer", "customer_question", "customer_asked_at"])
        letters.write(row, LetterKind.ANSWERED)
        journal.record("provider-request.replied", KIND, row.pk, actor=actor)
    return row


def put_to_customer(request_id: UUID, text: str, *, to: str) -> ProviderRequest | None:
    """Keeps what its customer is asked for it from now on; None where that is asked already.

    `to`: its question as it was seen. Raises Refused: `not_inquiring`, `no_reason`.
    """
    text = text.strip()[:LONGEST]
    if not text:
        raise Refused("no_reason", _("Напишите вопрос"), status=400)
    with transaction.atomic():
        row = _asking(request_id, to)
        if row.customer_question == text:
            return None
        row.customer_question, row.customer_asked_at = text, clock.now()
        row.save(update_fields=["customer_question", "customer_asked_at"])
    return row


def _asking(request_id: UUID, question: str) -> ProviderRequest:
    row = ProviderRequest.objects.select_for_update().filter(pk=request_id).first()
    if row is None or row.state != RequestState.INQUIRING or row.question != question:
        raise nothing_asked()
    return row


def nothing_asked() -> Refused:
    """Of an answer that nobody waits for, or not for this one any more."""
    return Refused("not_inquiring", _("Поставщик об этом уже не спрашивает"))


def call_off(request: ProviderRequest) -> None:
    """A locked one is wanted no more: where it is not decided yet, there is nothing to decide from now on."""
    if request.state in OPEN_REQUESTS:
        request.state, request.settled_at, request.parameters = RequestState.CANCELED, clock.wall(), {}
        request.ask_no_more()
        request.save()
        letters.called_off(request)


def forget(partner_id: int, customer_ref: str) -> None:
    """What was told and given of a customer who is erased."""
    mine = ProviderRequest.objects.filter(partner_id=partner_id, customer_ref=customer_ref)
    mine.update(parameters={}, answer="", question="", key="", url="", instructions="")
    mine.update(customer_question="", customer_asked_at=None)


def _decide(request: ProviderRequest, state: str, actor: str, **fields: Any) -> ProviderRequest:
    partner = Partner.objects.get(pk=request.partner_id)
    # The event is the partner's: its fulfilment goes on by it.
    with in_partner(partner), transaction.atomic():
        row = ProviderRequest.objects.select_for_update().get(pk=request.pk)
        if row.state not in OPEN_REQUESTS:
            raise Refused("request_settled", _("Этот запрос уже решён"))
        row.state = state
        row.ask_no_more()
        for name, value in fields.items():
            setattr(row, name, value)
        if state not in OPEN_REQUESTS:
            row.settled_at, row.settled_by, row.parameters = clock.wall(), actor, {}
        row.save()
        letters.settled(row)
        events.publish("providers.RequestAnswered", row.pk, state=state)
        journal.record(f"provider-request.{state}", KIND, row.pk, actor=actor)
    return row
