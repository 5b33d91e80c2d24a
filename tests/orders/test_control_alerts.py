"""Those on duty hear of what stands too long, once an hour for each cause; what was given is sent again."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import QuerySet
from django.test import Client, override_settings

from apps.accounts import customers
from apps.connectors.models import Connection
from apps.core import clock
from apps.core.errors import Refused
from apps.core.tenancy import in_public
from apps.journal.models import Entry
from apps.notifications.models import Message
from apps.orders import sending_again
from apps.orders.control import alerting
from apps.orders.models import Fulfilment, Order, Service
from apps.partners.models import Partner, StaffRole
from apps.providers.models import OpenRequest
from apps.sandbox.control import Control
from tests.conftest import make_partner
from tests.orders.shop import Shop
from tests.orders.test_console import address, staff

__all__ = ["staff"]


def on_duty(partner: Partner) -> None:
    with in_public():
        user = User.objects.create_user(f"duty-{uuid4()}", is_staff=True, email="duty@example.ru")
        StaffRole.objects.create(user=user, partner=partner, role="support")


def mine(shop: Shop) -> QuerySet[Message]:
    return Message.objects.filter(type="staff_alert")


def stand(shop: Shop, since: timedelta) -> None:
    OpenRequest.objects.filter(partner_id=shop.partner.pk).update(opened_at=clock.wall() - since)


def look(*, later: timedelta = timedelta(0)) -> None:
    with in_public():
        alerting.look(clock.wall() + later)


def test_one_letter_for_each_cause_in_an_hour(shop: Shop, provider_sim: Control) -> None:
    on_duty(shop.partner)
    offer = shop.offer(price="100.00")
    provider_sim.fault("out_of_stock", times=100, match={"operation": "activate"})
    for _one in range(3):
        shop.buy(offer)
    assert OpenRequest.objects.filter(partner_id=shop.partner.pk, state="retry").count() == 3
    stand(shop, alerting.STANDS - timedelta(minutes=1))
    look()
    assert not mine(shop).exists()
    stand(shop, alerting.STANDS + timedelta(minutes=1))
    for _time in range(3):
        look()
    letter = mine(shop).get()
    assert "стоит 3 заказа" in letter.text
    assert "300" in letter.text
    assert "/admin/providers/openrequest/" in letter.text
    # Known to be down it is another cause, and is told of sooner.
    line = OpenRequest.objects.filter(partner_id=shop.partner.pk).values("connection_id")
    Connection.objects.filter(pk__in=line).update(
        opened_at=clock.wall(), next_try_at=clock.wall() + timedelta(minutes=1)
    )
    stand(shop, alerting.DOWN + timedelta(minutes=1))
    for _time in range(2):
        look()
    assert mine(shop).count() == 2
    assert "не отвечает" in mine(shop).order_by("pk")[1].text
    look(later=alerting.AGAIN - timedelta(minutes=1))
    assert mine(shop).count() == 2
    look(later=alerting.AGAIN + timedelta(minutes=1))
    assert mine(shop).count() == 3


def test_pieces_of_an_order_are_one_order_and_one_sum(shop: Shop, provider_sim: Control) -> None:
    on_duty(shop.partner)
    provider_sim.fault("out_of_stock", times=100, match={"operation": "activate"})
    shop.buy(shop.offer(price="100.00"), quantity=3)
    assert OpenRequest.objects.filter(partner_id=shop.partner.pk, state="retry").count() == 3
    stand(shop, alerting.STANDS * 2)
    look()
    letter = mine(shop).get()
    assert "стоит 1 заказ " in letter.text
    assert "Сумма: 300\xa0₽" in letter.text


def test_a_partner_that_fails_holds_back_nobody_else(shop: Shop, provider_sim: Control) -> None:
    on_duty(shop.partner)
    provider_sim.fault("out_of_stock", times=100, match={"operation": "activate"})
    shop.buy(shop.offer(price="100.00"))
    stand(shop, alerting.STANDS * 2)
    broken = make_partner()
    on_duty(broken)
    row = OpenRequest.objects.get(partner_id=shop.partner.pk)
    row.pk, row.partner_id, row.opened_at = None, broken.pk, row.opened_at - timedelta(days=1)
    row.save(force_insert=True)
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER SCHEMA {broken.schema_name} RENAME TO away")
        try:
            look()
        finally:
            cursor.execute(f"ALTER SCHEMA away RENAME TO {broken.schema_name}")
            OpenRequest.objects.filter(partner_id=broken.pk).delete()
    assert "стоит 1 заказ " in mine(shop).get().text


def test_what_people_have_is_told_of_later(shop: Shop) -> None:
    on_duty(shop.partner)
    shop.buy(shop.offer(delivery="manual"))
    wait = timedelta(minutes=settings.STAFF_WAIT_MINUTES)
    assert wait > alerting.STANDS
    stand(shop, wait - timedelta(minutes=1))
    look()
    assert not mine(shop).exists()
    stand(shop, wait + timedelta(minutes=1))
    look()
    assert "ждут сотрудника" in mine(shop).get().text


@override_settings(STAFF_WAIT_MINUTES=15)
def test_how_long_a_person_may_take_is_a_setting(shop: Shop) -> None:
    on_duty(shop.partner)
    shop.buy(shop.offer(delivery="manual"))
    stand(shop, timedelta(minutes=14))
    look()
    assert not mine(shop).exists()
    stand(shop, timedelta(minutes=16))
    look()
    assert "ждут сотрудника" in mine(shop).get().text


def test_what_was_given_is_sent_by_another_channel(shop: Shop, staff: Callable[[str], Client]) -> None:
    service = shop.service(shop.buy(shop.offer(delivery="key", keys=1)))
    order, support = Order.objects.get(), staff("support")
    customers.update(service.customer, phone="+79161112233", actor="test")
    way = support.get(address("orders_order_way", order.pk)).content.decode()
    again = address("orders_service_send_service_again", service.pk)
    assert again in way
    assert address("orders_service_replace_service_key", service.pk) in way
    assert again not in staff("finance").get(address("orders_order_way", order.pk)).content.decode()
    page = support.get(again).content.decode()
    assert "+79161112233" in page
    given = {"channel": "sms", "press": str(uuid4())}
    for _press in range(2):
        assert support.post(again, given).status_code == 302
    sms = Message.objects.get(type="key_delivered", channel="sms")
    assert service.key in sms.text
    assert Entry.objects.filter(action="service.sent-again", object_id=str(service.pk)).count() == 1
    assert (
        "Выданное отправлено ещё раз" in support.get(address("orders_order_way", order.pk)).content.decode()
    )


def test_what_cannot_be_sent_is_refused(shop: Shop) -> None:
    service = shop.service(shop.buy(shop.offer(delivery="manual")))
    with pytest.raises(Refused, match="nothing_given"):
        sending_again.send_again(service, channel="email", key="1", actor="olga")
    Service.objects.update(key="K-1")
    with pytest.raises(Refused, match="no_contact"):
        sending_again.send_again(service, channel="sms", key="1", actor="olga")
    Fulfilment.objects.update(action="replace")
    Service.objects.update(replacements=1)
    with pytest.raises(Refused, match="nothing_given"):
        sending_again.send_again(service, channel="email", key="1", actor="olga")
    Service.objects.update(state="terminated")
    with pytest.raises(Refused, match="service_off"):
        sending_again.send_again(service, channel="email", key="1", actor="olga")
