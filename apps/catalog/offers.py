"""What a partner offers."""

from collections.abc import Iterable

from apps.catalog.models import Offer, OfferQuerySet, Tariff


def for_partner(partner_id: int) -> OfferQuerySet:
    """What the partner sells now, with all that a shop window shows, in its order."""
    return Offer.objects.on_sale(partner_id)


def put_on_sale(*, partner_id: int, tariffs: Iterable[Tariff]) -> None:
    """Lets the partner sell these tariffs, after those it sells already. Safe to repeat."""
    rows = [Offer(partner_id=partner_id, tariff=tariff, is_on_sale=True) for tariff in tariffs]
    Offer.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["partner_id", "tariff_id"], update_fields=["is_on_sale"]
    )
