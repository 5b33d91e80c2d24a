"""A key that does not work is replaced once, whoever presses twice or is killed, and nobody gets it again."""

import pytest

from apps.billing import subscriptions
from apps.core import audit, faults
from apps.core.errors import Refused
from apps.notifications.models import Message
from apps.orders import fulfilment, replacing
from apps.orders.models import Fulfilment, Service
from apps.providers.models import ActivationKey
from apps.providers.portal import claims
from apps.providers.portal.models import DefectiveKey, Entitlement
from apps.sandbox.control import Control
from tests.orders.shop import Shop
from tests.orders.test_fulfilment import activations


def pressed(service: Service, key: str | None = None, **options: object) -> Fulfilment:
    return replacing.replace_key(service, reason="used", broken=key, actor="anna", **options)  # type: ignore[arg-type]


def test_a_key_of_a_pool_is_replaced_once_and_never_sold_again(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(delivery="key", keys=6))
    service = shop.service(subscription)
    was = service.key
    one = pressed(service, was)
    assert pressed(service, was) == one
    shop.deliver()
    with pytest.raises(Refused) as refusal:
        pressed(service, was)
    assert refusal.value.code == "other_key"
    service.refresh_from_db()
    assert service.key not in {"", was}
    assert (service.request_id, service.replacements, service.state) == (one.pk, 1, "active")
    states = (
        ActivationKey.objects.filter(partner_id=shop.partner.pk)
        .order_by("pk")
        .values_list("state", flat=True)
    )
    assert list(states) == ["defective", "sold"]
    assert Message.objects.filter(type="key_delivered").count() == 2
    assert Entitlement.objects.get(service_id=service.pk).request_id == one.pk
    # What is renewed is the new one.
    assert subscription.current_period_end is not None
    shop.until(subscription.current_period_end)
    assert Fulfilment.objects.get(action="extend").state == "done"
    for _time in range(2):
        service.refresh_from_db()
        pressed(service)
        shop.deliver()
    service.refresh_from_db()
    with pytest.raises(Refused) as refusal:
        pressed(service)
    assert refusal.value.code == "too_many_replacements"
    assert pressed(service, may_exceed=True).action == "replace"
    shop.deliver()
    told = claims.table(DefectiveKey.objects.filter(partner_id=shop.partner.pk)).decode("utf-8-sig")
    assert (was in told, len(told.splitlines())) == (True, 5)
    assert list(audit.run([shop.partner.pk])) == []


def _press_and_deliver(shop: Shop, service: Service) -> None:
    pressed(service, service.key)
    shop.deliver()


@pytest.mark.parametrize(
    "point", [*replacing.FAULT_POINTS, *(p for p in fulfilment.FAULT_POINTS if "placed" not in p)]
)
def test_a_crash_while_replacing_gives_one_key_and_takes_one_back(
    shop: Shop, provider_sim: Control, point: str
) -> None:
    service = shop.service(shop.buy(shop.offer()))
    was, old = service.key, service.request_id
    with faults.crash_at(point), pytest.raises(faults.Crash):
        _press_and_deliver(shop, service)
    service.refresh_from_db()
    if service.key == was:
        pressed(service, was)
    shop.hurry()
    service.refresh_from_db()
    made = {str(row["request_id"]): row for row in provider_sim.register()["activations"]}
    assert made[str(old)]["status"] == "canceled"
    assert (made[str(service.request_id)]["status"], service.key) == (
        "active",
        made[str(service.request_id)]["key"],
    )
    assert (DefectiveKey.objects.filter(partner_id=shop.partner.pk).count(), service.replacements) == (1, 1)
    assert list(audit.run([shop.partner.pk])) == []


def test_what_ends_while_its_key_is_replaced_is_taken_back(shop: Shop, provider_sim: Control) -> None:
    subscription = shop.buy(shop.offer())
    service = shop.service(subscription)
    provider_sim.fault("drop_answer", match={"operation": "activate"})
    pressed(service)
    shop.deliver()
    subscriptions.cancel(subscription, at_period_end=False, actor="test")
    shop.deliver()
    shop.hurry()
    service.refresh_from_db()
    assert service.is_over
    [made] = activations(provider_sim, service)
    assert made["status"] == "canceled"
    assert list(audit.run([shop.partner.pk])) == []


def test_nothing_is_replaced_where_there_is_nothing(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    service = shop.service(subscription)
    with pytest.raises(Refused):
        replacing.replace_key(service, reason="nothing", actor="anna")
    Service.objects.filter(pk=service.pk).update(key="")
    for _time in range(2):
        with pytest.raises(Refused):
            pressed(service)
        subscriptions.cancel(subscription, at_period_end=False, actor="test")
        shop.deliver()
