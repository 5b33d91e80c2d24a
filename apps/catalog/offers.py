"""What a partner offers."""

from collections.abc import Iterable

from django.db import transaction
from django.db.models import F

from apps.catalog.models import Offer, OfferQuerySet, Tariff


def for_partner(partner_id: int, channel_code: str = "") -> OfferQuerySet:
    """What the partner sells now in a channel, with all that a shop window shows, in its order."""
    return Offer.objects.on_sale(partner_id, channel_code)


def put_on_sale(*, partner_id: int, tariffs: Iterable[Tariff]) -> None:
    """Lets the partner sell these tariffs in all its channels, after those it sells already. Safe to repeat."""
    tariffs = list(tariffs)
    with transaction.atomic():
        stopped = Offer.objects.filter(
            partner_id=partner_id, tariff__in=tariffs, channel_code="", is_on_sale=False
        )
        stopped.update(is_on_sale=True, revision=F("revision") + 1)
        rows = [Offer(partner_id=partner_id, tariff=tariff, is_on_sale=True) for tariff in tariffs]
        Offer.objects.bulk_create(rows, ignore_conflicts=True)
