"""Limited stock: a key lies for who is about to pay, so that nobody pays for what is gone."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from apps.catalog.models import Offer
from apps.core import audit, clock
from apps.core.errors import Refused
from apps.core.models import WorkItem
from apps.core.tenancy import in_partner
from apps.orders import cancelling, fulfilment, placing
from apps.orders.models import Fulfilment, Order, OrderItem, OrderState
from apps.orders.placing import Wanted, place_order
from apps.providers import keys
from apps.providers.models import ActivationKey, KeyPool
from tests.orders.races import Both, race
from tests.orders.shop import Shop
from tests.planted import found

FREE, RESERVED, SOLD = (ActivationKey.State(one) for one in ("free", "reserved", "sold"))


def pool_of(offer: Offer) -> KeyPool:
    return KeyPool.objects.get(sku=offer.tariff.code)


def stock(offer: Offer) -> list[str]:
    return sorted(pool_of(offer).keys.values_list("state", flat=True))


def clean(shop: Shop) -> bool:
    wrong = [str(one) for one in audit.run([shop.partner.pk])]
    assert wrong == []
    return True


def test_the_last_key_lies_for_who_is_about_to_pay(shop: Shop) -> None:
    offer = shop.offer(delivery="key", keys=2)
    first = shop.order(offer, quantity=2)
    assert stock(offer) == [RESERVED, RESERVED]
    with pytest.raises(Refused) as refused:
        shop.order(offer)
    # Seen where it is sold: the offer is closed as soon as nothing is left that is nobody's.
    assert refused.value.code == "offer_stopped"
    shop.deliver()
    assert WorkItem.objects.filter(kind=keys.LOW_STOCK, object_id=pool_of(offer).work_id).exists()
    assert clean(shop)
    shop.pay(first)
    assert first.state == OrderState.COMPLETED
    assert stock(offer) == [SOLD, SOLD]
    assert clean(shop)


def test_more_than_is_left_is_refused_with_what_is_left(shop: Shop) -> None:
    offer = shop.offer(delivery="key", keys=3)
    shop.order(offer, quantity=2)
    with pytest.raises(Refused) as refused:
        shop.order(offer, quantity=2)
    assert (refused.value.code, refused.value.extra) == ("sold_out", {"left": 1})
    assert stock(offer) == [FREE, RESERVED, RESERVED]
    assert Order.objects.count() == 1
    # Two items of one tariff ask for different keys.
    with pytest.raises(Refused, match="sold_out"):
        place_order(
            customer=shop.customer(), items=[Wanted(offer), Wanted(offer)], return_url="https://a.ru/"
        )
    assert stock(offer) == [FREE, RESERVED, RESERVED]
    shop.order(offer)
    assert stock(offer) == [RESERVED] * 3
    assert clean(shop)


def test_what_is_not_paid_in_time_is_free_again(shop: Shop) -> None:
    offer = shop.offer(delivery="key", keys=1)
    order = shop.order(offer)
    shop.pay(order, card="5555555555554600")
    assert stock(offer) == [RESERVED]
    shop.until(clock.today() + timedelta(days=30))
    order.refresh_from_db()
    assert order.state == OrderState.CANCELLED
    assert stock(offer) == [FREE]
    assert clean(shop)
    again = shop.order(offer)
    cancelling.cancel(again, actor="anna")
    assert stock(offer) == [FREE]
    assert clean(shop)


def test_what_was_given_by_hand_frees_the_key_that_lay_for_it(shop: Shop) -> None:
    offer = shop.offer(delivery="key", keys=1)
    order = shop.order(offer)
    lying = pool_of(offer).keys.get()
    KeyPool.objects.filter(pk=lying.pool_id).update(sku=f"other-{uuid4()}")
    shop.pay(order)
    for _attempt in range(7):
        shop.hurry()
    [row] = Fulfilment.objects.all()
    fulfilment.hand_over(row, key="FROM-THE-DRAWER", actor="olga")
    order.refresh_from_db()
    lying.refresh_from_db()
    assert (order.state, lying.state, lying.holder_id) == (OrderState.COMPLETED, FREE, None)


def test_a_bundle_reserves_the_keys_of_its_parts(shop: Shop) -> None:
    part, other = shop.offer(delivery="key", keys=2), shop.offer()
    whole = shop.offer(delivery="bundle", parts=[part.tariff, other.tariff])
    order = shop.order(whole)
    assert stock(part) == [FREE, RESERVED]
    shop.pay(order)
    assert stock(part) == [FREE, SOLD]
    assert clean(shop)


def test_what_comes_from_elsewhere_reserves_nothing(shop: Shop) -> None:
    """Nor does a tariff without a pool: what its provider has is not known here."""
    offer = shop.offer(delivery="key")
    shop.order(offer, quantity=3)
    assert not ActivationKey.objects.filter(partner_id=shop.partner.pk).exists()


def test_the_database_keeps_a_reserved_key_for_its_holder(shop: Shop) -> None:
    offer = shop.offer(delivery="key", keys=1)
    shop.order(offer)
    mine = pool_of(offer).keys.filter(state=RESERVED)
    for change in ({"holder_id": uuid4()}, {"holder_id": None}, {"state": "revoked"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            mine.update(**change)
    with pytest.raises(IntegrityError), transaction.atomic():
        mine.delete()


@Both
def test_two_orders_choose_at_once(shop: Shop, monkeypatch: pytest.MonkeyPatch, locked: bool) -> None:
    """With the lock each gets a key; without it one is told that there are no more, and there is one."""
    offer = shop.offer(delivery="key", keys=2)
    if not locked:
        monkeypatch.setattr(keys, "_LOCK", "")

    def order() -> Any:
        return place_order(offer=offer, customer=customers.pop(), return_url="https://shop.example/")

    customers = [shop.customer(), shop.customer()]
    done = race(monkeypatch, shop.partner, order, (placing, "sell"), order)
    if locked:
        assert isinstance(done.first, Order)
        assert isinstance(done.second, Order)
        assert stock(offer) == [RESERVED, RESERVED]
    else:
        assert isinstance(done.second, Refused)
        assert done.second.code == "sold_out"
        assert stock(offer) == [FREE, RESERVED]
    # Who passes over a locked key waits for nobody.
    assert done.overtook is locked


def test_sixteen_buyers_of_ten_keys(shop: Shop) -> None:
    offer = shop.offer(delivery="key", keys=10)
    start = threading.Barrier(16)
    buyers = [shop.customer() for _one in range(16)]

    def buy(number: int) -> str:
        try:
            start.wait(60)
            with in_partner(shop.partner):
                placed = place_order(offer=offer, customer=buyers[number], return_url="https://a.ru/")
                return str(placed.item.pk)
        except Refused as refusal:
            return refusal.code
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(buy, range(16)))
    holders = {str(one) for one in pool_of(offer).keys.values_list("holder_id", flat=True) if one}
    assert holders == {one for one in got if "_" not in one}
    assert len(holders) == 10
    assert {one for one in got if "_" in one} <= {"sold_out", "offer_stopped"}
    assert clean(shop)


def lost() -> None:
    ActivationKey.objects.filter(state=RESERVED).update(state="free", holder_id=None)


def of_nobody() -> None:
    ActivationKey.objects.filter(state=RESERVED).update(holder_id=uuid4())


def of_who_is_over() -> None:
    OrderItem.objects.update(state="cancelled")


CORRUPTIONS = [
    ("orders.reserved-is-of-open-order", lost),
    ("orders.reserved-is-of-open-order", of_nobody),
    ("orders.reserved-is-of-open-order", of_who_is_over),
]


def test_the_auditor_knows_what_is_reserved(shop: Shop) -> None:
    shop.order(shop.offer(delivery="key", keys=1))
    assert [rule for rule, corrupt in CORRUPTIONS if not found(rule, corrupt)] == []
