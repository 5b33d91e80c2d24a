"""What billing does when payments end or go back, when customers leave, and when its days come."""

from uuid import UUID

from django.db import transaction

from apps.billing import invoices, pauses, price_changes, renewals, seats, subscriptions
from apps.core import due, events
from apps.core.models import Event


@events.on("payments.PaymentSucceeded")
def settle_invoice(event: Event) -> None:
    renewals.paid(event.object_id)


@events.on("payments.PaymentFailed")
def free_invoice(event: Event) -> None:
    renewals.failed(event.object_id)


@events.on("payments.RefundSucceeded")
def credit_invoice(event: Event) -> None:
    renewals.refunded(event.object_id)


@events.on("payments.MethodRefused")
def charge_no_more(event: Event) -> None:
    renewals.method_refused(event.object_id)


@events.on("accounts.CustomerErased")
def let_go(event: Event) -> None:
    renewals.customer_erased(event.object_id)
    seats.forget(event.object_id)


due.batch(subscriptions.RENEW)(renewals.renew_many)
due.task(subscriptions.NOTICE)(renewals.notice)
due.task(subscriptions.BEGIN)(subscriptions.begin)
due.task(subscriptions.RESUME)(pauses.resume_due)
due.task(invoices.EXPIRE)(renewals.expire)


@due.task(subscriptions.TRIAL_END)
def end_trial(subscription_id: UUID) -> None:
    with transaction.atomic():
        subscriptions.end_trial(subscription_id)


@due.task(invoices.RECOGNISE)
def recognise(invoice_id: UUID) -> None:
    with transaction.atomic():
        invoices.recognise(invoice_id)


__all__ = ["price_changes"]
"""Has handlers and due work of its own, registered when it is imported here."""
