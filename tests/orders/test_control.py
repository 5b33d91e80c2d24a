"""«Пульт исполнения»: what hangs stands on it, from the moment it is put off until it is settled."""

from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.core import audit
from apps.orders import fulfilment
from apps.orders.models import Fulfilment
from apps.providers.models import OpenRequest
from apps.sandbox.control import Control
from tests.orders.shop import Shop


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
