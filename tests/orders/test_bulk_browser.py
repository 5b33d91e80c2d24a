"""«Массовые заказы» in a real browser: a file is looked at, placed, followed, and what met a stop is tried again.

With ARMOR_SHOTS set to a folder, the screens are kept there to be looked at.
"""

from typing import Any

import pytest
from playwright.sync_api import expect

from apps.catalog.models import SalesStop, Tariff
from apps.core import clock
from apps.core.tenancy import in_partner
from apps.orders.bulk_models import BulkOrder
from apps.orders.models import Order
from tests.billing.test_moving_browser import enter
from tests.orders.shop import Shop
from tests.orders.test_bulk import HOUR, reported, table
from tests.orders.test_drafts_browser import look
from tests.test_browser_walk import page, site

__all__ = ["page", "site"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def test_orders_from_a_spreadsheet(page: Any, site: str, shop: Shop) -> None:
    code, halted = reported(shop), reported(shop)
    now = clock.wall()
    stop = SalesStop.objects.create(tariff=Tariff.objects.get(code=halted), starts_at=now, ends_at=now + HOUR)
    content = table(
        ("A-1", None, None, "Анна Петрова", code, 2, None, None),
        ("A-2", "+79161234567", None, "Борис Орлов", code, None, None, None),
        ("A-3", None, None, "Вера Котова", halted, 1, None, None),
        ("A-4", "12", None, "Глеб Носов", code, 1, None, None),
        ("A-5", None, None, "Дина Ким", "НЕТ-ТАКОГО", 1, None, None),
    )
    try:
        enter(page, site)
        page.goto(f"{site}/p/{shop.partner.slug}/admin/orders/bulkorder/add/")
        expect(page.get_by_text("Тариф — код тарифа из каталога")).to_be_visible()
        page.locator("[name=file]").set_input_files(
            {"name": "заявки.xlsx", "mimeType": SHEET, "buffer": content}
        )
        page.get_by_role("button", name="Проверить файл").click()
        # Looked at: every bad row says why, and nothing is ordered.
        body = page.locator("body")
        expect(page.get_by_text("0 / 5")).to_be_visible()
        expect(page.get_by_text("Проверен, не оформлен", exact=True)).to_be_visible()
        look(page, "bulk-looked")
        page.get_by_role("link", name="Строки").click()
        for reason in ("тариф не продаётся: НЕТ-ТАКОГО", "Временно не продаётся, ожидаем", "Телефон:"):
            expect(page.get_by_text(reason)).to_be_visible()
        # The bad ones come first: 4, 5 and 6 of the file.
        assert page.locator("td.field-line").all_inner_texts() == ["4", "5", "6", "2", "3"]
        look(page, "bulk-rows")
        with in_partner(shop.partner):
            assert not Order.objects.exists()
            made = BulkOrder.objects.get()
        page.get_by_role("link", name="Оформить", exact=True).click()
        expect(body).to_contain_text("Оформим заказов: 2")
        expect(body).to_contain_text("С ошибкой останутся: 3")
        page.get_by_role("button", name="Оформить").click()
        expect(body).to_contain_text("Заказы оформляются")
        expect(page.get_by_text("Оформляется", exact=True)).to_be_visible()
        with in_partner(shop.partner):
            shop.hurry()
        # The page renews itself, until it is done.
        expect(body).to_contain_text("2 / 5", timeout=30_000)
        expect(page.locator("meta[http-equiv=refresh]")).to_have_count(0)
        # Nothing is to be placed any more; what met the stop may be tried again.
        expect(page.get_by_role("link", name="Оформить", exact=True)).to_have_count(0)
        look(page, "bulk-done")
        SalesStop.objects.filter(pk=stop.pk).delete()
        page.get_by_role("link", name="Повторить строки с ошибкой").click()
        expect(body).to_contain_text("Попробуем ещё раз строк: 1")
        expect(body).to_contain_text("останется с ошибкой: 2")
        look(page, "bulk-again")
        page.get_by_role("button", name="Повторить").click()
        with in_partner(shop.partner):
            shop.hurry()
        expect(body).to_contain_text("3 / 5", timeout=30_000)
        expect(page.get_by_role("link", name="Повторить строки с ошибкой")).to_have_count(0)
        with in_partner(shop.partner):
            made.refresh_from_db()
            assert (made.state, made.placed, made.refused) == ("done", 3, 2)
            found = Order.objects.order_by("customer__external_id").values_list(
                "customer__external_id", flat=True
            )
            assert list(found) == ["A-1", "A-2", "A-3"]
    finally:
        SalesStop.objects.filter(pk=stop.pk).delete()
