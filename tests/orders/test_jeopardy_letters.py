"""Letters about promises: to whom they concern, before a term is missed and once more when it is; and to a senior."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User

from apps.core.errors import Refused
from apps.core.tenancy import in_public
from apps.notifications.models import Message
from apps.orders import fulfilment, watching
from apps.partners.models import StaffRole
from apps.sandbox.control import Control
from tests.orders.shop import Shop
from tests.orders.test_plans import CALL, GIVE, at_shop, bought, planned

__all__ = ["at_shop"]
AHEAD, MISSED = "Под угрозой срока", "Срок прошёл"


def works_as(shop: Shop, role: str) -> str:
    """The e-mail of somebody of the partner's staff."""
    email = f"{role}-{uuid4().hex[:8]}@example.ru"
    with in_public():
        user = User.objects.create_user(email, is_staff=True, email=email)
        StaffRole.objects.create(user=user, partner=shop.partner, role=role)
    return email


def letters(about: str) -> dict[str, Message]:
    found = Message.objects.filter(type="staff_alert").order_by("pk")
    return {one.to: one for one in found if one.subject.startswith(about)}


def test_a_promise_is_told_to_those_on_duty_before_it_is_missed_and_when_it_is(
    at_shop: Shop, provider_sim: Control
) -> None:
    on_duty = {works_as(at_shop, role) for role in watching.ON_DUTY}
    works_as(at_shop, "finance")
    provider_sim.fault("http_503", times=100, committed=False)
    row = bought(at_shop, planned(at_shop, promised=60))
    assert row.promised_at is not None
    at_shop.move(at_shop.partner, row.promised_at - timedelta(minutes=16))
    assert letters(AHEAD) == {}
    at_shop.move(at_shop.partner, row.promised_at - timedelta(minutes=14))
    assert (letters(AHEAD).keys(), letters(MISSED)) == (on_duty, {})
    letter = next(iter(letters(AHEAD).values()))
    assert row.service.name in letter.text
    assert at_shop.partner.url(f"/admin/orders/fulfilment/{row.pk}/change/") in letter.text
    # Looked at again, it is told to nobody twice; missed, once more to each.
    watching.look(row.pk)
    at_shop.move(at_shop.partner, row.promised_at + timedelta(minutes=1))
    watching.look(row.pk)
    assert (letters(AHEAD).keys(), letters(MISSED).keys()) == (on_duty, on_duty)
    assert Message.objects.filter(type="staff_alert", key__contains="jeopardy").count() == 4


def test_a_step_s_deadline_is_told_to_the_role_that_is_on_duty_for_it(at_shop: Shop) -> None:
    finance = works_as(at_shop, "finance")
    others = {works_as(at_shop, "support"), works_as(at_shop, "manager")}
    row = bought(at_shop, planned(at_shop, replace(CALL, duty="finance"), GIVE))
    until = row.tasks.get(kind="manual").deadline_at
    assert until is not None
    at_shop.move(at_shop.partner, until - timedelta(minutes=10))
    at_shop.move(at_shop.partner, until + timedelta(minutes=1))
    assert (letters(AHEAD).keys(), letters(MISSED).keys()) == ({finance}, {finance})
    assert "Позвонить клиенту" in letters(MISSED)[finance].subject
    assert not others & {one.to for one in Message.objects.filter(type="staff_alert")}


def test_who_is_called_gets_the_words_each_time(at_shop: Shop) -> None:
    manager, support = works_as(at_shop, "manager"), works_as(at_shop, "support")
    row = bought(at_shop, planned(at_shop, CALL, GIVE))
    fulfilment.escalate(row, to="manager", comment="Клиент жалуется", actor="olga")
    fulfilment.escalate(row, to="manager", comment="И снова", actor="olga")
    told = Message.objects.filter(type="staff_alert", key__contains=f"escalated:{row.pk}").order_by("pk")
    assert [one.to for one in told] == [manager, manager]
    assert ["Клиент жалуется" in told[0].text, "И снова" in told[1].text] == [True, True]
    with pytest.raises(Refused, match="no_reason"):
        fulfilment.escalate(row, to="manager", comment=" ", actor="olga")
    with pytest.raises(Refused, match="no_such_role"):
        fulfilment.escalate(row, to="cleaner", comment="Кому-то", actor="olga")
    assert support not in {one.to for one in Message.objects.filter(type="staff_alert")}
