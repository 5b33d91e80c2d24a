"""A first payment that is held: given on the hold and taken with the delivery, let go where nothing is given."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps.billing import paying, subscriptions
from apps.billing.models import CustomerBalance, Invoice
from apps.catalog.models import Offer
from apps.channels.models import ApiKey, Channel
from apps.core import audit, clock
from apps.core.errors import Refused
from apps.core.models import WorkItem
from apps.orders.models import Order
from apps.payments import payments
from apps.payments.models import Payment
from tests.orders.shop import Shop


def held_offer(shop: Shop, **terms: Any) -> Offer:
    offer = shop.offer(**terms)
    offer.hold_first = True
    offer.save(update_fields=["hold_first"])
    return offer


def bought(shop: Shop, offer: Offer) -> tuple[Order, Payment]:
    order = shop.order(offer)
    payment = shop.pay(order)
    shop.hurry()
    return reread(order, payment)


def reread(order: Order, payment: Payment) -> tuple[Order, Payment]:
    return Order.objects.get(pk=order.pk), Payment.objects.get(pk=payment.pk)


def state(order: Order) -> tuple[str, str, str]:
    assert order.item.subscription is not None
    assert order.invoice is not None
    return order.state, order.item.subscription.state, order.invoice.state


def clean(shop: Shop) -> bool:
    return [str(one) for one in audit.run([shop.partner.pk])] == []


def test_taken_when_it_is_delivered(shop: Shop) -> None:
    order, payment = bought(shop, held_offer(shop))
    assert payment.is_two_stage
    assert (payment.state, payment.second_stage) == ("succeeded", "capture")
    assert state(order) == ("completed", "active", "paid")
    assert len(shop.charges()) == 1
    subscription = order.item.subscription
    assert subscription is not None
    assert subscription.current_period_end is not None
    assert subscription.method_id is not None
    assert clean(shop)
    # A renewal is one charge, as ever.
    shop.until(subscription.current_period_end)
    renewal = Payment.objects.get(purpose="renewal")
    assert (renewal.state, renewal.is_two_stage) == ("succeeded", False)
    assert clean(shop)


def test_let_go_where_nothing_was_delivered(shop: Shop) -> None:
    order, payment = bought(shop, held_offer(shop, delivery="manual"))
    assert (payment.state, payment.second_stage) == ("authorized", "")
    assert state(order) == ("in_progress", "active", "open")
    assert clean(shop)
    assert order.item.subscription is not None
    subscriptions.cancel(order.item.subscription, at_period_end=False, actor="t")
    shop.hurry()
    order, payment = reread(order, payment)
    assert (payment.state, payment.second_stage) == ("failed", "release")
    assert state(order) == ("cancelled", "cancelled", "void")
    assert shop.charges() == []
    assert not CustomerBalance.objects.exclude(amount=0).exists()
    assert clean(shop)


def test_a_hold_that_nobody_decides_on_is_told_of_and_ends(shop: Shop) -> None:
    order, payment = bought(shop, held_offer(shop, delivery="manual"))
    shop.until(clock.today() + timedelta(days=6))
    shop.hurry()
    told = WorkItem.objects.filter(partner_id=shop.partner.pk, object_id=payment.pk)
    assert "удержаны давно" in told.get().reason
    # The gateway lets go of it after a week: the sale is off, nothing is owed.
    shop.until(clock.today() + timedelta(days=2))
    shop.hurry()
    order, payment = reread(order, payment)
    assert payment.state == "failed"
    assert state(order) == ("cancelled", "ended", "void")
    assert clean(shop)


@pytest.fixture
def api(shop: Shop, client_for: Callable[..., Client]) -> Callable[..., Client]:
    def make(*scopes: str) -> Client:
        _key, text = ApiKey.issue(Channel.objects.get(code="api"), scopes)
        return client_for(shop.partner, Authorization=f"Bearer {text}")

    return make


def test_taken_and_let_go_through_the_api(shop: Shop, api: Callable[..., Client]) -> None:
    client = api("orders:write", "invoices:read")
    sent: Any = {"content_type": "application/json"}
    order, payment = bought(shop, held_offer(shop, delivery="manual"))
    address = f"/api/v1/payments/{payment.pk}/"
    assert client.get(address).json()["state"] == "authorized"
    assert [row["id"] for row in client.get("/api/v1/payments/?state=authorized").json()["results"]] == [
        str(payment.pk)
    ]
    reader = api("invoices:read")
    assert reader.post(address + "capture/", {}, **sent).status_code == 403
    part = client.post(address + "capture/", {"amount": "1.00"}, **sent)
    assert (part.status_code, part.json()["title"]) == (409, "capture_whole")
    too_much = client.post(address + "capture/", {"amount": "1490.00"}, **sent)
    assert (too_much.status_code, too_much.json()["title"]) == (409, "capture_too_much")
    for _again in range(2):
        taken = client.post(address + "capture/", {}, **sent, headers={"Idempotency-Key": "c"})
        assert (taken.status_code, taken.json()["state"]) == (200, "succeeded")
    late = client.post(address + "void/", {}, **sent)
    assert (late.status_code, late.json()["title"]) == (409, "already_decided")
    shop.hurry()
    assert state(reread(order, payment)[0]) == ("in_progress", "active", "paid")

    other, second = bought(shop, held_offer(shop, delivery="manual"))
    freed = client.post(f"/api/v1/payments/{second.pk}/void/", {}, **sent)
    assert (freed.status_code, freed.json()["state"]) == (200, "failed")
    shop.hurry()
    assert state(reread(other, second)[0]) == ("cancelled", "ended", "void")
    assert len(shop.charges()) == 1
    assert clean(shop)


def test_taken_before_anybody_heard_that_it_was_held(shop: Shop) -> None:
    order = shop.order(held_offer(shop))
    payment = order.payment()
    assert payment is not None
    payment.refresh_from_db()
    shop.gateway.pay(payment.confirmation_url, card="5555555555554477")
    payments.settle(payment.pk)
    payments.capture(payment.pk)
    payments.settle(payment.pk)
    shop.deliver()
    assert state(reread(order, payment)[0]) == ("completed", "active", "paid")
    assert Invoice.objects.count() == 1
    assert clean(shop)


def test_sbp_holds_nothing_and_is_not_on_offer(shop: Shop) -> None:
    offer = held_offer(shop)
    assert paying.instruments(offer, offer.money) == ["bank_card"]
    with pytest.raises(Refused) as refused:
        shop.order(offer, instrument="sbp")
    assert refused.value.code == "no_two_stage"
