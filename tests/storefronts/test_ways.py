"""How the buyer pays is theirs to choose: what is on offer, what they agree to with it, and where it comes to."""

import os
import re
from pathlib import Path

import pytest

from apps.billing.models import Subscription
from apps.billing.outside_refund_models import OutsideRefund
from apps.billing.paperwork import OutsidePayment
from apps.connectors.models import Connection
from apps.core.tenancy import in_public
from apps.orders.models import Order
from apps.payments import payments
from apps.payments.models import Payment
from apps.policies.routes import PaymentRoute, RouteShare
from apps.storefronts.models import Checkout

SECONDS = 60_000
CARD, SBP, PARTNER = "сохранённой карты", "через СБП со счёта", "способом «Счёт телефона»"


@pytest.fixture
def phone_bill(shop, partner_sim):
    """The partner's own service at its simulator, which customers may choose."""
    partner_sim.add_shop(shop.partner.slug, "s")
    address = f"{partner_sim.base_url}/{shop.partner.slug}"
    with in_public():
        return Connection.objects.create(
            kind="partner",
            connector="apps.billing.partner_service.PartnerService",
            name="Биллинг партнёра",
            config={"url": address, "secret": "s", "at_checkout": "Счёт телефона"},
            partner=shop.partner,
            legal_entity=shop.partner.legal_entity,
        )


def ordered(browser, offer, form_of, **answers):
    address = f"/checkout/{offer.pk}/"
    return browser.post(address, form_of(browser.get(address), **answers))


def consent_of(order):
    return Checkout.objects.get(order=order).consents[0]["text"]


@pytest.mark.parametrize(("way", "text"), [("bank_card", CARD), ("sbp", SBP)])
def test_the_way_that_is_chosen_is_asked_of_the_gateway(
    shop, client_for, gateway, form_of, deliver, way, text
):
    answer = ordered(client_for(shop.partner), shop.offer, form_of, pay_with=way, agreed_to=way)
    assert answer.status_code == 302
    order = Order.objects.get()
    assert order.payment().instrument == way
    assert text in consent_of(order)
    deliver()
    page = order.payment().confirmation_url
    gateway.pay_sbp(page) if way == "sbp" else gateway.pay(page)
    payments.settle(order.payment().pk)
    deliver()
    method = Subscription.objects.get().method
    assert (method.instrument, method.is_active) == (way, True)


def test_another_way_needs_its_own_consent(shop, client_for, gateway, form_of):
    """Without a script the page could not show it: it is shown now, and to be given."""
    browser = client_for(shop.partner)
    page = ordered(browser, shop.offer, form_of, pay_with="sbp")
    text = page.content.decode()
    assert page.status_code == 400
    assert "прочитайте, на что соглашаетесь" in text
    assert not re.search(r'name="recurring"[^>]*checked', text)
    assert re.search(r'value="sbp" checked', text)
    assert not Order.objects.exists()
    again = form_of(page, pay_with="sbp", agreed_to=page.context["agreed_to"])
    assert browser.post(f"/checkout/{shop.offer.pk}/", again).status_code == 302
    assert SBP in consent_of(Order.objects.get())


def test_what_is_not_on_offer_is_not_sold(shop, client_for, gateway, form_of):
    for way in ("partner", "cash"):
        page = ordered(client_for(shop.partner), shop.offer, form_of, pay_with=way, agreed_to=way)
        assert page.status_code == 400
        assert "выберите другой способ" in page.content.decode()
    assert not Order.objects.exists()


def test_one_way_leaves_nothing_to_choose(shop, client_for, gateway, form_of):
    with in_public():
        one = Connection.objects.get(partner=shop.partner)
        one.config = one.config | {"sbp": False}
        one.save()
    browser = client_for(shop.partner)
    page = browser.get(f"/checkout/{shop.offer.pk}/").content.decode()
    assert 'name="pay_with"' not in page
    assert "на защищённой странице банка" in page
    assert ordered(browser, shop.offer, form_of).status_code == 302
    assert Payment.objects.get().instrument == "bank_card"


def test_too_little_for_sbp_is_paid_by_card(shop, client_for, gateway):
    shop.offer.tariff.publish(price=9, period_count=1, period_unit="month", vat_code="standard")
    assert (
        'name="pay_with"' not in client_for(shop.partner).get(f"/checkout/{shop.offer.pk}/").content.decode()
    )


def test_the_way_leads_to_the_gateway_of_its_rule(shop, client_for, gateway, form_of):
    usual = Connection.objects.get(partner=shop.partner)
    with in_public():
        usual.config = usual.config | {"sbp": False}
        usual.save()
        quick = Connection.objects.get(pk=usual.pk)
        quick.pk, quick.name, quick.config = None, "СБП", quick.config | {"sbp": True}
        quick.save(force_insert=True)
        route = PaymentRoute.objects.create(partner=shop.partner, position=1, instrument="sbp")
        RouteShare.objects.create(route=route, connection=quick, percent=100, position=1)
    browser = client_for(shop.partner)
    for way, to in (("sbp", quick), ("bank_card", usual)):
        answer = ordered(
            browser, shop.offer, form_of, pay_with=way, agreed_to=way, email=f"{way}@example.com"
        )
        assert answer.status_code == 302
        assert Payment.objects.latest("id").connection_id == to.pk


def test_charged_by_the_partner_where_its_service_offers_that(shop, client_for, gateway, form_of, phone_bill):
    browser = client_for(shop.partner)
    page = browser.get(f"/checkout/{shop.offer.pk}/").content.decode()
    assert page.count('name="pay_with"') == 3
    answer = ordered(browser, shop.offer, form_of, pay_with="partner", agreed_to="partner")
    assert answer.status_code == 302
    order = Order.objects.get()
    assert (order.item.subscription.collection, Payment.objects.count()) == ("partner_charges", 0)
    assert PARTNER in consent_of(order)
    assert "Ждём" in browser.get(f"/thanks/{order.pk}/").content.decode()


def test_a_trial_saves_an_account_of_sbp(shop, client_for, gateway, form_of, deliver):
    browser = client_for(shop.partner)
    assert "10\N{NO-BREAK SPACE}₽" in browser.get(f"/checkout/{shop.trial.pk}/").content.decode()
    assert ordered(browser, shop.trial, form_of, pay_with="sbp", agreed_to="sbp").status_code == 302
    deliver()
    payment = Payment.objects.get()
    assert (payment.purpose, payment.instrument, payment.amount) == ("binding", "sbp", 10)


@pytest.mark.browser
def test_chosen_on_a_phone(shop, gateway, phone_bill, site, chromium, deliver):
    """With ARMOR_SHOTS set to a folder, the screens are kept there to be looked at."""
    address, complaints = site(shop.partner), []

    def keep(page, name):
        if folder := os.environ.get("ARMOR_SHOTS"):
            page.screenshot(path=Path(folder) / f"ways-{name}.png", full_page=True)

    for name, size, scheme in (
        ("desktop-light", (1280, 900), "light"),
        ("desktop-dark", (1280, 900), "dark"),
        ("phone-dark", (390, 844), "dark"),
        ("phone-light", (390, 844), "light"),
    ):
        context = chromium.new_context(
            viewport=dict(zip(("width", "height"), size, strict=True)), color_scheme=scheme, locale="ru-RU"
        )
        context.set_default_timeout(SECONDS)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complaints.append(line.text) if "Security" in line.text else None)
        page.goto(f"{address}/checkout/{shop.trial.pk}/")
        page.get_by_label(re.compile("Банковская карта")).wait_for()
        keep(page, f"{name}-trial")
        page.goto(f"{address}/checkout/{shop.offer.pk}/")
        page.get_by_label("Почта").fill("anna@example.com")
        page.get_by_label(re.compile(CARD)).check()
        page.get_by_label(re.compile("СБП")).first.check()
        assert page.get_by_label(re.compile(SBP)).is_checked() is False
        page.get_by_text(re.compile(SBP)).wait_for()
        page.get_by_text(re.compile(CARD)).wait_for(state="hidden")
        page.get_by_label(re.compile(SBP)).check()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        keep(page, name)
        if name != "phone-light":
            context.close()
    page.get_by_label(re.compile("Принимаю условия")).check()
    page.get_by_role("button", name=re.compile("Оплатить 149")).click()
    page.wait_for_url("**/pay/**")
    deliver()
    page.wait_for_url(lambda url: not url.startswith(address))
    back = gateway.pay_sbp(page.url)
    page.goto(back.headers["location"])
    order = Order.objects.get()
    payments.settle(order.payment().pk)
    deliver()
    assert page.get_by_test_id("key").inner_text() == f"SHIELD-M{shop.number}-0"
    assert SBP in consent_of(order)
    assert Subscription.objects.get().method.instrument == "sbp"
    assert complaints == []
    context.close()


def charged_by_phone(page, address, offer, email):
    """At the checkout, on a phone, up to the page that waits for the partner."""
    page.goto(f"{address}/checkout/{offer.pk}/")
    page.get_by_label("Почта").fill(email)
    page.get_by_label(re.compile("Счёт телефона")).first.check()
    page.get_by_label(re.compile(PARTNER)).check()
    page.get_by_label(re.compile("Принимаю условия")).check()
    page.locator("main form button.button").last.click()
    page.wait_for_url("**/thanks/**")
    page.get_by_role("heading", name=re.compile("Ждём")).wait_for()


@pytest.mark.browser
def test_charged_refused_and_given_back_by_the_partner(
    shop, gateway, phone_bill, partner_sim, site, chromium, desk, deliver
):
    """Bought on a phone by the phone bill; refused; given back in part and in full from the console."""
    address, complaints, mine = site(shop.partner), [], {"shop": shop.partner.slug}

    def theirs(table, status):
        rows = partner_sim.register(**mine)[table]
        return sorted(row["amount"] for row in rows if row["status"] == status)

    phone = chromium.new_context(viewport={"width": 390, "height": 844}, locale="ru-RU", has_touch=True)
    phone.set_default_timeout(SECONDS)
    page = phone.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    charged_by_phone(page, address, shop.offer, "anna@example.com")
    deliver()
    assert page.get_by_test_id("key").inner_text() == f"SHIELD-M{shop.number}-0"
    assert (theirs("charges", "charged"), Payment.objects.count()) == (["149.00"], 0)

    partner_sim.fault("refuse", match={**mine, "operation": "charge"}, reason="no_funds")
    phone.clear_cookies()
    charged_by_phone(page, address, shop.offer, "boris@example.com")
    deliver()
    page.get_by_role("heading", name=re.compile("Оплата не прошла|Заказ отменён")).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert theirs("charges", "charged") == ["149.00"]
    phone.close()

    page = desk(address, shop.partner, role="finance", of=shop.partner)
    for amount in ("49,00", "100,00"):
        page.goto(f"{address}/admin/billing/outsidepayment/")
        page.locator("#result_list tbody th a, #result_list tbody a").first.click()
        page.get_by_role("link", name="Вернуть", exact=True).click()
        page.locator("[name=amount]").fill(amount)
        page.locator("[name=reason_code]").select_option("goodwill")
        page.get_by_role("button", name="Вернуть").click()
        page.get_by_text("деньги возвращаются клиенту").first.wait_for()
        deliver()
        page.reload()
        page.get_by_text("Возвращён").first.wait_for()
    assert theirs("refunds", "refunded") == ["100.00", "49.00"]
    assert sorted(OutsideRefund.objects.values_list("state", flat=True)) == ["succeeded", "succeeded"]
    page.goto(f"{address}/admin/billing/outsidepayment/{OutsidePayment.objects.get().pk}/change/")
    page.get_by_role("heading").first.wait_for()
    assert page.get_by_role("link", name="Вернуть", exact=True).count() == 0
    bought = Order.objects.get(customer__email="anna@example.com", kind="new")
    assert bought.item.subscription.state == "cancelled"
    assert complaints == []
