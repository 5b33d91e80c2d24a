"""What billing does when payments end and when its days come."""

from uuid import UUID

from django.db import transaction

from apps.billing import invoices, renewals, subscriptions
from apps.core import due, events
from apps.core.models import Event


@events.on("payments.PaymentSucceeded")
def settle_invoice(event: Event) -> None:
    renewals.paid(event.object_id)


@events.on("payments.PaymentFailed")
def free_invoice(event: Event) -> None:
    renewals.failed(event.object_id)


due.task(subscriptions.RENEW)(renewals.renew)
due.task(subscriptions.NOTICE)(renewals.notice)
due.task(invoices.EXPIRE)(renewals.expire)


@due.task(subscriptions.TRIAL_END)
def end_trial(subscription_id: UUID) -> None:
    with transaction.atomic():
        subscriptions.end_trial(subscription_id)


@due.task(invoices.RECOGNISE)
def recognise(invoice_id: UUID) -> None:
    with transaction.atomic():
        invoices.recognise(invoice_id)
