"""Periods that begin though no payment of ours is waited for: nothing is left to pay, or others collect the money."""

from datetime import date, timedelta

from apps.billing import facts, invoices, paying, periods, subscriptions
from apps.billing.models import Subscription, SubscriptionState
from apps.billing.run import Bill
from apps.core import clock, due, events


def is_granted(bill: Bill) -> bool:
    """Whether the period begins with the invoice: the balance or a discount covers it, or it is paid elsewhere."""
    return bill.due <= 0 or bill.subscription.collection in paying.GRANTED


def grant(bill: Bill) -> None:
    """A written invoice begins its period; one with nothing left to pay is paid at once, without a payment."""
    for line in bill.lines:
        one = line.facts.subscription
        one.current_period_start, one.current_period_end = line.charge.start, line.charge.end
        one.state, one.failures = SubscriptionState.ACTIVE, 0
        one.save(update_fields=["current_period_start", "current_period_end", "state", "failures"])
    subscriptions.plan(bill.subscription)
    events.publish("billing.SubscriptionRenewed", bill.subscription.pk, invoice_id=bill.id)
    if bill.due <= 0:
        invoices.mark_paid(invoices.locked(bill.id))
    else:
        events.publish("billing.PeriodGranted", bill.id, subscription_id=bill.subscription.pk)


def look_again(subscription: Subscription, today: date) -> None:
    """Nothing is to be billed on a day that was planned for it: the next one is, or the end where there is none."""
    [one] = facts.load([subscription])
    next_day = one.next_bill_date(today + timedelta(days=1)) or subscription.end_date
    if next_day is not None:
        moment = periods.work_moment(subscription.pk, max(next_day, clock.today() + timedelta(days=1)))
        due.schedule(subscriptions.RENEW, subscription.pk, moment)
