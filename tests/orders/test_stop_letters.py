"""Those on duty hear when a provider's sale closes and when it opens again: once each, however many offers."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User

from apps.catalog import stops
from apps.catalog.models import Offer, SalesStop
from apps.connectors.models import Connection
from apps.core import clock
from apps.core.tenancy import in_partner, in_public
from apps.notifications.models import Message
from apps.orders.control import stop_letters
from apps.partners.models import Partner, StaffRole
from apps.providers import keys
from apps.providers.models import KeyPool, Provider
from tests.conftest import make_partner
from tests.orders.races import atomic
from tests.orders.shop import Shop


def on_duty(partner: Partner | None) -> str:
    email = f"duty-{uuid4().hex[:8]}@example.ru"
    with in_public():
        user = User.objects.create_user(email, is_staff=True, email=email)
        StaffRole.objects.create(user=user, partner=partner, role="support")
    return email


@pytest.fixture
def supplier(shop: Shop) -> Provider:
    """A provider with a line of its own, whose three products two partners sell."""
    line = Connection.objects.get(pk=shop.provider.test_connection_id or 0)
    line.pk, line.is_test, line.name = None, False, f"Щит {uuid4().hex[:6]}"
    line.save()
    shop.provider.connection = line
    shop.provider.save()
    return shop.provider


def seller(shop: Shop, *offers: Offer) -> Partner:
    made = make_partner()
    for one in offers:
        Offer.objects.create(partner=made, tariff=one.tariff)
    return made


def told(*partners: Partner) -> list[tuple[str, str]]:
    """To whom, and the first line."""
    found = []
    for partner in partners:
        with in_partner(partner):
            letters = Message.objects.filter(type="staff_alert").order_by("pk")
            found += [(one.to, one.subject) for one in letters]
    return found


def circuit(provider: Provider, *, is_open: bool) -> None:
    with in_public():
        moment = clock.wall() if is_open else None
        Connection.objects.filter(pk=provider.connection_id or 0).update(opened_at=moment, next_try_at=moment)
        atomic(stops.notice_circuit, provider.connection_id or 0)()


def look(times: int = 2) -> None:
    with in_public():
        for _time in range(times):
            stop_letters.look()


def test_a_provider_that_is_down_is_told_of_once_and_once_that_it_is_back(
    shop: Shop, supplier: Provider
) -> None:
    offers = [shop.offer() for _one in range(3)]
    with_staff, without = seller(shop, *offers), seller(shop, *offers)
    own, platform = on_duty(with_staff), on_duty(None)
    circuit(supplier, is_open=True)
    look()
    mine = [one for one in told(with_staff, without) if one[0] in {own, platform}]
    assert {one[0] for one in mine} == {own, platform}
    assert len(mine) == 2
    assert f"{supplier} не отвечает: продажи закрыты" in mine[0][1]
    circuit(supplier, is_open=False)
    look()
    mine = [one for one in told(with_staff, without) if one[0] in {own, platform}]
    assert len(mine) == 4
    assert sum("снова отвечает: продажи открыты" in one[1] for one in mine) == 2
    # It sells in a sandbox too, which has another line.
    assert told(shop.partner) == []


def test_what_came_and_went_between_two_looks_is_worth_no_letter(shop: Shop, supplier: Provider) -> None:
    sells = seller(shop, shop.offer())
    own = on_duty(sells)
    circuit(supplier, is_open=True)
    circuit(supplier, is_open=False)
    look()
    assert [one for one in told(sells) if one[0] == own] == []


def test_pools_that_ran_out_together_are_one_letter(shop: Shop) -> None:
    provider = Provider.objects.create(code=f"keys-{uuid4().hex[:6]}", name="Ключи почтой")
    pools, offers = [], []
    for _one in range(2):
        offer = shop.offer(delivery="key", keys=1)
        product = offer.tariff.product
        product.provider = provider
        product.save()
        pools.append(KeyPool.objects.create(provider=provider, sku=offer.tariff.code))
        offers.append(offer)
    sells = seller(shop, *offers)
    own = on_duty(sells)
    for pool in pools:
        with in_public():
            atomic(stops.notice_keys, pool.pk)()
    look()
    [(_to, subject)] = [one for one in told(sells) if one[0] == own]
    assert "Ключи почтой: кончились ключи" in subject
    with in_partner(sells):
        text = Message.objects.filter(type="staff_alert", key__contains="sale:closed")[0].text
    assert [one.tariff.code in text for one in offers] == [True, True], text
    keys.load(pool=pools[0], content="NEW-KEY")
    with in_public():
        atomic(stops.notice_keys, pools[0].pk)()
    look()
    assert ["пополнены" in one[1] for one in told(sells) if one[0] == own] == [False, True]


def test_works_are_told_of_when_they_begin_and_end(shop: Shop, supplier: Provider) -> None:
    sells = seller(shop, shop.offer())
    own, now = on_duty(sells), clock.wall()
    with in_public():
        SalesStop.objects.create(
            provider=supplier, starts_at=now + timedelta(hours=1), ends_at=now + timedelta(hours=2)
        )
        for hours in (0, 1.5, 1.6, 2.5, 3):
            stop_letters.look(now + timedelta(hours=hours))
    assert [one[1] for one in told(sells) if one[0] == own] == [
        f"{supplier}: начались плановые работы",
        f"{supplier}: плановые работы закончились, продажи открыты",
    ]
