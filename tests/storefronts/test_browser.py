"""A real Chromium buys on a phone and cancels in the cabinet on a desktop, in the dark and with the keyboard."""

import re

import pytest

from apps.notifications.models import Message
from apps.orders.models import Order
from apps.payments import payments

pytestmark = pytest.mark.browser
SECONDS = 60_000


def test_buys_on_a_phone_and_cancels_in_the_cabinet(shop, gateway, site, chromium, deliver):
    address, complaints = site(shop.partner), []
    phone = chromium.new_context(viewport={"width": 390, "height": 844}, locale="ru-RU", has_touch=True)
    phone.set_default_timeout(SECONDS)
    page = phone.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if "Content Security" in line.text else None)
    page.goto(address)
    page.get_by_role("link", name="Антивирус Щит").click()
    page.get_by_role("link", name="Оформить: Помесячно").click()
    page.get_by_label("Почта").fill("anna@example.com")
    page.get_by_label(re.compile("Согласен на автоматическое списание")).check()
    page.get_by_label(re.compile("Принимаю условия")).check()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name=re.compile("Оплатить 149")).dblclick()
    page.wait_for_url("**/pay/**")
    deliver()
    page.wait_for_url(lambda url: not url.startswith(address))
    back = gateway.pay(page.url)
    page.goto(back.headers["location"])
    order = Order.objects.get()
    payments.settle(order.payment().pk)
    deliver()
    key = page.get_by_test_id("key")
    assert key.inner_text() == f"SHIELD-M{shop.number}-0"

    desktop = chromium.new_context(color_scheme="dark", locale="ru-RU")
    desktop.set_default_timeout(SECONDS)
    page = desktop.new_page()
    page.goto(f"{address}/cabinet/")
    # The page asks for it by itself; what is typed before that is nowhere.
    page.locator("input:focus").wait_for()
    page.keyboard.type("anna@example.com")
    page.keyboard.press("Enter")
    page.wait_for_url("**/cabinet/code/")
    page.locator("input:focus").wait_for()
    page.keyboard.type(
        re.search(r"\b\d{6}\b", Message.objects.filter(type="signin_code").latest("id").text)[0]
    )
    page.keyboard.press("Enter")
    assert page.get_by_test_id("key").inner_text() == f"SHIELD-M{shop.number}-0"
    page.get_by_role("link", name="Отменить подписку").click()
    page.get_by_role("button", name="Отменить подписку").click()
    page.get_by_text("Подписка отменена").wait_for()
    page.get_by_role("button", name="Выйти").click()
    page.get_by_role("link", name="Войти").wait_for()
    assert complaints == []
    phone.close()
    desktop.close()
