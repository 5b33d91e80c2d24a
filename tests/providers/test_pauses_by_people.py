"""Providers whose people answer, and staff where there are none, are told to suspend and resume."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from apps.billing import pauses, subscriptions
from apps.billing.models import Subscription
from apps.core import audit, clock
from apps.core.models import WorkItem
from apps.orders import fitting, provisioning
from apps.orders import fulfilment as outcomes
from apps.orders.models import Fulfilment, Service
from apps.providers.models import Provider
from apps.providers.portal import requests
from apps.providers.portal.models import Entitlement, ProviderRequest
from apps.sandbox.control import Control
from tests.orders.fixtures import shop
from tests.orders.shop import Shop
from tests.providers.test_by_letter import box, link, page
from tests.providers.test_by_letter import supplier as by_letter
from tests.providers.test_portal import API, supplier, system_of

__all__ = ["by_letter", "shop", "supplier"]


def bought(shop: Shop) -> Subscription:
    """What its provider has given out."""
    subscription = shop.buy(shop.offer())
    requests.approve(ProviderRequest.objects.get(provider=shop.provider), key="K-1", actor="test")
    shop.deliver()
    return subscription


def pause(shop: Shop, subscription: Subscription) -> None:
    pauses.pause(subscription=subscription, until=clock.today() + timedelta(days=45), actor="test")
    shop.deliver()


def go_on(shop: Shop, subscription: Subscription) -> None:
    subscription.refresh_from_db()
    pauses.resume(subscription=subscription, actor="test")
    shop.deliver()


def asked(shop: Shop, *kinds: str) -> list[tuple[str, str]]:
    rows = ProviderRequest.objects.filter(provider=shop.provider, kind__in=kinds or ["suspend", "resume"])
    return list(rows.order_by("created_at", "pk").values_list("kind", "state"))


def done(action: str) -> list[str]:
    return list(
        Fulfilment.objects.filter(action=action).order_by("created_at", "pk").values_list("state", flat=True)
    )


def test_its_console_is_asked_once_to_suspend_and_once_to_go_on(shop: Shop, supplier: Provider) -> None:
    subscription = bought(shop)
    api = system_of(supplier)
    pause(shop, subscription)
    shop.hurry()
    service = shop.service(subscription)
    [one] = api.get(API + "requests/?state=pending").json()["results"]
    assert (one["kind"], one["request_id"], one["sku"] != "") == ("suspend", str(service.request_id), True)
    assert (service.state, Entitlement.objects.get(service_id=service.pk).is_entitled) == ("suspended", False)
    answers = [
        api.post(f"{API}requests/{one['id']}/approve/", {}, content_type="application/json") for _ in "12"
    ]
    assert [answer.status_code for answer in answers] == [200, 409]
    shop.deliver()
    assert (done("suspend"), shop.service(subscription).state) == (["done"], "suspended")
    go_on(shop, subscription)
    assert shop.service(subscription).state == "active"
    [one] = api.get(API + "requests/?state=pending").json()["results"]
    assert one["kind"] == "resume"
    api.post(f"{API}requests/{one['id']}/approve/", {}, content_type="application/json")
    shop.deliver()
    assert (done("resume"), asked(shop)) == (["done"], [("suspend", "approved"), ("resume", "approved")])
    assert shop.service(subscription).key == "K-1"
    assert list(audit.run([shop.partner.pk])) == []


def test_a_suspension_that_the_payment_overtakes_is_called_off(shop: Shop, supplier: Provider) -> None:
    subscription = bought(shop)
    pause(shop, subscription)
    slow = ProviderRequest.objects.get(provider=supplier, kind="suspend")
    go_on(shop, subscription)
    shop.hurry()
    # It may have been done and not said: to open again is asked all the same.
    assert asked(shop) == [("suspend", "canceled"), ("resume", "pending")]
    answer = system_of(supplier).post(
        f"{API}requests/{slow.pk}/approve/", {}, content_type="application/json"
    )
    assert answer.json()["type"].endswith("#request_settled")
    assert (done("suspend"), done("resume"), shop.service(subscription).state) == (
        ["done"],
        ["in_progress"],
        "active",
    )
    # And the other way: unpaid once more before it was opened.
    pause(shop, subscription)
    shop.hurry()
    assert asked(shop) == [("suspend", "canceled"), ("resume", "canceled"), ("suspend", "pending")]
    requests.approve(ProviderRequest.objects.get(provider=supplier, state="pending"), actor="test")
    shop.deliver()
    assert (done("suspend"), done("resume")) == (["done", "done"], ["done"])
    assert list(audit.run([shop.partner.pk])) == []


def test_what_was_never_asked_is_not_taken_back(shop: Shop, supplier: Provider) -> None:
    subscription = bought(shop)
    pauses.pause(subscription=subscription, until=clock.today() + timedelta(days=45), actor="test")
    with transaction.atomic():
        fitting.rest(subscription.pk)
    go_on(shop, subscription)
    assert (done("suspend"), asked(shop), shop.service(subscription).state) == (["done"], [], "active")


def test_a_worker_that_comes_too_late_asks_nothing(shop: Shop, supplier: Provider) -> None:
    subscription = bought(shop)
    service = shop.service(subscription)
    late: list[provisioning.Asked] = []
    real = provisioning.call

    def hang(plan: provisioning.Asked) -> Any:
        if plan.fulfilment.action == "suspend" and not late:
            late.append(plan)
            raise SystemExit
        return real(plan)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provisioning, "call", hang)
        with pytest.raises(SystemExit):
            pause(shop, subscription)
        go_on(shop, subscription)
        shop.hurry()
    [plan] = late
    assert real(plan).status == "canceled"
    assert asked(shop) == [("suspend", "canceled"), ("resume", "pending")]
    service.refresh_from_db()
    assert service.state == "active"
    assert list(audit.run([shop.partner.pk])) == []


def test_what_it_has_before_it_goes_when_the_service_ends(shop: Shop, supplier: Provider) -> None:
    subscription = bought(shop)
    pause(shop, subscription)
    subscriptions.cancel(subscription, at_period_end=False, actor="test")
    shop.deliver()
    assert asked(shop, "suspend", "resume", "cancel") == [("suspend", "canceled"), ("cancel", "pending")]


def test_it_is_asked_by_letter_and_told_that_it_need_not(
    shop: Shop, by_letter: Provider, mailbox: Control
) -> None:
    subscription = bought(shop)
    pause(shop, subscription)
    letter = box(shop, mailbox)[-1]
    assert letter["subject"].startswith("Приостановить:")
    shown = page().get(link(letter)).content.decode()
    assert ("закройте доступ" in shown, "approve-key" in shown) == (True, False)
    go_on(shop, subscription)
    assert [one["subject"].split(":")[0] for one in box(shop, mailbox)[-2:]] == [
        "Запрос отозван",
        "Возобновить",
    ]
    assert page().post(link(letter), {"do": "approve"}).status_code == 302
    assert asked(shop) == [("suspend", "canceled"), ("resume", "pending")]
    assert page().post(link(box(shop, mailbox)[-1]), {"do": "approve"}).status_code == 302
    shop.deliver()
    assert (done("resume"), shop.service(subscription).state) == (["done"], "active")
    assert list(audit.run([shop.partner.pk])) == []


def test_staff_do_what_no_provider_is_asked_for(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(delivery="manual"))
    outcomes.hand_over(Fulfilment.objects.get(), key="ПОЛИС-1", actor="test")
    pause(shop, subscription)
    row = Fulfilment.objects.get(action="suspend")
    [item] = WorkItem.objects.filter(partner_id=shop.partner.pk, object_id=row.pk)
    assert (row.state, "Приостановить вручную" in item.reason) == ("needs_staff", True)
    # Paid before they came to it: they need not, and look whether it is to be opened.
    go_on(shop, subscription)
    assert (done("suspend"), done("resume")) == (["done"], ["needs_staff"])
    assert not WorkItem.objects.filter(partner_id=shop.partner.pk, object_id=row.pk).exists()
    outcomes.hand_over(Fulfilment.objects.get(action="resume"), actor="test")
    assert done("resume") == ["done"]
    assert list(audit.run([shop.partner.pk])) == []


def test_who_cannot_pause_is_not_asked_to_and_who_was_asked_is_told_to_go_on(
    shop: Shop, supplier: Provider
) -> None:
    Provider.objects.filter(pk=supplier.pk).update(pauses=False)
    subscription = bought(shop)
    pause(shop, subscription)
    assert (asked(shop), Service.objects.get().state) == ([], "suspended")
    go_on(shop, subscription)
    Provider.objects.filter(pk=supplier.pk).update(pauses=True)
    pause(shop, subscription)
    Provider.objects.filter(pk=supplier.pk).update(pauses=False)
    go_on(shop, subscription)
    assert asked(shop) == [("suspend", "canceled"), ("resume", "pending")]
