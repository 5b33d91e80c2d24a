"""Corners of billing where money was once wrong, or nothing came of what was asked."""

from datetime import timedelta
from decimal import Decimal

from django.db import transaction

from apps.billing import discounts, gifts, invoices, pauses, subscriptions
from apps.billing.models import CreditNote, Invoice, InvoiceState, Subscription, SubscriptionState
from apps.core import clock
from apps.payments import payments
from apps.payments.models import Payment, Refund
from tests.billing.test_by_bank import bank, company, order_of
from tests.billing.test_lifecycle import in_thirds
from tests.billing.test_lifecycle_rests import addon_offer
from tests.billing.test_promotions import promotion
from tests.orders.shop import BROKE_LATER, Shop
from tests.payments.test_refusal import is_clean
from tests.planted import execute, found

_S = SubscriptionState
D = Decimal


def test_ended_at_once_while_an_addon_is_not_paid_yet(shop: Shop) -> None:
    parent = shop.buy(shop.offer())
    order = shop.order(addon_offer(shop), customer=parent.customer, parent=parent)
    subscriptions.cancel(parent, at_period_end=False, actor="test")
    shop.pay(order)
    addon = Subscription.objects.get(parent=parent)
    assert addon.state == _S.CANCELLED
    # What was paid on a page that was open already goes back in full.
    payment = order.payment()
    assert payment is not None
    assert payment.given_back() == payment.amount


def owed(shop: Shop) -> tuple[Subscription, Subscription, Invoice]:
    """A subscription of 149 with an add-on of 60, and the bill of both that no card pays."""
    parent = shop.buy(shop.offer(price="149.00"), card=BROKE_LATER)
    addon = shop.buy(addon_offer(shop, "60.00"), customer=parent.customer, parent=parent)
    assert parent.current_period_end is not None
    shop.until(parent.current_period_end)
    bill = Invoice.objects.get(purpose="renewal")
    assert (bill.state, bill.due_money.amount) == (InvoiceState.OPEN, D("209.00"))
    return parent, addon, bill


def page_of(bill: Invoice) -> Payment:
    with transaction.atomic():
        payment = invoices.pay(bill, return_url="https://shop.example/")
    return payments.send(payment.pk)


def paid_on_page(shop: Shop, payment: Payment) -> None:
    shop.gateway.pay(payment.confirmation_url)
    payments.settle(payment.pk)
    shop.deliver()


def test_an_addon_cancelled_while_its_bill_is_unpaid_comes_off_it(shop: Shop) -> None:
    parent, addon, bill = owed(shop)
    subscriptions.cancel(addon, actor="customer")
    bill.refresh_from_db()
    assert bill.due_money.amount == D("149.00")
    shop.until(clock.today() + timedelta(days=1))
    paid_on_page(shop, page_of(bill))
    parent.refresh_from_db()
    addon.refresh_from_db()
    # Paid for is the subscription alone, and what has ended does not come back to life.
    assert shop.charges()[-1]["amount"] == "149.00"
    assert (parent.state, addon.state, addon.end_reason) == (_S.ACTIVE, _S.ENDED, "cancelled")
    assert is_clean(shop)


def test_an_addon_cancelled_while_its_bill_is_being_paid_is_given_back(shop: Shop) -> None:
    _parent, addon, bill = owed(shop)
    page = page_of(bill)
    subscriptions.cancel(addon, actor="customer")
    bill.refresh_from_db()
    assert bill.due_money.amount == D("209.00")
    paid_on_page(shop, page)
    shop.until(clock.today() + timedelta(days=1))
    addon.refresh_from_db()
    assert addon.state == _S.ENDED
    back = Refund.objects.get(payment=page)
    assert (back.amount, back.state, CreditNote.objects.get().to_refund) == (D(60), "succeeded", D(60))
    assert is_clean(shop)


def of_a_company(shop: Shop) -> tuple[Subscription, Subscription, Invoice]:
    """1,220 and an add-on of 61, and the bill of both, issued ahead of the period."""
    customer = company(shop)
    first = order_of(shop, customer)
    assert first.invoice
    bank(first.invoice, "1220.00")
    shop.deliver()
    parent = Subscription.objects.get()
    second = shop.order(addon_offer(shop, "61.00"), customer=customer, parent=parent)
    shop.deliver()
    second.refresh_from_db()
    assert second.invoice
    bank(second.invoice, "61.00")
    shop.deliver()
    addon = Subscription.objects.get(parent=parent)
    assert parent.current_period_end is not None
    shop.until(parent.current_period_end - timedelta(days=5))
    return parent, addon, Invoice.objects.get(purpose="renewal")


def test_a_companys_addon_cancelled_after_its_bill_is_issued_comes_off_it(shop: Shop) -> None:
    parent, addon, bill = of_a_company(shop)
    subscriptions.cancel(addon, actor="customer")
    bill.refresh_from_db()
    assert bill.due_money.amount == D("1220.00")
    bank(bill, "1220.00", number="18")
    shop.deliver()
    assert parent.current_period_end is not None
    shop.until(parent.current_period_end + timedelta(days=1))
    parent.refresh_from_db()
    addon.refresh_from_db()
    assert (parent.state, addon.state) == (_S.ACTIVE, _S.ENDED)
    assert is_clean(shop)


def test_taken_up_again_a_company_is_billed_its_addons_as_well(shop: Shop) -> None:
    parent, addon, _bill = of_a_company(shop)
    subscriptions.cancel(parent, actor="customer")
    subscriptions.uncancel(parent, actor="customer")
    shop.until(clock.today() + timedelta(days=1))
    void, again = Invoice.objects.filter(purpose="renewal").order_by("pk")
    assert (void.state, again.state, again.total) == (InvoiceState.VOID, InvoiceState.OPEN, D("1281.00"))
    bank(again, "1281.00", number="18")
    shop.deliver()
    parent.refresh_from_db()
    addon.refresh_from_db()
    assert addon.current_period_end == parent.current_period_end
    assert is_clean(shop)


def with_addon(shop: Shop) -> tuple[Subscription, Subscription]:
    parent = shop.buy(shop.offer(price="149.00"))
    addon = shop.buy(addon_offer(shop), customer=parent.customer, parent=parent)
    in_thirds(shop, parent)
    return parent, addon


def test_an_addon_that_is_to_end_does_not_outlive_a_pause(shop: Shop) -> None:
    parent, addon = with_addon(shop)
    subscriptions.cancel(addon, actor="customer")
    pauses.pause(subscription=parent)
    shop.deliver()
    shop.until(clock.today() + timedelta(days=5))
    pauses.resume(subscription=parent)
    shop.until(clock.today() + timedelta(days=40))
    addon.refresh_from_db()
    # It went on for nothing: billed no more, and never ended.
    assert (addon.state, addon.end_reason, shop.service(addon).state) == (_S.ENDED, "cancelled", "terminated")
    assert is_clean(shop)


def test_the_auditor_finds_an_addon_that_would_never_end(shop: Shop) -> None:
    _parent, addon = with_addon(shop)
    subscriptions.cancel(addon, actor="customer")
    shop.deliver()
    assert is_clean(shop)
    end = f"DELETE FROM core_due WHERE kind = 'billing.renew' AND object_id = '{addon.pk}'"
    assert found("billing.live-is-planned", lambda: execute(end))


def test_an_addon_that_is_to_end_ends_after_the_days_it_was_given(shop: Shop) -> None:
    parent, addon = with_addon(shop)
    subscriptions.cancel(addon, actor="customer")
    gifts.extend(subscription=parent, days=3)
    parent.refresh_from_db()
    assert parent.current_period_end is not None
    shop.until(parent.current_period_end - timedelta(days=1))
    addon.refresh_from_db()
    assert addon.state == _S.ACTIVE
    shop.until(parent.current_period_end)
    addon.refresh_from_db()
    assert (addon.state, shop.service(addon).state) == (_S.ENDED, "terminated")
    assert is_clean(shop)


def test_a_long_pause_does_not_eat_a_discount_of_so_many_periods(shop: Shop) -> None:
    parent = shop.buy(shop.offer(price="100.00"))
    in_thirds(shop, parent)
    # From the next period on, for two.
    discounts.give(parent, name="Останьтесь", percent=D(30), periods=2)
    pauses.pause(subscription=parent)
    shop.until(clock.today() + timedelta(days=100))
    pauses.resume(subscription=parent)
    for _month in range(3):
        shop.until(clock.today())
        parent.refresh_from_db()
        assert parent.current_period_end is not None
        shop.until(parent.current_period_end)
    renewed = Invoice.objects.filter(purpose="renewal").order_by("pk")
    assert [one.total for one in renewed][:4] == [D(70), D(70), D(100), D(100)]
    assert is_clean(shop)


def test_a_discount_that_a_pause_has_cut_goes_on_for_the_periods_that_are_left(shop: Shop) -> None:
    promotion("OSEN", percent=D(30), periods=3)
    parent = shop.buy(shop.offer(price="100.00"), promo_code="OSEN")
    in_thirds(shop, parent)
    pauses.pause(subscription=parent)
    shop.until(clock.today() + timedelta(days=150))
    pauses.resume(subscription=parent)
    for _month in range(3):
        shop.until(clock.today())
        parent.refresh_from_db()
        assert parent.current_period_end is not None
        shop.until(parent.current_period_end)
    renewed = Invoice.objects.filter(purpose="renewal").order_by("pk")
    assert [one.total for one in renewed][:3] == [D(70), D(70), D(100)]
    assert is_clean(shop)
