"""Delivery by real providers: repeated where they fail, asked where they are silent, by staff where need be."""

from datetime import timedelta

import pytest

from apps.billing import subscriptions
from apps.connectors import breaker
from apps.core import audit, clock, faults
from apps.core.errors import Refused
from apps.core.models import WorkItem
from apps.notifications.models import Message
from apps.orders import fulfilment
from apps.orders.models import (
    Fulfilment,
    FulfilmentState,
    Order,
    OrderKind,
    OrderState,
    Service,
    ServiceState,
)
from apps.providers.models import ActivationKey
from apps.sandbox.control import Control
from tests.orders.shop import Shop

STATE = FulfilmentState


def queue(shop: Shop) -> list[str]:
    rows = WorkItem.objects.filter(partner_id=shop.partner.pk, kind="orders.Fulfilment")
    return list(rows.values_list("reason", flat=True))


def activations(provider: Control, service: Service) -> list[dict[str, object]]:
    rows = provider.register()["activations"]
    return [row for row in rows if row["request_id"] == str(service.request_id)]


def test_a_failing_provider_is_asked_again_and_then_staff_are_called(
    shop: Shop, provider_sim: Control
) -> None:
    provider_sim.fault("out_of_stock", times=fulfilment.PATIENCE, match={"operation": "activate"})
    subscription = shop.buy(shop.offer())
    row = Fulfilment.objects.get()
    assert (row.state, row.attempts) == (STATE.RETRY, 1)
    for _attempt in range(fulfilment.PATIENCE):
        shop.hurry()
    row.refresh_from_db()
    assert (row.state, row.attempts, len(queue(shop))) == (STATE.NEEDS_STAFF, fulfilment.PATIENCE, 1)
    assert Order.objects.get().state == OrderState.IN_PROGRESS
    fulfilment.retry(row, actor="test")
    shop.deliver()
    service = shop.service(subscription)
    assert (service.state, queue(shop)) == (ServiceState.ACTIVE, [])
    assert len(activations(provider_sim, service)) == 1
    with pytest.raises(Refused):
        fulfilment.retry(Fulfilment.objects.get(), actor="test")
    assert list(audit.run([shop.partner.pk])) == []


def test_a_silent_provider_is_asked_until_it_answers_and_makes_nothing_twice(
    shop: Shop, provider_sim: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "FAILURES", 100)
    provider_sim.fault("drop_answer", match={"operation": "activate"})
    subscription = shop.buy(shop.offer())
    provider_sim.switch(on=False)
    for _attempt in range(fulfilment.PATIENCE):
        shop.hurry()
    # Unknown is not failed: staff hear of it, and it is asked about for as long as it takes.
    assert (Fulfilment.objects.get().state, len(queue(shop))) == (STATE.UNKNOWN, 1)
    provider_sim.switch(on=True)
    shop.hurry()
    assert queue(shop) == []
    service = shop.service(subscription)
    assert service.state == ServiceState.ACTIVE
    assert len(activations(provider_sim, service)) == 1


def test_a_pending_activation_and_a_refusal(shop: Shop, provider_sim: Control) -> None:
    provider_sim.fault("pending", match={"operation": "activate"})
    subscription = shop.buy(shop.offer())
    assert Fulfilment.objects.get().state == STATE.IN_PROGRESS
    service = shop.service(subscription)
    provider_sim._call(
        "POST", f"/_control/activations/{service.request_id}/finish", {"status": "active", "reason": None}
    )
    shop.hurry()
    assert shop.service(subscription).state == ServiceState.ACTIVE
    provider_sim.fault("refuse", match={"operation": "activate"})
    shop.buy(shop.offer())
    assert Fulfilment.objects.order_by("-pk")[0].state == STATE.NEEDS_STAFF
    assert len(queue(shop)) == 1


def test_staff_hand_over_what_is_made_by_hand(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(delivery="manual"))
    row = Fulfilment.objects.get()
    assert (row.state, len(queue(shop))) == (STATE.NEEDS_STAFF, 1)
    with pytest.raises(Refused) as refusal:
        fulfilment.hand_over(row, actor="test")
    assert refusal.value.code == "nothing_given"
    fulfilment.hand_over(row, key="ПОЛИС-1", actor="test")
    shop.deliver()
    service = shop.service(subscription)
    assert (service.key, service.state, Order.objects.get().state) == (
        "ПОЛИС-1",
        "active",
        OrderState.COMPLETED,
    )
    assert "ПОЛИС-1" in Message.objects.get(type="key_delivered").text
    assert queue(shop) == []


def test_a_bundle_of_two_pieces_with_keys(shop: Shop) -> None:
    by_key, account = shop.offer(delivery="key", keys=5), shop.offer()
    bundle = shop.offer(delivery="bundle", price="590.00", parts=[by_key.tariff, account.tariff])
    subscription = shop.buy(bundle, quantity=2)
    services = Service.objects.filter(subscription=subscription)
    assert {service.state for service in services} == {ServiceState.ACTIVE}
    assert services.count() == 4
    keys = [service.key for service in services.filter(product=by_key.tariff.product_id)]
    assert len(set(keys)) == 2
    assert Order.objects.get().state == OrderState.COMPLETED
    shop.until(subscription.current_period_end)
    # This pool gives a new key for each period.
    renewed = [service.key for service in services.filter(product=by_key.tariff.product_id)]
    assert len({*keys, *renewed}) == 4
    assert ActivationKey.objects.filter(pool__sku=by_key.tariff.code, state="sold").count() == 4
    assert Message.objects.filter(type="key_delivered").count() == 6
    assert list(audit.run([shop.partner.pk])) == []


def test_what_ends_while_it_is_provided_is_taken_back(shop: Shop, provider_sim: Control) -> None:
    provider_sim.fault("drop_answer", match={"operation": "activate"})
    subscription = shop.buy(shop.offer())
    subscriptions.cancel(subscription, at_period_end=False, actor="test")
    shop.deliver()
    shop.hurry()
    service = shop.service(subscription)
    assert service.is_over
    assert activations(provider_sim, service)[0]["status"] == "canceled"
    assert Order.objects.get(kind=OrderKind.NEW).state == OrderState.CANCELLED
    assert list(audit.run([shop.partner.pk])) == []


@pytest.mark.parametrize("point", [p for p in fulfilment.FAULT_POINTS if p.startswith("orders.placed")])
def test_a_crash_while_ordering(shop: Shop, point: str) -> None:
    offer, customer = shop.offer(), shop.customer()
    with faults.crash_at(point), pytest.raises(faults.Crash):
        shop.order(offer, customer=customer, request_key="form")
    order = shop.order(offer, customer=customer, request_key="form")
    shop.pay(order)
    assert (Order.objects.count(), order.state, len(shop.charges())) == (1, OrderState.COMPLETED, 1)
    assert list(audit.run([shop.partner.pk])) == []


@pytest.mark.parametrize("point", [p for p in fulfilment.FAULT_POINTS if "placed" not in p])
def test_a_crash_while_fulfilling_first_and_at_renewal(shop: Shop, provider_sim: Control, point: str) -> None:
    order = shop.order(shop.offer())
    with faults.crash_at(point), pytest.raises(faults.Crash):
        shop.pay(order)
    shop.hurry()
    order.refresh_from_db()
    assert order.state == OrderState.COMPLETED
    subscription = order.item.subscription
    assert subscription is not None
    subscription.refresh_from_db()
    end = subscription.current_period_end
    with faults.crash_at(point), pytest.raises(faults.Crash):
        shop.until(end)
    shop.hurry()
    shop.until(end + timedelta(days=1))
    service = shop.service(subscription)
    [made] = activations(provider_sim, service)
    assert (service.state, str(service.active_until)) == (ServiceState.ACTIVE, made["period_end"])
    assert service.active_until
    assert service.active_until > clock.today()
    assert list(audit.run([shop.partner.pk])) == []
