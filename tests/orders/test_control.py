"""«Пульт исполнения»: what hangs stands on it, from the moment it is put off until it is settled."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.core import audit, faults
from apps.core.errors import Refused
from apps.core.mass import MassState
from apps.core.models import WorkItem
from apps.core.tenancy import in_partner
from apps.journal.models import Entry
from apps.orders import fulfilment
from apps.orders.control import board, mass, timeline
from apps.orders.models import Fulfilment, Order
from apps.payments.models import Refund
from apps.providers.models import OpenRequest, RequestDeed
from apps.sandbox.control import Control
from tests.conftest import make_partner
from tests.orders.shop import Shop
from tests.staff import staff

__all__ = ["staff"]


def open_requests(shop: Shop) -> list[OpenRequest]:
    return list(OpenRequest.objects.filter(partner_id=shop.partner.pk))


def test_what_is_put_off_stands_on_the_board_until_it_is_settled(shop: Shop, provider_sim: Control) -> None:
    provider_sim.fault("out_of_stock", times=fulfilment.PATIENCE, match={"operation": "activate"})
    order = shop.buy(shop.offer(price="990.00")).order_items.get().order
    row = Fulfilment.objects.get()
    (shown,) = open_requests(shop)
    assert (shown.request_id, shown.order_id, shown.number) == (row.pk, order.pk, order.number)
    assert (shown.state, shown.attempts, shown.amount) == ("retry", 1, order.total)
    assert (shown.provider_id, shown.connection_id) == (row.provider_id, row.connection_id)
    first = shown.opened_at
    while Fulfilment.objects.get().state != "needs_staff":
        shop.hurry()
    (shown,) = open_requests(shop)
    assert (shown.state, shown.next_at, shown.opened_at) == ("needs_staff", None, first)
    assert shown.reason
    fulfilment.retry(row, actor="test")
    shop.deliver()
    assert open_requests(shop) == []
    assert list(audit.run([shop.partner.pk])) == []


def test_an_ordinary_purchase_pays_nothing_for_the_board(shop: Shop) -> None:
    order = shop.order(shop.offer())
    with CaptureQueriesContext(connection) as asked:
        shop.pay(order)
    assert Fulfilment.objects.get().state == "done"
    assert [one["sql"] for one in asked if "openrequest" in one["sql"]] == []


def stuck(shop: Shop, provider: Control, count: int = 1, price: str = "100.00") -> list[OpenRequest]:
    """So many orders that stand with staff: the provider has no keys left."""
    provider.fault("out_of_stock", times=1000, match={"operation": "activate"})
    offer = shop.offer(price=price)
    for _one in range(count):
        shop.buy(offer)
    for _attempt in range(fulfilment.PATIENCE):
        shop.hurry()
    provider.clear()
    return open_requests(shop)


def asked(shop: Shop, kind: str, **options: Any) -> RequestDeed:
    rows = OpenRequest.objects.filter(partner_id=shop.partner.pk)
    return mass.create(kind=kind, rows=rows, params={}, reason="Склад пополнен", actor="anna", **options)


def test_counters_are_of_what_is_open(shop: Shop, provider_sim: Control) -> None:
    stuck(shop, provider_sim, 2)
    shop.buy(shop.offer(delivery="manual", price="500.00"))
    found = board.board(board.Filter(partner_id=shop.partner.pk))
    counts = {one.state: one.count for one in found.columns}
    assert (counts["needs_staff"], counts["retry"], found.open) == (3, 0, 3)
    assert board.total(board.Filter(partner_id=shop.partner.pk).rows()).amount == 700
    mine = WorkItem.objects.filter(partner_id=shop.partner.pk, kind="orders.Fulfilment")[0]
    assert board.Filter(partner_id=shop.partner.pk, owner_id=1).rows().count() == 0
    assert mine.object_id in {one.request_id for one in open_requests(shop)}
    assert board.Filter(partner_id=shop.partner.pk, age="day").rows().count() == 0
    assert board.Filter(partner_id=shop.partner.pk, age="fresh").rows().count() == 3


def test_what_waits_for_its_first_attempt_is_counted_in_its_lane(shop: Shop) -> None:
    service = shop.service(shop.buy(shop.offer()))
    with transaction.atomic():
        fulfilment.add(service, "suspend")
    found = board.board(board.Filter(partner_id=shop.partner.pk))
    assert {one.state: one.count for one in found.columns}["queued"] == 1
    (lane,) = found.lanes
    assert (lane.queued, lane.provider, open_requests(shop)) == (1, shop.provider, [])
    shop.deliver()
    assert board.board(board.Filter(partner_id=shop.partner.pk)).open == 0


@pytest.mark.parametrize("point", mass.FAULT_POINTS)
def test_a_row_of_a_deed_is_done_once_wherever_it_died(shop: Shop, provider_sim: Control, point: str) -> None:
    stuck(shop, provider_sim, 3)
    made = asked(shop, "retry")
    mass.confirm(made.pk, actor="anna")
    with faults.crash_at(point, after=1), pytest.raises(faults.Crash):
        mass.work(made.pk)
    mass.work(made.pk)
    made.refresh_from_db()
    assert made.state == MassState.DONE
    assert Entry.objects.filter(action="fulfilment.retried").count() == 3
    shop.hurry()
    assert open_requests(shop) == []
    assert list(audit.run([shop.partner.pk])) == []


def test_money_goes_back_for_what_cannot_be_given_above_the_limit_by_two(
    shop: Shop, provider_sim: Control, settings: Any
) -> None:
    settings.MASS_ACTION_SUM = 150
    stuck(shop, provider_sim, 2)
    made = asked(shop, "refund")
    mass.work(made.pk)
    made.refresh_from_db()
    assert made.state == MassState.READY
    with pytest.raises(Refused, match="second_person"):
        mass.confirm(made.pk, actor="anna")
    mass.confirm(made.pk, actor="vera")
    mass.work(made.pk)
    shop.deliver()
    shop.hurry()
    assert sorted(str(one.amount) for one in Refund.objects.all()) == ["100.00", "100.00"]
    assert set(made.rows.values_list("state", flat=True)) == {"done"}
    assert open_requests(shop) == []
    assert list(audit.run([shop.partner.pk])) == []


def test_what_is_settled_meanwhile_is_refused_and_stops_nobody(shop: Shop, provider_sim: Control) -> None:
    first, second = stuck(shop, provider_sim, 2)
    made = asked(shop, "retry")
    fulfilment.hand_over(Fulfilment.objects.get(pk=first.request_id), key="K-1", actor="vera")
    mass.confirm(made.pk, actor="anna")
    mass.work(made.pk)
    assert dict(made.rows.values_list("request_id", "state")) == {
        first.request_id: "refused",
        second.request_id: "done",
    }


def test_an_orders_way_is_whole_and_masked(shop: Shop, provider_sim: Control) -> None:
    stuck(shop, provider_sim)
    order = Order.objects.get()
    found = timeline.of(order, None)
    assert [one.text for one in found.next] == ["Ждёт сотрудника: никто не взял"]
    asked_of_provider = [one for one in found.facts if one.exchange and "activations" in str(one.exchange)]
    assert len(asked_of_provider) == fulfilment.PATIENCE
    fulfilment.retry(Fulfilment.objects.get(), actor="vera")
    shop.deliver()
    found = timeline.of(order, None)
    key = Fulfilment.objects.get().service.key
    assert key
    assert not any(key in str(one.exchange) for one in found.facts)
    assert found.next == []
    assert [one.wall for one in found.facts] == sorted(one.wall for one in found.facts)
    with CaptureQueriesContext(connection) as queries:
        timeline.of(order, None)
    assert len(queries) < 25


def test_the_board_is_for_those_whose_it_is(
    shop: Shop, provider_sim: Control, staff: Callable[..., Client]
) -> None:
    (row,) = stuck(shop, provider_sim)
    other = make_partner()
    act = "/admin/providers/openrequest/act/"
    theirs, own, finance = staff(other), staff(shop.partner, "support"), staff(shop.partner, "finance")
    before = RequestDeed.objects.count()
    assert row.number not in theirs.get("/admin/providers/openrequest/").content.decode()
    for given in ({"row": row.pk}, {"all": "1"}, {"all": "1", "partner": shop.partner.pk}):
        answer = theirs.post(act, {"do": "retry", "reason": "Хочу", **given})
        assert answer.status_code == 200
        assert row.number not in answer.content.decode()
    assert RequestDeed.objects.count() == before
    assert finance.post(act, {"do": "retry", "row": row.pk}).status_code == 403
    assert own.post(act, {"do": "refund", "row": row.pk}).status_code == 403
    assert row.number in own.get("/admin/providers/openrequest/?part=1").content.decode()
    answer = own.post(act, {"do": "retry", "row": row.pk, "reason": "Склад пополнен"})
    assert answer.status_code == 302
    with in_partner(shop.partner):
        shop.hurry()
    assert not OpenRequest.objects.filter(pk=row.pk).exists()


def test_the_boards_cost_does_not_grow_with_partners(shop: Shop, staff: Callable[..., Client]) -> None:
    def cost() -> int:
        client = staff(None)
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/admin/providers/openrequest/").status_code == 200
        return len(queries)

    shop.buy(shop.offer(delivery="manual"))
    before = cost()
    (row,) = open_requests(shop)
    for _one in range(3):
        row.pk, row.partner_id = None, make_partner().pk
        row.save()
    assert cost() == before
