"""The cabinet: signing in by code, and what a customer sees and does there."""

import re

import pytest

from apps.accounts import customers, sign_in
from apps.accounts.models import Customer
from apps.billing.models import Invoice, Subscription
from apps.catalog.models import Delivery, Product
from apps.core.tenancy import in_public
from apps.notifications.models import Message
from apps.orders.models import Order
from apps.payments import payments
from apps.payments.models import PaymentMethod
from tests.storefronts.test_purchase import buy

DECLINED = "5555555555554600"


@pytest.fixture
def signed_in(client_for):
    """A browser signed in as a customer."""

    def make(partner, customer):
        browser = client_for(partner)
        browser.cookies[sign_in.COOKIE] = sign_in._open(customer)
        return browser

    return make


def test_sign_in_by_a_code_from_a_message(partner, client_for):
    customers.register(email="anna@example.com")
    browser = client_for(partner)
    assert browser.get("/cabinet/").url == "/cabinet/sign-in/"
    assert browser.post("/cabinet/sign-in/", {"contact": ""}).status_code == 400
    assert browser.post("/cabinet/sign-in/", {"contact": "anna@example.com"}).url == "/cabinet/code/"
    sent = re.search(r"\b\d{6}\b", Message.objects.get(type="signin_code").text)[0]
    wrong = browser.post("/cabinet/code/", {"code": "000000" if sent != "000000" else "111111"})
    assert wrong.status_code == 400
    assert "Код не подошёл" in wrong.content.decode()
    assert browser.post("/cabinet/code/", {"code": sent}).url == "/cabinet/"
    assert "anna@example.com" in browser.get("/cabinet/").content.decode()
    browser.post("/cabinet/sign-out/")
    assert browser.get("/cabinet/").status_code == 302


def test_keys_invoices_cancel_resume_and_refusal(shop, client_for, gateway, form_of, deliver, signed_in):
    buy(client_for(shop.partner), shop.offer, form_of, deliver, gateway)
    customer, subscription = Customer.objects.get(), Subscription.objects.get()
    browser = signed_in(shop.partner, customer)
    page = browser.get("/cabinet/").content.decode()
    for text in (
        f"SHIELD-M{shop.number}-0",
        "Антивирус Щит, Помесячно",
        "Активна",
        "149\N{NO-BREAK SPACE}₽ в месяц",
    ):
        assert text in page
    invoice = Invoice.objects.get()
    document = browser.get(f"/cabinet/invoices/{invoice.pk}.pdf")
    assert document["Content-Type"] == "application/pdf"
    assert document.content.startswith(b"%PDF")

    ask = f"/cabinet/subscriptions/{subscription.pk}/cancel/"
    assert "Пользоваться можно до" in browser.get(ask).content.decode()
    assert "Отключится" in browser.post(ask, follow=True).content.decode()
    resumed = browser.post(f"/cabinet/subscriptions/{subscription.pk}/resume/", follow=True).content.decode()
    assert "снова продлевается" in resumed
    assert "Отключится" not in resumed

    card = PaymentMethod.objects.get()
    assert "сразу и навсегда" in browser.get(f"/cabinet/cards/{card.pk}/refuse/").content.decode()
    refused = browser.post(f"/cabinet/cards/{card.pk}/refuse/", follow=True).content.decode()
    assert "больше ничего не спишем" in refused
    assert "не будет: нет карты" in refused
    card.refresh_from_db()
    assert card.refused_at
    assert not card.is_active

    # Somebody else's cabinet has none of it.
    other = signed_in(shop.partner, customers.register(email="boris@example.com"))
    assert "SHIELD" not in other.get("/cabinet/").content.decode()
    for address in (ask, f"/cabinet/invoices/{invoice.pk}.pdf", f"/cabinet/cards/{card.pk}/refuse/"):
        assert other.get(address).status_code == 404
    assert other.post(ask).status_code == 404


def test_erasure_takes_the_address_from_the_consent(shop, client_for, gateway, form_of, deliver):
    from apps.storefronts.models import Checkout

    browser, address = client_for(shop.partner), f"/checkout/{shop.offer.pk}/"
    browser.post(address, form_of(browser.get(address)))
    customers.erase(Customer.objects.get())
    deliver()
    proof = Checkout.objects.get()
    assert proof.ip is None
    assert proof.consents


def test_a_declined_first_payment_can_be_paid_in_the_cabinet(
    shop, client_for, gateway, form_of, deliver, signed_in
):
    browser = client_for(shop.partner)
    address = f"/checkout/{shop.offer.pk}/"
    answer = browser.post(address, form_of(browser.get(address)))
    deliver()
    gateway.pay(browser.get(answer.url).url, card=DECLINED)
    order = Order.objects.get()
    payments.settle(order.payment().pk)
    deliver()
    assert "Деньги не списаны" in browser.get(f"/thanks/{order.pk}/").content.decode()

    cabinet = signed_in(shop.partner, Customer.objects.get())
    pay = f"/cabinet/invoices/{order.invoice_id}/pay/"
    page = cabinet.get("/cabinet/").content.decode()
    assert "Выставлен" in page
    assert pay in page
    assert "Чем платить" in cabinet.post(pay).content.decode()
    assert cabinet.post(pay, {"pay_with": "partner"}).status_code == 409
    payment_page = cabinet.post(pay, {"pay_with": "bank_card"}).url
    deliver()
    gateway.pay(cabinet.get(payment_page).url)
    payments.settle(order.payment().pk)
    deliver()
    page = cabinet.get("/cabinet/").content.decode()
    assert f"SHIELD-M{shop.number}-0" in page
    assert pay not in page


def test_what_is_paid_and_not_delivered_yet_says_so(shop, client_for, gateway, form_of, deliver, signed_in):
    with in_public():
        Product.objects.filter(pk=shop.product.pk).update(delivery=Delivery.MANUAL)
    buy(client_for(shop.partner), shop.offer, form_of, deliver, gateway)
    page = signed_in(shop.partner, Customer.objects.get()).get("/cabinet/").content.decode()
    assert "Активна" in page
    assert "Подключается" in page
    assert "SHIELD-" not in page
