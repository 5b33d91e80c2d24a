"""A product manager in a real browser: from nothing to on sale, the matrix, a change of price; clicks are counted.

With ARMOR_SHOTS set to a folder, the screens are kept there to be looked at.
"""

import os
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apps.catalog import offers
from apps.catalog.models import Offer, PriceChange, Tariff
from apps.core.tasks import run_once
from apps.core.tenancy import in_public
from apps.providers import services
from tests.catalog.conftest import PROVIDERS, read, run
from tests.conftest import make_partner
from tests.test_browser_walk import _sign_in, page, site

__all__ = ["page", "site"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
MOST_CLICKS, MOST_SECONDS = 12, 300


def keep(page: Any, name: str) -> None:
    if folder := os.environ.get("ARMOR_SHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")


class Hand:
    """Counts what a person does: clicks, and fields filled in."""

    def __init__(self) -> None:
        self.clicks = self.fields = 0

    def click(self, what: Any, **options: Any) -> None:
        self.clicks += 1
        what.click(**options)

    def fill(self, what: Any, text: str) -> None:
        self.fields += 1
        what.fill(text)

    def choose(self, what: Any, **options: Any) -> None:
        self.clicks += 2
        what.select_option(force=True, **options)


def test_from_nothing_to_on_sale_then_priced_and_repriced(
    page: Any, site: str, operator: Any, yookassa: Any
) -> None:
    with in_public():
        for name in PROVIDERS:
            services.ensure(name)
        run(read("price-list.csv"))
        partners = [make_partner(name=name) for name in ("Банк Заря", "Кедр Телеком", "Медиа Плюс")]
        for partner in partners[:2]:
            offers.put_on_sale(
                partner_id=partner.pk, tariffs=Tariff.objects.filter(product__code__in=["KINO", "CLOUD"])
            )
    _sign_in(page, site)
    _launch(page, site, partners)
    _matrix(page, site, partners)
    _change_price(page, site)


def _launch(page: Any, site: str, partners: list[Any]) -> None:
    hand, began = Hand(), time.monotonic()
    page.goto(f"{site}/admin/catalog/product/")
    hand.click(page.get_by_role("link", name="Запустить новый продукт"))
    hand.fill(page.locator("[name=name]"), "Аудиокниги Слово")
    hand.choose(page.locator("select[name=category]"), index=1)
    hand.choose(page.locator("select[name=provider]"), label="Слово")
    hand.fill(page.locator("[name=price]"), "199")
    hand.click(page.get_by_label(str(partners[0])))
    hand.click(page.get_by_label(str(partners[2])))
    keep(page, "launch")
    hand.click(page.get_by_role("button", name="Сохранить"))
    page.get_by_text("в продаже: ").wait_for()
    keep(page, "launched")
    with in_public():
        sold = Offer.objects.filter(tariff__product__code="AUDIOKNIGI-SLOVO")
        assert {one.partner_id for one in sold} == {partners[0].pk, partners[2].pk}
    page.goto(partners[0].url("/"))
    assert "Аудиокниги Слово" in page.locator("body").inner_text()
    assert hand.clicks <= MOST_CLICKS, hand.clicks
    assert time.monotonic() - began < MOST_SECONDS


def _matrix(page: Any, site: str, partners: list[Any]) -> None:
    asked = "&".join(f"partner={partner.pk}" for partner in partners)
    page.goto(f"{site}/admin/catalog/offer/matrix/?q=KINO&channel=app&{asked}")
    kino = Tariff.objects.get(code="KINO-M")
    cell = page.locator(
        f'[data-cell][data-tariff="{kino.pk}"][data-partner="{partners[0].pk}"][data-channel=""]'
    )
    cell.locator("[data-f=price]").fill("349")
    page.locator(f'[data-row="{kino.pk}"]').check()
    page.locator(f'[data-column="{partners[1].pk}:"]').check()
    page.locator("[data-b=price]").fill("+10%")
    page.locator("[data-b=payer]").select_option("partner_pays", force=True)
    page.locator("[data-apply]").click()
    assert page.locator("[data-count]").inner_text() == "2"
    keep(page, "matrix")
    page.set_viewport_size({"width": 390, "height": 844})
    keep(page, "matrix-phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1280, "height": 900})
    page.locator("[data-check]").click()
    page.locator("[data-change]").first.wait_for()
    assert page.locator("[data-change]").count() == 3
    keep(page, "matrix-diff")
    page.get_by_role("button", name="Записать").click()
    page.get_by_text("Записано изменений: 2").wait_for()
    with in_public():
        found = {one.partner_id: one for one in Offer.objects.filter(tariff=kino)}
    assert found[partners[0].pk].price == Decimal("349.00")
    assert found[partners[1].pk].price == Decimal("438.90")
    assert found[partners[1].pk].payer == "partner_pays"


def _change_price(page: Any, site: str) -> None:
    with in_public():
        cloud = Tariff.objects.get(code="CLOUD-100")
        change = PriceChange.objects.create(
            tariff=cloud,
            price=Decimal("119.00"),
            policy="at_renewal",
            effective_date="2099-01-01",
            created_at="2026-01-01T00:00Z",
        )
    page.goto(f"{site}/admin/catalog/pricechange/{change.pk}/impact/")
    page.get_by_role("button", name="Посчитать заново").click()
    for _ in range(100):
        with in_public():
            if not run_once():
                break
    page.get_by_role("button", name="Опубликовать", disabled=False).wait_for()
    keep(page, "price-impact")
    page.get_by_role("button", name="Опубликовать").click()
    page.get_by_text("Опубликовано.").wait_for()
    keep(page, "price-published")
    with in_public():
        change.refresh_from_db()
        assert change.is_published
