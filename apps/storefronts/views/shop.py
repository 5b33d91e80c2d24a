"""The shop window: catalogue, product, legal texts, and the partner's looks (theme, logo)."""

from dataclasses import dataclass, field
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from apps.catalog import halts
from apps.catalog.models import Category, Delivery, Offer, OfferQuerySet, Product, ProductPicture
from apps.core import clock, pictures
from apps.core.tenancy import current_partner
from apps.storefronts import colours, visitors
from apps.storefronts.pages import page, sales_are_open, show
from apps.storefronts.words import delivery_in_words

LEGAL = ("terms", "recurring", "privacy")
FOR_GOOD, FOR_A_WHILE = "public, max-age=31536000, immutable", "public, max-age=300"


@dataclass
class Card:
    """A product in the catalogue, with its cheapest offer."""

    product: Product
    offers: list[Offer] = field(default_factory=list)

    @property
    def is_stopped(self) -> bool:
        """Whether nothing of it may be ordered just now."""
        return not any(offer.is_open for offer in self.offers)

    @property
    def sold(self) -> list[Offer]:
        """What may be ordered; where nothing may, all of it, to show what it costs."""
        return [offer for offer in self.offers if offer.is_open] or self.offers

    @property
    def cheapest(self) -> Offer:
        return min(self.sold, key=lambda offer: offer.unit_price)

    @property
    def has_choice(self) -> bool:
        return len({offer.unit_price for offer in self.sold}) > 1

    @property
    def trial_days(self) -> int:
        """Of the tariff whose price is shown, not of another one."""
        return self.cheapest.current_version().trial_days

    @property
    def about(self) -> str:
        return about(self.product, self.offers)


@dataclass
class Shelf:
    """A category with its products."""

    category: Category
    cards: list[Card] = field(default_factory=list)

    @property
    def span(self) -> int:
        """How many columns of three it fills on a desktop."""
        return min(len(self.cards), 3)


def about(product: Product, offers: list[Offer]) -> str:
    """The product's description; its first tariff's where it has none."""
    texts = (
        str(product.short),
        str(product.description),
        *(str(offer.tariff.description) for offer in offers),
    )
    return next((text for text in texts if text), "")


def shelves(offers: list[Offer]) -> list[Shelf]:
    """Offers by category and product, in their order."""
    cards: dict[int, Card] = {}
    for offer in offers:
        product = offer.tariff.product
        cards.setdefault(product.pk, Card(product)).offers.append(offer)
    found: dict[int, Shelf] = {}
    for card in cards.values():
        found.setdefault(card.product.category_id, Shelf(card.product.category)).cards.append(card)
    return sorted(found.values(), key=lambda shelf: (shelf.category.sort, shelf.category.code))


@require_safe
@page
def catalogue(request: Any) -> HttpResponse:
    offers = list(_listed(request))
    context = {"shelves": shelves(offers), "is_open": sales_are_open(request.storefront)}
    response = show(request, "catalogue.html", context)
    visitors.remember_source(request, response)
    return response


@require_safe
@page
def product(request: Any, code: str) -> HttpResponse:
    offers = list(_listed(request).filter(tariff__product__code=code))
    if not offers:
        raise Http404
    halted = halts.explain(offers)
    shown = offers[0].tariff.product
    context = {
        "product": shown,
        "offers": offers,
        "tariffs": [(offer, halted.get(offer.pk)) for offer in offers],
        "about": str(shown.description),
        "documents": shown.documents_on(clock.today()),
        "delivery": delivery_in_words(Delivery(shown.delivery)),
        "is_open": sales_are_open(request.storefront),
    }
    response = show(request, "product.html", context)
    visitors.remember_source(request, response)
    return response


@require_safe
@page
def picture(request: Any, code: str) -> HttpResponse:
    """The picture of a product that is sold here."""
    sold = _listed(request).filter(tariff__product__code=code)
    found = get_object_or_404(ProductPicture, product__in=sold.order_by().values("tariff__product"))
    shown = found.in_language()
    keep = FOR_GOOD if request.GET.get("v") == shown.version else FOR_A_WHILE
    headers = {"Cache-Control": keep, **pictures.HEADERS}
    return HttpResponse(bytes(getattr(found, shown.column)), content_type=shown.type, headers=headers)


@require_safe
@page
def document(request: Any, code: str, kind: str) -> HttpResponse:
    """A legal document of a product, in force today."""
    sold = _listed(request).filter(tariff__product__code=code).first()
    found = next(
        (one for one in sold.tariff.product.documents_on(clock.today()) if one.kind == kind)
        if sold
        else iter(()),
        None,
    )
    if found is None or sold is None:
        raise Http404
    if found.file_name:
        headers = {"Content-Disposition": f'inline; filename="{kind}.pdf"', **pictures.HEADERS}
        return HttpResponse(bytes(found.content or b""), content_type="application/pdf", headers=headers)
    return show(request, "document.html", {"document": found, "product": sold.tariff.product})


def _listed(request: Any) -> OfferQuerySet:
    return Offer.objects.listed(current_partner().pk, visitors.source(request, request.storefront).code)


@require_safe
@page
def legal(request: Any, kind: str) -> HttpResponse:
    """The partner's own text, or the usual one; versions of what was agreed to stand in Checkout."""
    if kind not in LEGAL:
        raise Http404
    own = str(getattr(request.storefront, kind))
    language = "en" if request.LANGUAGE_CODE == "en" else "ru"
    context = {
        "own": own,
        "usual": f"storefronts/legal/{kind}.{language}.html",
        "seller": current_partner().legal_entity,
    }
    return show(request, "legal.html", context)


@require_safe
@page
def theme(request: Any) -> HttpResponse:
    """The partner's colours as CSS variables; the address changes with them."""
    css = render_to_string("storefronts/theme.css", {"palette": colours.palette(request.storefront.colour)})
    return HttpResponse(
        css, content_type="text/css; charset=utf-8", headers={"Cache-Control": _how_long(request)}
    )


@require_safe
@page
def logo(request: Any) -> HttpResponse:
    """The uploaded logo, or the first letters of the name on the partner's colour."""
    headers = {"Cache-Control": _how_long(request), **pictures.HEADERS}
    storefront = request.storefront
    if storefront.logo:
        return HttpResponse(bytes(storefront.logo), content_type=storefront.logo_type, headers=headers)
    context = {"letters": initials(storefront.name), "palette": colours.palette(storefront.colour)}
    drawn = render_to_string("storefronts/logo.svg", context)
    return HttpResponse(drawn, content_type="image/svg+xml", headers=headers)


def initials(name: str) -> str:
    """«Банк Заря» → «БЗ», «Ромашка» → «Р»."""
    words = [word for word in name.replace("«", " ").replace("»", " ").split() if word[0].isalnum()]
    return "".join(word[0] for word in words[:2]).upper() or "•"


def _how_long(request: Any) -> str:
    """Addresses that carry the version of the looks never change what they give."""
    return FOR_GOOD if request.GET.get("v") == request.storefront.version else FOR_A_WHILE
