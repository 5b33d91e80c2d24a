"""How old the oldest unsettled thing is: from its own beginning, not from when staff heard of it."""

import uuid
from datetime import timedelta

from apps.core import clock, work
from apps.core.health import _lags
from apps.core.ids import floor, made_at, uuid7
from apps.core.models import WorkItem
from apps.core.tenancy import in_public
from apps.partners.models import Partner


def test_an_unknown_payment_counts_from_its_own_time(partner: Partner) -> None:
    WorkItem.objects.filter(kind="payments.payment").delete()
    begun = clock.wall() - timedelta(hours=3)
    work.open("payments.payment", uuid.UUID(int=floor(begun).int | 1), "Шлюз молчит")
    work.open("payments.payment", uuid7(), "Шлюз молчит")
    work.open("callcenters.request", uuid.UUID(int=floor(begun - timedelta(days=9)).int | 1), "Обращение")
    with in_public():
        assert 10_800 <= _lags()["oldest_unknown_seconds"] < 10_900
    WorkItem.objects.filter(partner_id=partner.pk).delete()


def test_a_key_tells_when_it_was_made() -> None:
    now = clock.wall()
    assert abs(made_at(uuid7()) - now) < timedelta(seconds=5)
    assert floor(now) <= uuid7() < floor(now + timedelta(minutes=1))
