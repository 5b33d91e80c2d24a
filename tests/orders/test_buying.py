"""Buying: a quote is frozen, paid once, delivered once; what is wrong is refused and changes nothing."""

from decimal import Decimal

import pytest
from django.db import transaction

from apps.billing import invoices
from apps.billing.models import InvoiceState, SubscriptionState
from apps.core import audit, search
from apps.core.errors import Refused
from apps.ledger.models import Transfer
from apps.notifications.models import Message
from apps.orders.models import Order, OrderState, ServiceState
from apps.payments import payments
from tests.orders.shop import Shop


def test_from_order_to_product(shop: Shop) -> None:
    offer = shop.offer(price="149.00")
    order = shop.order(offer, expected_price=Decimal("149.00"), channel_code="web")
    assert order.state == OrderState.PENDING
    assert order.number.startswith("O26-" if order.created_at.year == 2026 else "O")
    shop.pay(order)

    subscription = order.item.subscription
    subscription.refresh_from_db()
    invoice = order.invoice
    invoice.refresh_from_db()
    service = shop.service(subscription)
    assert (order.state, invoice.state) == (OrderState.COMPLETED, InvoiceState.PAID)
    assert (subscription.state, subscription.method.title) == (SubscriptionState.ACTIVE, "•• 4477")
    assert (service.state, service.active_until) == (ServiceState.ACTIVE, subscription.current_period_end)
    assert service.key or service.url
    assert (invoice.total, invoice.vat) == (Decimal("149.00"), Decimal("26.87"))
    types = set(Message.objects.values_list("type", flat=True))
    assert types == {"payment_succeeded", "key_delivered"}
    assert search.find(order.number).get().object_id == order.pk
    balance = {}
    for row in Transfer.objects.filter(partner_id=shop.partner.pk):
        balance[row.debit] = balance.get(row.debit, 0) + row.amount
        balance[row.credit] = balance.get(row.credit, 0) - row.amount
    assert (balance["receivable"], balance["deferred"], balance["vat"]) == (
        0,
        Decimal("-122.13"),
        Decimal("-26.87"),
    )
    assert list(audit.run([shop.partner.pk])) == []


def test_wrong_orders_change_nothing(shop: Shop) -> None:
    offer, customer = shop.offer(), shop.customer()
    closed = shop.offer()
    closed.is_on_sale = False
    closed.save()
    for expected, options in {
        "price_changed": {"offer": offer, "expected_price": Decimal("1.00")},
        "bad_quantity": {"offer": offer, "quantity": 0},
        "offer_closed": {"offer": closed},
    }.items():
        with pytest.raises(Refused) as refusal:
            shop.order(customer=customer, **options)
        assert refusal.value.code == expected
    assert not Order.objects.exists()
    assert not Transfer.objects.filter(partner_id=shop.partner.pk).exists()


def test_a_double_click_buys_once(shop: Shop) -> None:
    offer, customer = shop.offer(), shop.customer()
    first = shop.order(offer, customer=customer, request_key="form-1")
    assert shop.order(offer, customer=customer, request_key="form-1") == first
    shop.pay(first)
    assert shop.order(offer, customer=customer, request_key="form-1") == first
    assert (Order.objects.count(), len(shop.charges())) == (1, 1)
    with pytest.raises(Refused) as refusal:
        shop.order(shop.offer(), customer=customer, request_key="form-1")
    assert refusal.value.code == "request_key_reused"


def test_a_declined_card_may_be_followed_by_a_good_one(shop: Shop) -> None:

    order = shop.order(shop.offer())
    assert shop.pay(order, card="5555555555554600").state == "failed"
    assert order.state == OrderState.PENDING
    with transaction.atomic():
        second = invoices.pay(order.invoice, return_url="https://shop.example/")
        assert invoices.pay(order.invoice, return_url="https://shop.example/") == second
    payments.send(second.pk)
    shop.pay(order)
    assert (order.state, len(shop.charges())) == (OrderState.COMPLETED, 1)
