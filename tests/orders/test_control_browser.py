"""«Пульт исполнения» in a real browser: the board, a deed for many, an order's way.

With ARMOR_SHOTS set to a folder, the screens are kept there to be looked at.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from apps.catalog.models import Offer
from apps.core import clock, ids
from apps.core.tasks import run_once
from apps.core.tenancy import in_partner, in_public
from apps.orders import fulfilment
from apps.orders.control import mass, timing
from apps.orders.models import Fulfilment, Service
from apps.providers.models import DeliveryTime, OpenRequest, RequestDeed
from apps.sandbox.control import Control
from apps.settlements.models import ProviderDay, ProviderDifference
from tests.billing.test_moving_browser import enter, keep
from tests.orders.shop import Shop
from tests.test_browser_walk import page, site

__all__ = ["page", "site"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
AGES = (4, 9, 25, 70, 200, 400, 1700)


@pytest.fixture(autouse=True)
def _days(shop: Shop) -> Iterator[None]:
    """The platform's days are everybody's: the next test finds none of them."""
    yield
    with in_public():
        ProviderDifference.objects.filter(day__provider=shop.provider).delete()
        ProviderDay.objects.filter(provider=shop.provider).delete()


def darken(page: Any, dark: bool) -> None:
    """The console's theme is a class of its page."""
    page.evaluate("dark => document.documentElement.classList.toggle('dark', dark)", dark)


def named(offer: Offer, name: str) -> Offer:
    offer.tariff.product.name = {"ru": name, "en": name}
    offer.tariff.product.save()
    return offer


def stuck(shop: Shop, provider: Control) -> None:
    """Three products of a provider: put off, unknown, with staff; and what is made by hand."""
    shop.provider.name = "Щит Софт"
    shop.provider.save()
    shop.partner.name = "Банк «Заря»"
    shop.partner.save()
    cinema = named(shop.offer(price="399.00"), "Кинотеатр «Экран»")
    shield = named(shop.offer(price="1290.00"), "Антивирус «Щит» на 3 устройства")
    provider.fault("out_of_stock", times=100, match={"operation": "activate"})
    for offer in (cinema, cinema, shield):
        shop.buy(offer)
    for _attempt in range(fulfilment.PATIENCE):
        shop.hurry()
    for offer in (cinema, shield, shield):
        shop.buy(offer)
    provider.clear()
    provider.fault("drop_answer", times=1, match={"operation": "activate"})
    shop.buy(cinema)
    provider.switch(on=False)
    shop.buy(named(shop.offer(delivery="manual", price="4990.00"), "Полис «Поездка»"))
    rows = OpenRequest.objects.filter(partner_id=shop.partner.pk).order_by("pk")
    timing.count(clock.wall() + timedelta(minutes=1))
    slot, line = clock.wall(), shop.provider.test_connection_id
    lane = {"slot": slot, "provider_id": shop.provider.pk, "connection_id": line}
    DeliveryTime.objects.create(partner_id=shop.partner.pk, bucket=42, count=1, **lane)
    with in_public():
        day = clock.wall().date() - timedelta(days=2)
        made = ProviderDay.objects.create(provider=shop.provider, day=day, checked_at=clock.wall())
        made.differences.create(id=ids.uuid7(), kind="unknown", named=ids.uuid7(), amount=1290)
    for row, minutes in zip(rows, AGES, strict=False):
        row.opened_at = clock.wall() - timedelta(minutes=minutes)
        row.save()


def test_what_hangs_is_seen_and_retried(
    page: Any, site: str, shop: Shop, provider_sim: Control, mailbox: Control
) -> None:
    stuck(shop, provider_sim)
    with in_partner(shop.partner):
        count = OpenRequest.objects.filter(partner_id=shop.partner.pk).count()
        waiting = Fulfilment.objects.filter(state="needs_staff", service__name__contains="Экран")
        first = waiting[0]
    board = f"{site}/admin/providers/openrequest/?partner={shop.partner.pk}"
    enter(page, site)
    page.goto(board)
    expect(page.locator(".cr-row")).to_have_count(count)
    expect(page.get_by_text("Не сверено с поставщиками")).to_be_visible()
    expect(page.locator(".cr-lanes").get_by_text("55 с")).to_be_visible()
    for name, size, dark in (
        ("desktop", (1440, 900), False),
        ("desktop-dark", (1440, 900), True),
        ("phone", (390, 844), False),
        ("phone-dark", (390, 844), True),
    ):
        darken(page, dark)
        page.set_viewport_size({"width": size[0], "height": size[1]})
        keep(page, f"board-{name}")
        late = page.locator(".cr-lanes").get_by_text("55 с").bounding_box()
        assert late is not None
        assert 0 <= late["x"] <= size[0] - late["width"]
    darken(page, False)
    page.set_viewport_size({"width": 1440, "height": 900})

    # The provider is back; what stands with staff is asked for again, all of it at once.
    provider_sim.switch(on=True)
    provider_sim.clear()
    page.locator(".cr-column.is-danger .cr-top").click()
    page.wait_for_url("**state=needs_staff**")
    page.locator("#cr-all").check()
    page.get_by_role("button", name="Повторить").click()
    expect(page.locator("body")).to_contain_text("дважды ничего не выдадим")
    keep(page, "deed-ask")
    page.locator("[name=reason]").fill("Поставщик пополнил склад")
    page.locator("form button.is-main").click()
    expect(page.locator("[role=status]")).to_be_visible()
    keep(page, "deed-running")
    with in_public():
        mass.work(RequestDeed.objects.latest("id").pk)
    with in_partner(shop.partner):
        for _round in range(3):
            shop.deliver()
            shop.hurry()
    with in_public():
        # Its sales begin again.
        while run_once(lanes=False):
            pass
    # The page looks again by itself, until all of it is done.
    expect(page.locator("[data-rows]")).to_contain_text("запрошено снова", timeout=60_000)
    keep(page, "deed-done")

    page.goto(f"{site}/p/{shop.partner.slug}/admin/orders/fulfilment/{first.pk}/way/")
    expect(page.locator(".cr-way")).to_contain_text("Поставщик пополнил склад")
    expect(page.locator(".cr-way")).to_contain_text("Исполнен")
    keep(page, "way-desktop")
    darken(page, True)
    keep(page, "way-desktop-dark")
    page.set_viewport_size({"width": 390, "height": 844})
    keep(page, "way-phone")
    page.goto(board)
    keep(page, "board-after")


def test_a_batch_of_keys_is_replaced_from_the_list_of_services(page: Any, site: str, shop: Shop) -> None:
    offer = named(shop.offer(delivery="key", keys=6, price="1290.00"), "Антивирус «Щит» на 3 устройства")
    services = [shop.service(shop.buy(offer)) for _one in range(3)]
    enter(page, site)
    page.goto(f"{site}/p/{shop.partner.slug}/admin/orders/service/")
    page.locator("#action-toggle").check()
    page.locator("select[name=action]").select_option("replace_chosen")
    keep(page, "keys-list")
    page.get_by_role("button", name="Выполнить").click()
    expect(page.get_by_text("Прочтёт и поставщик")).to_be_visible()
    for name, size, dark in (
        ("phone", (390, 844), False),
        ("phone-dark", (390, 844), True),
        ("desktop-dark", (1440, 900), True),
        ("desktop", (1440, 900), False),
    ):
        darken(page, dark)
        page.set_viewport_size({"width": size[0], "height": size[1]})
        keep(page, f"keys-ask-{name}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator("[name=reason]").fill("Партия не активируется")
    page.locator("form button.is-main").dblclick()
    # The second click breaks off what the first has begun to load: the address is looked at, no loading is waited for.
    expect(page).to_have_url(re.compile("/requestdeed/"), timeout=60_000)
    deeds = RequestDeed.objects.filter(partner_id=shop.partner.pk, kind="replace")
    with in_partner(shop.partner):
        mass.work(deeds.get().pk)
        shop.deliver()
        assert {one.replacements for one in Service.objects.all()} == {1}
        assert not {one.key for one in Service.objects.all()} & {"", *(one.key for one in services)}
    expect(page.locator("[data-rows]")).to_contain_text("новый ключ придёт клиенту сам", timeout=60_000)
    keep(page, "keys-done")
