"""Who may buy what: age, region, once per person, companies, add-ons; what is asked is checked and kept."""

from typing import Any

import pytest

from apps.catalog.models import Offer, Product, ProductParameter, TariffRelation
from apps.core.errors import Refused
from apps.core.tenancy import in_public
from apps.orders.rules import Declared
from apps.orders.services import place_order
from tests.orders.shop import Shop


def rule(offer: Offer, **values: Any) -> Offer:
    with in_public():
        Product.objects.filter(pk=offer.tariff.product_id).update(**values)
    return offer


def ask(offer: Offer, code: str, **values: Any) -> None:
    with in_public():
        ProductParameter.objects.create(
            product=offer.tariff.product, code=code, name={"ru": code}, asked_at="order", **values
        )


def refused(code: str, **options: Any) -> Refused:
    with pytest.raises(Refused, match=code) as caught:
        place_order(**options)
    return caught.value


def test_age_and_region_are_as_the_customer_declares(shop: Shop) -> None:
    offer = rule(shop.offer(), min_age=18, regions=["77", "50"])
    customer = shop.customer()
    refused("too_young", customer=customer, offer=offer)
    refused("too_young", customer=customer, offer=offer, declared=Declared(age=17, region="77"))
    told = refused("not_in_region", customer=customer, offer=offer, declared=Declared(age=18, region="16"))
    assert "Москва" in str(told.message)
    order = place_order(customer=customer, offer=offer, declared=Declared(age=18, region="77"))
    assert order.item.terms["declared"] == {"age": 18, "region": "77"}


def test_one_per_person_counts_what_waits_for_payment_too(shop: Shop) -> None:
    offer = rule(shop.offer(), once_per_person=True)
    customer = shop.customer()
    place_order(customer=customer, offer=offer)
    refused("once_per_person", customer=customer, offer=offer)
    place_order(customer=shop.customer(), offer=offer)


def test_for_companies_only(shop: Shop) -> None:
    refused("companies_only", customer=shop.customer(), offer=rule(shop.offer(), companies_only=True))


def test_add_ons_and_what_does_not_go_together(shop: Shop) -> None:
    base, extra, rival = shop.offer(), shop.offer(), shop.offer()
    with in_public():
        type(extra.tariff).objects.filter(pk=extra.tariff_id).update(is_addon=True)
        TariffRelation.objects.create(tariff=extra.tariff, kind="requires", other=base.tariff)
        TariffRelation.objects.create(tariff=rival.tariff, kind="excludes", other=base.tariff)
    customer = shop.customer()
    refused("needs_other", customer=customer, offer=extra)
    shop.buy(base, customer=customer)
    place_order(customer=customer, offer=extra)
    refused("excluded", customer=customer, offer=rival)
    # It holds both ways.
    other = shop.customer()
    shop.buy(rival, customer=other)
    refused("excluded", customer=other, offer=base)


def test_answers_are_checked_and_kept_unreadable(shop: Shop) -> None:
    from django.db import connection

    offer = shop.offer()
    ask(offer, "plate", kind="string", is_required=True, pattern=r"[А-Я]\d{3}", minimum=4, maximum=4)
    ask(offer, "seats", kind="int", minimum=1, maximum=5)
    ask(offer, "size", kind="choice", choices=["S", "M"])
    offer = Offer.objects.with_terms().get(pk=offer.pk)
    wrong = {"plate": "12", "seats": 9, "size": "L", "more": 1}
    told = refused("bad_answers", customer=shop.customer(), offer=offer, answers=wrong)
    assert set(told.extra["answers"]) == {"plate", "seats", "size", "more"}
    refused("bad_answers", customer=shop.customer(), offer=offer, answers={})
    order = place_order(
        customer=shop.customer(), offer=offer, answers={"plate": "А123", "seats": 2, "size": "M"}
    )
    order.refresh_from_db()
    assert order.item.answers == {"plate": "А123", "seats": 2, "size": "M"}
    with connection.cursor() as cursor:
        cursor.execute("SELECT answers_text FROM orders_orderitem WHERE order_id = %s", [order.pk])
        assert "А123" not in cursor.fetchone()[0]


def test_the_offers_price_and_payer_are_the_subscriptions(shop: Shop) -> None:
    offer = shop.offer(price="149.00")
    with in_public():
        Offer.objects.filter(pk=offer.pk).update(price="99.00")
    refused("price_changed", customer=shop.customer(), offer=offer, expected_price=149)
    subscription = shop.buy(offer)
    assert (str(subscription.price), subscription.collection) == ("99.00", "charge")
    assert [row["amount"] for row in shop.charges()] == ["99.00"]


def test_the_api_and_the_storefront_ask_and_check(shop: Shop, client_for: Any) -> None:
    offer = rule(shop.offer(), min_age=18, regions=["77"])
    ask(offer, "plate", kind="string", is_required=True, pattern=r"[А-Я]\d{3}")
    client = client_for(shop.partner)
    page = f"/checkout/{offer.pk}/"
    form = client.get(page)
    text = form.content.decode()
    assert "Мне есть 18 лет" in text
    assert "Москва" in text
    given = {
        name: form.context["form"].initial.get(name, "") for name in ("request_key", "price", "currency")
    }
    given |= {"email": "new@example.ru", "recurring": "on", "terms": "on", "region": "77"}
    bad = client.post(page, {**given, "answer_plate": "??"})
    assert bad.status_code == 400
    assert "не подходит по виду" in bad.content.decode()
    assert "Продаётся только с 18 лет" in bad.content.decode()
    done = client.post(page, {**given, "answer_plate": "А123", "adult": "on"})
    assert done.status_code == 302, done.content.decode()
    from apps.orders.models import Order

    order = Order.objects.latest("pk")
    assert order.item.answers == {"plate": "А123"}
    assert order.item.terms["declared"] == {"age": 18, "region": "77"}
