"""Buying: a quote is frozen, paid once, delivered once; what is wrong is refused and changes nothing."""

from decimal import Decimal

import pytest
from django.db import transaction

from apps.billing import invoices, paying
from apps.billing.models import InvoiceState, SubscriptionState
from apps.catalog.models import Offer
from apps.connectors.models import Connection
from apps.core import audit, search
from apps.core.errors import Refused
from apps.core.tenancy import in_public
from apps.ledger.models import Transfer
from apps.notifications.models import Message
from apps.orders.models import Order, OrderState, ServiceState
from apps.payments import payments
from apps.policies.routes import PaymentRoute
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


def test_two_offers_of_one_tariff_are_paid_at_the_gateways_of_their_rules(shop: Shop) -> None:
    web = shop.offer()
    in_app = Offer.objects.create(partner=shop.partner, tariff=web.tariff, channel_code="app")
    usual = Connection.objects.get(partner=shop.partner, kind="payment")
    second = Connection.objects.create(
        kind="payment",
        connector=usual.connector,
        name="второй магазин",
        config=usual.config,
        partner=shop.partner,
        legal_entity=usual.legal_entity,
        is_test=True,
    )
    with in_public():
        rule = PaymentRoute.objects.create(partner=shop.partner, position=1, offer_id=in_app.pk)
        rule.shares.create(connection=second, percent=100)
    found = [shop.order(one, channel_code=one.channel_code).payment() for one in (web, in_app)]
    assert [one and one.connection_id for one in found] == [usual.pk, second.pk]
    assert paying.offer_of(found[1].subscription_id) == in_app.pk  # type: ignore[union-attr, arg-type]
    assert list(audit.run([shop.partner.pk])) == []
    with in_public():
        rule.delete()
