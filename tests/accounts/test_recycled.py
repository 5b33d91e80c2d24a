"""A phone number that went to somebody else opens nothing of its former owner's; a contact is changed with proof."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from apps.accounts import contact_change, customers, recycled, sign_in
from apps.accounts.models import Customer, CustomerSession
from apps.catalog.models import ProductParameter
from apps.core import audit, clock, gather
from apps.core.errors import Refused
from apps.core.models import Attempt, WorkItem
from apps.journal.models import Entry
from apps.notifications.models import Message
from apps.orders import former_phone, placing_many
from apps.orders.models import Order
from apps.orders.placing import Wanted, place_order
from tests.orders.fixtures import shop
from tests.orders.shop import Shop

__all__ = ["shop"]
PHONE, OTHER = "+79161234567", "+79167654321"
LONG = timedelta(days=400)


@pytest.fixture(autouse=True)
def nobody_has_tried_before() -> None:
    """Tries are counted over all partners, and so over all tests."""
    Attempt.objects.all().delete()


def code_of(kind: str, to: str) -> str:
    """The code of the last message, as its reader sees it."""
    sent = Message.objects.filter(type=kind).order_by("-pk")
    text = next(one.text for one in sent if one.to == to)
    return next(word for word in text.replace(":", " ").split() if word.isdigit() and len(word) == 6)


def signed_in(contact: str) -> Customer:
    sign_in.request_code(contact)
    sign_in.verify(contact, code_of("signin_code", contact))
    return CustomerSession.objects.order_by("-pk").select_related("customer")[0].customer


def unproven(customer: Customer) -> Customer:
    Customer.objects.filter(pk=customer.pk).update(phone_proved_at=clock.wall() - LONG)
    customer.refresh_from_db()
    return customer


def test_a_number_unproven_for_long_opens_a_new_cabinet_and_services_stay(shop: Shop) -> None:
    anna = customers.register(phone=PHONE, email="anna@recycled.example", name="Анна")
    subscription = shop.buy(shop.offer(), customer=anna)
    assert signed_in(PHONE) == anna
    session = CustomerSession.objects.get(customer=anna)
    unproven(anna)
    stranger = signed_in(PHONE)
    assert stranger != anna
    assert (stranger.phone, stranger.name, stranger.services.count()) == (PHONE, "", 0)
    anna.refresh_from_db()
    assert (anna.phone, anna.former_phone, anna.email) == ("", PHONE, "anna@recycled.example")
    assert not CustomerSession.objects.filter(pk=session.pk).exists()
    assert shop.service(subscription).customer == anna
    # She still comes in by her mail, and what she has is hers.
    assert signed_in("anna@recycled.example") == anna
    assert list(audit.run([shop.partner.pk])) == []


def test_a_number_that_is_used_stays_proven(shop: Shop) -> None:
    anna = customers.register(phone=PHONE)
    Customer.objects.filter(pk=anna.pk).update(phone_proved_at=clock.wall() - timedelta(days=300))
    assert signed_in(PHONE) == anna
    anna.refresh_from_db()
    assert anna.phone_proved_at is not None
    assert clock.wall() - anna.phone_proved_at < timedelta(minutes=1)


def test_typing_a_number_takes_it_from_nobody(shop: Shop) -> None:
    anna = unproven(customers.register(phone=PHONE, email="anna@recycled.example"))
    with pytest.raises(Refused) as refused:
        customers.register(phone=PHONE)
    assert refused.value.code == "phone_unproved"
    typed = customers.register(phone=PHONE, email="thief@recycled.example")
    assert (typed == anna, typed.phone) == (False, "")
    anna.refresh_from_db()
    assert anna.phone == PHONE
    order = place_order(offer=shop.offer(), customer=typed, return_url="https://shop.example/{order}")
    assert order.customer_id == typed.pk
    # Who names the mail or the partner's own id as well is the same person as ever.
    assert customers.register(phone=PHONE, email="anna@recycled.example") == anna


def test_whom_the_partner_vouches_for_has_the_number(shop: Shop) -> None:
    anna = unproven(customers.register(phone=PHONE, external_id="A-1"))
    assert customers.register(phone=PHONE, external_id="A-1", verified=True) == anna
    boris = customers.register(phone=PHONE, name="Борис", verified=True)
    anna.refresh_from_db()
    assert (boris == anna, boris.phone, anna.phone, anna.former_phone) == (False, PHONE, "", PHONE)


def test_a_batch_with_a_number_that_may_be_a_strangers_goes_one_by_one(shop: Shop) -> None:
    anna = unproven(customers.register(phone=PHONE, email="anna@recycled.example"))
    known = customers.register(phone=OTHER)
    people = [{"phone": "+79160000021"}, {"phone": PHONE}, {"phone": OTHER}]
    with pytest.raises(gather.Apart, match="somebody else's"), transaction.atomic(), gather.gathering():
        customers.find_or_register_many(people)
    anna.refresh_from_db()
    assert (anna.phone, Customer.objects.count()) == (PHONE, 2)
    # Known by her mail as well, she is herself, in a batch too.
    with transaction.atomic(), gather.gathering():
        assert customers.find_or_register_many([{"phone": PHONE, "email": anna.email}]) == [anna]
    wanted = Wanted(shop.offer().pk)
    asked = [placing_many.Asked(person, wanted, f"row-{number}") for number, person in enumerate(people)]
    placed = placing_many.place_each(asked)
    assert [isinstance(one, Order) for one in placed] == [True] * 3
    new, stranger, same = (one.customer for one in placed if isinstance(one, Order))
    anna.refresh_from_db()
    assert (anna.phone, anna.former_phone, anna.orders.count()) == ("", PHONE, 0)
    assert (stranger.phone, same, stranger == anna, new.phone) == (PHONE, known, False, "+79160000021")
    shop.deliver()
    assert list(audit.run([shop.partner.pk])) == []


def test_a_telecom_partner_says_that_a_number_was_given_away(shop: Shop) -> None:
    only_phone = customers.register(phone=PHONE)
    subscription = shop.buy(shop.offer(), customer=only_phone)
    token_of = signed_in(PHONE)
    assert token_of == only_phone
    assert recycled.reassigned(PHONE, actor="api:telecom") == only_phone
    assert recycled.reassigned(PHONE, actor="api:telecom") is None
    assert not CustomerSession.objects.filter(customer=only_phone).exists()
    before = Message.objects.filter(type="signin_code").count()
    sign_in.request_code(PHONE)
    assert Message.objects.filter(type="signin_code").count() == before, "nobody here has it"
    stranger = customers.register(phone=PHONE, name="Новый владелец")
    assert stranger != only_phone
    assert shop.service(subscription).customer == only_phone
    assert signed_in(PHONE) == stranger
    assert list(audit.run([shop.partner.pk])) == []


def test_a_contact_is_changed_by_two_codes_only(shop: Shop) -> None:
    anna = customers.register(phone=PHONE, email="anna@recycled.example")
    signed_in(PHONE)
    shown = contact_change.begin(anna, OTHER)
    assert shown.endswith("45-67")
    new, old = code_of("contact_code", OTHER), code_of("contact_code", PHONE)
    for wrong in ({"new_code": new, "old_code": new}, {"new_code": old, "old_code": old}):
        if new == old:
            continue
        with pytest.raises(Refused, match="не подошёл"):
            contact_change.finish(anna, OTHER, **wrong)
    # Codes for one number are worthless for another, and for another customer.
    with pytest.raises(Refused, match="не подошёл"):
        contact_change.finish(anna, "+79160000011", new_code=new, old_code=old)
    boris = customers.register(email="boris@recycled.example")
    with pytest.raises(Refused, match="не подошёл"):
        contact_change.finish(boris, OTHER, new_code=new, old_code=old)
    changed = contact_change.finish(anna, OTHER, new_code=new, old_code=old)
    assert (changed.phone, changed.email) == (OTHER, "anna@recycled.example")
    assert not CustomerSession.objects.filter(customer=anna).exists()
    assert Entry.objects.filter(action="customer.contact-moved").exists()
    # Used up.
    customers.update(changed, actor="test", phone=PHONE)
    anna.refresh_from_db()
    with pytest.raises(Refused, match="не подошёл"):
        contact_change.finish(anna, OTHER, new_code=new, old_code=old)


def test_codes_are_not_guessed(shop: Shop) -> None:
    anna = customers.register(phone=PHONE)
    contact_change.begin(anna, OTHER)
    new, old = code_of("contact_code", OTHER), code_of("contact_code", PHONE)
    for _n in range(5):
        with pytest.raises(Refused):
            contact_change.finish(anna, OTHER, new_code="x", old_code="y")
    with pytest.raises(Refused):
        contact_change.finish(anna, OTHER, new_code=new, old_code=old)
    for _n in range(4):
        contact_change.begin(anna, OTHER)
    with pytest.raises(Refused) as refused:
        contact_change.begin(anna, OTHER)
    assert refused.value.code == "too_many_codes"


def test_an_email_of_another_customer_is_not_taken_and_a_phone_goes_to_its_last_prover(shop: Shop) -> None:
    anna = customers.register(phone=PHONE, email="anna@recycled.example")
    boris = customers.register(phone=OTHER, email="boris@recycled.example")
    contact_change.begin(boris, "anna@recycled.example", proof="phone")
    new, old = code_of("contact_code", "anna@recycled.example"), code_of("contact_code", OTHER)
    with pytest.raises(Refused) as refused:
        contact_change.finish(boris, "anna@recycled.example", new_code=new, old_code=old)
    assert refused.value.code == "customer_conflict"
    contact_change.begin(boris, PHONE, proof="email")
    new, old = code_of("contact_code", PHONE), code_of("contact_code", "boris@recycled.example")
    contact_change.finish(boris, PHONE, new_code=new, old_code=old)
    anna.refresh_from_db()
    assert (anna.phone, anna.former_phone, anna.email) == ("", PHONE, "anna@recycled.example")


def test_staff_change_it_with_a_reason_their_password_and_a_code_of_the_new_one(
    shop: Shop, staff_client: Any
) -> None:
    anna = customers.register(phone=PHONE)
    client = staff_client(shop.partner, role="support", of=shop.partner)
    user = User.objects.get(pk=client.session["_auth_user_id"])
    user.set_password("long-secret-1")
    user.save()
    client.force_login(user)
    session = client.session
    session["host"] = client.defaults["SERVER_NAME"]
    session.save()
    page = f"/admin/accounts/customer/{anna.pk}/contact/"
    sent = {"contact": OTHER, "reason": "Сим-карта утеряна, паспорт сверен", "password": "wrong"}
    assert client.post(page, sent).status_code == 200
    assert not Message.objects.filter(type="contact_code").exists()
    sent["password"] = "long-secret-1"
    assert client.post(page, sent).status_code == 200
    assert [one.to for one in Message.objects.filter(type="contact_code")] == [OTHER]
    assert client.post(page, {**sent, "code": "000000x"}).status_code == 200
    anna.refresh_from_db()
    assert anna.phone == PHONE
    assert client.post(page, {**sent, "code": code_of("contact_code", OTHER)}).status_code == 302
    anna.refresh_from_db()
    assert anna.phone == OTHER
    assert "Сим-карта" in str(Entry.objects.get(action="customer.contact-moved").data)


def test_the_cabinet_changes_it_and_signs_in_anew(shop: Shop, client_for: Any) -> None:
    anna = customers.register(phone=PHONE, email="anna@recycled.example")
    sign_in.request_code(PHONE)
    token = sign_in.verify(PHONE, code_of("signin_code", PHONE))
    client = client_for(shop.partner)
    client.cookies[sign_in.COOKIE] = token
    assert client.post("/cabinet/contacts/", {"contact": PHONE}).status_code == 400
    assert client.post("/cabinet/contacts/", {"contact": "8 916 765-43-21"}).status_code == 302
    new, old = code_of("contact_code", OTHER), code_of("contact_code", PHONE)
    page = "/cabinet/contacts/codes/"
    assert "45-67" in client.get(page).content.decode()
    assert client.post(page, {"new_code": new, "old_code": "1"}).status_code == 400
    assert client.post(page, {"new_code": new, "old_code": old}).status_code == 302
    anna.refresh_from_db()
    assert anna.phone == OTHER
    assert client.get("/cabinet/").status_code == 200
    stranger = client_for(shop.partner)
    stranger.cookies[sign_in.COOKIE] = token
    assert stranger.get("/cabinet/").status_code == 302


def told(to: str) -> list[Message]:
    return [one for one in Message.objects.filter(type="contact_changed") if one.to == to]


def test_the_old_contact_is_told_what_staff_have_changed(shop: Shop) -> None:
    anna = customers.register(phone=PHONE, email="anna@recycled.example")
    contact_change.begin_by_staff(anna, OTHER)
    code = code_of("contact_code", OTHER)
    changed = contact_change.finish_by_staff(anna, OTHER, code=code, reason="Потеряла", actor="olga")
    [letter] = told(PHONE)
    assert "изменил сотрудник поддержки" in letter.text
    assert not told(OTHER)
    # A number that may be a stranger's is told nothing: her mail is.
    unproven(changed)
    contact_change.begin_by_staff(changed, PHONE)
    changed = contact_change.finish_by_staff(
        changed, PHONE, code=code_of("contact_code", PHONE), reason="Нашла", actor="olga"
    )
    [letter] = told("anna@recycled.example")
    assert "+7 *** 45-67" in letter.text
    assert "сотрудник поддержки" in letter.text
    assert not told(OTHER)
    # What she has proved by the old one herself, she knows.
    contact_change.begin(changed, OTHER)
    contact_change.finish(
        changed,
        OTHER,
        new_code=code_of("contact_code", OTHER),
        old_code=code_of("contact_code", PHONE),
    )
    assert len(told(PHONE)) == 1


def staffs(customer: Customer) -> list[str]:
    return list(WorkItem.objects.filter(object_id=customer.pk).values_list("reason", flat=True))


def test_what_was_made_for_a_number_stands_with_staff(shop: Shop, staff_client: Callable[..., Any]) -> None:
    offer, other = shop.offer(), shop.offer()
    ProductParameter.objects.create(
        product=offer.tariff.product, code="number", name={"ru": "Номер"}, kind="string", asked_at="order"
    )
    anna = customers.register(phone=PHONE, email="anna@recycled.example")
    shop.buy(offer, customer=anna, answers={"number": "8 916 123-45-67"})
    shop.buy(other, customer=anna)
    recycled.reassigned(PHONE, actor="api:telecom")
    shop.deliver()
    [reason] = staffs(anna)
    assert "оформлена на номер" in reason
    assert str(other.tariff.product) not in reason
    assert PHONE not in reason
    anna.refresh_from_db()
    with pytest.raises(Refused, match="no_reason"):
        former_phone.looked(anna, note=" ", actor="olga")
    page = f"/admin/accounts/customer/{anna.pk}/former-phone/"
    client = staff_client(shop.partner, role="support")
    assert "оформлена на номер" in client.get(page).content.decode()
    assert client.post(page, {"reason": "Переоформили на новый"}).status_code == 302
    assert staffs(anna) == []
    assert Entry.objects.filter(action="customer.former-phone-looked").exists()


def test_whose_key_went_by_sms_is_seen_till_there_is_a_number_again(shop: Shop) -> None:
    boris = customers.register(phone=PHONE)
    service = shop.service(shop.buy(shop.offer(), customer=boris))
    made = Message.objects.filter(type="key_delivered", customer_ref=boris.pk)
    if not made.filter(channel="sms").exists():
        Message.objects.create(
            type="key_delivered",
            channel="sms",
            customer_ref=boris.pk,
            to=PHONE,
            key=f"key_delivered:{service.fulfilments.get().pk}:sms",
            created_at=clock.now(),
        )
    recycled.reassigned(PHONE, actor="api:telecom")
    shop.deliver()
    assert "ключ ушёл по СМС" in staffs(boris)[0]
    contact_change.begin_by_staff(boris, OTHER)
    contact_change.finish_by_staff(
        boris, OTHER, code=code_of("contact_code", OTHER), reason="Пришёл сам", actor="olga"
    )
    shop.deliver()
    assert staffs(boris) == []
