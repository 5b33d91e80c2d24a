"""«Пульт исполнения» shows how long customers wait for each provider, and days that nobody has closed."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.core import clock
from apps.core.models import Event
from apps.core.tenancy import in_public
from apps.orders.control import board, timing
from apps.orders.handlers import drop_times_of_delivery
from apps.providers.models import DeliveryTime
from apps.settlements.models import ProviderDay, ProviderDifference
from tests.conftest import make_partner
from tests.orders.shop import Shop
from tests.staff import staff

__all__ = ["staff"]
SOON = timedelta(minutes=1)


def took(shop: Shop, *seconds: float) -> None:
    """Deliveries of the shop's provider that took so long."""
    news = list(Event.objects.filter(type=timing.EVENT, partner_id=shop.partner.pk).order_by("pk"))
    for one, spent in zip(news, seconds, strict=True):
        assert one.data["took"]
        one.data["took"] = str(spent)
        one.save(update_fields=["data"])


def late(shop: Shop) -> dict[tuple[int | None, int | None], float]:
    return timing.late(partner_id=shop.partner.pk)


def test_most_are_served_within(shop: Shop) -> None:
    offer = shop.offer()
    for _one in range(3):
        shop.buy(offer)
    shop.buy(shop.offer(keys=1, delivery="key"))
    took(shop, 1.0, 2.0, 40.0, 0.1)
    for _time in range(2):
        timing.count(clock.wall() + SOON)
    found = {provider == shop.provider.pk: seconds for (provider, _line), seconds in late(shop).items()}
    assert found[True] == pytest.approx(40.0, rel=0.1)
    assert found[False] == pytest.approx(0.1, rel=0.1)
    assert sum(DeliveryTime.objects.filter(partner_id=shop.partner.pk).values_list("count", flat=True)) == 4
    (lane,) = board.board(board.Filter(partner_id=shop.partner.pk, provider_id=shop.provider.pk)).lanes
    assert (lane.provider, lane.connection, lane.total) == (
        shop.provider,
        shop.provider.test_connection,
        0,
    )
    assert lane.late == found[True]
    # Of one partner, and of an hour.
    assert timing.late(partner_id=make_partner().pk) == {}
    DeliveryTime.objects.update(slot=clock.wall() - timedelta(hours=2))
    assert late(shop) == {}
    with in_public():
        drop_times_of_delivery()
        assert DeliveryTime.objects.filter(partner_id=shop.partner.pk).exists()
        DeliveryTime.objects.update(slot=clock.wall() - timedelta(days=3))
        drop_times_of_delivery()
    assert not DeliveryTime.objects.filter(partner_id=shop.partner.pk).exists()


def test_ninety_five_of_a_hundred() -> None:
    assert timing.percentile({0: 94, 10: 1, 50: 5}) == pytest.approx(1.1**10)
    assert timing.percentile({0: 95, 50: 5}) == 1.0
    assert timing.percentile({}) == 0.0


def test_what_is_counted_again_is_what_there_was(shop: Shop) -> None:
    shop.buy(shop.offer())
    shop.service(shop.buy(shop.offer()))
    took(shop, 1.0, 1.0)
    timing.count(clock.wall() + SOON)
    with CaptureQueriesContext(connection) as asked:
        timing.count(clock.wall() + SOON)
        late(shop)
    assert len(asked) == 2
    assert sum(DeliveryTime.objects.filter(partner_id=shop.partner.pk).values_list("count", flat=True)) == 2


def test_staff_see_how_long_it_takes_and_what_nobody_has_closed(
    shop: Shop, staff: Callable[..., Client]
) -> None:
    shop.buy(shop.offer())
    took(shop, 61.5)
    timing.count(clock.wall() + SOON)
    with in_public():
        day = clock.wall().date() - timedelta(days=3)
        rows = [
            ProviderDay.objects.create(
                provider=shop.provider, day=day - timedelta(days=number), checked_at=clock.wall()
            )
            for number in range(2)
        ]
        for name in ("0190a1b2-0000-7000-8000-000000000004", "0190a1b2-0000-7000-8000-000000000005"):
            ProviderDifference.objects.create(day=rows[0], kind="unknown", named=name, amount=45)
        platform = staff()
        page = platform.get("/admin/providers/openrequest/?part=1").content.decode()
        assert "Не сверено с поставщиками" in page
        assert "2 расхождения, 90 ₽" in page.replace("\xa0", " ")
        assert "дней: 2" in page
        found = board.notices()
        assert [one.provider for one in found if one.provider == str(shop.provider)] == [str(shop.provider)]
    own = staff(shop.partner).get("/admin/providers/openrequest/?part=1").content.decode()
    assert "Не сверено с поставщиками" not in own
    assert "66 с" in own
    with in_public():
        ProviderDifference.objects.filter(day__in=rows).delete()
        ProviderDay.objects.filter(pk__in=[one.pk for one in rows]).delete()
