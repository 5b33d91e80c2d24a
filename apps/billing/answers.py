"""What a partner answers to a request to charge its client: once, and the same again changes nothing."""

from datetime import date
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.billing import collecting, invoices, outside, subscriptions
from apps.billing.models import InvoicePurpose, InvoiceState, SubscriptionState
from apps.billing.paperwork import ChargeRequest, MoneySource, RequestState
from apps.billing.requests import KIND
from apps.core import clock, work
from apps.core.errors import Refused
from apps.core.money import Money


def charged(request_id: UUID, *, amount: Money, paid_date: date, reference: str, actor: str) -> ChargeRequest:
    """The partner has charged its client: the invoice is paid. The same answer again changes nothing.

    Raises Refused: `request_closed`, `amount_differs`, and those of `outside.receive`.
    """
    with transaction.atomic():
        made = _locked(request_id)
        if made.state == RequestState.CHARGED and made.reference == reference:
            return made
        _must_wait(made)
        if amount != Money(made.amount, made.currency):
            told = _("Списать нужно было %s") % Money(made.amount, made.currency)
            raise Refused("amount_differs", told, expected=str(made.amount))
        _answer(made, RequestState.CHARGED, reference=reference[:60], actor=actor)
        outside.receive(
            invoice_id=made.invoice_id,
            source=MoneySource.PARTNER_CHARGE,
            amount=amount,
            paid_date=paid_date,
            reference=reference,
            key=f"charge:{made.pk}",
            actor=actor,
        )
    return made


def refused(request_id: UUID, *, reason: str, actor: str) -> ChargeRequest:
    """The partner could not charge: a first sale is off, a renewal is tried again in days.

    The same answer again changes nothing. Raises Refused `request_closed`.
    """
    with transaction.atomic():
        made = _locked(request_id)
        if made.state == RequestState.REFUSED:
            return made
        _must_wait(made)
        _answer(made, RequestState.REFUSED, reason=reason[:60], actor=actor)
        invoice = invoices.locked(made.invoice_id)
        subscription = subscriptions.locked(invoice.subscription_id) if invoice.subscription_id else None
        if invoice.state != InvoiceState.OPEN or subscription is None:
            return made
        if invoice.purpose == InvoicePurpose.NEW:
            invoices.void(invoice)
            if subscription.state == SubscriptionState.PENDING:
                subscriptions.end(subscription, SubscriptionState.ENDED, "unpaid")
        elif subscription.is_live:
            collecting.not_charged(subscription, invoice)
    return made


def _locked(request_id: UUID) -> ChargeRequest:
    # Subscription and invoice first: everybody's order.
    invoice_id, subscription_id = ChargeRequest.objects.values_list(
        "invoice_id", "invoice__subscription_id"
    ).get(pk=request_id)
    if subscription_id:
        subscriptions.locked_with_parent(subscription_id)
    invoices.locked(invoice_id)
    return ChargeRequest.objects.select_for_update(no_key=True).get(pk=request_id)


def _must_wait(made: ChargeRequest) -> None:
    if made.state != RequestState.WAITING:
        told = _("На этот запрос уже есть ответ: %s") % made.get_state_display()
        raise Refused("request_closed", told, state=made.state)


def _answer(made: ChargeRequest, state: str, *, actor: str, **fields: str) -> None:
    made.state, made.answered_at = state, clock.now()
    for name, value in fields.items():
        setattr(made, name, value)
    made.save(update_fields=["state", "answered_at", *fields])
    work.close(KIND, made.pk)
    data = {"request": str(made.pk), **fields}
    journal.record(f"charge-request.{state}", invoices.KIND, made.invoice_id, actor=actor, data=data)
