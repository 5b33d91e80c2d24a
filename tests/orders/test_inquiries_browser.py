"""«Спросить клиента» in a real browser: the provider asks, staff hand it on, the customer answers in the cabinet.

With ARMOR_SHOTS set to a folder, the screens are kept there to be looked at.
"""

from typing import Any

import pytest
from playwright.sync_api import expect

from apps.accounts import sign_in
from apps.core.tenancy import in_partner
from apps.notifications.models import Message
from apps.orders.models import Fulfilment
from apps.providers.models import Provider
from apps.providers.portal import requests
from apps.providers.portal.models import ProviderRequest
from tests.billing.test_moving_browser import enter, keep
from tests.orders.shop import Shop
from tests.orders.test_control_browser import named
from tests.orders.test_drafts_browser import look
from tests.providers.test_portal import supplier
from tests.test_browser_walk import page, site

__all__ = ["page", "site", "supplier"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
QUESTION = "ПОЛИС-77: некорректный ИНН/СНИЛС застрахованного.\nУточните СНИЛС и дату выдачи паспорта."


def test_from_the_provider_to_the_customer_and_back(
    page: Any, site: str, shop: Shop, supplier: Provider
) -> None:
    shop.buy(named(shop.offer(price="490.00"), "Страховка «Тихий дом»"))
    requests.inquire(ProviderRequest.objects.get(provider=supplier), QUESTION, actor="provider")
    shop.deliver()
    row = Fulfilment.objects.select_related("service__customer").get()
    service = row.service
    enter(page, site)
    page.goto(f"{site}/p/{shop.partner.slug}/admin/orders/fulfilment/{row.pk}/change/")
    look(page, "inquiry-fulfilment")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_role("link", name="Спросить клиента").first.click()
    expect(page.get_by_label("Вопрос клиенту")).to_have_value(QUESTION)
    page.get_by_label("Вопрос клиенту").fill("Страховой нужны ваш СНИЛС и дата выдачи паспорта.\nКакие они?")
    look(page, "inquiry-ask")
    page.get_by_role("button", name="Спросить клиента").click()
    expect(page.get_by_text("Клиента спросили").first).to_be_visible()

    home = shop.partner.url("")
    with in_partner(shop.partner):
        letter = Message.objects.get(type="provider_question")
        page.context.add_cookies(
            [{"name": sign_in.COOKIE, "value": sign_in._open(service.customer), "url": home}]
        )
        there = shop.partner.url(f"/cabinet/services/{service.pk}/data/")
    assert there in letter.text
    page.goto(shop.partner.url(f"/cabinet/subscriptions/{service.subscription_id}/"))
    page.get_by_role("link", name="Ответить на вопрос поставщика").click()
    page.wait_for_url(there)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for kind, width in (("phone", 390), ("desktop", 1440)):
            page.set_viewport_size({"width": width, "height": 844})
            keep(page, f"inquiry-cabinet-{kind}-{scheme}")
    page.get_by_role("button", name="Ответить").click()
    expect(page.get_by_text("Нужно заполнить.")).to_be_visible()
    page.get_by_label("Страховой нужны").fill("112-233-445 95\n12.03.2019")
    page.get_by_role("button", name="Ответить").click()
    expect(page.get_by_text("Спасибо, поставщик получил ответ.")).to_be_visible()
    keep(page, "inquiry-answered")
    with in_partner(shop.partner):
        request = ProviderRequest.objects.get(provider=supplier)
    assert (request.state, request.answer.split()) == ("pending", ["112-233-445", "95", "12.03.2019"])
