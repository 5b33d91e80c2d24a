"""The shop window as a visitor's browser gets it."""

from decimal import Decimal

import pytest

from apps.catalog.models import Offer
from apps.channels.models import Channel, Kind
from apps.core.tenancy import in_public
from apps.partners.services import create_partner
from apps.storefronts import colours
from apps.storefronts.models import Language, Storefront


def test_a_new_partner_has_its_storefront_in_its_own_looks(operator, client_for):
    logo = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
    partner = create_partner(
        slug="zarya-looks", name="Банк «Заря»", colour="#d97706", logo=logo, logo_type="image/svg+xml"
    )
    shop = client_for(partner)
    page = shop.get("/")
    assert page.status_code == 200
    assert "Банк «Заря»" in page.content.decode()
    assert "script-src 'self'" in page["Content-Security-Policy"]
    assert "<script>" not in page.content.decode()
    theme = shop.get("/theme.css")
    assert theme["Content-Type"].startswith("text/css")
    assert "--brand:" in theme.content.decode()
    shown = shop.get("/logo")
    assert shown.content == logo
    assert "sandbox" in shown["Content-Security-Policy"]
    for text in ("terms", "recurring", "privacy"):
        assert operator.inn in shop.get(f"/legal/{text}/").content.decode()


def test_catalogue_product_and_prices_per_period(shop, client_for):
    browser = client_for(shop.partner)
    page = browser.get("/").content.decode()
    assert "Антивирус Щит" in page
    assert "149\N{NO-BREAK SPACE}₽ <small>в месяц" in page
    # The trial belongs to the dearer tariff, whose price is not on the card.
    assert "пробно" not in page
    product = browser.get(f"/product/{shop.product.code}/").content.decode()
    assert "Пробный период: 30 дней" in product
    assert "1\N{NO-BREAK SPACE}990\N{NO-BREAK SPACE}₽" in product
    assert "в год" in product
    assert f"/checkout/{shop.offer.pk}/" in product
    assert browser.get("/product/NOPE/").status_code == 404
    assert browser.get("/favicon.ico").content == browser.get("/logo").content
    letters = browser.get("/logo")
    assert letters["Content-Type"] == "image/svg+xml"
    assert b"<text" in letters.content


def test_language_follows_the_browser_its_choice_or_the_partner(shop, client_for):
    browser = client_for(shop.partner)
    english = browser.get("/", headers={"accept-language": "en"}).content.decode()
    assert '<html lang="en">' in english
    assert "Shield Antivirus" in english
    assert "Sign in" in english
    assert "per month" in english
    browser.post("/language/", {"language": "en", "next": "/"})
    assert '<html lang="en">' in browser.get("/", headers={"accept-language": "ru"}).content.decode()
    Storefront.objects.update(language=Language.RUSSIAN)
    assert "Войти" in browser.get("/", headers={"accept-language": "en"}).content.decode()


def test_what_is_not_sold_says_so(shop, client_for, partner):
    browser = client_for(shop.partner)
    assert browser.get("/checkout/999999999/").status_code == 404
    with in_public():
        stranger = create_partner(slug=f"stranger-{shop.number}", name="Чужой")
    assert client_for(stranger).get(f"/checkout/{shop.offer.pk}/").status_code == 404
    with in_public():
        shop.offer.is_on_sale = False
        shop.offer.save()
    gone = browser.get(f"/checkout/{shop.offer.pk}/")
    assert gone.status_code == 409
    assert "больше не продаётся" in gone.content.decode()
    Storefront.objects.update(is_open=False, closed_text={"ru": "Откроемся в понедельник"})
    for page, status in ((f"/checkout/{shop.trial.pk}/", 409), ("/", 200)):
        closed = browser.get(page)
        assert closed.status_code == status
        assert "Откроемся в понедельник" in closed.content.decode()


def test_errors_speak_russian_in_the_same_style(partner, client_for):
    page = client_for(partner).get("/nowhere/")
    assert page.status_code == 404
    assert "Здесь ничего нет" in page.content.decode()
    assert "storefront.css" in page.content.decode()


@pytest.mark.parametrize(
    "colour", ["#2563eb", "#ffd400", "#000000", "#ffffff", "#ff0000", "#7cfc00", "#888888"]
)
def test_any_brand_colour_stays_readable(colour):
    made = colours.palette(colour)
    assert colours.contrast(made.button, made.on_button) >= 4.5
    assert colours.contrast(made.text_light, colours.WHITE) >= 4.5
    assert colours.contrast(made.text_light, made.tint_light) >= 4.5
    assert colours.contrast(made.text_dark, colours.DARK_CARD) >= 4.5
    assert colours.contrast(made.text_dark, made.tint_dark) >= 4.5
    assert min(colours.contrast(ground, colours.WHITE) for ground in (made.deep, made.second)) >= 4.5


def test_a_link_from_a_channel_marks_the_order(shop, client_for, gateway, form_of):
    Channel.objects.create(code="market", name="Маркет", kind=Kind.MARKET)
    browser = client_for(shop.partner)
    browser.get(f"/product/{shop.product.code}/?channel=market")
    page = browser.get(f"/checkout/{shop.offer.pk}/")
    browser.post(f"/checkout/{shop.offer.pk}/", form_of(page))
    order = Storefront.objects.get() and shop_orders()[0]
    assert order.channel_code == "market"
    assert order.item.price == Decimal("149.00")


def test_a_channel_sells_what_the_matrix_gives_it(shop, client_for, gateway, form_of):
    """Its own offer stands before the one for all channels, be it on sale or not; others sell as before."""
    Channel.objects.create(code="market", name="Маркет", kind=Kind.MARKET)
    month, year = shop.offer, shop.trial
    with in_public():
        cheaper = Offer.objects.create(
            partner=shop.partner, tariff=month.tariff, channel_code="market", price=Decimal("99.00")
        )
        Offer.objects.create(
            partner=shop.partner, tariff=year.tariff, channel_code="market", is_on_sale=False
        )
        # In the storefront's own channel the month is not sold at all.
        Offer.objects.create(partner=shop.partner, tariff=month.tariff, channel_code="web", is_on_sale=False)
    address = f"/product/{shop.product.code}/"
    own, sent = client_for(shop.partner), client_for(shop.partner)
    assert [one.pk for one in own.get(address).context["offers"]] == [year.pk]
    assert [one.pk for one in sent.get(f"{address}?channel=market").context["offers"]] == [cheaper.pk]
    # From then on, this browser is the channel's.
    assert [one.pk for one in sent.get(address).context["offers"]] == [cheaper.pk]
    assert [one.unit_price for one in sent.get("/").context["shelves"][0].cards[0].offers] == [99]
    for browser, offer in ((own, month), (own, cheaper), (sent, month), (sent, year)):
        refused = browser.get(f"/checkout/{offer.pk}/")
        assert (refused.status_code, "больше не продаётся" in refused.content.decode()) == (409, True)
    # A link right to the checkout names its channel too.
    link = f"/checkout/{cheaper.pk}/?channel=market"
    browser = client_for(shop.partner)
    assert browser.post(link, form_of(browser.get(link))).status_code == 302
    [order] = shop_orders()
    assert (order.channel_code, order.item.price, order.item.offer_id) == (
        "market",
        Decimal("99.00"),
        cheaper.pk,
    )


def shop_orders():
    from apps.orders.models import Order

    return list(Order.objects.all())
