"""Every gateway in a real browser: bought with 3-D Secure, saved, renewed, given back by a button, refused.

With ARMOR_SHOTS set to a folder, the screens are kept there to be looked at.
"""

import os
import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.test import override_settings
from django.test.testcases import LiveServerThread

from apps.billing.models import Invoice, InvoiceState, Subscription
from apps.connectors.models import Connection
from apps.core import audit
from apps.core.tenancy import in_partner, in_public
from apps.notifications.models import Message
from apps.partners.models import Partner, StaffRole
from apps.payments.models import Payment, PaymentMethod, Refund
from apps.sandbox.control import Control
from apps.sandbox.process import Simulator
from tests.conftest import eventually
from tests.orders.shop import Shop, open_shop
from tests.payments.gateways import CLOUDPAYMENTS, GATEWAYS, ROBOKASSA, TBANK, YOOKASSA, GatewayKind
from tests.test_crash_points import hurry_public

pytestmark = [pytest.mark.browser, pytest.mark.slow]
MILLISECONDS = 30_000
EMAIL, PASSWORD = "anna@gateways.example", "correct horse battery"


@pytest.fixture(scope="module")
def site(_database: None) -> Iterator[str]:
    """The web on a real port, for all gateways; gives the operator's address."""
    server = LiveServerThread("127.0.0.1", StaticFilesHandler)
    server.daemon = True
    server.start()
    server.is_ready.wait(60)
    assert not server.error, server.error
    with override_settings(PUBLIC_PORT=str(server.port)):
        yield f"http://localhost:{server.port}"
    server.terminate()


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """The customer's page; a script that fails on any page fails the test."""
    context = chromium.new_context(locale="ru-RU", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(MILLISECONDS)
    complaints: list[str] = []
    context.on("weberror", lambda one: complaints.append(str(one.error)))
    yield context.new_page()
    context.close()
    assert complaints == []


@pytest.fixture(params=GATEWAYS, ids=lambda one: one.name)
def kind(request: pytest.FixtureRequest) -> GatewayKind:
    found: GatewayKind = request.param
    return found


@pytest.fixture
def shop(
    kind: GatewayKind,
    request: pytest.FixtureRequest,
    site: str,
    sandbox_partner: Partner,
    provider_sim: Control,
    mailbox: Control,
    mailbox_process: Simulator,
    deliver: Callable[[], int],
    move_clock: Any,
) -> Iterator[Shop]:
    """A sandbox partner's shop at this gateway, which sends its notifications to us."""
    gateway: Control = request.getfixturevalue(kind.name)
    made = open_shop(sandbox_partner, gateway, provider_sim, mailbox_process, deliver, move_clock, kind=kind)
    ours = Connection.objects.get(partner=sandbox_partner, kind="payment")
    gateway.add_shop(sandbox_partner.slug, "secret", f"{site}/hooks/{ours.pk}/")
    yield made
    gateway.set_clock(None)


def keep(page: Any, name: str) -> None:
    if folder := os.environ.get("ARMOR_SHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def work(shop: Shop) -> None:
    """What workers would do: messages that came in, and all that is due by now."""
    hurry_public()
    with in_partner(shop.partner):
        shop.hurry()


def check_out(page: Any, shop: Shop) -> str:
    """From the shop window to the gateway's page; gives the address of the order's page in the shop."""
    page.goto(shop.partner.url("/"))
    page.locator('a[href^="/product/"]').first.click()
    page.locator('a[href^="/checkout/"]').first.click()
    return agree(page, shop)


def agree(page: Any, shop: Shop) -> str:
    page.get_by_label("Почта").fill(EMAIL)
    page.get_by_label(re.compile("Согласен на автоматическое списание")).check()
    page.get_by_label(re.compile("Принимаю условия")).check()
    page.get_by_role("button", name=re.compile("Оплатить 149")).click()
    page.wait_for_url("**/pay/**")
    address = str(page.url)
    work(shop)
    page.wait_for_url(lambda url: not url.startswith(shop.partner.url("/")))
    assert page.locator(".amount").inner_text() == "149,00\u00a0₽"
    return address


def type_card(page: Any, number: str) -> None:
    page.locator("[name=card_number]").fill(number)
    page.locator("[name=expiry]").fill("12/35")
    page.locator("[name=cvc]").fill("123")
    page.locator("#pay").click()


def arrive(page: Any, shop: Shop) -> None:
    """Back in the shop, which shows what was bought."""
    page.wait_for_url("**/thanks/**")

    def is_ready() -> bool:
        work(shop)
        return bool(page.get_by_role("heading", name="Готово, спасибо!").count())

    eventually(is_ready, pause=0.3)


def enter_cabinet(page: Any, shop: Shop) -> None:
    page.goto(shop.partner.url("/cabinet/"))
    page.locator("[name=contact]").fill(EMAIL)
    page.keyboard.press("Enter")
    page.wait_for_url("**/cabinet/code/")
    text = Message.objects.filter(type="signin_code").latest("id").text
    code = re.search(r"\b\d{6}\b", text)
    assert code, text
    page.locator("[name=code]").fill(code[0])
    page.keyboard.press("Enter")
    page.wait_for_url("**/cabinet/")


def months_later(shop: Shop, subscription: Subscription) -> date:
    """Three days past the end of what is paid for: whatever is to be charged for the next month has been."""
    subscription.refresh_from_db()
    end: date = subscription.current_period_end
    shop.until(end + timedelta(days=3))
    work(shop)
    return end


def enter_console(page: Any, shop: Shop) -> None:
    """Staff of the partner who may move money."""
    with in_public():
        user = User.objects.create_user(f"cashier-{shop.partner.pk}", password=PASSWORD, is_staff=True)
        StaffRole.objects.create(user=user, partner=shop.partner, role="admin")
    page.goto(shop.partner.url("/admin/"))
    page.locator("[name=username]").fill(user.username)
    page.locator("[name=password]").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(shop.partner.url("/admin/"))


def give_back(page: Any, shop: Shop, payment: Payment, amount: str) -> None:
    page.goto(shop.partner.url(f"/admin/payments/payment/{payment.pk}/change/"))
    page.get_by_role("link", name="Вернуть", exact=True).first.click()
    page.locator("[name=amount]").fill(amount)
    page.locator("[name=reason_code]").select_option(label="Клиент отказался от услуги")
    keep(page, f"refund-{shop.partner.slug}")
    page.get_by_role("button", name="Вернуть", exact=True).click()
    page.get_by_text("Возврат отправлен в банк").wait_for()

    def is_done() -> bool:
        # Robokassa gives back later than it answers.
        work(shop)
        return not Refund.objects.exclude(state="succeeded").exists()

    eventually(is_done, pause=0.3)


def refuse_card(page: Any, shop: Shop) -> None:
    page.goto(shop.partner.url("/cabinet/"))
    page.get_by_role("link", name="Отказаться от автосписаний").click()
    page.get_by_role("button", name="Отказаться от автосписаний").click()
    page.get_by_text("больше ничего не спишем").wait_for()


def given_back(shop: Shop) -> list[Decimal]:
    rows = shop.gateway.register(shop=shop.partner.slug)["refunds"]
    return [Decimal(row["amount"]) for row in rows if row["status"] == "succeeded"]


def test_bought_saved_renewed_given_back_and_refused(page: Any, shop: Shop, kind: GatewayKind) -> None:
    shop.offer()
    check_out(page, shop)
    keep(page, f"{kind.name}-page")
    type_card(page, kind.three_ds)
    page.locator("#confirm").wait_for()
    keep(page, f"{kind.name}-3ds")
    page.locator("#confirm").click()
    arrive(page, shop)
    enter_cabinet(page, shop)
    card = f"•• {kind.three_ds[-4:]}"
    assert card in page.get_by_role("region", name="Карты для автосписаний").inner_text()
    keep(page, f"{kind.name}-cabinet")

    subscription = Subscription.objects.get()
    months_later(shop, subscription)
    page.reload()
    paid = page.get_by_role("region", name="Счета и платежи").inner_text()
    assert (paid.count("Оплачен"), paid.count(card)) == (2, 2), paid
    assert [Decimal(row["amount"]) for row in shop.charges()] == [Decimal(149), Decimal(149)]

    staff = page.context.browser.new_page(locale="ru-RU", viewport={"width": 1280, "height": 900})
    staff.set_default_timeout(MILLISECONDS)
    enter_console(staff, shop)
    renewal = Payment.objects.get(purpose="renewal")
    give_back(staff, shop, renewal, "49,50")
    give_back(staff, shop, renewal, "99,50")
    staff.reload()
    assert "Возвращён" in staff.locator("#content, main").first.inner_text()
    keep(staff, f"{kind.name}-payment")
    staff.close()
    assert sorted(Refund.objects.values_list("amount", "state")) == [
        (Decimal("49.50"), "succeeded"),
        (Decimal("99.50"), "succeeded"),
    ]
    assert sorted(given_back(shop)) == [Decimal("49.50"), Decimal("99.50")]

    refuse_card(page, shop)
    months_later(shop, subscription)
    assert len(shop.charges()) == 2
    assert not PaymentMethod.objects.filter(is_active=True).exists()
    page.goto(shop.partner.url("/cabinet/"))
    assert page.get_by_role("region", name="Карты для автосписаний").count() == 0
    assert [str(found) for found in audit.run([shop.partner.pk])] == []


@pytest.mark.parametrize(
    "kind",
    [YOOKASSA, TBANK, CLOUDPAYMENTS, ROBOKASSA],
    ids=lambda one: one.name,
    indirect=True,
)
def test_refused_at_the_bank_s_page_then_left_and_paid_later(
    page: Any, shop: Shop, kind: GatewayKind
) -> None:
    shop.offer()
    check_out(page, shop)
    type_card(page, kind.three_ds)
    page.locator("#fail").click()
    page.get_by_role("heading", name="Не получилось оплатить").wait_for()
    keep(page, f"{kind.name}-refused")
    page.locator("#back").click()
    page.wait_for_url("**/thanks/**")

    def is_told() -> bool:
        work(shop)
        return bool(page.get_by_role("heading", name="Оплата не прошла").count())

    eventually(is_told, pause=0.3)
    keep(page, f"{kind.name}-shop-refused")
    # Robokassa does not tell why.
    told = "банк отклонил" if kind is ROBOKASSA else "банк не подтвердил, что платите вы"
    assert told in page.locator("main").inner_text()
    assert shop.charges() == []

    page.get_by_role("link", name="Попробовать ещё раз").click()
    address = agree(page, shop)
    left = page.context.pages[0]
    later = page.context.new_page()
    left.close()
    later.goto(address.replace("/pay/", "/thanks/"))
    later.get_by_role("link", name="Вернуться к оплате").click()
    later.wait_for_url(lambda url: not url.startswith(shop.partner.url("/")))
    type_card(later, kind.three_ds)
    later.locator("#confirm").click()
    arrive(later, shop)
    assert [Decimal(row["amount"]) for row in shop.charges()] == [Decimal(149)]
    assert Invoice.objects.filter(state=InvoiceState.PAID).count() == 1
    assert [str(found) for found in audit.run([shop.partner.pk])] == []
