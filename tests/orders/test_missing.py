"""What a product has to know and nobody tells: its customer is reminded, then those on duty are told."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from apps.core import clock
from apps.core.models import Due, WorkItem
from apps.core.tenancy import in_partner
from apps.notifications.models import Message
from apps.orders import asking, missing
from apps.orders.models import Fulfilment
from tests.orders.shop import Shop
from tests.orders.test_control_alerts import on_duty
from tests.orders.test_plan_console import asked


@pytest.fixture
def at_shop(shop: Shop) -> Iterator[Shop]:
    with in_partner(shop.partner):
        yield shop


def pass_days(shop: Shop, days: float) -> None:
    moment = clock.now() + timedelta(days=days)
    shop.gateway.set_clock(moment)
    shop.move(shop.partner, moment)


def letters() -> int:
    return Message.objects.filter(type="information_required").count()


def alerts() -> list[Message]:
    return [one for one in Message.objects.filter(type="staff_alert") if "не отвечает" in one.text]


def test_the_customer_is_reminded_and_then_those_on_duty_are_told(at_shop: Shop) -> None:
    on_duty(at_shop.partner)
    service = asked(at_shop)
    row, since = Fulfilment.objects.get(action="provision"), clock.local(clock.now())
    assert (row.state, letters()) == ("info_needed", 1)
    pass_days(at_shop, 0.9)
    assert letters() == 1
    pass_days(at_shop, 0.2)
    assert letters() == 2
    missing.remind(row.pk)
    assert (letters(), alerts()) == (2, [])
    pass_days(at_shop, 2)
    assert letters() == 3
    [alert] = alerts()
    assert f"/admin/orders/fulfilment/{row.pk}/change/" in alert.text
    assert "Номер полиса" in alert.text
    [stands] = WorkItem.objects.filter(object_id=row.pk)
    assert f"не отвечает с {since:%d.%m.%Y}" in stands.reason
    pass_days(at_shop, 3)
    assert (letters(), len(alerts())) == (3, 1)
    asking.tell(service, {"policy": 17})
    at_shop.deliver()
    row.refresh_from_db()
    assert row.state == "done"
    assert not WorkItem.objects.filter(object_id=row.pk).exists()


def test_whoever_has_answered_is_left_alone(at_shop: Shop) -> None:
    on_duty(at_shop.partner)
    service = asked(at_shop)
    asking.tell(service, {"policy": 17})
    at_shop.deliver()
    pass_days(at_shop, 4)
    assert (letters(), alerts()) == (1, [])
    row = Fulfilment.objects.get(action="provision")
    assert not Due.objects.filter(object_id=row.pk, kind=missing.REMIND).exists()


def test_after_an_outage_of_days_one_letter_makes_up_for_two(at_shop: Shop) -> None:
    on_duty(at_shop.partner)
    asked(at_shop)
    row = Fulfilment.objects.get(action="provision")
    Due.objects.filter(object_id=row.pk, kind=missing.REMIND).update(due_at=clock.now() + timedelta(days=5))
    pass_days(at_shop, 5)
    assert (letters(), len(alerts())) == (2, 1)
