"""Add-ons that a running subscription may have, what they cost up to its next charge, and how they are bought."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from apps.billing import addons, paying, subscriptions
from apps.billing.models import RUNNING, Collection, Subscription, SubscriptionState
from apps.catalog.models import Offer, Relation, TariffVersion
from apps.core import addresses, clock
from apps.core.ids import uuid7
from apps.core.money import Money
from apps.core.tenancy import current_partner
from apps.orders.models import Order
from apps.storefronts import purchases, visitors, ways
from apps.storefronts.words import every_period


@dataclass(frozen=True, slots=True)
class Priced:
    """An add-on now, up to the day of the next charge, and with each charge from then on."""

    offer: Offer
    due: Money
    until: date | None


def of(parent: Subscription) -> list[Priced]:
    """What is sold beside this subscription and is not there yet, with the same period."""
    tariff = TariffVersion.objects.values_list("tariff_id", flat=True).get(pk=parent.tariff_version_id)
    here = set(
        parent.addons.filter(state__in=[*RUNNING, SubscriptionState.PENDING]).values_list(
            "product_id", flat=True
        )
    )
    found = Offer.objects.on_sale(current_partner().pk, parent.channel_code).filter(tariff__is_addon=True)
    return [
        price(parent, offer)
        for offer in found.exclude(tariff__product__in=here)
        if _suits(offer, parent, tariff)
    ]


def _suits(offer: Offer, parent: Subscription, tariff: int) -> bool:
    version = offer.current_version()
    needed = {one.other_id for one in offer.tariff.relations.all() if one.kind == Relation.REQUIRES}
    same = (version.period_count, version.period_unit) == (parent.period_count, parent.period_unit)
    return same and (not needed or tariff in needed)


def price(parent: Subscription, offer: Offer) -> Priced:
    """To the kopeck, as it is billed when it is bought today."""
    version = offer.current_version()
    addon = subscriptions.unsaved(
        customer=parent.customer,
        offer=offer,
        version=version,
        name=str(offer.tariff.product),
        parent=parent,
    )
    priced = addons.price(addon, parent, clock.today())
    total = sum((charge.amount for charge, _row in priced), start=offer.unit_price * 0)
    return Priced(offer, Money(total, version.currency), parent.billed_until)


def _way(parent: Subscription, instrument: str) -> str:
    by_partner = parent.collection in {Collection.PARTNER_CHARGES, Collection.PARTNER_REPORTS}
    return paying.PARTNER if by_partner else instrument


def buy(request: Any, parent: Subscription, offer: Offer, priced: Priced, instrument: str = "") -> Order:
    """Ordered for its subscription; the page showed what it costs."""
    version = offer.current_version()
    text = ways.consent(_way(parent, instrument), f"{offer.money} {every_period(version)}")
    return purchases.buy(
        request_key=uuid7(),
        offer=offer,
        channel=visitors.source(request, request.storefront),
        customer=request.customer,
        contacts=purchases.Contacts(language=request.LANGUAGE_CODE),
        agreed=purchases.Agreed(
            price=offer.unit_price,
            currency=version.currency,
            consents=[{"purpose": "recurring", "text": text}],
            ip=addresses.of(request),
            user_agent=request.headers.get("User-Agent", ""),
        ),
        parent=parent,
        instrument=instrument,
        return_url=f"{request.scheme}://{request.get_host()}/thanks/{{order}}/",
    )
