"""A subscription month after month: noticed, charged once per period, tried again, cancelled, given back."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import connections

from apps.billing import renewals, subscriptions
from apps.billing.models import InvoiceState, Subscription, SubscriptionState
from apps.billing.periods import midnight, period_end
from apps.billing.proration import add_months
from apps.connectors.models import Connection
from apps.core import audit, clock, faults
from apps.core.errors import Refused
from apps.core.models import Due
from apps.core.tenancy import in_partner
from apps.ledger.models import Transfer
from apps.notifications.models import Message
from apps.orders.models import ServiceState
from apps.partners.models import Partner
from apps.payments import payments
from apps.payments.models import Refund
from tests.orders.shop import BROKE_LATER, Shop


def letters(kind: str) -> int:
    return Message.objects.filter(type=kind).count()


def balance(shop: Shop, account: str) -> Decimal:
    rows = Transfer.objects.filter(partner_id=shop.partner.pk)
    debit = sum((row.amount for row in rows if row.debit == account), Decimal(0))
    return debit - sum((row.amount for row in rows if row.credit == account), Decimal(0))


def is_clean(shop: Shop) -> bool:
    """Fails with what the auditor found, which a bare False would hide."""
    assert list(audit.run([shop.partner.pk])) == []
    return True


def jump(shop: Shop, day: date | None) -> None:
    """The clock jumps, and nothing that was due on the way is done."""
    assert day is not None
    moment = midnight(day)
    Partner.objects.filter(pk=shop.partner.pk).update(clock_at=moment)
    shop.partner.clock_at = moment


def test_three_months(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="149.00"))
    start = clock.today()
    for month in (1, 2, 3):
        end = add_months(start, month, start.day)
        assert subscription.current_period_end == end
        shop.until(end - timedelta(days=4))
        assert letters("renewal_ahead") == month - 1
        shop.until(end - timedelta(days=1))
        assert (letters("renewal_ahead"), letters("renewal_paid")) == (month, month - 1)
        shop.until(end)
        subscription.refresh_from_db()
        assert (letters("renewal_paid"), len(shop.charges())) == (month, month + 1)
    lines = [invoice.lines.get() for invoice in shop.invoices(subscription)]
    assert all(one.period_end == two.period_start for one, two in itertools.pairwise(lines))
    service = shop.service(subscription)
    assert (service.state, service.active_until) == (ServiceState.ACTIVE, subscription.current_period_end)
    # Three months are over and earned; the fourth is paid in advance.
    assert balance(shop, "revenue") == -3 * Decimal("122.13")
    assert (balance(shop, "deferred"), balance(shop, "receivable")) == (-Decimal("122.13"), 0)
    assert is_clean(shop)


def test_a_card_saved_at_the_platforms_gateway_brings_the_platforms_money(shop: Shop) -> None:
    """The partner connects a gateway of its own afterwards: old cards stay where they were saved."""
    platforms = Connection.objects.get(partner=shop.partner, kind="payment")
    Connection.objects.filter(pk=platforms.pk).update(partner=None)
    try:
        subscription = shop.buy(shop.offer())
        platforms.pk, platforms.partner = None, shop.partner
        platforms.save(force_insert=True)
        shop.until(subscription.current_period_end)
        owners = [invoice.lines.get().terms["owner"] for invoice in shop.invoices(subscription)]
        assert owners == ["operator", "operator"]
        assert is_clean(shop)
    finally:
        Connection.objects.filter(partner=None, kind="payment", is_test=True).update(is_enabled=False)


def test_late_doubled_and_overlapping_runs_charge_once(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    renewals.renew(subscription.pk)
    assert len(shop.invoices(subscription)) == 1
    day = subscription.current_period_end + timedelta(days=2)
    jump(shop, day)

    def run(_number: int) -> None:
        try:
            with in_partner(shop.partner):
                renewals.renew(subscription.pk)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))
    shop.deliver()
    renewals.renew(subscription.pk)
    shop.deliver()
    assert (len(shop.invoices(subscription)), len(shop.charges())) == (2, 2)
    assert is_clean(shop)


def test_a_failing_card_is_tried_on_days_1_3_and_5_and_then_it_ends(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(), card=BROKE_LATER)
    end = subscription.current_period_end
    for day, failures in ((0, 1), (1, 2), (2, 2), (3, 3), (4, 3)):
        shop.until(end + timedelta(days=day))
        subscription.refresh_from_db()
        assert (subscription.state, subscription.failures) == (SubscriptionState.PAST_DUE, failures)
        assert shop.service(subscription).state == ServiceState.ACTIVE
    shop.until(end + timedelta(days=5))
    subscription.refresh_from_db()
    assert (subscription.state, subscription.end_reason) == (SubscriptionState.ENDED, "unpaid")
    assert [invoice.state for invoice in shop.invoices(subscription)] == [
        InvoiceState.PAID,
        InvoiceState.VOID,
    ]
    assert shop.service(subscription).is_over
    assert (letters("renewal_failed"), len(shop.charges())) == (4, 1)
    shop.until(end + timedelta(days=70))
    assert (len(shop.invoices(subscription)), balance(shop, "receivable")) == (2, 0)
    assert is_clean(shop)


def test_a_better_day_keeps_the_period(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    end = subscription.current_period_end
    shop.gateway.fault("decline", reason="insufficient_funds", match={"shop": shop.partner.slug})
    shop.until(end)
    subscription.refresh_from_db()
    assert subscription.state == SubscriptionState.PAST_DUE
    shop.until(end + timedelta(days=1))
    subscription.refresh_from_db()
    assert (subscription.state, subscription.current_period_start) == (SubscriptionState.ACTIVE, end)
    assert len(shop.charges()) == 2
    assert is_clean(shop)


def test_cancelled_at_period_end_and_taken_up_again(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    end = subscription.current_period_end
    for _time in range(2):
        cancelled = subscriptions.cancel(subscription, actor="test")
    assert cancelled.state_text == f"Отключится {end:%d.%m.%Y}"
    subscription = subscriptions.uncancel(subscription, actor="test")
    with pytest.raises(Refused):
        subscriptions.uncancel(subscription, actor="test")
    subscriptions.cancel(subscription, actor="test")
    shop.until(end - timedelta(days=1))
    assert shop.service(subscription).state == ServiceState.ACTIVE
    shop.until(end + timedelta(days=40))
    subscription.refresh_from_db()
    assert (subscription.state, subscription.end_reason) == (SubscriptionState.ENDED, "cancelled")
    assert subscription.ended_at == midnight(end)
    assert shop.service(subscription).is_over
    assert (len(shop.charges()), letters("renewal_ahead"), letters("subscription_cancelled")) == (1, 0, 1)
    assert is_clean(shop)


def test_a_charge_on_its_way_when_the_customer_cancels_goes_back(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    jump(shop, subscription.current_period_end)
    renewals.renew(subscription.pk)
    charge = shop.invoices(subscription)[1].payment()
    assert charge is not None
    payments.send(charge.pk)  # captured, and the event not delivered yet
    subscription = subscriptions.cancel(subscription, actor="test")
    assert subscription.cancelled_at
    shop.deliver()
    charge.refresh_from_db()
    subscription.refresh_from_db()
    assert charge.state == "refunded"
    assert Refund.objects.get().amount == charge.amount
    assert shop.invoices(subscription)[1].state == InvoiceState.VOID
    assert balance(shop, "receivable") == 0
    assert is_clean(shop)


def test_a_refused_card_is_not_charged_and_no_other_is_taken(shop: Shop) -> None:
    customer = shop.customer()
    subscription = shop.buy(shop.offer(), customer=customer)
    shop.buy(shop.offer(), customer=customer)
    payments.refuse_method(subscription.method, actor="test")
    shop.until(subscription.current_period_end + timedelta(days=6))
    subscription.refresh_from_db()
    assert subscription.state == SubscriptionState.ENDED
    assert [charge for charge in subscription.method.payments.all() if charge.is_charge] == []
    assert is_clean(shop)


def test_what_nobody_pays_is_off_in_days(shop: Shop) -> None:
    order = shop.order(shop.offer())
    shop.gateway.fault("decline", match={"shop": shop.partner.slug})
    shop.pay(order)
    shop.until(clock.today() + timedelta(days=5))
    order.refresh_from_db()
    assert order.state == "cancelled"
    subscription = Subscription.objects.get()
    assert (subscription.state, shop.invoices(subscription)[0].state) == ("ended", "void")
    assert balance(shop, "receivable") == 0


def test_the_31st_comes_back_after_february() -> None:
    anchor = day = date(2027, 1, 31)
    ends = [day := period_end(anchor=anchor, start=day, count=1, unit="month") for _month in range(3)]
    assert ends == [date(2027, 2, 28), date(2027, 3, 31), date(2027, 4, 30)]


@pytest.mark.parametrize("point", renewals.FAULT_POINTS)
def test_a_crash_while_renewing(shop: Shop, point: str) -> None:
    subscription = shop.buy(shop.offer())
    end = subscription.current_period_end
    with faults.crash_at(point), pytest.raises(faults.Crash):
        shop.until(end)
    # The dead worker's lease is over.
    Due.objects.filter(partner_id=shop.partner.pk).update(lease=None, leased_until=None)
    shop.until(end + timedelta(days=1))
    subscription.refresh_from_db()
    assert (subscription.current_period_start, len(shop.charges())) == (end, 2)
    assert is_clean(shop)
