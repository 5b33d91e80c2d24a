"""The editor of a dunning policy and the page of a signed link in a real browser, on a desktop and on a phone.

With ARMOR_SHOTS set to a folder, the screens are kept there to be looked at.
"""

import re
from typing import Any

import pytest

from apps.core.tenancy import in_public
from apps.notifications.models import Message
from apps.policies.dunning_models import DunningPolicy
from tests.catalog.test_console_browser import keep
from tests.orders.shop import BROKE_LATER, GOOD, Shop
from tests.test_browser_walk import _sign_in, page, site

__all__ = ["page", "site"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
PHONE = {"width": 390, "height": 844}


def fits(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_a_policy_is_drawn_and_refused(page: Any, site: str, operator: Any) -> None:
    _sign_in(page, site)
    page.goto(f"{site}/admin/policies/dunningpolicy/add/")
    page.fill("input[name=name]", "Нарисованная")
    funds = page.locator("[data-section=funds]")
    assert funds.locator("[data-line] li").count() == 5
    funds.locator("[data-add]").click()
    row = funds.locator("[data-row]").last
    row.locator("input").fill("4")
    row.locator("select").first.select_option("suspend")
    assert funds.locator("[data-line] li").count() == 6
    card = page.locator("[data-section=card]")
    card.locator("[data-add]").click()
    row = card.locator("[data-row]").last
    row.locator("input").fill("2")
    row.locator("select").first.select_option("retry")
    keep(page, "dunning-editor")
    page.get_by_role("button", name="Записать").click()
    page.get_by_text("карточные системы: после такого отказа").first.wait_for()
    keep(page, "dunning-editor-refused")
    card = page.locator("[data-section=card]")
    card.locator("[data-row]", has=page.locator("input[value='2']")).locator("[data-remove]").click()
    page.get_by_role("button", name="Записать").click()
    page.get_by_text("Идущие неоплаты продолжатся").wait_for()
    page.set_viewport_size(PHONE)
    assert fits(page)
    keep(page, "dunning-editor-phone")
    page.emulate_media(color_scheme="dark")
    with in_public():
        policy = DunningPolicy.objects.get(name="Нарисованная")
    assert [one.day for one in policy.current.steps("funds")] == [0, 1, 3, 4, 5, 5]


def test_a_link_is_paid_on_a_phone(page: Any, site: str, shop: Shop) -> None:
    subscription = shop.buy(shop.offer(), card=BROKE_LATER)
    shop.until(subscription.current_period_end)
    text = Message.objects.filter(type="renewal_failed").latest("pk").text
    link = re.search(r"http\S+/p/[\w-]+/", text)[0]  # type: ignore[index]
    page.set_viewport_size(PHONE)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto(link)
        assert fits(page)
        keep(page, f"pay-link-{scheme}")
    page.goto(f"{link[:-4]}/")
    page.get_by_text("Ссылка не подходит").wait_for()
    keep(page, "pay-link-forged")
    page.goto(link)
    page.get_by_text("СБП", exact=True).wait_for()
    page.get_by_role("button", name="Оплатить 149").click()
    page.wait_for_url(re.compile(re.escape(shop.gateway.base_url)))
    shop.gateway.pay(page.url, card=GOOD)
    from apps.payments import payments
    from apps.payments.models import Payment

    payments.settle(Payment.objects.latest("pk").pk)
    shop.deliver()
    page.goto(link)
    page.get_by_text("Оплачено, спасибо!").wait_for()
    keep(page, "pay-link-paid")
