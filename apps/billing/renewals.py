"""Renewals: one charge per period, where the customer was told of it and the bill is within its bounds."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import prefetch_related_objects
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.billing import (
    addons,
    bounds,
    changes,
    collecting,
    dunning,
    granting,
    invoices,
    letters,
    notices,
    off_invoice,
    paying,
    periods,
    run,
    subscriptions,
    together,
    trials,
)
from apps.billing.dunning_models import Dunning
from apps.billing.models import (
    RUNNING,
    Collection,
    Invoice,
    InvoiceLine,
    InvoicePayment,
    InvoicePurpose,
    InvoiceState,
    Subscription,
    SubscriptionState,
)
from apps.core import bulk, clock, due, events, faults, gather
from apps.payments import payments
from apps.payments.declines import NO_METHOD
from apps.payments.models import CONSENT_REVOKED, PaymentMethod, Purpose, Refund, RefundState
from apps.policies.dunning_models import ResultState

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
        methods = run.usable_methods(due_now)
        due_now = _without_trials_to_rest(due_now, methods)
        again = _open_renewals(due_now)
        fresh = [one for one in due_now if one.pk not in again and not one.is_parked]
        fresh = notices.told(fresh, methods)
        bills = bounds.within(_drawn_up(fresh, today, methods))
        run.write(bills)
        for bill in bills:
            if granting.is_granted(bill):
                granting.grant(bill)
            elif bill.subscription.collection != Collection.CHARGE:
                collecting.ask(bill.subscription, invoices.locked(bill.id))
            elif bill.method is None:
                dunning.failed(bill.subscription, invoices.locked(bill.id), _why_not(bill.subscription))
        billed = {bill.subscription.pk for bill in bills}
        for one in fresh:
            if one.pk not in billed and not one.is_parked:
                granting.look_again(one, today)
        for one in due_now:
            if one.pk in again:
                _charge_again(one, again[one.pk], methods.get(one.method_id) if one.method_id else None)
        faults.at("billing.renewal-not-committed")
    faults.at("billing.renewal-claimed")


def _without_trials_to_rest(
    due_now: list[Subscription], methods: Mapping[UUID, PaymentMethod]
) -> list[Subscription]:
    over = [one for one in due_now if trials.is_over_unpaid(one, methods)]
    for one in over:
        trials.rest(one)
    return [one for one in due_now if one not in over] if over else due_now


def _drawn_up(
    fresh: Sequence[Subscription], today: date, methods: Mapping[UUID, PaymentMethod]
) -> list[run.Bill]:
    """A period's bill is drawn up on its first day; ahead of it, where a bank transfer is to come before."""
    early = [one for one in fresh if one.collection in paying.EARLY]
    bills = run.draw_up([one for one in fresh if one not in early] if early else fresh, today, methods)
    for one in early:
        bills += run.draw_up([one], max(today, one.ends_on or today), methods)
    return bills


def _is_due(subscription: Subscription, today: date) -> bool:
    if not subscription.is_live or not subscription.ends_on:
        return False
    if today < subscription.ends_on and subscription.cancel_at_period_end:
        # It was given days after it had been cancelled: it ends when they are over.
        due.schedule(subscriptions.RENEW, subscription.pk, periods.midnight(subscription.ends_on))
        return False
    if today < subscription.ends_on:
        ahead = timedelta(days=paying.days_ahead(subscription))
        return today >= subscription.ends_on - ahead and bool(ahead)
    if subscription.cancel_at_period_end:
        subscriptions.end(subscription, SubscriptionState.ENDED, "cancelled")
        return False
    if subscription.end_date and today >= subscription.end_date:
        subscriptions.end(subscription, SubscriptionState.ENDED, "expired")
        return False
    return True


def _open_renewals(due_now: Iterable[Subscription]) -> dict[UUID, Invoice]:
    """Invoices issued for the period that is due already: they are to be paid, and nothing is billed anew."""
    charged = [one.pk for one in due_now if one.collection in paying.EXPIRING]
    rows = Invoice.objects.filter(
        subscription__in=bulk.these("uuid", charged),
        state=InvoiceState.OPEN,
        purpose=InvoicePurpose.RENEWAL,
    )
    return {row.subscription_id: row for row in rows if row.subscription_id}


def _charge_again(subscription: Subscription, invoice: Invoice, method: PaymentMethod | None) -> None:
    if subscription.collection != Collection.CHARGE:
        collecting.ask_again(subscription, invoices.locked(invoice.pk))
        return
    under_way = InvoicePayment.objects.filter(invoice=invoice, failed=False).exists()
    # What is chased goes by its policy, and nothing is charged beside that.
    if under_way or dunning.running(subscription, invoice):
        return
    if method is not None:
        invoices.pay(invoice, method=method)
    else:
        dunning.failed(subscription, invoices.locked(invoice.pk), _why_not(subscription))


def not_paid(subscription: Subscription, invoice: Invoice, reason: str) -> None:
    """A locked open renewal could not be charged by whoever charges it: the policy of dunning says what is next."""
    dunning.failed(subscription, invoice, reason)


def _why_not(subscription: Subscription) -> str:
    return CONSENT_REVOKED if subscription.method_id else NO_METHOD


def paid(payment_id: UUID) -> None:
    """A payment succeeded: it settles its invoice, or goes back where that is not to be paid any more."""
    paid_many([payment_id])


def paid_many(payment_ids: Sequence[UUID]) -> None:
    """`paid` of many. Raises gather.Apart where two are of one subscription or of an add-on of it."""
    wanted = bulk.these("uuid", payment_ids)
    of = dict(
        InvoicePayment.objects.filter(payment__in=wanted).values_list("invoice", "invoice__subscription")
    )
    held = subscriptions.locked_many(key for key in of.values() if key)
    families = [one.parent_id or one.pk for one in held.values()]
    if len(set(families)) < len(families) or len(held) < len([key for key in of.values() if key]):
        raise gather.Apart("Payments of one subscription")
    for lead in held.values():
        _lock_others(lead)
    bills = invoices.locked_many(of)
    # Read when nobody can change them any more.
    links = InvoicePayment.objects.filter(payment__in=wanted).select_related("payment__method")
    known = {one.payment_id: one for one in links.order_by("invoice__subscription", "pk")}
    for payment_id in payment_ids:
        if payment_id not in known:
            trials.heard(payment_id)
    new = {key for key, one in held.items() if one.state == SubscriptionState.PENDING and not one.parent_id}
    prefetch_related_objects([held[key] for key in new], "redemptions__promotion")
    # Nobody but a start changes these; others' lines are read when they are needed.
    prefetch_related_objects([one for one in bills.values() if one.subscription_id in new], "lines")
    unusual = _chased(bills), invoices.given_back_of(bills)
    for link in known.values():
        link.invoice = bills[link.invoice_id]
        key = link.invoice.subscription_id
        _settle(link, held[key] if key else None, *(link.invoice_id in one for one in unusual))


def _chased(invoice_ids: Iterable[UUID]) -> set[UUID]:
    rows = Dunning.objects.filter(invoice__in=bulk.these("uuid", invoice_ids), state=ResultState.RUNNING)
    return set(rows.values_list("invoice", flat=True))


def _settle(
    link: InvoicePayment, subscription: Subscription | None, is_chased: bool, has_refunds: bool
) -> None:
    """What a payment does to its invoice: both, and the subscription, are locked."""
    invoice = link.invoice
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
    if subscription is not None and not _is_given(link, subscription):
        _give_back(link)
        return
    invoices.mark_paid(invoice, is_chased=is_chased)
    if has_refunds or invoice.purpose != InvoicePurpose.NEW:
        # What goes back of it is reckoned by what is written.
        gather.flush()
    off_invoice.give_back(invoice)
    if link.payment.purpose == Purpose.BINDING:
        trials.give_rouble_back(link.payment)
    elif has_refunds or invoice.purpose != InvoicePurpose.NEW or invoice.debt_credited:
        # Events have no order: the money may have gone back before we heard that it came.
        _take_back(link, subscription, invoice)


def _is_given(link: InvoicePayment, subscription: Subscription) -> bool:
    """What an open invoice is for begins or goes on; False where that is not to be any more."""
    invoice = link.invoice
    if invoice.purpose != InvoicePurpose.NEW:
        subscriptions.extend(subscription, invoice, link.payment)
    elif subscription.parent_id:
        if not addons.start(subscription, invoice):
            addons.drop(subscription, invoice)
            return False
        letters.first_payment(subscription, invoice, link.payment)
    elif not (link.payment.is_two_stage and subscription.state in RUNNING):
        return trials.begin(subscription, invoice, link.payment)
    return True


def held(payment_id: UUID) -> None:
    """The money of a first sale is held: its first period begins, and the product is given; it is taken after that."""
    link = InvoicePayment.objects.select_related("payment", "invoice").filter(payment_id=payment_id).first()
    if link is None or link.invoice.subscription_id is None:
        return
    subscription = subscriptions.locked_with_parent(link.invoice.subscription_id)
    invoice = invoices.locked(link.invoice_id)
    link.refresh_from_db(fields=["failed"])
    link.payment.refresh_from_db()
    # Events have no order: it may have been taken, or let go, before we heard that it was held.
    if link.failed or not link.payment.is_held or invoice.state != InvoiceState.OPEN:
        return
    if invoice.purpose != InvoicePurpose.NEW or subscription.state != SubscriptionState.PENDING:
        return
    subscriptions.start(subscription, invoice, link.payment)
    events.publish("billing.PeriodGranted", invoice.pk, subscription_id=subscription.pk)


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
    _lock_others(subscription)
    invoice = invoices.locked(link.invoice_id)
    link.refresh_from_db(fields=["failed"])
    if link.payment.purpose == Purpose.BINDING:
        # A rouble by which a card was saved: it never paid for anything.
        return
    # What came for a void or unpaid invoice was never credited to it; the payment's own postings even out.
    if not link.failed and invoice.state in {InvoiceState.PAID, InvoiceState.REFUNDED}:
        _take_back(link, subscription, invoice)


def _take_back(link: InvoicePayment, subscription: Subscription | None, invoice: Invoice) -> None:
    was_paid = invoice.state == InvoiceState.PAID
    invoices.take_back(invoice, link.payment.refunds.filter(state=RefundState.SUCCEEDED))
    if subscription is not None and was_paid and invoice.state == InvoiceState.REFUNDED:
        end_unpaid(subscription, invoice)


def end_unpaid(subscription: Subscription, invoice: Invoice) -> None:
    """All of a locked invoice went back: its locked subscription, and those sold with it, end where it was for now."""
    sold_with = together.led_by(subscription) if invoice.purpose == InvoicePurpose.NEW else []
    for one in [subscription, *sold_with]:
        if one.is_live and _pays_for_now(invoice, one):
            subscriptions.cancel(one, at_period_end=False)


def _lock_others(lead: Subscription | None) -> None:
    """Before the invoice, as everybody locks a subscription before its invoices."""
    if lead is not None:
        together.led_by(lead)


def _pays_for_now(invoice: Invoice, subscription: Subscription) -> bool:
    """Whether nothing pays for the present days any more: what another tariff took over is paid by its own invoice."""
    now = InvoiceLine.objects.filter(subscription=subscription, period_end=subscription.current_period_end)
    others = now.exclude(invoice=invoice).filter(invoice__state=InvoiceState.PAID)
    return now.filter(invoice=invoice).exists() and not others.exists()


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
    is_first = invoice.purpose == InvoicePurpose.NEW and invoice.state == InvoiceState.OPEN
    if subscription and subscription.state in RUNNING and is_first and link.payment.is_two_stage:
        # It had begun on a hold that nobody took, or that was let go.
        invoices.void(invoice)
        subscriptions.end(subscription, SubscriptionState.ENDED, "unpaid")
    is_renewal = invoice.purpose == InvoicePurpose.RENEWAL and invoice.state == InvoiceState.OPEN
    if subscription and subscription.state in RUNNING and is_renewal and link.payment.is_charge:
        dunning.failed(subscription, invoice, link.payment.decline_reason, link.payment.connection)


def method_refused(method_id: UUID) -> None:
    """The customer took a method back: its subscriptions lapse when what is paid is over, unless paid by hand."""
    mine = Subscription.objects.filter(method_id=method_id, state__in=RUNNING).values_list("pk", flat=True)
    products = []
    for subscription_id in mine.order_by("pk"):
        subscription = subscriptions.locked(subscription_id)
        if subscription.state in RUNNING and subscription.method_id == method_id:
            due.cancel(subscriptions.NOTICE, subscription.pk)
            journal.record("subscription.method_refused", subscriptions.KIND, subscription.pk)
            dunning.method_refused(subscription)
            products.append(subscription.name)
    method = PaymentMethod.objects.select_related("customer").get(pk=method_id)
    if method.customer.erased_at is None:
        letters.method_refused(method.customer, method, products)


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
