"""Documents that follow from what happened: receipts of payments, acts of what was given, a partner's monthly bill."""

from apps.billing import documents, mailing, partner_invoices, receipt_lines
from apps.core import due, events
from apps.core.models import Event
from apps.notifications import attachments


@events.on("billing.InvoicePaid")
def document_payment(event: Event) -> None:
    documents.invoice_paid(event.object_id)
    receipt_lines.plan_closing(event.object_id)


@events.on("payments.RefundSucceeded")
def document_refund(event: Event) -> None:
    documents.refunded(event.object_id)


due.task(mailing.LETTER)(mailing.letter_due)
attachments.register(mailing.SOURCE, mailing.make)
due.task(documents.ACT)(documents.act_due)
due.task(partner_invoices.MONTHLY)(partner_invoices.monthly)
