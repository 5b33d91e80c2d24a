"""A channel's offers as a YML feed, the format of Yandex (yml_catalog of one shop)."""

from collections.abc import Callable, Iterable
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import override
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from apps.catalog.models import Offer
from apps.channels.models import Channel
from apps.core import clock
from apps.core.tenancy import current_partner

MAX_DESCRIPTION = 3000
# Characters that XML 1.0 cannot carry, however they are escaped.
FORBIDDEN = dict.fromkeys(code for code in range(0x20) if code not in (0x9, 0xA, 0xD))


@require_safe
@cache_control(max_age=5, public=True)
def yml(request: HttpRequest, code: str) -> HttpResponse:
    """The feed of a working channel; 404 for any other."""
    channel = get_object_or_404(Channel, code=code, is_active=True)
    response = HttpResponse(content_type="application/xml; charset=utf-8")
    with override("ru"):
        offers = channel.listed().select_related("tariff__product__provider")
        Feed(response, request.build_absolute_uri).write(channel, offers)
    return response


class Feed:
    """Writes one feed; `absolute` turns a path into an address."""

    def __init__(self, out: HttpResponse, absolute: Callable[[str], str]) -> None:
        self.xml = XMLGenerator(out, encoding="UTF-8", short_empty_elements=True)
        self.absolute = absolute

    def write(self, channel: Channel, offers: Iterable[Offer]) -> None:
        """The whole document."""
        offers = list(offers)
        partner = current_partner()
        seller = partner.legal_entity.name if partner.legal_entity else partner.name
        self.xml.startDocument()
        self._open("yml_catalog", date=clock.local(clock.now()).isoformat(timespec="seconds"))
        self._open("shop")
        self._text("name", partner.name)
        self._text("company", seller)
        self._text("url", self.absolute(reverse("storefronts:catalogue")))
        self._open("currencies")
        for currency in sorted({offer.current_version().currency for offer in offers} | {"RUB"}):
            self._empty("currency", id=currency, rate="1" if currency == "RUB" else "CBRF")
        self._close("currencies")
        self._open("categories")
        for category in {offer.tariff.product.category for offer in offers}:
            self._text("category", str(category.name), id=str(category.pk))
        self._close("categories")
        self._open("offers")
        for offer in offers:
            self._offer(channel, offer)
        for tag in ("offers", "shop", "yml_catalog"):
            self._close(tag)
        self.xml.endDocument()

    def _offer(self, channel: Channel, offer: Offer) -> None:
        tariff, version = offer.tariff, offer.current_version()
        product = tariff.product
        page = reverse("storefronts:product", args=[product.code])
        self._open("offer", id=str(offer.pk), available="true" if offer.is_open else "false")
        self._text("name", f"{product.name}, {tariff.name}")
        if product.provider:
            self._text("vendor", product.provider.name)
        self._text("vendorCode", tariff.code)
        self._text("url", self.absolute(f"{page}?channel={channel.code}"))
        self._text("price", f"{offer.unit_price:.2f}")
        self._text("currencyId", version.currency)
        self._text("categoryId", str(product.category_id))
        if version_of_picture := product.picture_version:
            picture = reverse("storefronts:picture", args=[product.code])
            self._text("picture", self.absolute(f"{picture}?v={version_of_picture}"))
        if description := str(tariff.description) or str(product.description):
            self._text("description", description[:MAX_DESCRIPTION])
        self._text("sales_notes", "Подписка: списывается каждый период")
        self._text("param", version.period, name="Период")
        for parameter in offer.parameters():
            self._text("param", parameter.text, name=parameter.name)
        self._close("offer")

    def _open(self, tag: str, **attributes: str) -> None:
        self.xml.startElement(tag, AttributesImpl(attributes))

    def _close(self, tag: str) -> None:
        self.xml.endElement(tag)

    def _empty(self, tag: str, **attributes: str) -> None:
        self._open(tag, **attributes)
        self._close(tag)

    def _text(self, tag: str, text: str, **attributes: str) -> None:
        self._open(tag, **attributes)
        self.xml.characters(text.translate(FORBIDDEN))
        self._close(tag)
