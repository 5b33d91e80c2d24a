"""A base moves in, and a mass action is done, in a real browser.

With ARMOR_SHOTS set to a folder, the screens are kept there to be looked at.
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from apps.billing.models import Subscription, SubscriptionState
from apps.billing.moving.models import BaseRow
from apps.core import clock
from apps.core.tenancy import in_partner, in_public
from apps.partners.models import StaffRole
from tests.billing.bases import as_csv, old_csv
from tests.orders.shop import Shop
from tests.test_browser_walk import PASSWORD, page, site

__all__ = ["page", "site"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def keep(page: Any, name: str) -> None:
    if folder := os.environ.get("ARMOR_SHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def enter(page: Any, site: str) -> None:
    """Signs in as the platform's own administrator."""
    with in_public():
        user = User.objects.create_user(f"olga-{User.objects.count()}", password=PASSWORD, is_staff=True)
        StaffRole.objects.create(user=user, partner=None, role="admin")
    page.goto(f"{site}/admin/")
    page.locator("[name=username]").fill(user.username)
    page.locator("[name=password]").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site}/admin/")


def upload(page: Any, tmp_path: Path, name: str, content: bytes) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    page.locator("[type=file]").set_input_files(file)


def base(shop: Shop) -> list[dict[str, Any]]:
    """Fourteen rows, some with doubts of each severity."""
    offer, today = shop.offer(delivery="key", keys=1, price="299.00"), clock.today()
    rows: list[dict[str, Any]] = [
        {
            "external_id": f"SUB-{1000 + n}",
            "customer_id": f"C-{n}",
            "phone": f"+7916555{n:04}",
            "name": f"Клиент {n}",
            "tariff": offer.tariff.code,
            "price": "199,00" if n % 3 == 0 else "",
            "next_charge_date": today + timedelta(days=5 + n),
            "token": f"tok-{n}" if n % 4 else "",
            "keys": f"KEY-{n}",
        }
        for n in range(14)
    ]
    rows[2]["tariff"] = "НЕТ-ТАКОГО"
    rows[5]["next_charge_date"] = today - timedelta(days=1)
    rows[7]["phone"] = "12-34"
    rows[9].update(company="ООО «Ромашка»", inn="7707083894", kpp="770701001")
    rows[11]["phone"] = rows[10]["phone"]
    return rows


def test_a_base_moves_in_and_out(page: Any, site: str, shop: Shop, tmp_path: Path) -> None:
    rows, day, console = base(shop), clock.today(), f"{site}/p/{shop.partner.slug}/admin/billing"
    enter(page, site)
    page.goto(f"{console}/baseimport/")
    keep(page, "base-empty")
    page.get_by_role("link", name="1. Загрузить базу").click()
    upload(page, tmp_path, "base.csv", as_csv(rows))
    page.locator("select[name=connection]").select_option(index=1, force=True)
    keep(page, "base-upload")
    page.get_by_role("button", name="Проверить файл").click()
    expect(page.locator("[data-doubts]")).to_contain_text("Тарифа нет в каталоге: НЕТ-ТАКОГО")
    keep(page, "base-doubts")
    with in_partner(shop.partner):
        assert not BaseRow.objects.exists()
    page.get_by_role("button", name="Загрузить 8").click()
    expect(page.locator("body")).to_contain_text("Строки загружены и ждут переноса")
    page.goto(f"{console}/baseimport/")
    keep(page, "base-overview")

    with in_partner(shop.partner):
        good = [one for one in rows if BaseRow.objects.filter(external_id=one["external_id"]).exists()]
    old = [
        {
            "external_id": one["external_id"],
            "day": one["next_charge_date"],
            "amount": one["price"] or "299,00",
        }
        for one in good
    ]
    old[0]["amount"] = "299,00"
    old[1].update(day=old[1]["day"] + timedelta(days=2))
    old[2].update(amount="", event="отмена")
    old.append({"external_id": "SUB-9", "day": day + timedelta(days=3), "amount": "299,00"})
    page.get_by_role("link", name="2. Сверить теневой месяц").click()
    upload(page, tmp_path, "old.csv", old_csv(old))
    page.locator("[name=start]").fill(f"{day:%d.%m.%Y}")
    page.locator("[name=end]").fill(f"{day + timedelta(days=31):%d.%m.%Y}")
    page.get_by_role("button", name="Сравнить").click()
    expect(page.locator("[data-differences]")).to_contain_text("похоже на цену тарифа")
    keep(page, "base-shadow")

    page.goto(f"{console}/basebatch/add/")
    page.locator("[name=count]").fill("5")
    keep(page, "base-plan")
    page.get_by_role("button", name="Перенести").click()
    page.locator("#result_list tbody a").first.wait_for()
    with in_partner(shop.partner):
        shop.deliver()
        assert Subscription.objects.filter(state=SubscriptionState.ACTIVE).count() == 5
    page.reload()
    page.locator("#result_list tbody a").first.click()
    keep(page, "base-batch")
    page.get_by_role("button", name="Вернуть пачку").click()
    expect(page.locator("body")).to_contain_text("Пачка возвращена")


def test_a_mass_action_is_seen_agreed_to_and_watched(page: Any, site: str, shop: Shop, settings: Any) -> None:
    settings.MASS_ACTION_SUM = 100
    offer = shop.offer(price="310.00")
    for _n in range(3):
        shop.buy(offer)
    console = f"{site}/p/{shop.partner.slug}/admin/billing"
    enter(page, site)
    for actor_is_another in (False, True):
        page.goto(f"{console}/subscription/")
        page.locator("#action-toggle").check(force=True)
        page.locator("select[name=action]").select_option("for_many", force=True)
        page.locator("button[name=index]").first.click()
        page.locator("select[name=kind]").select_option("extend", force=True)
        page.locator("[name=days]").fill("7")
        page.locator("[name=reason]").fill("Сбой у поставщика 26 ноября")
        keep(page, "mass-ask")
        page.get_by_role("button", name="Посчитать").click()
        expect(page.locator("[role=status]")).to_contain_text("Готово 0 из 3")
        keep(page, "mass-counting")
        with in_partner(shop.partner):
            shop.deliver()
        page.reload()
        if not actor_is_another:
            expect(page.locator("body")).to_contain_text("Нужно подтверждение другого сотрудника")
            keep(page, "mass-needs-another")
            page.get_by_role("button", name="Не делать").click()
            expect(page.locator("body")).to_contain_text("Остановлено")
            settings.MASS_ACTION_SUM = 50_000
    keep(page, "mass-ready")
    page.get_by_role("button", name="Подтвердить").click()
    expect(page.locator("[role=status]")).to_be_visible()
    with in_partner(shop.partner):
        shop.deliver()
    page.reload()
    expect(page.locator("[data-rows]")).to_contain_text("оплачено до")
    keep(page, "mass-done")
    with page.expect_download() as download:
        page.get_by_role("link", name="Скачать XLSX").first.click()
    assert download.value.suggested_filename.endswith(".xlsx")
