"""Random plans, misfortunes, kills, holds and second thoughts: each item ends delivered once, or given back once."""

import os
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.catalog import plans
from apps.catalog.models import Offer
from apps.catalog.plans import Step
from apps.connectors import breaker
from apps.connectors import lanes as connections
from apps.connectors.models import Connection
from apps.core import audit, clock, faults
from apps.core.errors import Refused
from apps.core.fields import Translated
from apps.core.models import Due, WorkItem
from apps.core.tenancy import in_partner, in_public
from apps.notifications.models import Message
from apps.orders import fulfilment, tasks
from apps.orders.models import Fulfilment, OrderItem
from apps.orders.task_models import OPEN, Task
from apps.providers.models import Provider
from apps.sandbox.control import Control
from tests.orders.shop import Shop
from tests.orders.test_lanes import bought, lane_of, run
from tests.orders.test_provider_faults import FAULTS

MANY, MOST_ROUNDS, TROUBLED = 5, 90, 12
POINTS = (
    *(point for point in fulfilment.FAULT_POINTS if "placed" not in point),
    *fulfilment.UNDO_POINTS,
    "core.lane-claimed-not-called",
    "core.lane-called-not-recorded",
    "core.lane-recorded-not-done",
    "core.due-claimed",
    "core.due-done-not-deleted",
    *("nowhere",) * 10,
)
OVER = ("done", "failed", "revoked")
Act = Callable[[Fulfilment], Any]


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    connections._kept.clear()


def step(kind: str, **more: Any) -> Step:
    return Step(kind, Translated(ru=f"Шаг {kind}"), **more)


class Troubles:
    """Orders by random plans, what befalls them, what staff think of it, and how it ends."""

    def __init__(self, shop: Shop, provider: Control, seed: int) -> None:
        self.shop, self.provider, self.chance = shop, provider, random.Random(seed)
        own = Connection.objects.get(pk=lane_of(shop))
        self.other = Provider.objects.create(
            code=f"{shop.partner.slug}-crm", name=f"Реестр {shop.partner.slug}", test_connection=own
        )
        for _number in range(MANY):
            bought(shop, self.offer())
        self.spoil()

    def offer(self) -> Offer:
        """Of a plan of one to six steps, or of none."""
        offer, chance = self.shop.offer(), self.chance
        if chance.random() < 0.2:
            return offer
        pool = [
            step("manual", minutes=60, undo=chance.choice(("manual", "nothing"))),
            step(
                "register", provider_id=self.other.pk, undo=chance.choice(("provider", "provider", "nothing"))
            ),
            step("register", provider_id=self.other.pk, undo="provider"),
            step("wait", minutes=60),
            step("notify", text=Translated(ru="Делаем")),
        ]
        steps = [*chance.sample(pool, chance.randrange(len(pool) + 1)), step("provision")]
        chance.shuffle(steps)
        plans.save(offer.tariff.product, steps)
        return Offer.objects.get(pk=offer.pk)

    def spoil(self) -> None:
        """The provider answers some of the requests as a provider may."""
        for key in self.keys():
            for _number in range(self.chance.randrange(4)):
                kind, options = self.chance.choice(FAULTS)
                operation = self.chance.choice(("activate", "activate", "get_activation"))
                match = {"operation": operation, "request_id": key}
                self.provider.fault(kind, times=self.chance.choice((1, 1, 2)), match=match, **options)

    def keys(self) -> list[str]:
        found = [*Fulfilment.objects.filter(action="provision").values_list("pk", flat=True)]
        return [
            str(key) for key in (*found, *Task.objects.filter(kind="register").values_list("pk", flat=True))
        ]

    def live(self) -> None:
        for number in range(MOST_ROUNDS):
            is_troubled = number < TROUBLED
            with (
                suppress(faults.Crash),
                faults.crash_at(self.chance.choice(POINTS) if is_troubled else "nowhere"),
            ):
                self.chance.choice((lambda: run(lane_of(self.shop)), self.shop.deliver))()
            with in_partner(self.shop.partner):
                if not is_troubled and self.is_over():
                    return
                self.staff(is_troubled)
            self.later()
        raise AssertionError("It does not come to an end")

    def is_over(self) -> bool:
        if Fulfilment.objects.exclude(state__in=OVER).exists():
            return False
        return not Due.objects.filter(partner_id=self.shop.partner.pk, kind="orders.give_back").exists()

    def staff(self, is_troubled: bool) -> None:
        """People do what they may; in the end they bring all of it to an end."""
        for row in Fulfilment.objects.exclude(state__in=OVER).order_by("pk"):
            act = self.chance.choice(self.whims()) if is_troubled else self.ends(row)
            with suppress(Refused, faults.Crash), faults.crash_at(self.chance.choice(POINTS)):
                act(row)
        self.provider_ends_what_is_pending()

    def whims(self) -> list[Act]:
        return [
            lambda row: fulfilment.hold(row, "Подождём", actor="olga"),
            lambda row: fulfilment.resume(row, actor="olga"),
            self.skip,
            lambda row: fulfilment.retry(row, actor="olga"),
            lambda row: tasks.heard(row.pk, told="Готово"),
            self.do_task,
            self.do_task,
            self.give_up_task,
            lambda row: None,
            lambda row: None,
            *(
                (lambda row: fulfilment.fail(row, "Не выйдет", actor="ivan"),)
                if self.chance.random() < 0.3
                else ()
            ),
        ]

    def ends(self, row: Fulfilment) -> Act:
        if row.state == "held":
            return lambda row: fulfilment.resume(row, actor="olga")
        task = row.tasks.filter(state__in=OPEN).first()
        if task is not None and (task.kind in {"manual", "wait"}):
            return self.do_task
        if row.state == "needs_staff" and row.action == "provision":
            return lambda row: fulfilment.fail(row, "Поставщик отказал", actor="ivan")
        if row.state == "needs_staff":
            # Whoever says that it was taken back has looked.
            there = self.theirs().get(str(row.service.request_id), {})
            if there.get("status") in {"active", "pending"}:
                return lambda row: fulfilment.retry(row, actor="olga")
            return lambda row: fulfilment.hand_over(row, actor="olga")
        return lambda row: None

    def skip(self, row: Fulfilment) -> None:
        """A step is left out; that something is undone is nobody's to say who has not looked."""
        if row.state != "compensating":
            fulfilment.skip(row, "Не нужно", actor="olga")

    def do_task(self, row: Fulfilment) -> None:
        task = row.tasks.filter(state__in=OPEN).first()
        if task is not None:
            with suppress(Refused):
                tasks.claim(task, actor="olga", take_over=True)
            tasks.complete(task, actor="olga")

    def give_up_task(self, row: Fulfilment) -> None:
        task = row.tasks.filter(state__in=OPEN).first()
        if task is not None and self.chance.random() < 0.3:
            tasks.fail(task, "Не получилось", actor="olga")

    def provider_ends_what_is_pending(self) -> None:
        for one in self.theirs().values():
            if one["status"] == "pending" and self.chance.random() < 0.5:
                end = self.chance.choice(("active", "failed"))
                there = f"/_control/activations/{one['request_id']}/finish"
                self.provider._call("POST", there, {"status": end, "reason": "late"})

    def later(self) -> None:
        """Backoffs are over, leases of who died too, and so is the time of a breaker."""
        with in_public():
            mine = Due.objects.filter(partner_id=self.shop.partner.pk, is_sandbox=False)
            mine.update(due_at=clock.wall() - timedelta(seconds=1), leased_until=None, lease=None)
            Connection.objects.filter(pk=lane_of(self.shop)).update(opened_at=None, next_try_at=None)
            breaker.forget()
            connections._kept.clear()

    def theirs(self) -> dict[str, dict[str, str]]:
        mine = set(self.keys())
        rows = [one for one in self.provider.register()["activations"] if one["request_id"] in mine]
        assert max(Counter(one["request_id"] for one in rows).values(), default=0) <= 1
        return {one["request_id"]: one for one in rows}

    def judge(self) -> Counter[str]:
        there = {key: one["status"] for key, one in self.theirs().items()}
        sent_back: dict[str, Decimal] = {}
        for one in self.shop.gateway.register(shop=self.shop.partner.slug)["refunds"]:
            assert one["payment_id"] not in sent_back, "given back twice"
            sent_back[one["payment_id"]] = Decimal(one["amount"])
        states: Counter[str] = Counter()
        for item in OrderItem.objects.select_related("order__invoice").order_by("pk"):
            row = item.fulfilments.select_related("service").get()
            states[row.state] += 1
            assert item.state == {"done": "completed", "failed": "failed"}[row.state], row.failure
            payment = item.order.payment()
            assert payment is not None
            back = sent_back.pop(payment.gateway_id, Decimal(0))
            letters = Message.objects.filter(type="key_delivered", key=f"key_delivered:{row.pk}").count()
            assert WorkItem.objects.filter(kind=fulfilment.KIND, object_id=row.pk).count() == 0
            if row.state == "done":
                assert (there[str(row.pk)], row.service.state, letters, back) == ("active", "active", 1, 0)
            else:
                assert (row.service.is_over, back) == (True, item.total)
                assert there.get(str(row.pk)) != "active"
                for task in row.tasks.filter(kind="register", undo="provider"):
                    assert there.get(str(task.pk)) != "active", (task.state, task.attempts)
        assert sent_back == {}
        assert [str(one) for one in audit.run([self.shop.partner.pk])] == []
        return states


@pytest.mark.parametrize("seed", range(60 if os.environ.get("CROSSED") == "all" else 3))
def test_each_item_is_delivered_once_or_given_back_once(shop: Shop, provider_sim: Control, seed: int) -> None:
    mine = Troubles(shop, provider_sim, seed)
    mine.live()
    assert mine.judge().total() == MANY
