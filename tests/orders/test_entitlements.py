"""What a provider is told of the right to a product: exact at every moment, and of its own services only."""

import hashlib
from typing import Any

from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.accounts import customers
from apps.billing import pauses, subscriptions
from apps.core import audit
from apps.core.tenancy import in_public
from apps.orders import inventory, services
from apps.orders.models import Service
from apps.providers.models import Provider
from apps.providers.portal.models import ProviderKey
from tests.orders.shop import Shop

PATH = "/provider/api/v1/entitlements/"


class Asking(Client):
    """A provider's system, at the public host; the test goes on where it was."""

    def get(self, *args: Any, **options: Any) -> Any:
        with in_public():
            return super().get(*args, **options)


def asking(provider: Provider) -> Client:
    """A system with a new key of the provider."""
    with in_public():
        _key, text = ProviderKey.issue(provider)
    return Asking(SERVER_NAME="localhost", headers={"Authorization": f"Bearer {text}"})


def is_entitled(client: Client, **asked: Any) -> bool:
    answer = client.get(PATH, asked)
    assert answer.status_code == 200, answer.content
    return bool(answer.json()["entitled"])


def ways(service: Service) -> list[dict[str, Any]]:
    """All by which it may be asked about."""
    found = [
        {"service": str(service.pk)},
        {"request_id": str(service.request_id)},
        {"customer_ref": service.customer_id},
    ]
    digest = hashlib.sha256(service.key.encode()).hexdigest()
    return [*found, {"key_sha256": digest}] if service.key else found


def test_the_right_follows_the_service_by_every_name(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    service, client = shop.service(subscription), asking(shop.provider)
    assert service.key
    said = [client.get(PATH, asked) for asked in ways(service)]
    assert [answer.json()["entitled"] for answer in said] == [True] * 4
    tag = said[0]["ETag"]
    assert client.get(PATH, ways(service)[0], headers={"If-None-Match": tag}).status_code == 304
    assert "no-cache" in said[0]["Cache-Control"]
    pauses.pause(subscription=subscription, actor="test")
    shop.deliver()
    again = client.get(PATH, ways(service)[0], headers={"If-None-Match": tag})
    assert (again.status_code, again.json()["entitled"]) == (200, False)
    assert again["ETag"] != tag
    pauses.resume(subscription=subscription, actor="test")
    shop.deliver()
    assert all(is_entitled(client, **asked) for asked in ways(service))
    subscriptions.cancel(subscription, at_period_end=False, actor="test")
    assert is_entitled(client, service=service.pk)
    with transaction.atomic():
        services.subscription_ended(subscription.pk)
    assert not any(is_entitled(client, **asked) for asked in ways(service))
    shop.deliver()
    assert list(audit.run([shop.partner.pk])) == []


def test_another_provider_is_told_of_nothing(shop: Shop) -> None:
    service = shop.service(shop.buy(shop.offer()))
    stranger = asking(Provider.objects.create(code=f"{shop.partner.slug}-x", name=f"X {shop.partner.slug}"))
    assert [stranger.get(PATH, asked).status_code for asked in ways(service)] == [404] * 4
    assert Asking(SERVER_NAME="localhost").get(PATH, {"service": str(service.pk)}).status_code == 401
    client = asking(shop.provider)
    assert client.get(PATH).status_code == 400
    assert client.get(PATH, {"service": service.pk, "request_id": str(service.request_id)}).status_code == 400
    ProviderKey.objects.get(provider=shop.provider).revoke(actor="test")
    assert client.get(PATH, {"service": str(service.pk)}).status_code == 401


def test_a_renewal_an_erased_customer_and_another_owner(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    client, service = asking(shop.provider), shop.service(subscription)
    assert subscription.current_period_end is not None
    shop.until(subscription.current_period_end)
    [told] = client.get(PATH, {"service": str(service.pk)}).json()["services"]
    assert told["active_until"] == str(shop.service(subscription).active_until)
    by_key = ways(service)[-1]
    customers.erase(service.customer, actor="test")
    shop.deliver()
    # What is kept of the key is not kept for somebody who is nobody any more.
    assert client.get(PATH, by_key).status_code == 404
    assert list(audit.run([shop.partner.pk])) == []


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_never_yes_after_the_end_was_committed(shop: Shop, data: st.DataObject) -> None:
    """Whatever states it went through, and whatever was rolled back: the answer is the state that was committed."""
    service = shop.service(shop.buy(shop.offer())) if not Service.objects.exists() else Service.objects.get()
    Service.objects.filter(pk=service.pk).update(state="active", off_at=None)
    service.refresh_from_db()
    with transaction.atomic():
        inventory.entitlements.follow([service])
    client = asking(shop.provider)
    for _step in range(data.draw(st.integers(1, 5))):
        after = sorted(inventory.TRANSITIONS[service.state])
        if not after:
            break
        state, is_kept = data.draw(st.sampled_from(after)), data.draw(st.booleans())
        with transaction.atomic():
            moved = Service.objects.select_for_update().get(pk=service.pk)
            inventory.move(moved, state)
            transaction.set_rollback(not is_kept)
        service.refresh_from_db()
        assert service.state == (state if is_kept else service.state)
        assert is_entitled(client, service=service.pk) == (service.state == "active")
