"""Customers: one per contact, whoever registers them and how often; forgotten for good."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from apps import notifications
from apps.accounts import contacts, customers
from apps.accounts.models import Customer, CustomerSession
from apps.core import audit, clock, search
from apps.core.errors import Refused
from apps.notifications.models import Message
from apps.partners.models import Partner
from tests.accounts.at_once import at_once


def code_of(call: Callable[[], Any]) -> str:
    with pytest.raises(Refused) as refused:
        call()
    return refused.value.code


def test_contacts_have_one_form() -> None:
    for spelt in ("8 (916) 123-45-67", "+7 916 123 45 67", "9161234567", "79161234567"):
        assert contacts.phone(spelt) == "+79161234567"
    assert contacts.email("  Anna@Почта.РФ ") == "anna@xn--80a1acny.xn--p1ai"
    assert (contacts.phone(" "), contacts.email("")) == ("", "")
    for wrong in ("12", "телефон", "+7 000 000 00 00"):
        assert code_of(lambda text=wrong: contacts.phone(text)) == "bad_phone"
    for wrong in ("a@", "a b@c.ru", "анна@example.ru", "a@b", "x" * 250 + "@c.ru", "a@.."):
        assert code_of(lambda text=wrong: contacts.email(text)) == "bad_email"
    assert contacts.masked("+79161234567") == "+7 *** 45-67"
    assert contacts.masked("anna@example.ru") == "a***@example.ru"


def test_any_contact_finds_the_customer(partner: Partner) -> None:
    anna = customers.register(phone="8 916 123-45-67", email="Anna@example.ru", name=" Анна ")
    assert (anna.phone, anna.email, anna.name) == ("+79161234567", "anna@example.ru", "Анна")
    assert customers.register(email="ANNA@example.ru") == anna
    assert [row.object_id for row in search.find("8 (916) 123-45-67").filter(partner_id=partner.pk)] == [
        anna.pk
    ]
    only_id = customers.register(external_id="client-7")
    assert only_id != anna
    assert str(only_id) == "client-7"
    assert code_of(lambda: customers.register(name="Никто")) == "no_contact"


def test_a_visitor_cannot_take_over_a_stranger(partner: Partner) -> None:
    anna = customers.register(email="anna@example.ru")
    visitor = customers.register(email="anna@example.ru", phone="+79160000001", name="Чужой")
    assert visitor == anna
    anna.refresh_from_db()
    assert (anna.phone, anna.name) == ("", "")
    filled = customers.register(
        email="anna@example.ru", phone="+79160000001", external_id="7", name="Анна", verified=True
    )
    assert (filled, filled.phone, filled.external_id, filled.name) == (anna, "+79160000001", "7", "Анна")


def test_contacts_of_different_customers_are_a_conflict(partner: Partner) -> None:
    customers.register(phone="+79160000001")
    other = customers.register(email="b@example.ru", external_id="b")

    def both() -> Any:
        return customers.register(phone="+79160000001", email="b@example.ru")

    assert code_of(both) == "customer_conflict"
    assert code_of(lambda: customers.register(email="b@example.ru", external_id="c")) == "customer_conflict"
    taken = {"phone": "+79160000001"}
    assert code_of(lambda: customers.update(other, actor="x", **taken)) == "customer_conflict"
    assert code_of(lambda: customers.update(other, actor="x", email="", external_id="")) == "no_contact"
    changed = customers.update(other, actor="x", email="new@example.ru")
    assert changed.email == "new@example.ru"
    assert not search.find("b@example.ru").filter(partner_id=partner.pk).exists()
    assert Customer.objects.count() == 2


def test_purchases_at_once_register_one_customer(partner: Partner) -> None:
    def buy() -> Any:
        with transaction.atomic():
            return customers.register(phone="+79160000001", email="a@example.ru").pk

    assert len(set(at_once(partner, [buy] * 8))) == 1
    assert Customer.objects.count() == 1


def test_without_the_constraint_purchases_at_once_register_twins(partner: Partner) -> None:
    """The race is real: look-up and insert alone are not enough."""
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX accounts_customer_phone")
    both_looked = threading.Barrier(2)

    def buy() -> None:
        with transaction.atomic():
            assert not Customer.objects.filter(phone="+79160000001").exists()
            both_looked.wait(60)
            Customer.objects.create(phone="+79160000001", created_at=clock.wall())

    at_once(partner, [buy, buy])
    assert Customer.objects.count() == 2


def test_an_erased_customer_leaves_nothing_behind(partner: Partner) -> None:
    anna = customers.register(phone="+79160000001", email="a@example.ru", external_id="7", name="Анна")
    now = clock.wall()
    CustomerSession.objects.create(customer=anna, token_hash="x", created_at=now, expires_at=now)
    notifications.send(
        "subscription_cancelled",
        to_email=anna.email,
        customer_id=anna.pk,
        context={"product": "Кино"},
        key="k",
    )
    for _twice in range(2):
        erased = customers.erase(anna, actor="staff")
    assert (erased.phone, erased.email, erased.external_id, erased.name) == ("", "", "", "")
    assert str(erased) == "Данные стёрты"
    assert not anna.sessions.exists()
    assert not search.find("a@example.ru").filter(partner_id=partner.pk).exists()
    message = Message.objects.get()
    assert (message.to, message.text, message.html) == ("", "", "")
    assert code_of(lambda: customers.update(anna, actor="x", phone="+79160000001")) == "customer_erased"
    assert customers.register(phone="+79160000001") != anna
    with pytest.raises(IntegrityError):
        Customer.objects.create(created_at=now)
    assert list(audit.run([partner.pk])) == []


CORRUPTIONS: dict[str, Callable[[Customer], Any]] = {
    "accounts.erased-is-gone": lambda anna: Customer.objects.filter(pk=anna.pk).update(
        erased_at=clock.wall(), email="", phone=""
    ),
    "accounts.findable": lambda anna: Customer.objects.filter(pk=anna.pk).update(email="b@example.ru"),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_planted_corruption_is_found(partner: Partner, name: str) -> None:
    anna = customers.register(phone="+79160000001", email="a@example.ru", name="Анна")
    customers.erase(customers.register(external_id="gone"))
    assert list(audit.RULES[name].check()) == []
    CORRUPTIONS[name](anna)
    assert len(list(audit.RULES[name].check())) == 1
