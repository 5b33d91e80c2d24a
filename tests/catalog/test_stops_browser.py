"""Planned works in a real browser: staff plan them, the storefront says so at once, staff end them.

With ARMOR_SHOTS set to a folder, the screens are kept there to be looked at.
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from apps.catalog.models import SalesStop
from apps.core import clock
from apps.core.tenancy import in_public
from apps.providers.models import Provider
from tests.orders.shop import Shop
from tests.test_browser_walk import _sign_in, page, site

__all__ = ["page", "site"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
SECONDS = 120_000


def keep(page: Any, name: str) -> None:
    """The screen, on a desktop and on a phone, light and dark."""
    if folder := os.environ.get("ARMOR_SHOTS"):
        for width, scheme in ((1280, "light"), (390, "light"), (1280, "dark")):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            page.evaluate("dark => document.documentElement.classList.toggle('dark', dark)", scheme == "dark")
            page.screenshot(path=Path(folder) / f"{name}-{width}-{scheme}.png", full_page=True)
        page.set_viewport_size({"width": 1280, "height": 900})
        page.emulate_media(color_scheme="light")
        page.evaluate("() => document.documentElement.classList.remove('dark')")


def test_works_are_planned_seen_and_ended(shop: Shop, page: Any, site: str) -> None:
    offer = shop.offer()
    with in_public():
        Provider.objects.filter(pk=shop.provider.pk).update(name="Щит Онлайн")
        now = clock.wall()
        given = {"provider": shop.provider, "note": "Перенос базы у поставщика"}
        SalesStop.objects.create(
            **given, starts_at=now + timedelta(days=3), ends_at=now + timedelta(days=3, hours=2)
        )
        SalesStop.objects.create(cause="circuit", provider=shop.provider, closed_at=now)
    page.set_default_timeout(SECONDS)
    _sign_in(page, site)
    page.goto(f"{site}/admin/catalog/salesstop/add/?provider={shop.provider.pk}")
    end = clock.local(now + timedelta(hours=5))
    page.locator("[name=ends_at_0]").fill(f"{end:%d.%m.%Y}")
    page.locator("[name=ends_at_1]").fill(f"{end:%H:%M}")
    keep(page, "stop-form")
    page.get_by_role("button", name="Сохранить", exact=True).click()
    page.wait_for_url(f"{site}/admin/catalog/salesstop/")
    keep(page, "stops")
    shown = f"http://{shop.partner.host}:{site.rsplit(':', 1)[1]}"
    page.goto(f"{shown}/product/{offer.tariff.product.code}/")
    page.get_by_text(f"Временно не продаётся, ожидаем {end:%d.%m.%Y %H:%M}").wait_for()
    assert page.get_by_role("link", name="Оформить").count() == 0
    keep(page, "stopped-product")
    page.goto(shown)
    page.get_by_text("временно не продаётся").wait_for()
    keep(page, "stopped-catalogue")
    stop = SalesStop.objects.get(cause="works", starts_at__lte=clock.wall(), provider=shop.provider)
    page.goto(f"{site}/admin/catalog/salesstop/{stop.pk}/change/")
    keep(page, "stop-open")
    page.get_by_role("link", name="Открыть продажи сейчас").click()
    page.get_by_text("Продажи открыты").first.wait_for()
    page.goto(f"{shown}/product/{offer.tariff.product.code}/")
    page.get_by_role("link", name="Оформить").first.wait_for()
