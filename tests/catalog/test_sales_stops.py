"""Stop-sale: works, an open circuit, an empty pool close what they concern everywhere, and it opens by itself."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.catalog import halts
from apps.catalog.models import Offer, SalesStop
from apps.connectors.models import Connection
from apps.core import clock
from apps.core.errors import Refused
from apps.orders.placing import place_order
from apps.providers import keys
from apps.providers.models import KeyPool, Provider
from tests.orders.shop import Shop

HOUR = timedelta(hours=1)


def down(shop: Shop, at: datetime | None) -> None:
    """The breaker of the shop's provider, open since a moment or closed."""
    rows = Connection.objects.filter(pk=shop.provider.test_connection_id)
    rows.update(opened_at=at, next_try_at=at)


def works(offer: Offer, *, begin: timedelta = -HOUR, end: timedelta = HOUR, **given: Any) -> SalesStop:
    now = clock.wall()
    given = given or {"provider": offer.tariff.product.provider}
    return SalesStop.objects.create(starts_at=now + begin, ends_at=now + end, **given)


def is_sold(shop: Shop, offer: Offer) -> bool:
    """Where sales begin, and where they are made: both agree."""
    sold = Offer.objects.on_sale(shop.partner.pk).filter(pk=offer.pk).exists()
    if sold:
        place_order(offer=offer, customer=shop.customer(), return_url="https://shop.example/")
        return True
    with pytest.raises(Refused, match="offer_stopped"):
        place_order(offer=offer, customer=shop.customer(), return_url="https://shop.example/")
    return False


def test_an_open_circuit_closes_and_opens(shop: Shop) -> None:
    offer, by_hand = shop.offer(), shop.offer(delivery="manual")
    assert is_sold(shop, offer)
    down(shop, clock.wall())
    assert not is_sold(shop, offer)
    # A person needs no circuit.
    assert is_sold(shop, by_hand)
    down(shop, None)
    assert is_sold(shop, offer)
    Connection.objects.filter(pk=shop.provider.test_connection_id).update(is_enabled=False)
    assert not is_sold(shop, offer)


def test_the_last_key_closes_and_loaded_ones_open(shop: Shop) -> None:
    offer, pool = shop.offer(delivery="key", keys=1), KeyPool.objects.get(sku__startswith=_code(shop))
    # Ordered and not paid yet, it is nobody else's.
    assert is_sold(shop, offer)
    assert not is_sold(shop, offer)
    keys.load(pool=pool, content="FRESH-KEY")
    assert is_sold(shop, offer)


def _code(shop: Shop) -> str:
    return shop.partner.slug.upper()


@pytest.mark.parametrize(
    "whose",
    [
        lambda tariff: {"provider": tariff.product.provider},
        lambda tariff: {"product": tariff.product},
        lambda tariff: {"tariff": tariff},
    ],
)
def test_works_close_for_their_time(shop: Shop, whose: Callable[[Any], dict[str, Any]]) -> None:
    offer, other = shop.offer(), shop.offer()
    given = whose(offer.tariff)
    works(offer, begin=HOUR, end=2 * HOUR, **given)
    works(offer, begin=-2 * HOUR, end=-HOUR, **given)
    assert is_sold(shop, offer)
    now = works(offer, **given)
    assert not is_sold(shop, offer)
    assert is_sold(shop, other) is ("provider" not in given)
    SalesStop.objects.filter(pk=now.pk).update(closed_at=clock.wall())
    assert is_sold(shop, offer)


def test_a_bundle_is_as_the_worst_of_its_parts(shop: Shop) -> None:
    parts = [shop.offer().tariff, shop.offer().tariff]
    bundle = shop.offer(delivery="bundle", parts=parts)
    assert is_sold(shop, bundle)
    stop = works(bundle, tariff=parts[1])
    assert not is_sold(shop, bundle)
    assert (
        halts.explain(list(Offer.objects.listed(shop.partner.pk).filter(pk=bundle.pk)))[bundle.pk].until
        == stop.ends_at
    )
    SalesStop.objects.filter(pk=stop.pk).delete()
    works(bundle, product=bundle.tariff.product)
    assert not is_sold(shop, bundle)


def test_who_promises_sells_all_the_same_but_not_what_was_stopped_by_hand(shop: Shop) -> None:
    Provider.objects.filter(pk=shop.provider.pk).update(sells_when_down=True, promise_hours=3)
    offer = shop.offer()
    down(shop, clock.wall())
    before = clock.wall()
    order = place_order(offer=offer, customer=shop.customer(), return_url="https://shop.example/")
    promised = datetime.fromisoformat(order.item.terms["promised_at"])
    assert before + 3 * HOUR <= promised <= clock.wall() + 3 * HOUR
    down(shop, None)
    stop = works(offer)
    order = place_order(offer=offer, customer=shop.customer(), return_url="https://shop.example/")
    assert datetime.fromisoformat(order.item.terms["promised_at"]) == stop.ends_at + 3 * HOUR  # type: ignore[operator]
    SalesStop.objects.create(cause="hand", product=offer.tariff.product)
    assert not is_sold(shop, offer)


def test_a_purchase_asks_no_more_than_before(shop: Shop) -> None:
    offer = shop.offer()
    with CaptureQueriesContext(
        connection,
    ) as seen:
        found = Offer.objects.listed(shop.partner.pk).filter(pk=offer.pk).first()
        assert found is not None
        halts.check(found)
    # The offer, and the parameters of its product.
    assert len(seen) == 2


def test_what_buyers_are_told(shop: Shop) -> None:
    offer = shop.offer()
    stop = works(offer)
    [halt] = halts.explain(list(Offer.objects.listed(shop.partner.pk).filter(pk=offer.pk))).values()
    assert (halt.state, halt.until) == ("stopped", stop.ends_at)
    assert f"{clock.local(halt.until):%d.%m.%Y %H:%M}" in halt.words  # type: ignore[arg-type]
    SalesStop.objects.filter(pk=stop.pk).update(
        message={"ru": "Вернёмся к утру", "en": "Back by the morning"}
    )
    [halt] = halts.explain(list(Offer.objects.listed(shop.partner.pk).filter(pk=offer.pk))).values()
    assert halt.words == "Вернёмся к утру"
