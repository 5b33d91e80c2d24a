"""How the money of an invoice comes where no card of ours is charged: by bank, or by whatever the partner does."""

from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext_lazy as _

from apps.billing import addons, invoices, off_invoice, paying, periods, requests, subscriptions
from apps.billing.models import (
    Collection,
    Invoice,
    InvoicePurpose,
    Subscription,
    SubscriptionDiscount,
    SubscriptionState,
)
from apps.core import clock, due, events
from apps.core.errors import Refused

REFUSALS = 3
"""Refusals of a partner to charge for one period before its subscription ends."""


def begin(subscription: Subscription, invoice: Invoice) -> None:
    """A first sale has been issued, and no card pays for it: waited for, asked for, or begun at once."""
    if not invoice.due_money.amount:
        settle(invoices.locked(invoice.pk), subscription)
    elif subscription.collection in paying.GRANTED:
        _move(invoice, subscription)
        events.publish("billing.PeriodGranted", invoice.pk, subscription_id=subscription.pk)
    elif subscription.collection == Collection.PARTNER_CHARGES:
        requests.ask(invoice)


def prepare(subscription: Subscription) -> None:
    """What the partner pays for costs its clients nothing: their invoices are of nought, for good."""
    if subscription.collection != Collection.PARTNER_PAYS:
        return
    SubscriptionDiscount.objects.create(
        subscription=subscription,
        name=str(_("Платит партнёр")),
        percent=Decimal(100),
        start_date=clock.today(),
        created_at=clock.now(),
    )


def ask(subscription: Subscription, invoice: Invoice) -> None:
    """A renewal has been issued: where a bank transfer is awaited, the next look is when the period is over."""
    if subscription.collection == Collection.PARTNER_CHARGES:
        requests.ask(invoice)
        _look(subscription, clock.today() + timedelta(days=1))
    else:
        _look(subscription, max(_end(subscription), clock.today()))


def ask_again(subscription: Subscription, invoice: Invoice) -> None:
    """The day of a renewal whose invoice is open still: the partner is asked anew, or grace for a transfer begins."""
    if subscription.collection == Collection.PARTNER_CHARGES:
        requests.ask_again(invoice)
        _look(subscription, clock.today() + timedelta(days=1))
        return
    last_day = max(invoice.due_date, _end(subscription)) + paying.GRACE
    if clock.today() < _end(subscription):
        _look(subscription, _end(subscription))
    elif clock.today() >= last_day:
        invoices.void(invoice)
        subscriptions.end(subscription, SubscriptionState.ENDED, "unpaid")
    else:
        _past_due(subscription, invoice)
        _look(subscription, last_day)


def not_charged(subscription: Subscription, invoice: Invoice) -> None:
    """The partner refused to charge for a renewal: asked again on the next days, and over after the last refusal."""
    subscription.failures += 1
    if subscription.failures > REFUSALS:
        invoices.void(invoice)
        subscriptions.end(subscription, SubscriptionState.ENDED, "unpaid")
        return
    _past_due(subscription, invoice)
    _look(subscription, clock.today() + timedelta(days=1))


def call_off(invoice_id: UUID) -> None:
    """Staff take an open invoice back: a first sale is off with it. Raises Refused: `invoice_closed`, `cancel_instead`.

    A renewal's is taken back with its subscription, which would else go on unpaid.
    """
    with transaction.atomic():
        subscription_id = Invoice.objects.values_list("subscription_id", flat=True).get(pk=invoice_id)
        subscription = subscriptions.locked_with_parent(subscription_id) if subscription_id else None
        if subscription is not None and subscription.state != SubscriptionState.PENDING:
            raise Refused("cancel_instead", _("Это счёт начавшейся подписки: отмените подписку"))
        invoices.void(invoices.locked(invoice_id))
        if subscription is not None:
            subscriptions.end(subscription, SubscriptionState.ENDED, "unpaid")


def _past_due(subscription: Subscription, invoice: Invoice) -> None:
    if subscription.state != SubscriptionState.PAST_DUE:
        events.publish("billing.SubscriptionPastDue", subscription.pk, invoice_id=invoice.pk)
    subscription.state = SubscriptionState.PAST_DUE
    subscription.save(update_fields=["state", "failures"])


def settle(invoice: Invoice, subscription: Subscription | None) -> None:
    """Nothing is left to pay of a locked open invoice: its period begins, where it has not begun, and it is paid."""
    if subscription is not None and not _has_begun(invoice, subscription):
        if subscription.parent_id and invoice.purpose == InvoicePurpose.NEW:
            if not addons.start(subscription, invoice):
                addons.drop(subscription, invoice)
                return
        else:
            _move(invoice, subscription)
    invoices.mark_paid(invoice)
    off_invoice.give_back(invoice)


def _move(invoice: Invoice, subscription: Subscription) -> None:
    if invoice.purpose == InvoicePurpose.NEW:
        subscriptions.start(subscription, invoice)
    else:
        subscriptions.extend(subscription, invoice)


def _has_begun(invoice: Invoice, subscription: Subscription) -> bool:
    """Whether the period was granted when the invoice was issued."""
    end = invoice.lines.filter(subscription=subscription).aggregate(end=Max("period_end"))["end"]
    begun: date | None = subscription.current_period_end
    return end is not None and begun is not None and begun >= end


def _look(subscription: Subscription, day: date) -> None:
    due.schedule(subscriptions.RENEW, subscription.pk, periods.work_moment(subscription.pk, day))


def _end(subscription: Subscription) -> date:
    if subscription.current_period_end is None:
        raise ValueError("The subscription has not started")
    return subscription.current_period_end
