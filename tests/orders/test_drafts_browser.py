"""«Новый заказ» in a real browser: a customer on the phone is sold something, and gets a link to pay by.

With ARMOR_SHOTS set to a folder, the screens are kept there to be looked at.
"""

from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from apps.catalog.models import ProductParameter, SalesStop
from apps.core import clock
from apps.core.tenancy import in_partner
from apps.notifications.models import Message
from apps.orders.models import Order, OrderState
from apps.providers.models import Provider
from tests.billing.test_moving_browser import enter, keep
from tests.catalog.test_sales_stops import works
from tests.orders.shop import Shop
from tests.orders.test_control_browser import darken, named
from tests.orders.test_rules import rule
from tests.test_browser_walk import page, site

__all__ = ["page", "site"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_what_is_not_sold_now_is_seen_with_open_questions(page: Any, site: str, shop: Shop) -> None:
    shield = named(shop.offer(price="1290.00", keys=5, delivery="key"), "Антивирус «Щит» на 3 устройства")
    cinema = rule(named(shop.offer(price="399.00"), "Кинотеатр «Экран»"), min_age=18, regions=["77", "50"])
    ProductParameter.objects.create(
        product_id=cinema.tariff.product_id,
        code="login",
        name={"ru": "Логин в «Экране»"},
        kind="text",
        asked_at="order",
        is_required=True,
    )
    Provider.objects.filter(pk=shop.provider.pk).update(sells_when_down=True, promise_hours=3)
    stops = [works(shield, tariff=shield.tariff), works(cinema, tariff=cinema.tariff)]
    try:
        enter(page, site)
        page.goto(f"{site}/p/{shop.partner.slug}/admin/orders/order/add/")
        page.get_by_label("Клиент: почта или телефон").fill("petr@example.ru")
        page.locator("[name=offer_1]").select_option(str(shield.pk))
        expect(page.locator("[name=offer_1] option:checked")).to_contain_text("Временно не продаётся")
        page.locator("[name=offer_2]").select_option(str(cinema.pk))
        page.get_by_role("button", name="Сохранить черновик").click()
        # What is to be known of what was chosen stands above, with the questions.
        expect(page.get_by_text("Выбранное кое-что спрашивает")).to_be_visible()
        expect(page.locator(".armor-card").get_by_text("Временно не продаётся")).to_be_visible()
        expect(page.locator(".armor-card").get_by_text("Выдача задерживается")).to_be_visible()
        look(page, "draft-halted")
        page.locator("[name=adult]").check()
        page.locator("[name=region]").select_option("77")
        page.get_by_label("Логин в «Экране»").fill("petr")
        page.get_by_role("button", name="Сохранить черновик").click()
        expect(page.locator("form .bg-red-100, form .bg-red-500\\/20").first).to_be_visible()
        look(page, "draft-refused")
        page.locator("[name=offer_1]").select_option(str(cinema.pk))
        page.locator("[name=offer_2]").select_option("")
        page.locator("[name=scheduled_date]").fill(f"{clock.today() + timedelta(days=5):%d.%m.%Y}")
        page.get_by_role("button", name="Сохранить черновик").click()
        page.get_by_label("Логин в «Экране»").fill("petr")
        page.get_by_role("button", name="Сохранить черновик").click()
        expect(page.get_by_text("Черновик сохранён").first).to_be_visible()
        look(page, "draft-later-saved")
        with in_partner(shop.partner):
            order = Order.objects.get()
        page.goto(f"{site}/p/{shop.partner.slug}/admin/orders/order/{order.pk}/place-draft/")
        expect(page.get_by_text("К оплате в этот день")).to_be_visible()
        look(page, "draft-later-place")
        page.get_by_role("button", name="Оформить").click()
        expect(page.get_by_text("Заказ принят: исполним").first).to_be_visible()
    finally:
        SalesStop.objects.filter(pk__in=[one.pk for one in stops]).delete()


def look(page: Any, name: str) -> None:
    """Keeps a screen as it is on a phone, in the dark too, and on a desk."""
    for kind, size, dark in (
        ("phone-dark", (390, 844), True),
        ("phone", (390, 844), False),
        ("desktop", (1440, 900), False),
    ):
        darken(page, dark)
        page.set_viewport_size({"width": size[0], "height": size[1]})
        keep(page, f"{name}-{kind}")


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
    look(page, "draft")
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
