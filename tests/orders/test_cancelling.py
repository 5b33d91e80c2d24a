"""An order is cancelled: whatever it races with, nothing that was given back is delivered, and no state is skipped."""

import random
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.billing.models import Invoice, InvoiceState, Subscription
from apps.core import audit, clock
from apps.core.errors import Refused
from apps.core.models import WorkItem
from apps.notifications.models import Message
from apps.orders import cancelling, fulfilment, services, states
from apps.orders.models import Fulfilment, History, ItemAction, Order, OrderItem, OrderState
from apps.orders.placing import Wanted
from apps.payments import payments, refund_calls
from apps.payments.models import Refund, RefundState
from tests.orders.races import Both, Runner, atomic, run  # noqa: F401 - a fixture
from tests.orders.shop import Shop

D = Decimal


def is_clean(shop: Shop) -> bool:
    found = [str(one) for one in audit.run([shop.partner.pk])]
    return found == []


def send_refunds(shop: Shop) -> Decimal:
    for refund in Refund.objects.filter(state=RefundState.PENDING):
        refund_calls.send(refund.pk)
    shop.deliver()
    return sum((D(row["refunded_amount"]["value"]) for row in shop.charges()), D(0))


def test_what_is_not_paid_is_called_off_and_money_that_comes_goes_back(shop: Shop) -> None:
    order = shop.order(shop.offer(price="149.00"))
    asked = cancelling.cancel(order, reason="Передумал", actor="api")
    order.refresh_from_db()
    assert (asked.kind, asked.state, order.state) == ("cancel", OrderState.COMPLETED, OrderState.CANCELLED)
    assert asked.item.action == ItemAction.DELETE
    with pytest.raises(Refused, match="закрыт"):
        cancelling.cancel(order)
    shop.pay(order)
    assert send_refunds(shop) == sum(D(row["amount"]) for row in shop.charges()) > 0
    assert not Fulfilment.objects.exists()
    assert is_clean(shop)


def test_where_a_person_is_at_work_a_person_decides(shop: Shop) -> None:
    order = shop.order(shop.offer(delivery="manual", price="149.00"))
    shop.pay(order)
    asked = cancelling.cancel(order, reason="Передумал", actor="api")
    order.refresh_from_db()
    assert (asked.state, order.state) == (OrderState.IN_PROGRESS, OrderState.ASSESSING)
    assert WorkItem.objects.filter(partner_id=shop.partner.pk, object_id=order.pk).count() == 1
    assert cancelling.cancel(order).pk == asked.pk
    cancelling.refuse(order, reason="Уже печатаем полис", actor="anna")
    asked.refresh_from_db()
    order.refresh_from_db()
    assert (asked.state, order.state) == (OrderState.FAILED, OrderState.IN_PROGRESS)
    again = cancelling.cancel(order, actor="anna", decided=True)
    order.refresh_from_db()
    assert (again.state, order.state) == (OrderState.COMPLETED, OrderState.CANCELLED)
    assert send_refunds(shop) == D("149.00")
    assert not WorkItem.objects.filter(object_id=order.pk).exists()
    assert Invoice.objects.get().state == InvoiceState.REFUNDED
    assert is_clean(shop)


def test_what_was_delivered_while_it_was_considered_stays(shop: Shop) -> None:
    order = shop.order(shop.offer(delivery="manual"))
    shop.pay(order)
    cancelling.cancel(order)
    fulfilment.hand_over(Fulfilment.objects.get(), key="ПОЛИС-1", actor="anna")
    cancelling.refuse(order, reason="Выдан", actor="anna")
    order.refresh_from_db()
    assert order.state == OrderState.COMPLETED
    with pytest.raises(Refused):
        cancelling.cancel(order)
    assert is_clean(shop)


def test_a_scheduled_order_waits_for_its_day(shop: Shop) -> None:
    day = clock.now() + timedelta(days=3)
    order = shop.order(shop.offer(price="149.00"), scheduled_at=day)
    assert (order.state, order.invoice, bool(order.number)) == (OrderState.PENDING, None, True)
    dear = shop.offer(price="149.00")
    other = shop.order(dear, scheduled_at=day)
    off = shop.order(shop.offer(), scheduled_at=day)
    cancelling.cancel(off)
    assert is_clean(shop)
    dear.price = D("200.00")
    dear.save()
    shop.until(clock.local(day).date() + timedelta(days=1), hour=1)
    for one in (order, other, off):
        one.refresh_from_db()
    assert order.invoice is not None
    # Who ordered days ago is told where to pay; who has nothing to pay is not.
    told = Message.objects.get(type="order_to_pay")
    assert shop.partner.url("/p/") in told.text
    shop.pay(order)
    assert (order.state, other.state, off.state) == ("completed", "rejected", "cancelled")
    assert "Цена изменилась" in History.objects.get(object_id=other.pk, became="rejected").reason
    assert is_clean(shop)
    with pytest.raises(Refused):
        shop.order(shop.offer(), scheduled_at=clock.now())


@Both
def test_cancelled_while_the_news_of_its_payment_is_handled(shop: Shop, run: Runner, locked: bool) -> None:  # noqa: F811
    order = shop.order(shop.offer(delivery="manual"))
    payment = order.payment()
    assert payment
    shop.gateway.pay(payment.confirmation_url)
    payments.settle(payment.pk)
    shop.deliver()
    Fulfilment.objects.all().delete()
    Subscription.objects.get().services.all().delete()
    Order.objects.update(state=OrderState.PENDING)
    OrderItem.objects.update(state=OrderState.PENDING)
    order.refresh_from_db()
    handle = atomic(services.invoice_paid, order.invoice_id)
    at = services.history, "change_order"
    run(handle, at, lambda: cancelling.cancel(order, decided=True), Subscription, Invoice, Order)
    order.refresh_from_db()
    open_yet = Fulfilment.objects.filter(action="provision", state__in=["queued", "needs_staff"])
    # Without the locks it is cancelled and given back, and asked for at the provider all the same.
    assert (order.state == OrderState.CANCELLED and not open_yet.exists()) is locked


def steps(shop: Shop, order: Order) -> dict[str, Callable[[], Any]]:
    def hand_over() -> None:
        if row := order.fulfilments.filter(state="needs_staff").first():
            fulfilment.hand_over(row, key="K", actor="anna")

    def drop() -> None:
        cancelling.cancel_item(random.Random(order.pk.int).choice(list(order.items.all())), reason="-")

    return {
        "pay": lambda: shop.pay(order) if order.state == OrderState.PENDING and not paid(order) else None,
        "hand over": hand_over,
        "drop": drop,
        "ask": lambda: cancelling.cancel(order),
        "decide": lambda: cancelling.cancel(order, decided=True),
        "refuse": lambda: cancelling.refuse(order, reason="-", actor="anna"),
        "wait": lambda: shop.hurry(),
    }


def paid(order: Order) -> bool:
    payment = order.payment()
    return payment is not None and payment.state != "pending"


@pytest.mark.parametrize("seed", range(6))
def test_no_state_comes_that_the_table_does_not_allow(shop: Shop, seed: int) -> None:
    dice = random.Random(seed)
    offers = [shop.offer(delivery=dice.choice(["manual", "account"])) for _one in range(dice.randint(1, 3))]
    order = shop.order(None, items=[Wanted(one) for one in offers])  # type: ignore[arg-type]
    if dice.random() < 0.8:
        shop.pay(order)
    for _step in range(6):
        step = dice.choice(list(steps(shop, order).values()))
        try:
            step()
        except Refused:
            pass
        order.refresh_from_db()
    shop.deliver()
    send_refunds(shop)
    of_orders = set(Order.objects.values_list("pk", flat=True))
    of_orders |= set(OrderItem.objects.values_list("pk", flat=True))
    walked = History.objects.filter(object_id__in=of_orders).exclude(was="").values_list("was", "became")
    assert all(became in states.ALLOWED[was] for was, became in walked)
    assert is_clean(shop)
