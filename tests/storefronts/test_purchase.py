"""Buying: one order a press, the exact price, consent given, the key for the buyer alone."""

import re
import threading
from decimal import Decimal

from django.db import connection

from apps.accounts.models import Customer
from apps.core.tenancy import in_partner
from apps.orders.models import Order
from apps.payments.models import Payment
from apps.storefronts.models import Checkout


def buy(browser, offer, form_of, deliver, gateway, **answers):
    """Presses «Оплатить» and pays with the test card; gives the order."""
    address = f"/checkout/{offer.pk}/"
    answer = browser.post(address, form_of(browser.get(address), **answers))
    assert answer.status_code == 302, answer.content.decode()
    assert browser.get(answer.url).status_code == 200  # «Открываем страницу оплаты»
    deliver()
    to_gateway = browser.get(answer.url)
    assert to_gateway.status_code == 302
    back = gateway.pay(to_gateway.url)
    order = Order.objects.get()
    assert back.headers["location"].endswith(f"/thanks/{order.pk}/")
    waiting = browser.get(f"/thanks/{order.pk}/").content.decode()
    assert "Ждём подтверждения оплаты" in waiting
    assert 'http-equiv="refresh"' in waiting
    from apps.payments import payments

    payments.settle(order.payment().pk)
    deliver()
    return order


def test_from_the_form_to_the_key(shop, client_for, gateway, form_of, deliver):
    browser = client_for(shop.partner)
    page = browser.get(f"/checkout/{shop.offer.pk}/").content.decode()
    assert "149\N{NO-BREAK SPACE}₽ каждый месяц с сохранённой карты" in page
    assert not re.search(r"<input[^>]*checkbox[^>]*checked", page)
    order = buy(browser, shop.offer, form_of, deliver, gateway, phone="8 912 345-67-89", name="Анна")
    thanks = browser.get(f"/thanks/{order.pk}/").content.decode()
    assert f"SHIELD-M{shop.number}-0" in thanks
    assert "data-poll" not in thanks
    fragment = browser.get(f"/thanks/{order.pk}/state/")
    assert fragment["X-Settled"] == "yes"
    assert "<html" not in fragment.content.decode()
    customer = Customer.objects.get()
    assert (customer.phone, customer.email, customer.name) == ("+79123456789", "anna@example.com", "Анна")
    proof = Checkout.objects.get(order=order)
    assert "149\N{NO-BREAK SPACE}₽ каждый месяц" in proof.consents[0]["text"]
    assert proof.ip == "127.0.0.1"
    # Another browser, though it knows the address, gets nothing.
    stranger = client_for(shop.partner)
    for address in (f"/thanks/{order.pk}/", f"/thanks/{order.pk}/state/", f"/pay/{order.pk}/"):
        refused = stranger.get(address)
        assert refused.status_code == 404
        assert "SHIELD" not in refused.content.decode()


def test_without_consent_or_contact_nothing_is_sold(shop, client_for, form_of):
    browser, address = client_for(shop.partner), f"/checkout/{shop.offer.pk}/"
    page = browser.get(address)
    for answers, text in (
        ({"recurring": None}, "Без этого согласия"),
        ({"terms": None}, "Примите условия"),
        ({"email": ""}, "Укажите телефон или почту"),
        ({"email": "", "phone": "123"}, "aria-invalid"),
        ({"request_key": "x"}, "form"),
    ):
        answer = browser.post(address, form_of(page, **answers))
        assert answer.status_code == 400
        assert text in answer.content.decode()
    assert not Order.objects.exists()
    assert not Checkout.objects.exists()


def test_a_tampered_or_old_price_sells_nothing(shop, client_for, gateway, form_of, deliver):
    browser, address = client_for(shop.partner), f"/checkout/{shop.offer.pk}/"
    page = browser.get(address)
    for lie in ({"price": "1.00"}, {"price": "149,00"}, {"price": "NaN"}, {"currency": "KZT"}):
        answer = browser.post(address, form_of(page, **lie))
        assert answer.status_code == 409
        assert "Ничего не куплено" in answer.content.decode()
    shop.offer.tariff.publish(price=Decimal("199"), period_count=1, period_unit="month", vat_code="standard")
    again = browser.post(address, form_of(page))
    assert again.status_code == 409
    assert "Оплатить 199" in again.content.decode()
    assert not Order.objects.exists()
    assert not Customer.objects.exists()
    # The page that came with the refusal sells at the new price, once the consent is given to it.
    order = browser.post(address, form_of(again))
    assert order.status_code == 302
    assert Order.objects.get().item.price == Decimal("199.00")


def test_a_double_click_buys_once(shop, client_for, gateway, form_of):
    browser, address = client_for(shop.partner), f"/checkout/{shop.offer.pk}/"
    form = form_of(browser.get(address))
    answers, start = [], threading.Barrier(4)

    def click():
        with in_partner(shop.partner):
            start.wait()
            answers.append(client_for(shop.partner).post(address, form))
        connection.close()

    clicks = [threading.Thread(target=click) for _ in range(4)]
    for one in clicks:
        one.start()
    for one in clicks:
        one.join()
    assert {answer.status_code for answer in answers} == {302}
    assert len({answer.url for answer in answers}) == 1
    assert Order.objects.count() == Payment.objects.count() == Checkout.objects.count() == 1


def test_a_declined_card_is_told_and_may_be_tried_again(shop, client_for, gateway, form_of, deliver):
    browser, address = client_for(shop.partner), f"/checkout/{shop.offer.pk}/"
    browser.post(address, form_of(browser.get(address)))
    deliver()
    order = Order.objects.get()
    gateway.settle(order.payment().gateway_id, "insufficient_funds")
    from apps.payments import payments

    payments.settle(order.payment().pk)
    deliver()
    page = browser.get(f"/thanks/{order.pk}/").content.decode()
    assert "Оплата не прошла" in page
    assert "не хватило денег" in page
    assert address in page
