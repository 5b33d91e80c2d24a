"""Requests to a partner that charges its own clients: one at a time for an invoice."""

from datetime import timedelta

from django.utils.translation import gettext_lazy as _

from apps.billing.models import Invoice
from apps.billing.paperwork import ChargeRequest, RequestState
from apps.core import clock, events, work

KIND = "billing.ChargeRequest"
PATIENCE = timedelta(days=3)
"""How long the partner may be silent before staff are called."""


def ask(invoice: Invoice) -> ChargeRequest:
    """Asks the partner to charge what is owed of a locked invoice. Where it is asked already, that request."""
    waiting = invoice.charge_requests.filter(state=RequestState.WAITING).first()
    if waiting is not None:
        return waiting
    made = ChargeRequest.objects.create(
        invoice=invoice,
        amount=invoice.due_money.amount,
        currency=invoice.currency,
        created_at=clock.now(),
    )
    events.publish("billing.ChargeRequested", made.pk, invoice_id=invoice.pk)
    return made


def ask_again(invoice: Invoice) -> None:
    """The request of a locked open invoice that was refused is made anew; a silent partner is shown to staff."""
    made = ask(invoice)
    if made.created_at < clock.now() - PATIENCE:
        work.open(KIND, made.pk, str(_("Партнёр не ответил на запрос списания по счёту %s") % invoice.number))


def call_off(invoice: Invoice) -> None:
    """A locked invoice is void: nothing is to be charged for it any more."""
    waiting = ChargeRequest.objects.filter(invoice=invoice, state=RequestState.WAITING)
    waiting.update(state=RequestState.CALLED_OFF, answered_at=clock.now())
