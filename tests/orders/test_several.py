"""Orders of several products: one invoice and payment, a subscription of each, and one of them that fails alone."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.billing import subscriptions
from apps.billing.models import CreditNote, Invoice, InvoiceState, Subscription, SubscriptionState
from apps.core import audit, clock
from apps.core.errors import Refused
from apps.orders import cancelling
from apps.orders.models import Fulfilment, Order, OrderState, Service
from apps.orders.placing import Wanted, place_order
from apps.payments import refund_calls
from apps.payments.models import Refund
from tests.orders.shop import Shop

D = Decimal


def ordered(shop: Shop, *offers: Any, **options: Any) -> Order:
    wanted = [Wanted(one) for one in offers]
    order = shop.order(None, items=wanted, **options)  # type: ignore[arg-type]
    return order


def states_of(order: Order) -> list[str]:
    return list(order.items.values_list("state", flat=True))


def test_one_invoice_and_payment_and_a_subscription_of_each(shop: Shop) -> None:
    keys, account = shop.offer(price="100.00", keys=3, delivery="key"), shop.offer(price="250.00")
    order = ordered(shop, keys, account)
    assert (order.total, order.name) == (D("350.00"), f"{order.item.name} и ещё 1")
    shop.pay(order)
    invoice = Invoice.objects.get()
    assert (invoice.state, invoice.total, invoice.lines.count()) == (InvoiceState.PAID, D("350.00"), 2)
    mine = list(Subscription.objects.order_by("pk"))
    assert [one.state for one in mine] == [SubscriptionState.ACTIVE] * 2
    assert mine[0].method_id is not None
    assert mine[0].method_id == mine[1].method_id
    assert (order.state, states_of(order)) == (OrderState.COMPLETED, ["completed", "completed"])
    assert Service.objects.filter(state="active").count() == 2
    assert len(shop.charges()) == 1
    assert list(audit.run([shop.partner.pk])) == []
    # From now on each by itself.
    shop.until(mine[0].current_period_end)
    assert Invoice.objects.filter(purpose="renewal", state="paid").count() == 2
    assert list(audit.run([shop.partner.pk])) == []


def test_one_that_cannot_be_had_is_refunded_alone(shop: Shop) -> None:
    hands, account = shop.offer(price="100.00", delivery="manual"), shop.offer(price="250.00")
    order = ordered(shop, account, hands)
    shop.pay(order)
    assert (order.state, states_of(order)) == (OrderState.IN_PROGRESS, ["completed", "in_progress"])
    late = order.items.get(position=2)
    cancelling.cancel_item(late, reason="Поставщик прекратил выпуск", actor="anna")
    for refund in Refund.objects.all():
        refund_calls.send(refund.pk)
    shop.deliver()
    order.refresh_from_db()
    assert (order.state, states_of(order)) == (OrderState.PARTIAL, ["completed", "failed"])
    assert [one.to_refund for one in CreditNote.objects.all()] == [D("100.00")]
    assert [one.state for one in Subscription.objects.order_by("pk")] == ["active", "cancelled"]
    assert sum(D(row["refunded_amount"]["value"]) for row in shop.charges()) == D("100.00")
    with pytest.raises(Refused, match="закрыта"):
        cancelling.cancel_item(late, reason="-", actor="anna")
    assert list(audit.run([shop.partner.pk])) == []


def test_all_that_fail_fail_the_order(shop: Shop) -> None:
    order = ordered(shop, shop.offer(delivery="manual"), shop.offer(delivery="manual"))
    shop.pay(order)
    for one in order.items.all():
        cancelling.cancel_item(one, reason="Нет", actor="anna")
    for refund in Refund.objects.all():
        refund_calls.send(refund.pk)
    shop.deliver()
    order.refresh_from_db()
    assert (order.state, Invoice.objects.get().state) == (OrderState.FAILED, InvoiceState.REFUNDED)
    provisions = Fulfilment.objects.filter(action="provision")
    assert set(provisions.values_list("state", flat=True)) == {"revoked"}
    assert list(audit.run([shop.partner.pk])) == []


def test_unpaid_nothing_of_it_begins(shop: Shop) -> None:
    order = ordered(shop, shop.offer(), shop.offer())
    shop.gateway.fault("decline", match={"shop": shop.partner.slug})
    shop.pay(order)
    shop.until(clock.today() + timedelta(days=5))
    order.refresh_from_db()
    assert (order.state, states_of(order)) == (OrderState.CANCELLED, ["cancelled", "cancelled"])
    assert set(Subscription.objects.values_list("state", flat=True)) == {"ended"}
    assert list(audit.run([shop.partner.pk])) == []


def test_what_is_paid_for_apart_is_not_sold_together(shop: Shop) -> None:
    by_partner = shop.offer()
    by_partner.payer = "partner_reports"
    by_partner.save()
    with pytest.raises(Refused) as refused:
        ordered(shop, shop.offer(), by_partner)
    assert refused.value.code == "paid_apart"
    with pytest.raises(Refused) as refused:
        place_order(customer=shop.customer(), items=[])
    assert refused.value.code == "too_many_items"
    assert not Order.objects.exists()


def test_one_of_them_is_cancelled_later_and_the_other_goes_on(shop: Shop) -> None:
    order = ordered(shop, shop.offer(price="100.00"), shop.offer(price="250.00"))
    shop.pay(order)
    first, second = Subscription.objects.order_by("pk")
    subscriptions.cancel(first, at_period_end=False, actor="anna")
    for refund in Refund.objects.all():
        refund_calls.send(refund.pk)
    shop.deliver()
    second.refresh_from_db()
    assert second.state == SubscriptionState.ACTIVE
    assert [one.total for one in CreditNote.objects.all()] == [D("100.00")]
    order.refresh_from_db()
    assert order.state == OrderState.COMPLETED
    assert list(audit.run([shop.partner.pk])) == []
