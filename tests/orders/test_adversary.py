"""From order to refund with everything out of step: news doubled and reversed, answers late, minds changed."""

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction

from apps.billing import invoices, renewals, subscriptions
from apps.billing.models import Invoice, InvoiceState, Subscription, SubscriptionState
from apps.core import clock, due, events
from apps.core.errors import Refused
from apps.core.models import Delivery, Event
from apps.core.money import Money
from apps.core.tenancy import in_partner
from apps.ledger.models import Transfer
from apps.notifications.models import Message
from apps.orders import fulfilment, provisioning
from apps.orders.models import Fulfilment, Service, ServiceState
from apps.payments import handlers, payments, refund_calls
from apps.payments.models import Payment, Refund
from apps.sandbox.control import Control
from tests.billing.test_renewals import is_clean, jump
from tests.conftest import eventually
from tests.orders.shop import GOOD, Shop


def backwards(shop: Shop) -> None:
    """Delivers the newest news first, and does what it leads to."""
    for _round in range(100):
        for place, row in enumerate(Delivery.objects.filter(partner_id=shop.partner.pk).order_by("event_id")):
            Delivery.objects.filter(pk=row.pk).update(next_at=clock.wall() - timedelta(seconds=place + 1))
        if events.deliver_one(shop.partner.pk):
            continue
        rows = due.claim(20, partner_id=shop.partner.pk)
        for row in reversed(rows):
            due.run(row)
        if not rows:
            return
    raise AssertionError("It does not come to an end")


def doubled(shop: Shop) -> None:
    """Every piece of news comes to every handler once more."""
    told = list(Event.objects.filter(partner_id=shop.partner.pk))
    Delivery.objects.bulk_create(
        Delivery(event=event, partner_id=shop.partner.pk, handler=name, next_at=clock.wall())
        for event in told
        for name in events._handlers.get(event.type, {})
    )
    backwards(shop)


def counted(shop: Shop) -> tuple[object, ...]:
    """All that happening twice would show in."""
    return (
        Transfer.objects.filter(partner_id=shop.partner.pk).count(),
        *(model.objects.count() for model in (Invoice, Payment, Refund, Service, Fulfilment, Message, Event)),
        sorted(Subscription.objects.values_list("state", "current_period_end")),
        sorted(Service.objects.values_list("state", "active_until")),
        len(shop.charges()),
    )


def in_thread(shop: Shop, work: Callable[[], object]) -> threading.Thread:
    """A started thread: another worker of the shop's partner."""

    def run() -> None:
        try:
            with in_partner(shop.partner):
                work()
        finally:
            connection.close()

    started = threading.Thread(target=run)
    started.start()
    return started


def test_news_reversed_and_doubled_changes_nothing(shop: Shop) -> None:
    order = shop.order(shop.offer())
    payment = order.payment()
    assert payment is not None
    payment.refresh_from_db()
    shop.gateway.pay(payment.confirmation_url, card=GOOD)
    payments.settle(payment.pk)
    backwards(shop)
    subscription = Subscription.objects.get()
    assert shop.service(subscription).state == ServiceState.ACTIVE
    jump(shop, subscription.current_period_end)
    renewals.renew(subscription.pk)
    backwards(shop)
    before = counted(shop)
    doubled(shop)
    assert counted(shop) == before
    renewal = shop.invoices(subscription)[1].payment()
    assert renewal is not None
    payments.refund(payment=renewal, amount=Money(Decimal("50.00")), reason="-", actor="finance")
    payments.refund(payment=renewal, reason="-", actor="finance")
    backwards(shop)
    before = counted(shop)
    doubled(shop)
    assert counted(shop) == before
    subscription.refresh_from_db()
    assert (subscription.state, shop.invoices(subscription)[1].state) == ("cancelled", "refunded")
    assert shop.service(subscription).is_over
    assert is_clean(shop)


def test_staff_end_now_what_the_customer_cancelled_for_later(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    subscriptions.cancel(subscription, actor="customer")
    subscription = subscriptions.cancel(subscription, at_period_end=False, actor="staff")
    shop.deliver()
    assert subscription.state == SubscriptionState.CANCELLED
    assert shop.service(subscription).is_over
    assert is_clean(shop)


def test_a_page_that_nobody_pays_does_not_stop_the_attempts(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    end = subscription.current_period_end
    shop.gateway.fault("decline", reason="insufficient_funds", match={"shop": shop.partner.slug})
    shop.until(end)
    invoice = shop.invoices(subscription)[1]
    with transaction.atomic():
        page = invoices.pay(invoice, return_url="https://shop.example/")
    payments.send(page.pk)
    # The day of the next attempt comes while the page is open; only then we hear that it has expired.
    shop.until(end + timedelta(days=1))
    page.refresh_from_db()
    assert page.state == "pending"
    shop.hurry()
    page.refresh_from_db()
    assert page.state == "failed"
    assert is_clean(shop)
    shop.until(end + timedelta(days=3))
    subscription.refresh_from_db()
    assert (subscription.state, len(shop.charges())) == (SubscriptionState.ACTIVE, 2)
    assert is_clean(shop)


def test_a_charge_that_could_not_be_sent_is_not_sent_after_a_cancellation(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    jump(shop, subscription.current_period_end)
    renewals.renew(subscription.pk)
    charge = shop.invoices(subscription)[1].payment()
    assert charge is not None
    shop.gateway.fault("http_429", match={"operation": "create_payment", "shop": shop.partner.slug})
    assert payments.send(charge.pk).state == "created"
    subscriptions.cancel(subscription, actor="customer")
    shop.hurry()
    charge.refresh_from_db()
    assert (charge.state, charge.decline_reason, len(shop.charges())) == ("failed", "called_off", 1)
    assert is_clean(shop)


@pytest.mark.parametrize("how", ["cancelled", "refunded"])
def test_the_provider_answers_after_the_end(shop: Shop, provider_sim: Control, how: str) -> None:
    """It hears of the end first and makes the product after that: it is taken back again."""
    order = shop.order(shop.offer())
    payment = order.payment()
    assert payment is not None
    payment.refresh_from_db()
    shop.gateway.pay(payment.confirmation_url, card=GOOD)
    payments.settle(payment.pk)
    while events.deliver_one(shop.partner.pk):
        continue
    [row] = Fulfilment.objects.all()
    due.cancel(fulfilment.FULFIL, row.pk)
    provider_sim.fault("delay", seconds=4, match={"operation": "activate"})
    worker = in_thread(shop, lambda: provisioning.fulfil(row.pk))
    eventually(lambda: provider_sim.log(operation="activate", request_id=str(row.pk)))
    if how == "cancelled":
        subscriptions.cancel(Subscription.objects.get(), at_period_end=False, actor="staff")
    else:
        refund_calls.send(payments.refund(payment=payment, reason="-", actor="finance").pk)
    shop.deliver()
    assert Service.objects.get().is_over
    assert Fulfilment.objects.get(action="cancel").state == "revoked"
    worker.join()
    shop.deliver()
    [made] = [a for a in provider_sim.register()["activations"] if a["request_id"] == str(row.pk)]
    assert made["status"] == "canceled"
    assert (Service.objects.get().state, Service.objects.get().key) == (ServiceState.CANCELLED, "")
    assert not Message.objects.filter(type="key_delivered").exists()
    assert is_clean(shop)


def test_an_older_renewal_that_is_late_at_the_provider_shortens_nothing(
    shop: Shop, provider_sim: Control
) -> None:
    subscription = shop.buy(shop.offer())
    provider_sim.fault("refuse", match={"operation": "extend"})
    shop.until(subscription.current_period_end)
    late = Fulfilment.objects.get(action="extend")
    assert late.state == "needs_staff"
    subscription.refresh_from_db()
    shop.until(subscription.current_period_end)
    subscription.refresh_from_db()
    until = shop.service(subscription).active_until
    assert until == subscription.current_period_end
    fulfilment.retry(late, actor="staff")
    shop.deliver()
    late.refresh_from_db()
    assert (late.state, shop.service(subscription).active_until) == ("done", until)
    made = provider_sim.register()["activations"]
    [end] = [a["period_end"] for a in made if a["request_id"] == str(shop.service(subscription).request_id)]
    assert end == str(until)
    assert is_clean(shop)


def test_a_webhook_comes_before_our_own_answer(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    jump(shop, subscription.current_period_end)
    renewals.renew(subscription.pk)
    charge = shop.invoices(subscription)[1].payment()
    assert charge is not None
    match = {"operation": "create_payment", "shop": shop.partner.slug}
    shop.gateway.fault("hold", seconds=30, match=match)
    worker = in_thread(shop, lambda: payments.send(charge.pk))
    eventually(lambda: shop.gateway.log(**match, held="true"))
    handlers.settle(charge.pk)
    shop.gateway.release()
    worker.join()
    shop.deliver()
    assert Event.objects.filter(object_id=charge.pk, type="payments.PaymentSucceeded").count() == 1
    assert (shop.invoices(subscription)[1].state, len(shop.charges())) == (InvoiceState.PAID, 2)
    assert is_clean(shop)


def test_a_refund_is_heard_of_before_its_payment(shop: Shop) -> None:
    order = shop.order(shop.offer())
    payment = order.payment()
    assert payment is not None
    payment.refresh_from_db()
    shop.gateway.pay(payment.confirmation_url, card=GOOD)
    shop.gateway.cabinet_refund(payment.gateway_id, "149.00")
    handlers.reconcile(payment.pk)
    shop.deliver()
    payment.refresh_from_db()
    order.refresh_from_db()
    assert (payment.state, Refund.objects.get().amount, order.state) == (
        "refunded",
        payment.amount,
        "cancelled",
    )
    assert (Invoice.objects.get().state, Subscription.objects.get().state) == ("refunded", "cancelled")
    assert is_clean(shop)
    # One that says it of a payment that nobody has made yet is asked about again later.
    waiting = shop.order(shop.offer()).payment()
    assert waiting is not None
    with pytest.raises(due.Retry):
        handlers.reconcile(waiting.pk)
    assert not waiting.refunds.exists()


def test_another_currency_settles_and_gives_back_nothing(shop: Shop) -> None:
    order = shop.order(shop.offer())
    payment = order.payment()
    assert payment is not None
    payment.refresh_from_db()
    Payment.objects.filter(pk=payment.pk).update(currency="USD")
    shop.gateway.pay(payment.confirmation_url, card=GOOD)
    assert payments.settle(payment.pk).state == "unknown"
    shop.deliver()
    assert Invoice.objects.get().state == InvoiceState.OPEN
    Payment.objects.filter(pk=payment.pk).update(currency="RUB")
    Payment.objects.filter(pk=payment.pk).update(claimed_at=clock.wall() - timedelta(minutes=5))
    payment = payments.settle(payment.pk)
    shop.deliver()
    assert Invoice.objects.get().state == InvoiceState.PAID
    with pytest.raises(Refused, match="refund_too_much"):
        payments.refund(payment=payment, amount=Money(Decimal("1.00"), "USD"), reason="-", actor="finance")
    assert is_clean(shop)
