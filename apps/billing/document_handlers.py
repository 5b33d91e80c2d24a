"""Documents that follow from what happened: receipts of payments, acts of what was given, a partner's monthly bill."""

from collections.abc import Sequence

from apps.billing import (
    asking_partner,
    documents,
    mailing,
    partner_invoices,
    receipt_lines,  # noqa: F401 - registers itself
    requests,
    returning,
)
from apps.connectors import webhooks
from apps.connectors.base import Kind
from apps.core import clock, due, events
from apps.core.models import Event
from apps.notifications import attachments


@events.on_many("billing.InvoicePaid")
def document_payment(told: Sequence[Event]) -> None:
    documents.invoices_paid(one.object_id for one in told)


@events.on("payments.RefundSucceeded")
def document_refund(event: Event) -> None:
    documents.refunded(event.object_id)


@events.on("billing.ChargeRequested")
def ask_partner(event: Event) -> None:
    asking_partner.plan(event.object_id)


@webhooks.receiver(Kind.PARTNER)
def answered(told: webhooks.Told) -> None:
    """A partner says what became of a charge or a refund: signed as it is, its service is asked."""
    wanted = {(reference.kind, reference.object_id) for reference, _received in told}
    for kind, task in ((requests.KIND, asking_partner.SEND), (returning.KIND, returning.SEND)):
        due.schedule_many(task, [(key, clock.wall(), None) for found, key in wanted if found == kind])


due.task(asking_partner.SEND)(asking_partner.step)
due.task(returning.SEND)(returning.step)
due.task(mailing.LETTER)(mailing.letter_due)
attachments.register(mailing.SOURCE, mailing.make)
due.task(documents.ACT)(documents.act_due)
due.task(partner_invoices.MONTHLY)(partner_invoices.monthly)
