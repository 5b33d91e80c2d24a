"""Each row lock of billing and orders: right with it; taken away, the same two workers do harm.

The unlocked half shows that the lock is what helps, and not luck.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from apps.accounts import customers
from apps.accounts.models import Customer
from apps.billing import earning, invoices, renewals, subscriptions
from apps.billing import run as billing_run
from apps.billing.models import Invoice, InvoicePayment, InvoiceState, Subscription
from apps.billing.moving.models import BaseRow
from apps.core import bulk, clock, due
from apps.core.errors import Refused
from apps.core.models import Event
from apps.ledger.models import Transfer
from apps.orders import fulfilment, history, moving, quoting, services
from apps.orders.models import Fulfilment, Order, OrderItem, OrderState, Service
from apps.orders.placing import place_order
from apps.payments import payments, refund_calls
from apps.payments.models import PaymentMethod
from tests.billing.bases import load, move
from tests.billing.test_moving import row
from tests.billing.test_renewals import jump
from tests.orders.races import Both, Runner, atomic, race, run
from tests.orders.shop import Shop

__all__ = ["run"]


@Both
def test_renewing_and_cancelling(shop: Shop, run: Runner, locked: bool) -> None:
    subscription = shop.buy(shop.offer())
    jump(shop, subscription.current_period_end)
    run(
        lambda: renewals.renew(subscription.pk),
        (billing_run, "write"),
        lambda: subscriptions.cancel(subscription, actor="test"),
        Subscription,
    )
    # Without the lock a cancelled subscription has an open invoice that will be charged.
    invoice = shop.invoices(subscription)[1]
    assert invoice.state == (InvoiceState.VOID if locked else InvoiceState.OPEN)
    assert Subscription.objects.get().cancelled_at


@Both
def test_settling_one_payment_twice(shop: Shop, run: Runner, locked: bool) -> None:
    subscription = shop.buy(shop.offer())
    jump(shop, subscription.current_period_end)
    renewals.renew(subscription.pk)
    [_first, invoice] = shop.invoices(subscription)
    charge = invoice.payment()
    assert charge is not None
    payments.send(charge.pk)
    settle = atomic(renewals.paid, charge.pk)
    run(settle, (subscriptions, "extend"), settle, Subscription, Invoice)
    told = Event.objects.filter(type="billing.InvoicePaid", object_id=invoice.pk)
    assert told.count() == (1 if locked else 2)


@Both
def test_two_browsers_pay_one_invoice(shop: Shop, run: Runner, locked: bool) -> None:
    order = shop.order(shop.offer())
    shop.pay(order, card="5555555555554600")
    assert order.invoice
    pay = atomic(invoices.pay, order.invoice, return_url="https://shop.example/")
    done = run(pay, (payments, "start"), pay, Invoice)
    if locked:
        assert done.first == done.second
    else:
        # The database's own rule is what is left, and one of the two sees an error.
        assert isinstance(done.first, IntegrityError)
    assert InvoicePayment.objects.filter(failed=False).count() == 1


@Both
def test_cancelling_while_the_invoice_is_being_paid(shop: Shop, run: Runner, locked: bool) -> None:
    subscription = shop.buy(shop.offer(), card="4000000000000341")
    shop.until(subscription.current_period_end)
    invoice = shop.invoices(subscription)[1]
    done = run(
        lambda: subscriptions.cancel(subscription, actor="test"),
        (invoices.postings, "taken_back"),
        atomic(invoices.pay, invoice, return_url="https://shop.example/"),
        Invoice,
    )
    # Without the lock the customer is sent to pay for what is void.
    assert isinstance(done.second, Refused) is locked
    assert InvoicePayment.objects.filter(invoice=invoice, failed=False).exists() is not locked


@Both
def test_giving_back_what_is_being_earned(shop: Shop, run: Runner, locked: bool) -> None:
    subscription = shop.buy(shop.offer())
    [invoice] = shop.invoices(subscription)
    payment = invoice.payment()
    assert payment
    made = payments.refund(payment=payment, reason="-", actor="finance")
    refund_calls.send(made.pk)
    jump(shop, subscription.current_period_end)
    done = run(
        atomic(renewals.refunded, made.pk),
        (earning, "post"),
        atomic(invoices.recognise, invoice.pk),
        Invoice,
    )
    # Who gives back recognises first what is earned; without the lock the database's own rule is what is left.
    assert isinstance(done.first, IntegrityError) is not locked
    if locked:
        mine = Transfer.objects.filter(partner_id=shop.partner.pk)
        back = sum(mine.filter(debit="revenue").values_list("amount", flat=True))
        assert back == sum(mine.filter(credit="revenue").values_list("amount", flat=True)) > 0


@Both
def test_renewing_by_a_card_that_is_being_refused(shop: Shop, run: Runner, locked: bool) -> None:
    subscription = shop.buy(shop.offer())
    method = subscription.method
    assert method
    jump(shop, subscription.current_period_end)
    done = run(
        lambda: renewals.renew(subscription.pk),
        (billing_run, "write"),
        lambda: payments.refuse_method(method, actor="customer"),
        PaymentMethod,
    )
    assert not isinstance(done.second, Exception)
    # With the lock the refusal waited for the claim; without, a charge was written after it had committed.
    refused = Event.objects.get(type="payments.MethodRefused", object_id=method.pk)
    charge = method.payments.get(purpose="renewal")
    assert (charge.pk.int < refused.pk.int) is locked


@Both
def test_news_of_a_paid_order_handled_twice(shop: Shop, run: Runner, locked: bool) -> None:
    subscription = shop.buy(shop.offer())
    order = Order.objects.get()
    # As it was before the news came.
    Fulfilment.objects.all().delete()
    Service.objects.all().delete()
    Order.objects.update(state=OrderState.PENDING)
    OrderItem.objects.update(state=OrderState.PENDING)
    handle = atomic(services.invoice_paid, order.invoice_id)
    run(handle, (fulfilment, "add"), handle, Subscription, Order)
    assert Service.objects.filter(subscription=subscription).count() == (1 if locked else 2)


@Both
def test_two_pieces_of_an_order_are_delivered_at_once(shop: Shop, run: Runner, locked: bool) -> None:
    shop.buy(shop.offer(delivery="manual"), quantity=2)
    one, two = Fulfilment.objects.order_by("pk")

    def hand_over(row: Fulfilment) -> Callable[[], Any]:
        return lambda: fulfilment.hand_over(row, key=f"ПОЛИС-{row.pk}", actor="test")

    # Stopped when it has looked at the other piece, and not committed yet.
    run(atomic(_then(hand_over(one), lambda: clock.zone())), (clock, "zone"), hand_over(two), Order)
    assert set(Fulfilment.objects.values_list("state", flat=True)) == {"done"}
    # Without the lock each saw the other one unfinished: nobody finished the order.
    assert Order.objects.get().state == (OrderState.COMPLETED if locked else OrderState.IN_PROGRESS)


@Both
def test_two_members_of_staff_hand_over_the_same_thing(shop: Shop, run: Runner, locked: bool) -> None:
    shop.buy(shop.offer(delivery="manual"))
    row = Fulfilment.objects.get()
    done = run(
        lambda: fulfilment.hand_over(row, key="ПЕРВЫЙ", actor="one"),
        (fulfilment, "_deliver"),
        lambda: fulfilment.hand_over(row, key="ВТОРОЙ", actor="two"),
        Fulfilment,
        Service,
    )
    assert isinstance(done.second, Refused) is locked
    given = Event.objects.filter(type="orders.ServiceActivated", object_id=Service.objects.get().pk)
    assert given.count() == (1 if locked else 2)


@Both
def test_two_extensions_of_one_service_are_recorded_at_once(shop: Shop, run: Runner, locked: bool) -> None:
    subscription = shop.buy(shop.offer())
    service = shop.service(subscription)
    assert service.active_until
    ends = [service.active_until.replace(year=service.active_until.year + more) for more in (1, 2)]
    rows = []
    with transaction.atomic():
        for end in ends:
            rows.append(fulfilment.add(service, "extend", period_end=end))
            due.cancel(fulfilment.FULFIL, rows[-1].pk)
    Fulfilment.objects.filter(pk__in=[row.pk for row in rows]).update(state="needs_staff")

    def hand_over(row: Fulfilment) -> Callable[[], Any]:
        return lambda: fulfilment.hand_over(row, actor="test")

    run(hand_over(rows[0]), (history, "change"), hand_over(rows[1]), Service)
    service.refresh_from_db()
    # Without the lock the shorter one, read before, is written over the longer one.
    assert service.active_until == (ends[1] if locked else ends[0])


@Both
def test_handing_over_what_ends(shop: Shop, run: Runner, locked: bool) -> None:
    subscription = shop.buy(shop.offer(delivery="manual"))
    row = Fulfilment.objects.get()
    subscriptions.cancel(subscription, at_period_end=False, actor="test")
    done = run(
        atomic(services.subscription_ended, subscription.pk),
        (fulfilment, "revoke_open"),
        lambda: fulfilment.hand_over(row, key="ПОЛИС", actor="test"),
        Service,
        Fulfilment,
    )
    assert isinstance(done.second, Refused) is locked
    # Without the lock the customer is sent what is taken away at once.
    told = Event.objects.filter(type="orders.ServiceActivated")
    assert told.filter(object_id=shop.service(subscription).pk).exists() is not locked


@Both
def test_an_order_expires_while_it_is_cancelled(shop: Shop, run: Runner, locked: bool) -> None:
    order = shop.order(shop.offer())
    expire = atomic(services.expire_order, order.pk)
    run(expire, (services, "_cancel"), expire, Order)
    told = Event.objects.filter(type="orders.OrderCancelled", object_id=order.pk)
    assert told.count() == (1 if locked else 2)


@Both
def test_a_renewal_is_planned_twice(shop: Shop, run: Runner, locked: bool) -> None:
    subscription = shop.buy(shop.offer())
    shop.until(subscription.current_period_end)
    renewal = shop.invoices(subscription)[1]
    Fulfilment.objects.filter(action="extend").delete()
    handle = atomic(services.invoice_paid, renewal.pk)
    done = run(handle, (fulfilment, "add"), handle, Subscription, Service)
    assert isinstance(done.first, IntegrityError) is not locked
    assert Fulfilment.objects.filter(action="extend").count() == 1


@Both
def test_erasing_a_customer_who_orders(shop: Shop, run: Runner, locked: bool) -> None:
    offer, customer = shop.offer(), shop.customer()
    run(
        lambda: place_order(customer=customer, offer=offer, return_url="https://shop.example/"),
        (quoting, "quote"),
        lambda: customers.erase(customer, actor="test"),
        Customer,
    )
    # Without the lock the order is written after the news of the erasure, which then cancels nothing.
    erased = Event.objects.get(type="accounts.CustomerErased", object_id=customer.pk)
    placed = Event.objects.get(type="orders.OrderPlaced", object_id=Order.objects.get().pk)
    assert (placed.pk.int < erased.pk.int) is locked


@Both
def test_what_a_moved_base_had_is_written_down_twice(shop: Shop, run: Runner, locked: bool) -> None:
    load(shop, [row(shop.offer())])
    [batch] = move(1)
    take_over = atomic(moving.take_over, batch.pk)
    run(take_over, (bulk, "copy_objects"), take_over, BaseRow, indexes=("orders_service_request_id_key",))
    assert Service.objects.count() == (1 if locked else 2)


def test_an_answer_and_an_end_do_not_wait_for_each_other(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever locks a service and its fulfilment does so in one order: else the database would kill one of them."""
    subscription = shop.buy(shop.offer(delivery="manual"))
    row = Fulfilment.objects.get()
    subscriptions.cancel(subscription, at_period_end=False, actor="test")
    done = race(
        monkeypatch,
        shop.partner,
        lambda: fulfilment.hand_over(row, key="ПОЛИС", actor="test"),
        (fulfilment, "_deliver"),
        atomic(services.subscription_ended, subscription.pk),
    )
    assert (done.first, done.second) == (None, None)
    assert shop.service(subscription).is_over


def _then(first: Callable[[], Any], second: Callable[[], Any]) -> Callable[[], Any]:
    def both() -> None:
        first()
        second()

    return both
