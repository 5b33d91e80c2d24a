"""Renewals: notice three days ahead, one charge per period, three more tries after a failure, then the end."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.billing import addons, changes, granting, invoices, letters, periods, run, subscriptions
from apps.billing.models import (
    RUNNING,
    Collection,
    Invoice,
    InvoicePayment,
    InvoicePurpose,
    InvoiceState,
    Subscription,
    SubscriptionState,
)
from apps.core import bulk, clock, due, events, faults
from apps.payments import payments
from apps.payments.models import CONSENT_REVOKED, PaymentMethod, Refund, RefundState

RETRY_AFTER_DAYS = (1, 2, 2)
"""Days between attempts: on days 1, 3 and 5 after the first one."""

FAULT_POINTS = ("billing.renewal-not-committed", "billing.renewal-claimed")
"""Every commit boundary of a renewal that is not a payment's or an event's."""


def renew(subscription_id: UUID) -> None:
    """What a period's end brings to one subscription: `renew_many` of it alone."""
    renew_many([subscription_id])


def renew_many(subscription_ids: Sequence[UUID]) -> None:
    """What a period's end brings: the end of a cancelled subscription, or one charge for the next period.

    Late, doubled and overlapping runs change nothing: all meet at the subscriptions' locks, a period's invoice is
    one by constraint, and a charge under way is left alone.
    """
    with transaction.atomic():
        today = clock.today()
        due_now = [one for one in run.lock(subscription_ids) if _is_due(one, today)]
        again = _open_renewals(due_now)
        methods = run.usable_methods(due_now)
        fresh = [one for one in due_now if one.pk not in again and not one.is_parked]
        bills = run.draw_up(fresh, today, methods)
        run.write(bills)
        for bill in bills:
            if granting.is_granted(bill):
                granting.grant(bill)
            elif bill.method is None:
                not_paid(bill.subscription, invoices.locked(bill.id), _why_not(bill.subscription))
        billed = {bill.subscription.pk for bill in bills}
        for one in fresh:
            if one.pk not in billed:
                granting.look_again(one, today)
        for one in due_now:
            if one.pk in again:
                _charge_again(one, again[one.pk], methods.get(one.method_id) if one.method_id else None)
        faults.at("billing.renewal-not-committed")
    faults.at("billing.renewal-claimed")


def _is_due(subscription: Subscription, today: date) -> bool:
    if not subscription.is_live or not subscription.ends_on or today < subscription.ends_on:
        return False
    if subscription.cancel_at_period_end:
        subscriptions.end(subscription, SubscriptionState.ENDED, "cancelled")
        return False
    if subscription.end_date and today >= subscription.end_date:
        subscriptions.end(subscription, SubscriptionState.ENDED, "expired")
        return False
    return True


def _open_renewals(due_now: Iterable[Subscription]) -> dict[UUID, Invoice]:
    """Invoices issued for the period that is due already: they are to be paid, and nothing is billed anew."""
    charged = [one.pk for one in due_now if one.collection == Collection.CHARGE]
    rows = Invoice.objects.filter(
        subscription__in=bulk.these("uuid", charged),
        state=InvoiceState.OPEN,
        purpose=InvoicePurpose.RENEWAL,
    )
    return {row.subscription_id: row for row in rows if row.subscription_id}


def _charge_again(subscription: Subscription, invoice: Invoice, method: PaymentMethod | None) -> None:
    if InvoicePayment.objects.filter(invoice=invoice, failed=False).exists():
        # A page that nobody pays counts as no attempt of ours: without this look it would be the last one.
        due.schedule(subscriptions.RENEW, subscription.pk, _tomorrow(subscription))
    elif method is not None:
        invoices.pay(invoice, method=method)
    else:
        not_paid(subscription, invoices.locked(invoice.pk), _why_not(subscription))


def _why_not(subscription: Subscription) -> str:
    return CONSENT_REVOKED if subscription.method_id else "no_method"


def _tomorrow(subscription: Subscription) -> datetime:
    return periods.work_moment(subscription.pk, clock.today() + timedelta(days=1))


def _usable_method(subscription: Subscription) -> PaymentMethod | None:
    """The saved method, locked as a refusal locks it: no charge is claimed after a refusal has committed."""
    if subscription.method_id is None:
        return None
    method = PaymentMethod.objects.select_for_update(no_key=True).get(pk=subscription.method_id)
    return method if method.is_active else None


def paid(payment_id: UUID) -> None:
    """A payment succeeded: it settles its invoice, or goes back where that is not to be paid any more."""
    link = InvoicePayment.objects.select_related("payment", "invoice").filter(payment_id=payment_id).first()
    if link is None:
        return
    subscription = (
        subscriptions.locked_with_parent(link.invoice.subscription_id)
        if link.invoice.subscription_id
        else None
    )
    invoice = invoices.locked(link.invoice_id)
    link.refresh_from_db(fields=["failed"])
    if invoice.state in {InvoiceState.PAID, InvoiceState.REFUNDED} and not link.failed:
        return
    if subscription and invoice.purpose == InvoicePurpose.CHANGE and invoice.state == InvoiceState.DRAFT:
        if link.failed or not changes.paid(subscription, invoice, link.payment):
            _give_back(link)
        return
    unwanted = invoice.state != InvoiceState.OPEN or link.failed
    if unwanted or (subscription and subscription.state in {"ended", "cancelled"}):
        _give_back(link)
        return
    if subscription is not None and subscription.parent_id and invoice.purpose == InvoicePurpose.NEW:
        if not addons.start(subscription, invoice):
            addons.drop(subscription, invoice)
            _give_back(link)
            return
        letters.first_payment(subscription, invoice, link.payment)
    elif subscription is not None:
        move = subscriptions.start if invoice.purpose == InvoicePurpose.NEW else subscriptions.extend
        move(subscription, invoice, link.payment)
    invoices.mark_paid(invoice)
    # Events have no order: the money may have gone back before we heard that it came.
    _take_back(link, subscription, invoice)


def refunded(refund_id: UUID) -> None:
    """Money of a payment went back: its invoice is credited; one given back in full pays for nothing any more."""
    refund = Refund.objects.get(pk=refund_id)
    link = (
        InvoicePayment.objects.select_related("payment", "invoice").filter(payment=refund.payment_id).first()
    )
    if link is None:
        return
    subscription = (
        subscriptions.locked(link.invoice.subscription_id) if link.invoice.subscription_id else None
    )
    invoice = invoices.locked(link.invoice_id)
    link.refresh_from_db(fields=["failed"])
    # What came for a void or unpaid invoice was never credited to it; the payment's own postings even out.
    if not link.failed and invoice.state in {InvoiceState.PAID, InvoiceState.REFUNDED}:
        _take_back(link, subscription, invoice)


def _take_back(link: InvoicePayment, subscription: Subscription | None, invoice: Invoice) -> None:
    was_paid = invoice.state == InvoiceState.PAID
    invoices.take_back(invoice, link.payment.refunds.filter(state=RefundState.SUCCEEDED))
    if subscription is None or not was_paid or invoice.state != InvoiceState.REFUNDED:
        return
    pays_for_now = invoice.lines.filter(period_end=subscription.current_period_end).exists()
    if subscription.is_live and pays_for_now:
        # As with any cancellation, the days of a trial are a gift that stays.
        subscriptions.cancel(subscription, at_period_end=subscription.state == SubscriptionState.TRIAL)


def _give_back(link: InvoicePayment) -> None:
    """The charge was on its way when its invoice was called off: all of it goes back, once."""
    if link.payment.refundable():
        reason = str(_("Счёт отменён до оплаты"))
        payments.refund(payment=link.payment, reason=reason, actor="", key=link.pk)


def failed(payment_id: UUID) -> None:
    """A payment failed: its invoice may be paid by another; a failed renewal is tried again in days."""
    link = InvoicePayment.objects.select_related("payment", "invoice").filter(payment_id=payment_id).first()
    if link is None:
        return
    subscription = (
        subscriptions.locked(link.invoice.subscription_id) if link.invoice.subscription_id else None
    )
    invoice = invoices.locked(link.invoice_id)
    link.refresh_from_db(fields=["failed"])
    if link.failed:
        return
    link.failed = True
    link.save(update_fields=["failed"])
    if subscription and invoice.purpose == InvoicePurpose.CHANGE:
        changes.failed(subscription, invoice)
    is_renewal = invoice.purpose == InvoicePurpose.RENEWAL and invoice.state == InvoiceState.OPEN
    if subscription and subscription.is_live and is_renewal and link.payment.is_charge:
        not_paid(subscription, invoice, link.payment.decline_reason)


def not_paid(subscription: Subscription, invoice: Invoice, reason: str) -> None:
    """One more attempt failed: grace and another try, or the end after the last one."""
    subscription.failures += 1
    if subscription.failures > len(RETRY_AFTER_DAYS):
        invoices.void(invoice)
        subscriptions.end(subscription, SubscriptionState.ENDED, "unpaid")
        letters.not_renewed(subscription, invoice, reason, next_day=None)
        return
    next_day = clock.today() + timedelta(days=RETRY_AFTER_DAYS[subscription.failures - 1])
    if subscription.state != SubscriptionState.PAST_DUE:
        events.publish("billing.SubscriptionPastDue", subscription.pk, invoice_id=invoice.pk)
    subscription.state = SubscriptionState.PAST_DUE
    subscription.save(update_fields=["state", "failures"])
    due.schedule(subscriptions.RENEW, subscription.pk, periods.work_moment(subscription.pk, next_day))
    letters.not_renewed(subscription, invoice, reason, next_day=next_day)


def notice(subscription_id: UUID) -> None:
    """Tells the customer of the coming charge, once for each period."""
    with transaction.atomic():
        subscription = subscriptions.locked(subscription_id)
        is_coming = subscription.is_live and not subscription.cancel_at_period_end
        # The letter says that the card will be charged: one that was refused will not be.
        is_coming = is_coming and _usable_method(subscription) is not None
        if is_coming and subscription.current_period_end and clock.today() < subscription.current_period_end:
            letters.renewal_ahead(subscription)


def method_refused(method_id: UUID) -> None:
    """The customer took a method back: its subscriptions lapse when what is paid is over, unless paid by hand."""
    mine = Subscription.objects.live().filter(method_id=method_id).values_list("pk", flat=True)
    for subscription_id in mine.order_by("pk"):
        subscription = subscriptions.locked(subscription_id)
        if subscription.is_live and subscription.method_id == method_id:
            due.cancel(subscriptions.NOTICE, subscription.pk)
            journal.record("subscription.method_refused", subscriptions.KIND, subscription.pk)


def customer_erased(customer_id: UUID) -> None:
    """Nothing is charged to somebody who is gone: what runs is cancelled, what nobody has paid yet is off."""
    theirs = Subscription.objects.filter(customer_id=customer_id).values_list("pk", flat=True)
    for subscription_id in theirs.order_by("pk"):
        subscription = subscriptions.locked(subscription_id)
        if subscription.state in RUNNING:
            subscriptions.cancel(subscription, actor="erasure")
        elif subscription.state == SubscriptionState.PENDING:
            for invoice in subscription.invoices.select_for_update(no_key=True).filter(
                state=InvoiceState.OPEN
            ):
                invoices.void(invoice)
            subscriptions.end(subscription, SubscriptionState.ENDED, "erased")


def expire(invoice_id: UUID) -> None:
    """A first sale that nobody paid in time is off; one whose payment is under way waits another day."""
    with transaction.atomic():
        subscription_id = Invoice.objects.values_list("subscription_id", flat=True).get(pk=invoice_id)
        subscription = subscriptions.locked(subscription_id) if subscription_id else None
        invoice = invoices.locked(invoice_id)
        if invoice.state != InvoiceState.OPEN:
            return
        if InvoicePayment.objects.filter(invoice=invoice, failed=False).exists():
            due.schedule(invoices.EXPIRE, invoice.pk, clock.now() + timedelta(days=1))
            return
        invoices.void(invoice)
        if subscription is not None and subscription.state == SubscriptionState.PENDING:
            subscriptions.end(subscription, SubscriptionState.ENDED, "unpaid")
