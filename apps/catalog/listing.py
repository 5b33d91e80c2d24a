"""One offer of those that a channel sells, as it stands now: by a query that is made once, for whoever orders."""

from dataclasses import dataclass
from typing import Any

from apps.catalog import halts
from apps.catalog.models import Offer, ProductParameter
from apps.core import clock, gather
from apps.core.prepared import Prepared, given


@dataclass(frozen=True, slots=True)
class Listing:
    """What the current partner sells in a channel; `chosen`: the only offers of it, where the channel has a choice."""

    partner_id: int
    channel_code: str = ""
    chosen: frozenset[int] = frozenset()

    def find(self, offer_id: int) -> Offer | None:
        """The offer as `OfferQuerySet.listed` gives it, None where it is not listed."""
        if self.chosen and offer_id not in self.chosen:
            return None
        found = (_IN_CHANNEL if self.channel_code else _ANYWHERE).first(
            offer=offer_id,
            partner=self.partner_id,
            channel=self.channel_code,
            day=clock.today(),
            is_sandbox=halts.is_sandbox(self.partner_id),
            now=clock.wall(),
        )
        if found is not None:
            product = found.tariff.product
            parameters = _PARAMETERS.all(product=product.pk)
            for one in parameters:
                one.product = product
            gather.at_hand(product, "parameters", parameters)
        return found


def _prepared(channel: Any) -> Prepared[Offer]:
    def make() -> Any:
        halt = halts.halt_of(given("is_sandbox"), given("now"))
        listed = Offer.objects.listed_by(given("partner"), channel, given("day"), halt)
        return listed.filter(pk=given("offer")).order_by()

    return Prepared(make)


_ANYWHERE, _IN_CHANNEL = _prepared(""), _prepared(given("channel"))
_PARAMETERS = Prepared(lambda: ProductParameter.objects.filter(product=given("product")))
