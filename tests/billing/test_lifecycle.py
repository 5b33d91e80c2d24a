"""What customers and staff do with a subscription in mid-period: end it, change it; the money follows to the kopeck."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections

from apps.billing import changes, subscriptions
from apps.billing.arrangements import ChangeState, SubscriptionChange
from apps.billing.models import (
    CreditNote,
    CustomerBalance,
    InvoicePurpose,
    InvoiceState,
    Subscription,
    SubscriptionState,
)
from apps.catalog.models import Offer, Tariff
from apps.core import audit, clock
from apps.core.errors import Refused
from apps.core.tenancy import in_partner
from apps.orders.models import ENDED_STATES, Service, ServiceState
from apps.payments import payments
from apps.payments.models import Payment, Refund
from tests.billing.test_renewals import balance
from tests.orders.shop import Shop


def another(shop: Shop, offer: Offer, price: str, **terms: Any) -> Offer:
    """Another tariff of the same product."""
    product = offer.tariff.product
    code = f"{offer.tariff.code}-{product.tariffs.count()}"
    tariff = Tariff.objects.create(product=product, code=code, name={"ru": f"Другой за {price}"})
    tariff.publish(price=Decimal(price), **{"period_count": 1, "period_unit": "month", **terms})
    return Offer.objects.create(partner=shop.partner, tariff=tariff)


def faults_of(shop: Shop) -> list[Any]:
    """What the auditor finds."""
    return list(audit.run([shop.partner.pk]))


def on_balance(subscription: Subscription) -> Decimal:
    found = CustomerBalance.objects.filter(customer=subscription.customer_id).first()
    return found.amount if found else Decimal(0)


def in_thirds(shop: Shop, subscription: Subscription) -> tuple[int, int]:
    """Ten days into the period: how many days are left, and of how many."""
    start, end = subscription.current_period_start, subscription.current_period_end
    assert start is not None
    assert end is not None
    shop.until(start + timedelta(days=10), hour=12)
    return (end - start).days - 10, (end - start).days


def part_of(price: str, left: int, days: int) -> Decimal:
    """What the last `left` of `days` cost, by hand."""
    ratio = (Decimal(left) / days).quantize(Decimal("0.000000001"))
    return (Decimal(price) * ratio).quantize(Decimal("0.01"))


def test_cancelled_now_gives_the_unused_days_back_to_the_card(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="149.00"))
    left, days = in_thirds(shop, subscription)
    subscriptions.cancel(subscription, at_period_end=False, reason="дорого", actor="test")
    subscriptions.cancel(subscription, at_period_end=False, actor="test")
    shop.deliver()
    subscription.refresh_from_db()
    assert (subscription.state, subscription.cancel_reason) == (SubscriptionState.CANCELLED, "дорого")
    note, refund = CreditNote.objects.get(), Refund.objects.get()
    wanted = part_of("149.00", left, days)
    assert (note.total, note.to_refund, refund.amount, refund.state) == (wanted, wanted, wanted, "succeeded")
    assert shop.service(subscription).is_over
    assert shop.invoices(subscription)[0].state == InvoiceState.PAID
    shop.until(clock.today() + timedelta(days=60))
    assert (len(shop.charges()), balance(shop, "receivable"), balance(shop, "deferred")) == (1, 0, 0)
    assert faults_of(shop) == []


def test_cancelled_on_its_first_day_gives_all_back(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    subscriptions.cancel(subscription, at_period_end=False, actor="test")
    shop.deliver()
    [invoice] = shop.invoices(subscription)
    assert (invoice.state, Refund.objects.get().amount) == (InvoiceState.REFUNDED, invoice.total)
    assert faults_of(shop) == []


def test_a_dearer_tariff_now_costs_the_difference_and_holds_when_it_is_paid(shop: Shop) -> None:
    offer = shop.offer(price="149.00")
    dearer = another(shop, offer, "449.00")
    subscription = shop.buy(offer)
    end = subscription.current_period_end
    left, days = in_thirds(shop, subscription)
    seen = changes.preview(subscription=subscription, offer=dearer)
    was, becomes = part_of("149.00", left, days), part_of("449.00", left, days)
    # Of what is over, the last part is what is left of the whole: the parts add up.
    assert abs(seen.credited - was) <= Decimal("0.01")
    assert abs(seen.charged - becomes) <= Decimal("0.01")
    outcome = changes.change(subscription=subscription, offer=dearer, actor="test")
    assert (outcome.state, outcome.payment.amount) == ("waiting", seen.due.amount)
    subscription.refresh_from_db()
    assert subscription.price == Decimal("149.00")
    shop.deliver()
    subscription.refresh_from_db()
    assert (subscription.price, subscription.current_period_end) == (Decimal("449.00"), end)
    invoice = shop.invoices(subscription)[1]
    assert (invoice.purpose, invoice.state, invoice.total, invoice.due_money) == (
        InvoicePurpose.CHANGE,
        InvoiceState.PAID,
        seen.charged,
        seen.due,
    )
    assert (CreditNote.objects.get().total, on_balance(subscription)) == (seen.credited, 0)
    names = list(Service.objects.exclude(state__in=ENDED_STATES).values_list("tariff_version_id", flat=True))
    assert names == [subscription.tariff_version_id]
    assert faults_of(shop) == []
    shop.until(end)
    assert shop.invoices(subscription)[2].total == Decimal("449.00")
    assert faults_of(shop) == []


def test_a_change_that_is_not_paid_leaves_everything_as_it_was(shop: Shop) -> None:
    offer = shop.offer(price="149.00")
    dearer = another(shop, offer, "449.00")
    subscription = shop.buy(offer)
    in_thirds(shop, subscription)
    shop.gateway.fault("decline", reason="insufficient_funds", match={"shop": shop.partner.slug})
    changes.change(subscription=subscription, offer=dearer, actor="test")
    shop.deliver()
    subscription.refresh_from_db()
    assert (subscription.price, subscription.state) == (Decimal("149.00"), SubscriptionState.ACTIVE)
    assert SubscriptionChange.objects.get().state == ChangeState.DROPPED
    assert (CreditNote.objects.count(), len(shop.charges())) == (0, 1)
    assert faults_of(shop) == []
    shop.until(subscription.current_period_end)
    assert [one.total for one in shop.invoices(subscription) if one.number] == [Decimal("149.00")] * 2
    assert faults_of(shop) == []


def test_money_of_a_change_that_came_too_late_goes_back(shop: Shop) -> None:
    offer = shop.offer(price="149.00")
    subscription = shop.buy(offer)
    in_thirds(shop, subscription)
    outcome = changes.change(subscription=subscription, offer=another(shop, offer, "449.00"), actor="test")
    assert outcome.payment is not None
    payments.send(outcome.payment.pk)
    subscriptions.cancel(subscription, actor="test")
    shop.deliver()
    shop.hurry()
    subscription.refresh_from_db()
    payment = Payment.objects.get(pk=outcome.payment.pk)
    assert (payment.state, subscription.price) == ("refunded", Decimal("149.00"))
    assert subscription.cancel_at_period_end
    assert faults_of(shop) == []


def test_a_cheaper_tariff_comes_at_the_periods_end_or_leaves_a_balance_now(shop: Shop) -> None:
    offer = shop.offer(price="449.00")
    cheaper, cheapest = another(shop, offer, "149.00"), another(shop, offer, "99.00")
    subscription = shop.buy(offer)
    end = subscription.current_period_end
    in_thirds(shop, subscription)
    assert changes.change(subscription=subscription, offer=cheaper, actor="test").start_date == end
    # The one asked for last counts.
    assert changes.change(subscription=subscription, offer=cheapest, actor="test").state == "planned"
    shop.until(end)
    subscription.refresh_from_db()
    assert [one.total for one in shop.invoices(subscription)] == [Decimal("449.00"), Decimal("99.00")]
    assert (subscription.price, subscription.current_period_start) == (Decimal("99.00"), end)
    assert faults_of(shop) == []

    changes.change(subscription=subscription, offer=offer, when="period_end", actor="test")
    changes.undo(subscription=subscription, actor="test")
    again = changes.change(subscription=subscription, quantity=3, when="now", actor="test")
    shop.deliver()
    subscription.refresh_from_db()
    assert (again.state, subscription.quantity, len(shop.charges())) == ("waiting", 3, 3)
    assert Service.objects.filter(state=ServiceState.ACTIVE).count() == 3
    in_thirds(shop, subscription)
    outcome = changes.change(subscription=subscription, quantity=1, when="now", actor="test")
    shop.deliver()
    assert (outcome.state, outcome.payment) == ("applied", None)
    had = on_balance(subscription)
    assert had > Decimal("99.00")
    assert Service.objects.filter(state=ServiceState.ACTIVE).count() == 1
    assert faults_of(shop) == []
    subscription.refresh_from_db()
    shop.until(subscription.current_period_end)
    # The balance pays the next month.
    last = shop.invoices(subscription)[-1]
    assert (last.total, last.state, len(shop.charges())) == (Decimal("99.00"), InvoiceState.PAID, 3)
    assert (last.credit_applied, on_balance(subscription)) == (last.total, had - last.total)
    assert faults_of(shop) == []


def test_another_period_starts_the_cycle_anew(shop: Shop) -> None:
    offer = shop.offer(price="149.00")
    yearly = another(shop, offer, "1490.00", period_unit="year")
    subscription = shop.buy(offer)
    in_thirds(shop, subscription)
    today = clock.today()
    changes.change(subscription=subscription, offer=yearly, actor="test")
    shop.deliver()
    subscription.refresh_from_db()
    assert (subscription.anchor_date, subscription.current_period_end) == (
        today,
        today.replace(year=today.year + 1),
    )
    assert shop.invoices(subscription)[-1].total == Decimal("1490.00")
    assert faults_of(shop) == []


def test_a_change_in_the_trial_changes_the_first_charge(shop: Shop) -> None:
    offer = shop.offer(price="149.00", trial_days=7)
    subscription = shop.buy(offer)
    anchor = subscription.anchor_date
    assert anchor
    outcome = changes.change(
        subscription=subscription, offer=another(shop, offer, "449.00"), when="now", actor="test"
    )
    assert (outcome.state, outcome.invoice) == ("applied", None)
    shop.deliver()
    subscription.refresh_from_db()
    assert (subscription.state, subscription.price) == (SubscriptionState.TRIAL, Decimal("449.00"))
    assert (subscription.anchor_date, subscription.current_period_end) == (anchor, anchor)
    shop.until(anchor)
    subscription.refresh_from_db()
    assert (subscription.state, shop.invoices(subscription)[1].total) == (
        SubscriptionState.ACTIVE,
        Decimal("449.00"),
    )
    assert faults_of(shop) == []


def test_what_cannot_be_changed(shop: Shop) -> None:
    offer = shop.offer()
    subscription = shop.buy(offer)
    for wrong, code in (
        ({"quantity": 1}, "nothing_changes"),
        ({"quantity": 0}, "bad_quantity"),
        ({"offer": shop.offer()}, "other_product"),
        ({"quantity": 2, "when": "never"}, "bad_when"),
    ):
        with pytest.raises(Refused) as refusal:
            changes.change(subscription=subscription, actor="test", **wrong)
        assert refusal.value.code == code
    subscriptions.cancel(subscription, actor="test")
    with pytest.raises(Refused) as refusal:
        changes.change(subscription=subscription, quantity=2, actor="test")
    assert refusal.value.code == "is_cancelled"


def test_two_clicks_at_once_pay_one_change(shop: Shop) -> None:
    offer = shop.offer(price="149.00")
    dearer = another(shop, offer, "449.00")
    subscription = shop.buy(offer)
    in_thirds(shop, subscription)

    def click(number: int) -> None:
        try:
            with in_partner(shop.partner):
                if number % 2:
                    subscriptions.cancel(subscription, at_period_end=False, actor="test")
                else:
                    changes.change(subscription=subscription, offer=dearer, actor="test")
        except Refused:
            pass
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(click, [0, 2, 4, 1]))
    shop.deliver()
    shop.hurry()
    subscription.refresh_from_db()
    assert subscription.state == SubscriptionState.CANCELLED
    assert SubscriptionChange.objects.filter(state=ChangeState.WAITING).count() == 0
    taken = sum(
        (one.amount for one in Payment.objects.filter(state__in=["succeeded", "refunded"])), Decimal(0)
    )
    back = sum((one.amount for one in Refund.objects.filter(state="succeeded")), Decimal(0))
    left, days = 20, 30
    assert taken - back <= part_of("149.00", days - left + 1, days) + 1
    assert faults_of(shop) == []
