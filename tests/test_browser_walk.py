"""The story of ARMOR in a real browser: price list → partner → storefront → card → key → a month on → report."""

import io
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import openpyxl
import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.db import connection
from django.test.testcases import LiveServerThread

from apps.billing.models import Subscription
from apps.catalog.models import Offer, Tariff
from apps.connectors.models import Connection
from apps.core import audit, clock
from apps.core.tenancy import in_partner, in_public
from apps.notifications.models import Message
from apps.partners.models import Partner, StaffRole
from apps.providers import keys, services
from apps.providers.models import KeyPool, Provider
from apps.sandbox.control import Control
from apps.sandbox.process import Simulator
from tests.catalog.conftest import DATA, PROVIDERS
from tests.conftest import eventually
from tests.orders.shop import Shop, open_shop
from tests.test_crash_points import hurry_public

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PASSWORD = "correct horse battery"
SECONDS = 30_000
SLUG = "walk"


@pytest.fixture
def site(settings: Any, yookassa: Control) -> Iterator[str]:
    """The web on a real port; gives the operator's address."""
    server = LiveServerThread("127.0.0.1", StaticFilesHandler)
    server.daemon = True
    server.start()
    server.is_ready.wait(60)
    assert not server.error, server.error
    settings.PUBLIC_PORT = str(server.port)
    yield f"http://localhost:{server.port}"
    server.terminate()
    yookassa.set_clock(None)


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A page of a headless Chromium."""
    context = chromium.new_context(locale="ru-RU", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(SECONDS)
    yield context.new_page()
    context.close()


def test_from_the_price_list_to_the_report(
    page: Any,
    site: str,
    settings: Any,
    operator: Any,
    yookassa: Control,
    provider_sim: Control,
    mailbox: Control,
    mailbox_process: Simulator,
    deliver: Any,
    move_clock: Any,
) -> None:
    settings.SANDBOX_URLS = {
        "yookassa": yookassa.base_url,
        "provider": provider_sim.base_url,
        "mailbox": mailbox.base_url,
        "smsaero": "",
    }
    _sign_in(page, site)
    _import_price_list(page, site)
    partner = _create_partner(page, site)
    shop = open_shop(partner, yookassa, provider_sim, mailbox_process, deliver, move_clock)
    gateway = Connection.objects.get(partner=partner, kind="payment")
    yookassa.add_shop(partner.slug, "secret", f"{site}/hooks/{gateway.pk}/")
    offer = _offer_all(page, site, partner)
    _stock()

    key = _buy(page, shop, offer)
    letters = mailbox.messages(to="anna@walk.example")
    assert any(key in letter["text"] for letter in letters)

    _a_month_on(page, site, shop)
    letters = mailbox.messages(to="anna@walk.example")[len(letters) :]
    subjects = [letter["subject"] for letter in letters]
    # Told ahead, then paid; the pool gives a new key for each period.
    assert len(subjects) == 3, subjects
    assert "продлим" in subjects[0], subjects
    assert any("подписка продлена" in subject for subject in subjects[1:]), subjects
    with in_partner(partner):
        told = Message.objects.get(type="renewal_ahead").created_at
        paid = Message.objects.get(type="renewal_paid").created_at
        assert timedelta(days=2) < paid - told < timedelta(days=4)
    assert [row["amount"] for row in shop.charges()] == ["149.00", "149.00"]

    _report(page, site)
    assert [str(found) for found in audit.run([partner.pk])] == []


def _sign_in(page: Any, site: str) -> None:
    with in_public():
        name = f"walker-{User.objects.count()}"
        user = User.objects.create_user(name, password=PASSWORD, is_staff=True)
        StaffRole.objects.create(user=user, partner=None, role="admin")
    page.goto(f"{site}/admin/")
    page.locator("[name=username]").fill(name)
    page.locator("[name=password]").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site}/admin/")


def _import_price_list(page: Any, site: str) -> None:
    for name in PROVIDERS:
        services.ensure(name)
    page.goto(f"{site}/admin/catalog/tariff/import/")
    page.locator("[type=file]").set_input_files(DATA / "price-list.csv")
    page.locator("select[name=format]").select_option(index=_csv(page))
    page.locator("#content form [type=submit], form [type=submit]").last.click()
    page.locator("[data-totals]").wait_for()
    page.get_by_role("button", name="Загрузить").click()
    page.wait_for_url("**/admin/catalog/tariff/")
    assert Tariff.objects.get(code="AVIRUS-M").current is not None


def _csv(page: Any) -> int:
    names = page.locator("select[name=format] option").all_inner_texts()
    return next(number for number, name in enumerate(names) if "csv" in name.lower())


def _create_partner(page: Any, site: str) -> Partner:
    page.goto(f"{site}/admin/partners/partner/add/")
    page.locator("[name=name]").fill("Банк Прогулка")
    page.locator("[name=slug]").fill(SLUG)
    page.locator("[name=is_sandbox]").check()
    page.locator("[name=_save]").click()
    page.get_by_text("Партнёр «Банк Прогулка» работает.").wait_for()
    page.goto(f"http://{SLUG}.{site.removeprefix('http://')}/")
    assert "Банк Прогулка" in page.locator("body").inner_text()
    return Partner.objects.get(slug=SLUG)


def _offer_all(page: Any, site: str, partner: Partner) -> Offer:
    page.goto(f"{site}/admin/catalog/offer/offer/")
    page.locator("select[name=partner]").select_option(str(partner.pk), force=True)
    page.locator("form [type=submit]").last.click()
    page.wait_for_url("**/admin/catalog/offer/")
    return Offer.objects.get(partner=partner, tariff__code="AVIRUS-M")


def _stock() -> None:
    pool, _is_new = KeyPool.objects.get_or_create(
        provider=Provider.objects.get(name="Щит Лабс"), sku="AVIRUS-M", is_test=True
    )
    keys.load(pool=pool, content="WALK-0001\nWALK-0002")


def _buy(page: Any, shop: Shop, offer: Offer) -> str:
    """From the shop window to the key on the screen."""
    connection.set_schema_to_public()
    page.goto(shop.partner.url("/"))
    page.locator(f'a[href="/product/{offer.tariff.product.code}/"]').first.click()
    page.locator(f'a[href="/checkout/{offer.pk}/"]').first.click()
    page.get_by_label("Почта").fill("anna@walk.example")
    page.get_by_label(re.compile("Согласен на автоматическое списание")).check()
    page.get_by_label(re.compile("Принимаю условия")).check()
    page.get_by_role("button", name=re.compile("Оплатить")).click()
    page.wait_for_url("**/pay/**")
    with in_partner(shop.partner):
        shop.deliver()
    page.wait_for_url(lambda url: url.startswith(shop.gateway.base_url))
    page.locator("[name=card_number]").fill("5555 5555 5555 4477")
    page.locator("[name=expiry]").fill("12/35")
    page.locator("[name=cvc]").fill("123")
    page.locator("#pay").click()
    page.wait_for_url("**/thanks/**")

    def arrived() -> bool:
        hurry_public()
        with in_partner(shop.partner):
            shop.deliver()
            return Subscription.objects.filter(state="active", services__state="active").exists()

    eventually(arrived)
    return page.get_by_test_id("key").inner_text().strip()


def _a_month_on(page: Any, site: str, shop: Shop) -> None:
    page.goto(f"{site}/admin/demo/sandboxpartner/?partner={SLUG}")
    page.get_by_role("button", name="+1 месяц").click()
    page.get_by_text("Часы партнёра:").wait_for()
    with in_partner(shop.partner):
        shop.deliver()


def _report(page: Any, site: str) -> None:
    """Both sales on the screen and in the file, with numbers that are numbers."""
    since = clock.wall().date() - timedelta(days=2)
    page.goto(f"{site}/p/{SLUG}/admin/reports/sales/?since={since}&by=tariff")
    assert page.locator("main, body").last.inner_text().count("149") >= 2
    with page.expect_download() as started:
        page.get_by_role("link", name="XLSX").click()
    with open(started.value.path(), "rb") as file:
        book = openpyxl.load_workbook(io.BytesIO(file.read()))
    rows = list(book.active.iter_rows(values_only=True))
    numbers = [cell for row in rows for cell in row if isinstance(cell, int | float)]
    assert {2, 149, 298} <= set(numbers), rows
