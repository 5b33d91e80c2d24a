"""The inventory: states of TMF637, at the provider too; listed for the partner's systems."""

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest
from django.test import Client

from apps.billing import pauses, subscriptions
from apps.billing.models import Subscription
from apps.channels.models import ApiKey, Channel
from apps.core import audit, clock
from apps.orders import fulfilment, history, inventory
from apps.orders.models import Fulfilment, Service, ServiceState
from apps.sandbox.control import Control
from tests.orders.shop import Shop
from tests.orders.test_fulfilment import activations


def at_provider(provider_sim: Control, service: Service) -> tuple[object, object]:
    [made] = activations(provider_sim, service)
    return made["status"], made.get("suspended", False)


def paused(shop: Shop, subscription: Subscription) -> None:
    pauses.pause(subscription=subscription, until=clock.today() + timedelta(days=45), actor="test")
    shop.deliver()


def test_a_pause_rests_it_at_the_provider_and_its_end_wakes_it(shop: Shop, provider_sim: Control) -> None:
    subscription = shop.buy(shop.offer())
    paused(shop, subscription)
    service = shop.service(subscription)
    assert (service.state, at_provider(provider_sim, service)) == ("suspended", ("active", True))
    pauses.resume(subscription=subscription, actor="test")
    shop.deliver()
    service.refresh_from_db()
    assert (service.state, at_provider(provider_sim, service)) == ("active", ("active", False))
    lines = history.of(service)
    assert [line.became for line in lines] == ["pending_active", "active", "suspended", "active"]
    assert all(line.became in inventory.TRANSITIONS[before.became] for before, line in pairwise(lines))
    subscriptions.cancel(subscription, at_period_end=False, actor="test")
    shop.deliver()
    service.refresh_from_db()
    assert (service.state, at_provider(provider_sim, service)[0]) == ("terminated", "canceled")
    assert list(audit.run([shop.partner.pk])) == []


def test_what_went_on_before_the_provider_heard_of_the_rest_is_left_alone(
    shop: Shop, provider_sim: Control
) -> None:
    subscription = shop.buy(shop.offer())
    provider_sim.fault("http_503", match={"operation": "suspend"})
    paused(shop, subscription)
    pauses.resume(subscription=subscription, actor="test")
    for _time in range(3):
        shop.hurry()
    service = shop.service(subscription)
    assert (service.state, at_provider(provider_sim, service)) == ("active", ("active", False))
    assert set(Fulfilment.objects.values_list("state", flat=True)) == {"done"}


def test_what_was_never_given_out_is_cancelled_or_aborted(shop: Shop, provider_sim: Control) -> None:
    provider_sim.fault("pending", match={"operation": "activate"})
    called_off = shop.buy(shop.offer())
    provider_sim.fault("refuse", match={"operation": "activate"})
    refused = shop.buy(shop.offer())
    for one in (called_off, refused):
        subscriptions.cancel(one, at_period_end=False, actor="test")
    shop.deliver()
    assert [shop.service(one).state for one in (called_off, refused)] == ["cancelled", "aborted"]


def test_what_a_person_takes_back_is_going_until_they_have(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(delivery="manual"))
    fulfilment.hand_over(Fulfilment.objects.get(), key="ПОЛИС-1", actor="test")
    subscriptions.cancel(subscription, at_period_end=False, actor="test")
    shop.deliver()
    assert shop.service(subscription).state == "pending_terminate"
    fulfilment.hand_over(Fulfilment.objects.get(action="cancel"), actor="test")
    assert shop.service(subscription).state == "terminated"
    assert list(audit.run([shop.partner.pk])) == []


def test_no_state_follows_another_that_it_cannot(shop: Shop) -> None:
    service = shop.service(shop.buy(shop.offer()))
    with pytest.raises(inventory.ImpossibleMove):
        inventory.move(service, ServiceState.CREATED)
    service.refresh_from_db()
    assert service.state == "active"


def test_the_partner_s_systems_list_services(shop: Shop, client_for: Callable[..., Client]) -> None:
    _key, text = ApiKey.issue(Channel.objects.get(code="api"), ["orders:read"])
    api = client_for(shop.partner, Authorization=f"Bearer {text}")
    one, other = shop.buy(shop.offer()), shop.buy(shop.offer())
    paused(shop, other)
    listed = api.get("/api/v1/services/").json()["results"]
    assert [row["subscription"] for row in listed] == [str(other.pk), str(one.pk)]
    [resting] = api.get("/api/v1/services/?state=suspended").json()["results"]
    assert resting == api.get(f"/api/v1/services/{shop.service(other).pk}/").json()
    assert api.get(f"/api/v1/services/?customer={one.customer_id}&state=suspended").json()["results"] == []
    until = shop.service(one).active_until
    [found] = api.get(f"/api/v1/services/?active_until_after={until}&customer={one.customer_id}").json()[
        "results"
    ]
    assert (found["id"], found["request_id"]) == (
        str(shop.service(one).pk),
        str(shop.service(one).request_id),
    )
    assert api.post("/api/v1/services/", {}).status_code in {403, 405}
