"""«Новый заказ» in a real browser: a customer on the phone is sold something, and gets a link to pay by.

With ARMOR_SHOTS set to a folder, the screens are kept there to be looked at.
"""

from typing import Any

import pytest
from playwright.sync_api import expect

from apps.core.tenancy import in_partner
from apps.notifications.models import Message
from apps.orders.models import Order, OrderState
from tests.billing.test_moving_browser import enter, keep
from tests.orders.shop import Shop
from tests.orders.test_control_browser import darken, named
from tests.orders.test_rules import rule
from tests.test_browser_walk import page, site

__all__ = ["page", "site"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_an_order_for_a_customer_on_the_phone(page: Any, site: str, shop: Shop) -> None:
    shield = named(shop.offer(price="1290.00", keys=5, delivery="key"), "Антивирус «Щит» на 3 устройства")
    cinema = rule(named(shop.offer(price="399.00"), "Кинотеатр «Экран»"), min_age=18, regions=["77", "50"])
    enter(page, site)
    console = f"{site}/p/{shop.partner.slug}/admin/orders/order"
    page.goto(f"{console}/add/")
    page.get_by_label("Клиент: почта или телефон").fill("petr@example.ru")
    page.get_by_label("Имя").fill("Пётр Кузнецов")
    page.locator("[name=offer_1]").select_option(str(shield.pk))
    page.locator("[name=quantity_1]").fill("2")
    page.locator("[name=offer_2]").select_option(str(cinema.pk))
    # What the product's rules want to know is asked once it is chosen.
    page.get_by_role("button", name="Сохранить черновик").click()
    page.locator("[name=adult]").check()
    page.locator("[name=region]").select_option("77")
    for name, size, dark in (
        ("phone-dark", (390, 844), True),
        ("phone", (390, 844), False),
        ("", (1440, 900), False),
    ):
        darken(page, dark)
        page.set_viewport_size({"width": size[0], "height": size[1]})
        keep(page, f"draft-{name or 'desktop'}")
    page.get_by_role("button", name="Сохранить черновик").click()
    expect(page.get_by_text("Черновик сохранён").first).to_be_visible()
    keep(page, "draft-saved")
    with in_partner(shop.partner):
        order = Order.objects.get()
    page.goto(f"{console}/{order.pk}/place-draft/")
    expect(page.get_by_text("К оплате сейчас")).to_be_visible()
    keep(page, "draft-place")
    page.get_by_role("button", name="Оформить").click()
    expect(page.get_by_text("ссылка на оплату отправлена").first).to_be_visible()
    with in_partner(shop.partner):
        order.refresh_from_db()
        assert order.state == OrderState.PENDING
        assert Message.objects.filter(type="order_to_pay", to__isnull=False).count() == 1
