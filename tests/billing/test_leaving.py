"""A customer takes a card back, or is erased: nothing is charged any more, and the papers stay."""

from datetime import timedelta

import pytest
from django.db import transaction

from apps.accounts import customers
from apps.billing import invoices, notices, renewals, subscriptions
from apps.billing.models import InvoiceState, Subscription, SubscriptionState
from apps.core import clock
from apps.core.errors import Refused
from apps.core.models import Due
from apps.notifications.models import Message
from apps.orders.models import ServiceState
from apps.payments import payments
from apps.payments.models import PaymentMethod
from tests.billing.test_renewals import is_clean, jump, letters
from tests.orders.shop import GOOD, Shop


def test_a_refused_card_is_announced_to_nobody_and_the_customer_is_told_why(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    end = subscription.current_period_end
    assert subscription.method
    payments.refuse_method(subscription.method, actor="customer")
    shop.deliver()
    assert not Due.objects.filter(kind=subscriptions.NOTICE, object_id=subscription.pk).exists()
    shop.until(end)
    subscription.refresh_from_db()
    # «Спишем с карты» would be a lie.
    assert (letters("renewal_ahead"), letters("renewal_failed")) == (0, 1)
    assert "списания с этой карты отключены" in Message.objects.get(type="renewal_failed").text
    assert (subscription.state, len(shop.charges())) == (SubscriptionState.PAST_DUE, 1)
    assert is_clean(shop)
    # What the letter asks for: the customer pays by hand, with a card that may be charged from then on.
    invoice = shop.invoices(subscription)[1]
    with transaction.atomic():
        payment = invoices.pay(invoice, return_url="https://shop.example/")
    payment = payments.send(payment.pk)
    shop.gateway.pay(payment.confirmation_url, card=GOOD)
    payments.settle(payment.pk)
    shop.deliver()
    subscription.refresh_from_db()
    assert (subscription.state, subscription.current_period_start) == (SubscriptionState.ACTIVE, end)
    assert subscription.method
    assert subscription.method.is_active
    shop.until(subscription.current_period_end)
    assert (letters("renewal_ahead"), len(shop.charges())) == (1, 3)
    assert is_clean(shop)


def test_a_card_refused_after_a_notice_was_planned_is_not_announced(shop: Shop) -> None:
    """The news of the refusal may come after the notice's moment: the card itself is looked at."""
    subscription = shop.buy(shop.offer())
    jump(shop, subscription.current_period_end - timedelta(days=2))
    assert subscription.method
    payments.refuse_method(subscription.method, actor="customer")
    notices.notice(subscription.pk)
    assert letters("renewal_ahead") == 0


def test_the_bank_takes_a_card_back_while_it_is_charged(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(), card="4000000000000127")
    shop.until(subscription.current_period_end + timedelta(days=6))
    subscription.refresh_from_db()
    assert (subscription.state, subscription.end_reason) == (SubscriptionState.ENDED, "unpaid")
    tried = [p for p in subscription.method.payments.all() if p.is_charge]
    assert len(tried) == 1
    assert (letters("renewal_failed"), letters("last_warning"), letters("method_refused")) == (2, 1, 1)
    assert is_clean(shop)


def test_an_erased_customer_is_charged_no_more_and_the_papers_stay(shop: Shop) -> None:
    customer = shop.customer()
    running = shop.buy(shop.offer(), customer=customer)
    trial = shop.buy(shop.offer(trial_days=7), customer=customer)
    waiting = shop.order(shop.offer(), customer=customer)
    end = running.current_period_end
    customers.erase(customer, actor="test")
    shop.deliver()

    running.refresh_from_db()
    trial.refresh_from_db()
    waiting.refresh_from_db()
    assert (running.cancel_at_period_end, trial.cancel_at_period_end) == (True, True)
    assert waiting.state == "cancelled"
    # Nothing was paid for the trial but the rouble that saved the card.
    assert [invoice.total for invoice in shop.invoices(trial)] == [0]
    assert {(m.token, m.title, m.is_active) for m in PaymentMethod.objects.all()} == {("", "••", False)}
    service = shop.service(running)
    assert (service.state, service.key, service.url) == (ServiceState.ACTIVE, "", "")
    assert is_clean(shop)
    shop.until(end + timedelta(days=40))
    running.refresh_from_db()
    assert (running.state, len(shop.charges())) == (SubscriptionState.ENDED, 2)
    # Law keeps the money's documents: who it was does not stand in them.
    [paid] = shop.invoices(running)
    assert (paid.state, paid.total, str(paid.customer)) == (InvoiceState.PAID, running.price, "Данные стёрты")
    assert is_clean(shop)
    with pytest.raises(Refused) as refusal:
        shop.order(shop.offer(), customer=customer)
    assert refusal.value.code == "customer_erased"


def test_what_an_erased_customer_pays_afterwards_goes_back(shop: Shop) -> None:
    order = shop.order(shop.offer())
    payment = order.payment()
    assert payment is not None
    payment.refresh_from_db()
    customers.erase(order.customer, actor="test")
    shop.deliver()
    shop.gateway.pay(payment.confirmation_url, card=GOOD)
    payments.settle(payment.pk)
    shop.deliver()
    payment.refresh_from_db()
    assert (payment.state, Subscription.objects.get().state) == ("refunded", SubscriptionState.ENDED)
    assert payment.return_url == ""
    assert not PaymentMethod.objects.filter(is_active=True).exists()
    assert is_clean(shop)


def test_an_erasure_heard_before_the_payment_that_was_captured(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    jump(shop, subscription.current_period_end)
    renewals.renew(subscription.pk)
    charge = shop.invoices(subscription)[1].payment()
    assert charge is not None
    payments.send(charge.pk)
    customers.erase(subscription.customer, actor="test")
    with transaction.atomic():
        renewals.customer_erased(subscription.customer_id)
    shop.deliver()
    charge.refresh_from_db()
    assert charge.state == "refunded"
    shop.until(clock.today() + timedelta(days=1))
    assert is_clean(shop)
