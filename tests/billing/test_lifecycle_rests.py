"""Pauses, add-ons, terms with an end: what is billed with what, and what is not billed at all."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connections

from apps.billing import pauses, renewals, subscriptions
from apps.billing.models import CreditNote, InvoiceState, Subscription, SubscriptionState
from apps.billing.proration import add_months
from apps.catalog.models import Offer
from apps.core import clock
from apps.core.errors import Refused
from apps.core.tenancy import in_partner
from apps.orders.models import ServiceState
from tests.billing.test_lifecycle import faults_of, in_thirds, on_balance
from tests.billing.test_renewals import balance
from tests.orders.shop import Shop


def addon_offer(shop: Shop, price: str = "60.00") -> Offer:
    """An add-on on sale."""
    offer = shop.offer(price=price)
    offer.tariff.is_addon = True
    offer.tariff.save(update_fields=["is_addon"])
    return offer


def test_paused_and_going_on_by_itself(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="149.00"))
    left, days = in_thirds(shop, subscription)
    until = clock.today() + timedelta(days=45)
    for _time in range(2):
        pauses.pause(subscription=subscription, until=until, actor="test")
    shop.deliver()
    subscription.refresh_from_db()
    assert (subscription.state, subscription.resume_date) == (SubscriptionState.PAUSED, until)
    assert shop.service(subscription).state == ServiceState.SUSPENDED
    credit = CreditNote.objects.get().total
    assert (on_balance(subscription), credit < Decimal("149.00") * left / days + 1) == (credit, True)
    assert faults_of(shop) == []
    shop.until(until - timedelta(days=1))
    assert len(shop.charges()) == 1
    shop.until(until)
    subscription.refresh_from_db()
    assert (subscription.state, subscription.anchor_date) == (SubscriptionState.ACTIVE, until)
    assert subscription.current_period_end == add_months(until, 1, until.day)
    assert shop.service(subscription).state == ServiceState.ACTIVE
    last = shop.invoices(subscription)[-1]
    assert (last.total, last.due_money.amount) == (Decimal("149.00"), Decimal("149.00") - credit)
    assert (last.state, on_balance(subscription)) == (InvoiceState.PAID, 0)
    assert faults_of(shop) == []


def test_a_pause_is_ended_by_hand_or_by_cancelling(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    in_thirds(shop, subscription)
    for wrong in (clock.today(), clock.today() + timedelta(days=181)):
        with pytest.raises(Refused) as refusal:
            pauses.pause(subscription=subscription, until=wrong)
        assert refusal.value.code == "bad_date"
    pauses.pause(subscription=subscription, actor="test")
    shop.until(clock.today() + timedelta(days=5))
    pauses.resume(subscription=subscription, actor="test")
    shop.until(clock.today() + timedelta(days=1))
    subscription.refresh_from_db()
    assert (subscription.state, len(shop.charges())) == (SubscriptionState.ACTIVE, 2)
    pauses.pause(subscription=subscription, actor="test")
    subscriptions.cancel(subscription, actor="test")
    shop.deliver()
    subscription.refresh_from_db()
    assert subscription.state == SubscriptionState.CANCELLED
    assert shop.service(subscription).is_over
    assert faults_of(shop) == []


def test_a_pause_and_a_renewal_at_once(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    day = subscription.current_period_end
    shop.until(day - timedelta(days=1))
    from tests.billing.test_renewals import jump

    jump(shop, day)

    def run(number: int) -> None:
        try:
            with in_partner(shop.partner):
                if number:
                    pauses.pause(subscription=subscription, actor="test")
                else:
                    renewals.renew(subscription.pk)
        except Refused:
            pass
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, range(2)))
    shop.deliver()
    subscription.refresh_from_db()
    paused = subscription.state == SubscriptionState.PAUSED
    assert len(shop.charges()) == (1 if paused else 2)
    assert faults_of(shop) == []


def test_an_addon_is_charged_to_its_parents_bill_date_and_with_it_from_then_on(shop: Shop) -> None:
    parent = shop.buy(shop.offer(price="149.00"))
    end = parent.current_period_end
    left, days = in_thirds(shop, parent)
    addon = shop.buy(addon_offer(shop), customer=parent.customer, parent=parent)
    wanted = (Decimal("60.00") * left / days).quantize(Decimal("0.01"))
    assert abs(shop.invoices(addon)[0].total - wanted) <= Decimal("0.01")
    assert (addon.state, addon.current_period_end, addon.cycle_day) == (
        SubscriptionState.ACTIVE,
        end,
        parent.cycle_day,
    )
    assert faults_of(shop) == []
    shop.until(end)
    renewal = shop.invoices(parent)[1]
    assert (renewal.total, renewal.lines.count(), len(shop.charges())) == (Decimal("209.00"), 2, 3)
    addon.refresh_from_db()
    parent.refresh_from_db()
    assert addon.current_period_end == parent.current_period_end == add_months(end, 1, end.day)
    assert shop.service(addon).active_until == addon.current_period_end
    assert faults_of(shop) == []
    shop.until(end + timedelta(days=10), hour=12)
    subscriptions.cancel(parent, at_period_end=False, actor="test")
    shop.deliver()
    addon.refresh_from_db()
    assert (addon.state, addon.end_reason) == (SubscriptionState.CANCELLED, "parent")
    assert CreditNote.objects.count() == 2
    assert shop.service(addon).is_over
    shop.until(clock.today() + timedelta(days=40))
    assert balance(shop, "deferred") == 0
    assert faults_of(shop) == []


def test_an_addon_whose_parent_ends_before_it_is_paid_is_given_back(shop: Shop) -> None:
    parent = shop.buy(shop.offer())
    in_thirds(shop, parent)
    order = shop.order(addon_offer(shop), customer=parent.customer, parent=parent)
    subscriptions.cancel(parent, actor="test")
    payment = shop.pay(order)
    shop.hurry()
    payment.refresh_from_db()
    addon = Subscription.objects.get(parent=parent)
    assert (payment.state, addon.state) == ("refunded", SubscriptionState.ENDED)
    assert faults_of(shop) == []


def test_a_term_of_two_periods_is_over_after_them(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    end = subscription.current_period_end
    last = add_months(end, 1, subscription.anchor_date.day)
    with pytest.raises(Refused):
        subscriptions.set_end_date(subscription, day=clock.today(), actor="test")
    subscriptions.set_end_date(subscription, day=last, actor="test")
    shop.until(last - timedelta(days=1))
    subscription.refresh_from_db()
    assert (subscription.state, len(shop.charges())) == (SubscriptionState.ACTIVE, 2)
    shop.until(last + timedelta(days=40))
    subscription.refresh_from_db()
    assert (subscription.state, subscription.end_reason) == (SubscriptionState.ENDED, "expired")
    assert len(shop.charges()) == 2
    assert shop.service(subscription).is_over
    assert faults_of(shop) == []


def test_a_term_of_so_many_periods_does_not_lose_those_of_a_rest(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    with pytest.raises(Refused):
        subscriptions.set_periods(subscription, count=0)
    subscriptions.set_periods(subscription, count=2, actor="test")
    subscription.refresh_from_db()
    end, anchor = subscription.current_period_end, subscription.anchor_date
    assert end is not None
    assert anchor is not None
    assert subscription.end_date == add_months(anchor, 3, anchor.day)
    in_thirds(shop, subscription)
    left = end - clock.today()
    pauses.pause(subscription=subscription)
    with pytest.raises(Refused):
        subscriptions.set_periods(subscription, count=5)
    shop.until(clock.today() + timedelta(days=47))
    again = clock.today()
    pauses.resume(subscription=subscription)
    subscription.refresh_from_db()
    # Two whole periods from the day on which it goes on, and the days that the rest had cut off.
    last = add_months(again, 2, again.day) + left
    assert subscription.end_date == last
    shop.until(last - timedelta(days=1))
    subscription.refresh_from_db()
    assert subscription.state == SubscriptionState.ACTIVE
    shop.until(last)
    subscription.refresh_from_db()
    assert (subscription.state, subscription.end_reason) == (SubscriptionState.ENDED, "expired")
    billed = [one.total for one in shop.invoices(subscription)]
    assert billed[:3] == [Decimal("149.00")] * 3
    assert len(billed) == 4
    assert Decimal(0) < billed[3] < Decimal("149.00")
    assert faults_of(shop) == []


def test_a_last_day_by_the_calendar_stays_where_it_is(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    assert subscription.current_period_end is not None
    last = subscription.current_period_end + timedelta(days=90)
    subscriptions.set_periods(subscription, count=9)
    subscriptions.set_end_date(subscription, day=last)
    pauses.pause(subscription=subscription)
    shop.until(clock.today() + timedelta(days=20))
    pauses.resume(subscription=subscription)
    subscription.refresh_from_db()
    assert subscription.end_date == last
    assert faults_of(shop) == []


def test_a_rest_in_the_last_period_of_a_term_leaves_its_days(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    subscriptions.set_periods(subscription, count=1)
    shop.until(subscription.current_period_end)
    subscription.refresh_from_db()
    in_thirds(shop, subscription)
    assert subscription.end_date is not None
    left = subscription.end_date - clock.today()
    pauses.pause(subscription=subscription)
    shop.until(clock.today() + timedelta(days=60))
    pauses.resume(subscription=subscription)
    subscription.refresh_from_db()
    assert subscription.end_date == clock.today() + left
    shop.until(subscription.end_date)
    subscription.refresh_from_db()
    assert subscription.end_reason == "expired"
    assert faults_of(shop) == []
