"""Trials: free to their end with a card or without one, charged by the run, had once; raced for."""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from apps.accounts import customers
from apps.billing import changes, renewals, subscriptions, trials
from apps.billing.arrangements import TrialUse
from apps.billing.models import InvoiceState, Subscription, SubscriptionState
from apps.core import audit, clock
from apps.core.errors import Refused
from apps.notifications.models import Message
from apps.orders.models import Order, OrderState, ServiceState
from apps.payments import payments
from apps.payments.models import Payment, PaymentMethod, Refund
from tests.billing.test_lifecycle import another
from tests.orders.races import race
from tests.orders.shop import Shop

CARD_A, CARD_B = "5555555555554477", "4111111111111111"
_S = SubscriptionState


def faults_of(shop: Shop) -> list[str]:
    return [str(violation) for violation in audit.run([shop.partner.pk])]


def letters(kind: str) -> int:
    return Message.objects.filter(type=kind).count()


def charged(shop: Shop) -> list[str]:
    return [row["amount"] for row in shop.charges()]


def test_a_trial_with_a_card_is_charged_when_it_ends(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(trial_days=7))
    today = clock.today()
    end = today + timedelta(days=7)
    assert (subscription.state, subscription.current_period_end) == (_S.TRIAL, end)
    assert (shop.service(subscription).state, shop.service(subscription).active_until) == ("active", end)
    [invoice] = shop.invoices(subscription)
    assert (invoice.state, invoice.total) == (InvoiceState.PAID, 0)
    # A rouble saved the card and went back.
    assert (Payment.objects.get().amount, Refund.objects.get().amount) == (1, 1)
    assert Refund.objects.get().state == "succeeded"
    assert (letters("trial_started"), letters("payment_succeeded")) == (1, 0)
    assert faults_of(shop) == []
    shop.until(end - timedelta(days=1))
    assert letters("renewal_ahead") == 1
    assert charged(shop) == ["1.00"]
    shop.until(end)
    subscription.refresh_from_db()
    assert (subscription.state, subscription.current_period_start) == (_S.ACTIVE, end)
    assert charged(shop) == ["1.00", "149.00"]
    assert shop.service(subscription).active_until == subscription.current_period_end
    assert faults_of(shop) == []
    shop.until(subscription.current_period_end)
    assert charged(shop) == ["1.00", "149.00", "149.00"]
    assert faults_of(shop) == []


def test_a_change_within_a_trial_is_undone_and_the_trial_ends_into_its_own_tariff(shop: Shop) -> None:
    offer = shop.offer(price="149.00", trial_days=7)
    subscription = shop.buy(offer)
    ends = subscription.current_period_end
    assert ends is not None
    shop.until(ends - timedelta(days=2))
    planned = changes.change(
        subscription=subscription, offer=another(shop, offer, "449.00"), when="period_end", actor="test"
    )
    assert (planned.state, planned.start_date) == ("planned", ends)
    changes.undo(subscription=subscription, actor="test")
    shop.until(ends)
    assert [one.total for one in shop.invoices(subscription)] == [Decimal("0.00"), Decimal("149.00")]
    assert faults_of(shop) == []


def test_a_trial_cancelled_leaves_no_charge_and_may_be_taken_up_again(shop: Shop) -> None:
    kept, left = shop.buy(shop.offer(trial_days=7)), shop.buy(shop.offer(trial_days=7))
    end = left.current_period_end
    assert end
    for one in (kept, left):
        subscriptions.cancel(one, actor="test")
    subscriptions.uncancel(kept, actor="test")
    shop.deliver()
    assert shop.service(left).state == ServiceState.ACTIVE
    shop.until(end + timedelta(days=1))
    for one in (kept, left):
        one.refresh_from_db()
    assert (kept.state, left.state) == (_S.ACTIVE, _S.ENDED)
    assert charged(shop) == ["1.00", "1.00", "149.00"]
    assert shop.service(left).is_over
    assert faults_of(shop) == []


def test_a_trial_without_a_card_ends_into_a_choice(shop: Shop) -> None:
    order = shop.order(shop.offer(trial_days=7, trial_needs_method=False))
    assert order.payment() is None
    shop.deliver()
    subscription = order.item.subscription
    assert subscription
    subscription.refresh_from_db()
    end = subscription.current_period_end
    assert (subscription.state, shop.service(subscription).state) == (_S.TRIAL, "active")
    assert end
    shop.until(end)
    subscription.refresh_from_db()
    assert (subscription.state, shop.service(subscription).state) == (_S.SUSPENDED, "suspended")
    assert trials.waits(subscription)
    assert len(shop.invoices(subscription)) == 1
    assert charged(shop) == []
    # Three days before the end, and at the end.
    assert letters("trial_ending") == 2
    assert faults_of(shop) == []
    shop.until(end + timedelta(days=4))
    payment = trials.bind(subscription=subscription, return_url="https://shop.example/")
    payments.send(payment.pk)
    payment.refresh_from_db()
    shop.gateway.pay(payment.confirmation_url, card=CARD_A)
    payments.settle(payment.pk)
    shop.until(end + timedelta(days=5))
    subscription.refresh_from_db()
    assert (subscription.state, subscription.anchor_date) == (_S.ACTIVE, end + timedelta(days=4))
    assert shop.service(subscription).state == "active"
    assert charged(shop) == ["1.00", "149.00"]
    assert faults_of(shop) == []


def test_who_never_chooses_is_let_go(shop: Shop) -> None:
    order = shop.order(shop.offer(trial_days=7, trial_needs_method=False))
    shop.deliver()
    shop.until(clock.today() + timedelta(days=40))
    subscription = Subscription.objects.get(order_items__order=order)
    assert (subscription.state, subscription.end_reason) == (_S.ENDED, "trial_over")
    assert charged(shop) == []
    assert faults_of(shop) == []


def test_a_card_refused_within_the_trial_is_not_charged(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(trial_days=7))
    assert subscription.method
    assert subscription.current_period_end
    payments.refuse_method(subscription.method, actor="customer")
    shop.until(subscription.current_period_end + timedelta(days=1))
    subscription.refresh_from_db()
    assert subscription.state == _S.SUSPENDED
    assert charged(shop) == ["1.00"]
    assert faults_of(shop) == []


def test_a_trial_is_had_once_by_phone_mail_and_card(shop: Shop) -> None:
    offer = shop.offer(trial_days=7)
    customer = shop.customer()
    shop.buy(offer, card=CARD_A, customer=customer)
    with pytest.raises(Refused) as refusal:
        shop.order(offer, customer=customer)
    assert refusal.value.code == "trial_used"
    # Another person with the same card finds out when the card is known; nothing is charged.
    order = shop.order(offer)
    shop.pay(order, CARD_A)
    order.refresh_from_db()
    assert (order.state, order.item.subscription and order.item.subscription.end_reason) == (
        OrderState.CANCELLED,
        "trial_used",
    )
    assert {one.amount for one in Refund.objects.all()} == {Decimal(1)}
    assert Refund.objects.count() == 2
    # Their phone has had nothing: with another card they may.
    assert order.customer
    again = shop.buy(offer, card=CARD_B, customer=order.customer)
    assert again.state == _S.TRIAL
    # And without the trial anybody may buy.
    paid = shop.buy(offer, customer=customer, trial=False)
    assert (paid.state, shop.invoices(paid)[0].total) == (_S.ACTIVE, Decimal("149.00"))
    assert faults_of(shop) == []


def test_another_product_has_a_trial_of_its_own(shop: Shop) -> None:
    customer = shop.customer()
    one = shop.buy(shop.offer(trial_days=7), customer=customer)
    two = shop.buy(shop.offer(trial_days=7), customer=customer)
    assert (one.state, two.state) == (_S.TRIAL, _S.TRIAL)


@pytest.mark.parametrize("unique", [True, False])
def test_two_trials_at_once(shop: Shop, monkeypatch: pytest.MonkeyPatch, unique: bool) -> None:
    """Two orders of one customer, both with a saved card: the unique index lets one of them begin."""
    offer, customer = shop.offer(trial_days=7), shop.customer()
    orders = [shop.order(offer, customer=customer) for _one in range(2)]
    for order, card in zip(orders, (CARD_A, CARD_B), strict=True):
        payment = order.payment()
        assert payment
        payment.refresh_from_db()
        shop.gateway.pay(payment.confirmation_url, card=card)
        payments.settle(payment.pk)
    if not unique:
        # Asked and not written down at once, as if there were no index to wait at.
        def only_look(subscription: Subscription, method: Any) -> bool:
            return not trials.had(subscription.customer, subscription.product_id)

        monkeypatch.setattr(trials, "claim", only_look)

    def begin(order: Order) -> None:
        payment = order.payment()
        assert payment
        with transaction.atomic():
            renewals.paid(payment.pk)

    done = race(
        monkeypatch,
        shop.partner,
        lambda: begin(orders[0]),
        (subscriptions, "start"),
        lambda: begin(orders[1]),
    )
    assert not isinstance(done.first, Exception)
    assert not isinstance(done.second, Exception)
    assert done.overtook is not unique
    live = Subscription.objects.filter(state=_S.TRIAL).count()
    assert live == (1 if unique else 2)
    assert TrialUse.objects.values("subscription").distinct().count() == (1 if unique else 0)


def test_the_card_is_known_by_its_fingerprint_and_not_stored(shop: Shop) -> None:
    one = shop.buy(shop.offer())
    two = shop.buy(shop.offer())
    three = shop.buy(shop.offer(), card=CARD_B)
    prints = [PaymentMethod.objects.get(pk=row.method_id).fingerprint for row in (one, two, three)]
    assert prints[0] == prints[1] != prints[2]
    assert all(re.fullmatch("[0-9a-f]{64}", text) for text in prints)
    customers.erase(one.customer, actor="test")
    shop.deliver()
    assert PaymentMethod.objects.get(pk=one.method_id).fingerprint == ""
