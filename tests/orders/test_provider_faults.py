"""Whatever a provider does and whoever dies: each paid item is delivered once, or staff have it with its reason."""

import os
import random
from collections import Counter
from datetime import timedelta

import pytest

from apps.connectors import breaker
from apps.connectors import lanes as connections
from apps.connectors.models import Connection
from apps.core import audit, clock, faults
from apps.core.models import Due, WorkItem
from apps.core.tenancy import in_partner, in_public
from apps.notifications.models import Message
from apps.orders import fulfilment
from apps.orders.models import Fulfilment, Service
from apps.sandbox.control import Control
from tests.orders.shop import Shop
from tests.orders.test_lanes import bought, lane_of, run

MANY, MOST_ROUNDS = 6, 60
POINTS = (
    "core.lane-claimed-not-called",
    "core.lane-called-not-recorded",
    "core.lane-recorded-not-done",
    "",
    "",
)
FAULTS = (
    ("drop_answer", {}),
    ("http_500", {"committed": False}),
    ("http_500", {"committed": True}),
    ("http_429", {"committed": False}),
    ("http_503", {"committed": True}),
    ("lie", {"committed": False}),
    ("lie", {"committed": True}),
    ("out_of_stock", {}),
    ("pending", {"seconds": 0.2}),
    ("pending", {}),
    ("failed", {"reason": "unknown_sku"}),
    ("refuse", {"reason": "blocked"}),
)
MODES = (
    ("synchronous", {}),
    ("asynchronous", {"seconds": 0.2}),
    ("slow", {"seconds": 0.05}),
    ("flapping", {"up": 0.05, "down": 0.05}),
    ("lying", {}),
    ("duplicating", {}),
    ("losing", {}),
    ("rate_limiting", {"per_second": 2}),
)
"""How the provider is from one round to the next, whatever it does to single requests besides."""


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    connections._kept.clear()


class Misfortune:
    """What befalls some orders, and how it goes on until nothing is left to be done."""

    def __init__(self, shop: Shop, provider: Control, chance: random.Random) -> None:
        self.shop, self.provider, self.chance = shop, provider, chance
        # An account of its own: what it meets there nobody else does.
        there = {"base_url": provider.base_url, "token": shop.partner.slug}
        Connection.objects.filter(pk=lane_of(shop)).update(config=there)
        bought(shop, *[shop.offer()] * MANY)
        self.keys = [str(one) for one in Fulfilment.objects.values_list("pk", flat=True)]
        for key in self.keys:
            for _number in range(chance.randrange(4)):
                kind, options = chance.choice(FAULTS)
                operation = chance.choice(("activate", "activate", "get_activation"))
                match = {"operation": operation, "request_id": key}
                provider.fault(kind, times=chance.choice((1, 1, 2)), match=match, **options)

    def live(self) -> None:
        for _round in range(MOST_ROUNDS):
            mode, options = self.chance.choice(MODES)
            self.provider.mode(self.shop.partner.slug, mode, **options)
            try:
                with faults.crash_at(self.chance.choice(POINTS) or "nowhere"):
                    run(lane_of(self.shop))
            except faults.Crash:
                pass
            with in_partner(self.shop.partner):
                if self._is_over():
                    return
            self._later()
        raise AssertionError("It does not come to an end")

    def _is_over(self) -> bool:
        self.provider_ends_what_is_pending()
        waiting = Fulfilment.objects.exclude(state__in=["done", "needs_staff"])
        return not waiting.exists()

    def provider_ends_what_is_pending(self) -> None:
        """What was left open there is decided one day, one way or the other."""
        for row in self.theirs():
            if row["status"] == "pending" and self.chance.random() < 0.5:
                end = self.chance.choice(("active", "failed"))
                there = f"/_control/activations/{row['request_id']}/finish"
                self.provider._call("POST", there, {"status": end, "reason": "late"})

    def _later(self) -> None:
        """Backoffs are over, and so is the time of a breaker."""
        with in_public():
            mine = Due.objects.filter(partner_id=self.shop.partner.pk, kind=fulfilment.FULFIL)
            mine.update(due_at=clock.wall() - timedelta(seconds=1))
            mine.filter(leased_until__isnull=False, lease=None).update(leased_until=None)
            Connection.objects.filter(pk=lane_of(self.shop)).update(opened_at=None, next_try_at=None)
            breaker.forget()
            connections._kept.clear()

    def theirs(self) -> list[dict[str, str]]:
        rows = self.provider.register()["activations"]
        return [one for one in rows if one["request_id"] in self.keys]

    def judge(self) -> Counter[str]:
        """Each delivered once and active there, or with staff and not active there; staff know of each of those."""
        there = Counter(one["request_id"] for one in self.theirs())
        assert max(there.values(), default=0) <= 1
        status = {one["request_id"]: one["status"] for one in self.theirs()}
        states: Counter[str] = Counter()
        for row in Fulfilment.objects.select_related("service"):
            states[row.state] += 1
            letters = Message.objects.filter(type="key_delivered", key=f"key_delivered:{row.pk}").count()
            queued = WorkItem.objects.filter(kind=fulfilment.KIND, object_id=row.pk).count()
            if row.state == "done":
                assert (status[str(row.pk)], row.service.state) == ("active", "active")
                assert (letters, queued) == (1, 0)
            else:
                assert status.get(str(row.pk)) != "active", row.error
                assert (letters, queued, bool(row.error)) == (0, 1, True)
        assert Service.objects.count() == MANY
        assert [str(one) for one in audit.run([self.shop.partner.pk])] == []
        return states


@pytest.mark.parametrize("seed", range(30 if os.environ.get("CROSSED") == "all" else 3))
def test_each_is_delivered_once_or_stands_with_staff(shop: Shop, provider_sim: Control, seed: int) -> None:
    mine = Misfortune(shop, provider_sim, random.Random(seed))
    mine.live()
    states = mine.judge()
    assert states.total() == MANY
    assert states["done"] > 0
