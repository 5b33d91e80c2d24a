"""A bundle that was sold freezes its own terms and those of each part, as each is delivered and renewed."""

from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from apps.catalog.models import BundlePart, TariffVersion
from tests.orders.shop import Shop


def test_parts_of_a_sold_bundle_are_frozen(shop: Shop) -> None:
    parts = [shop.offer().tariff for _ in range(2)]
    other = shop.offer().tariff
    offer = shop.offer(delivery="bundle", parts=parts)
    keys = [tariff.current.pk for tariff in (offer.tariff, *parts) if tariff.current]
    versions = TariffVersion.objects.filter(pk__in=keys)
    assert not versions.exclude(sold_at=None).exists()
    shop.order(offer)
    assert len(keys) == versions.exclude(sold_at=None).count() == 3
    for key in keys:
        with pytest.raises(IntegrityError), transaction.atomic():
            TariffVersion.objects.filter(pk=key).update(price=Decimal(1))
    # Nor is a part of another bundle moved into it.
    another = shop.offer(delivery="bundle", parts=[other])
    with pytest.raises(IntegrityError, match="has been sold"), transaction.atomic():
        BundlePart.objects.filter(version=another.tariff.current).update(version=offer.tariff.current)
