"""Deeds of the board and of the list of services for what was given: other keys, the same ones sent again."""

import re
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from apps.accounts.models import Customer
from apps.core import audit, clock, faults, ids
from apps.core.errors import Refused
from apps.core.mass import MassState
from apps.core.tenancy import in_partner
from apps.notifications.models import Message
from apps.orders.control import mass
from apps.orders.models import Fulfilment, Service
from apps.providers.models import ActivationKey, OpenRequest, RequestDeed
from apps.providers.portal.models import DefectiveKey
from tests.conftest import make_partner
from tests.orders.shop import Shop
from tests.staff import staff

__all__ = ["staff"]
LIST = "/admin/orders/service/"


def given(shop: Shop, count: int) -> list[Service]:
    """So many services with keys of one pool, of which some are left."""
    offer = shop.offer(delivery="key", keys=count * 2)
    services = [shop.service(shop.buy(offer)) for _one in range(count)]
    assert all(one.key for one in services)
    return services


def done(made: RequestDeed) -> dict[Any, tuple[str, str]]:
    mass.confirm(made.pk, actor="anna")
    mass.work(made.pk)
    made.refresh_from_db()
    assert made.state == MassState.DONE
    return {one.request_id: (one.state, one.result) for one in made.rows.all()}


def replace(services: list[Service], *, press: UUID | None = None, actor: str = "anna") -> RequestDeed:
    chosen = Service.objects.filter(pk__in=[one.pk for one in services])
    given = {"defect": "refused"}
    return mass.of_services(
        kind="replace", services=chosen, params=given, reason="Партия брака", actor=actor, press=press
    )


@pytest.mark.parametrize("point", mass.FAULT_POINTS)
def test_a_batch_of_keys_is_replaced_once_each_wherever_it_died(shop: Shop, point: str) -> None:
    services = given(shop, 3)
    made = replace(services)
    mass.confirm(made.pk, actor="anna")
    with faults.crash_at(point, after=1), pytest.raises(faults.Crash):
        mass.work(made.pk)
    mass.work(made.pk)
    shop.deliver()
    now = {one.pk: one for one in Service.objects.all()}
    assert all(now[one.pk].key and now[one.pk].key != one.key for one in services)
    assert [now[one.pk].replacements for one in services] == [1, 1, 1]
    assert (
        sorted(DefectiveKey.objects.filter(partner_id=shop.partner.pk).values_list("comment", flat=True))
        == ["Партия брака"] * 3
    )
    mine = ActivationKey.objects.filter(partner_id=shop.partner.pk)
    assert sorted(mine.values_list("state", flat=True)) == ["defective"] * 3 + ["sold"] * 3
    assert list(audit.run([shop.partner.pk])) == []


def test_a_key_that_was_replaced_meanwhile_is_left_alone(shop: Shop) -> None:
    first, second = given(shop, 2)
    made, again = replace([first, second]), replace([first])
    assert done(again) == {first.request_id: ("done", "новый ключ придёт клиенту сам")}
    shop.deliver()
    told = done(made)
    assert told[first.request_id] == ("refused", "Этот ключ уже заменён")
    assert told[second.request_id][0] == "done"
    shop.deliver()
    assert [one.replacements for one in Service.objects.order_by("pk")] == [1, 1]


def test_two_people_who_saw_the_same_broken_key_replace_it_once(shop: Shop) -> None:
    [service] = given(shop, 1)
    annas, olgas = ids.uuid7(), ids.uuid7()
    assert done(replace([service], press=annas))[service.request_id][0] == "done"
    shop.deliver()
    new = Service.objects.get()
    assert new.key not in {"", service.key}
    # Hers is begun when the new key is there already; her page is older than it.
    late = replace([service], press=olgas, actor="olga")
    assert done(late) == {new.request_id: ("refused", "Этот ключ уже заменён")}
    # Who looks afterwards, and finds that the new one does not work either, may.
    assert done(replace([service]))[new.request_id][0] == "done"
    shop.deliver()
    assert Service.objects.get().replacements == 2


def test_both_clicks_of_a_double_one_are_one_deed(shop: Shop) -> None:
    services = given(shop, 2)
    press, partner, made = ids.uuid7(), shop.partner, []
    gate = threading.Barrier(2)

    def click() -> None:
        with in_partner(partner):
            gate.wait(30)
            made.append(replace(services, press=press).pk)
        connection.close()

    clicks = [threading.Thread(target=click) for _one in range(2)]
    for one in clicks:
        one.start()
    for one in clicks:
        one.join(60)
    assert made == [press, press]
    assert RequestDeed.objects.get(pk=press).rows.count() == 2
    with pytest.raises(Refused, match="other_deed"):
        replace(services, press=press, actor="olga")


def test_what_was_given_goes_again_once_for_each_by_another_way(shop: Shop) -> None:
    services = given(shop, 2)
    chosen = Service.objects.filter(pk__in=[one.pk for one in services])
    before = Message.objects.count()
    params = {"channel": "email"}
    made = mass.of_services(
        kind="resend", services=chosen, params=params, reason="Письма пропали", actor="anna"
    )
    assert {state for state, _said in done(made).values()} == {"done"}
    mass.work(made.pk)
    assert Message.objects.count() == before + 2
    # They have told no phone; then one that nobody has proven for long.
    params = {"channel": "sms"}
    made = mass.of_services(
        kind="resend", services=chosen, params=params, reason="Письма пропали", actor="anna"
    )
    assert set(done(made).values()) == {("refused", "У клиента нет такого контакта")}
    long_ago = clock.wall() - timedelta(days=31 * settings.PHONE_PROOF_MONTHS)
    for place, one in enumerate(services):
        phone = f"+7916111223{place}"
        Customer.objects.filter(pk=one.customer_id).update(phone=phone, phone_proved_at=long_ago)
    made = mass.of_services(
        kind="resend", services=chosen, params=params, reason="Письма пропали", actor="anna"
    )
    [(state, said)] = set(done(made).values())
    assert (state, "давно не подтверждали" in said) == ("refused", True)
    assert Message.objects.count() == before + 2
    Customer.objects.update(phone_proved_at=clock.wall())
    made = mass.of_services(
        kind="resend", services=chosen, params=params, reason="Письма пропали", actor="anna"
    )
    assert {state for state, _said in done(made).values()} == {"done"}
    assert Message.objects.filter(channel="sms").count() == 2


def test_on_the_board_what_has_no_key_yet_says_so(shop: Shop) -> None:
    shop.buy(shop.offer(delivery="manual"))
    rows = OpenRequest.objects.filter(partner_id=shop.partner.pk)
    for kind, params, told in (
        ("replace", {"defect": "used"}, "У этой услуги нет ключа"),
        ("resend", {"channel": "email"}, "Клиенту ещё ничего не выдано"),
    ):
        made = mass.create(kind=kind, rows=rows, params=params, reason="Проверка", actor="anna")
        [(state, said)] = done(made).values()
        assert state == "refused"
        assert said in {told, "Эта услуга не действует: заменять нечего"}
    assert Fulfilment.objects.get().state == "needs_staff"


def test_staff_choose_in_the_list_of_services_say_why_and_watch(
    shop: Shop, staff: Callable[..., Client]
) -> None:
    services = given(shop, 2)
    finance, support = staff(shop.partner, "finance"), staff(shop.partner, "support")
    chosen = {"action": "replace_chosen", "_selected_action": [str(one.pk) for one in services]}
    page = support.post(LIST, chosen).content.decode()
    assert ("Что с ключами" in page, services[0].name in page, ">2<" in page) == (True, True, True)
    assert RequestDeed.objects.filter(partner_id=shop.partner.pk).count() == 0
    press = re.findall('name="press" value="([^"]+)"', page)[0]
    asked = support.post(LIST, {**chosen, "defect": "refused", "reason": "", "press": press})
    assert (asked.status_code, RequestDeed.objects.filter(partner_id=shop.partner.pk).count()) == (200, 0)
    assert "Прочтёт и поставщик" in page
    told = {**chosen, "defect": "refused", "reason": "Не активируются", "press": press}
    assert press in asked.content.decode()
    began = support.post(LIST, told)
    made = RequestDeed.objects.get(partner_id=shop.partner.pk)
    assert (began.status_code, str(made.pk) in began["Location"]) == (302, True)
    assert support.post(LIST, told)["Location"] == began["Location"]
    assert RequestDeed.objects.filter(partner_id=shop.partner.pk).count() == 1
    assert finance.post(LIST, {**chosen, "defect": "refused", "reason": "x"}).status_code in {302, 403}
    theirs = staff(make_partner())
    assert theirs.post(LIST, {**chosen, "defect": "refused", "reason": "x"}).status_code in {200, 302}
    assert RequestDeed.objects.filter(kind="replace").exclude(partner_id=shop.partner.pk).count() == 0
    with in_partner(shop.partner):
        mass.work(made.pk)
        shop.deliver()
        assert [one.replacements for one in Service.objects.all()] == [1, 1]
    shown = support.get(began["Location"]).content.decode()
    assert "новый ключ придёт клиенту сам" in shown
