"""What billing does when payments end or go back, when customers leave, and when its days come."""

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction

from apps.billing import (
    dunning,
    evidence,  # noqa: F401 - registers itself
    invoices,
    notices,
    pauses,
    paying,  # noqa: F401 - registers itself
    payouts,
    price_changes,
    promos,
    renewals,
    seats,
    subscriptions,
    trials,
)
from apps.billing.dunning_results import STEP
from apps.core import due, events
from apps.core.models import Event


@events.on_many("payments.PaymentSucceeded", ahead=True)
def settle_invoice(told: Sequence[Event]) -> None:
    renewals.paid_many([one.object_id for one in told])


@events.on("payments.PaymentAuthorized")
def begin_on_a_hold(event: Event) -> None:
    renewals.held(event.object_id)


@events.on("payments.PaymentFailed")
def free_invoice(event: Event) -> None:
    renewals.failed(event.object_id)


@events.on("payments.RefundSucceeded")
def credit_invoice(event: Event) -> None:
    renewals.refunded(event.object_id)


@events.on("payments.RefundFailed")
def keep_on_balance(event: Event) -> None:
    payouts.refund_failed(event.object_id)


@events.on("payments.MethodRefused")
def charge_no_more(event: Event) -> None:
    renewals.method_refused(event.object_id)


@events.on("accounts.CustomerErased")
def let_go(event: Event) -> None:
    renewals.customer_erased(event.object_id)
    seats.forget(event.object_id)


due.batch(subscriptions.RENEW)(renewals.renew_many)
due.task(subscriptions.NOTICE)(notices.notice)
due.task(STEP)(dunning.step)
due.task(subscriptions.BEGIN)(subscriptions.begin)
due.task(subscriptions.RESUME)(pauses.resume_due)
due.task(invoices.EXPIRE)(renewals.expire)
due.task(subscriptions.TRIAL_END)(trials.give_up)


@events.on("billing.SubscriptionEnded")
def free_codes(event: Event) -> None:
    subscription = subscriptions.locked(event.object_id)
    if subscription.started_at is None:
        promos.release(subscription)


@due.task(invoices.RECOGNISE)
def recognise(invoice_id: UUID) -> None:
    with transaction.atomic():
        invoices.recognise(invoice_id)


import apps.billing.document_handlers  # noqa: E402
import apps.billing.mass.handlers  # noqa: E402
import apps.billing.moving.handlers  # noqa: E402, F401

__all__ = ["price_changes"]
"""Has handlers and due work of its own, registered when it is imported here."""
