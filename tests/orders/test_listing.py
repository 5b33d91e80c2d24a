"""One offer that is looked for is what the shop window has of it, as it stands at that moment."""

from typing import Any

import pytest
from django.db import models

from apps.catalog.listing import Listing
from apps.catalog.models import Offer, ProductParameter
from apps.channels.models import Channel, ChannelOffer
from apps.core.tenancy import current_partner_id
from tests.orders.shop import Shop


def all_of(one: models.Model, seen: tuple[models.Model, ...] = ()) -> dict[str, Any]:
    """What is at hand of a row, of those that it points to as well."""
    if one in seen:
        return {"seen": one.pk}
    seen = (*seen, one)
    found = {name: value for name, value in vars(one).items() if not name.startswith("_")}
    related = {name: all_of(other, seen) for name, other in one._state.fields_cache.items() if other}
    prefetched = getattr(one, "_prefetched_objects_cache", {})
    return (
        found | related | {name: [all_of(each, seen) for each in rows] for name, rows in prefetched.items()}
    )


def both(offer: Offer, channel_code: str) -> tuple[Any, Any]:
    partner_id = current_partner_id() or 0
    window = Offer.objects.listed(partner_id, channel_code).filter(pk=offer.pk).first()
    found = Listing(partner_id, channel_code).find(offer.pk)
    return window and all_of(window), found and all_of(found)


@pytest.mark.parametrize("channel_code", ["", "api"])
def test_it_is_what_the_shop_window_has(shop: Shop, channel_code: str) -> None:
    offer = shop.offer(price="100.00")
    ProductParameter.objects.create(
        product=offer.tariff.product, code="size", name={"ru": "Размер"}, kind="text", asked_at="order"
    )
    window, found = both(offer, channel_code)
    assert found == window
    assert (found["halt"], [one["code"] for one in found["tariff"]["product"]["parameters"]]) == (
        None,
        ["size"],
    )
    # An offer of the channel's own stands in its place.
    own = Offer.objects.create(
        partner=offer.partner, tariff=offer.tariff, channel_code="api", price="90.00", payer=offer.payer
    )
    for one in (offer, own):
        window, found = both(one, channel_code)
        assert found == window
        assert bool(found) is (one.channel_code == channel_code)
    for change in ({"is_on_sale": False}, {"is_on_sale": True, "on_sale_until": "2020-01-01"}):
        Offer.objects.filter(pk=offer.pk).update(**change)
        assert both(offer, "") == (None, None)


def test_a_channel_s_choice_is_all_that_it_has(shop: Shop) -> None:
    one, other = shop.offer(price="100.00"), shop.offer(price="50.00")
    channel = Channel.objects.get(code="api")
    assert [bool(channel.listing().find(offer.pk)) for offer in (one, other)] == [True, True]
    ChannelOffer.objects.create(channel=channel, offer=one)
    assert [bool(channel.listing().find(offer.pk)) for offer in (one, other)] == [True, False]
    assert Listing(10**9).find(one.pk) is None
