"""What an order is to bring, checked and frozen: the offer as it stands now, its price, its documents."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.utils import translation
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Customer
from apps.catalog import halts, plans
from apps.catalog.listing import Listing
from apps.catalog.models import Delivery, Offer, OfferQuerySet, Tariff, TariffVersion
from apps.catalog.models.offers import Payer
from apps.core import clock, gather
from apps.core.errors import Refused
from apps.core.tenancy import current_partner
from apps.orders import rules
from apps.orders.models import Order, OrderItem
from apps.orders.rules import Declared
from apps.partners.models import Partner

Sold = OfferQuerySet | Listing
"""What a channel has listed."""
LIMIT = 99
"""Pieces in one item."""
MOST = 20
"""Items in one order."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One product to be ordered. `expected_price` is what the customer saw for one piece."""

    offer: Offer | int
    quantity: int = 1
    expected_price: Decimal | None = None
    answers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def offer_id(self) -> int:
        """The key of its offer."""
        return self.offer.pk if isinstance(self.offer, Offer) else self.offer


@dataclass(slots=True)
class Quoted:
    """One of them, checked: its offer as it stands now, and the item of the order, not written yet."""

    offer: Offer
    version: TariffVersion
    item: OrderItem
    keys: tuple[tuple[int, str], ...] = ()
    """Provider and tariff of what is delivered by key: from our own pools, where that provider has no connection."""


def quote(
    order: Order,
    wanted: Wanted,
    *,
    position: int,
    sold: Sold | None,
    customer: Customer,
    declared: Declared,
) -> Quoted:
    """Checks one product of an order, whose customer is locked by the caller. Raises Refused, as `place_order`."""
    key = wanted.offer_id
    offer = gather.once(
        ("orders.offer", key, order.channel_code), lambda: on_sale(key, sold, order.channel_code)
    )
    version, price = offer.current_version(), offer.unit_price
    if not 1 <= wanted.quantity <= LIMIT:
        raise Refused("bad_quantity", _("Количество: от 1 до 99"), status=400)
    if wanted.expected_price is not None and wanted.expected_price != price:
        raise Refused("price_changed", _("Цена изменилась: обновите страницу"), price=str(price))
    told = rules.answers(offer, wanted.answers)
    rules.check(customer, offer, declared)
    item = unsaved(order, offer, version, quantity=wanted.quantity, position=position)
    given = _given(offer, version)
    item.terms = _agreed(offer, given, declared)
    item.answers_text = json.dumps(told, ensure_ascii=False) if told else ""
    return Quoted(offer, version, item, _by_key(given))


def unsaved(
    order: Order, offer: Offer, version: TariffVersion, *, quantity: int = 1, position: int = 1
) -> OrderItem:
    """An item at today's price, not written, without terms yet."""
    name = gather.once(("orders.name", offer.pk), lambda: _name(offer))
    return OrderItem(
        order=order,
        position=position,
        offer=offer,
        product_id=offer.tariff.product_id,
        tariff_version=version,
        name=name[:300],
        quantity=quantity,
        price=offer.price_by(version),
        total=offer.price_by(version) * quantity,
    )


def _name(offer: Offer) -> str:
    with translation.override("ru"):
        return f"{offer.tariff.product}, {offer.tariff.name}"


def on_sale(offer_id: int, sold: Sold | None = None, channel_code: str = "") -> Offer:
    """The partner's offer as it stands now: what the caller holds may be an hour old, or another partner's.

    Raises Refused: `sales_stopped`, `offer_closed`, `offer_stopped`.
    """
    partner = current_partner()
    if partner.status in {Partner.Status.STOPPED, Partner.Status.CLOSED}:
        raise Refused("sales_stopped", _("Продажи сейчас остановлены"))
    if sold is None:
        sold = Listing(partner.pk, channel_code)
    found = sold.find(offer_id) if isinstance(sold, Listing) else sold.filter(pk=offer_id).first()
    if found is None:
        raise Refused("offer_closed", _("Это предложение больше не продаётся"), status=404)
    halts.check(found)
    return found


def _given(offer: Offer, version: TariffVersion) -> list[tuple[TariffVersion, Tariff]]:
    """What is delivered: the tariff itself, or the parts of a bundle."""
    if offer.tariff.product.delivery == Delivery.BUNDLE:
        return [(part.current, part) for part in version.parts() if part.current]
    return [(version, offer.tariff)]


def _by_key(sold: Sequence[tuple[TariffVersion, Tariff]]) -> tuple[tuple[int, str], ...]:
    by_key = [one for _version, one in sold if one.product.delivery == Delivery.KEY]
    return tuple((one.product.provider_id, one.code) for one in by_key if one.product.provider_id)


def _agreed(offer: Offer, sold: Sequence[tuple[TariffVersion, Tariff]], declared: Declared) -> dict[str, Any]:
    """What is sold, by which documents and plans, to whom the customer says to be."""
    version = offer.current_version()
    terms: dict[str, Any] = {"vat_code": version.vat_code, "deliver": [one.pk for one, _tariff in sold]}
    terms |= plans.frozen([(one, tariff.product) for one, tariff in sold])
    product, today = offer.tariff.product, clock.today()
    if documents := gather.once(("orders.documents", product.pk, today), lambda: product.documents_on(today)):
        terms["documents"] = [one.pk for one in documents]
    if offer.hold_first and offer.payer == Payer.CHARGE:
        terms["hold"] = True
    if kept := declared.kept():
        terms["declared"] = kept
    if promised_at := halts.promise(offer):
        terms["promised_at"] = promised_at.isoformat()
    return terms
