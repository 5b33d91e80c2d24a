"""Everything a reader of English meets is in English: both consoles, the storefront, the cabinet and the API's page."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from apps.accounts import sign_in
from apps.accounts.models import Customer
from apps.core import console
from apps.core.tenancy import in_public
from tests.orders.shop import Shop
from tests.texts.reading import OF_A_BASE, leftovers, stored

ENGLISH = {"HTTP_ACCEPT_LANGUAGE": "en"}
SAY_COLUMNS = ("/billing/baseimport/add/", "/billing/shadowrun/add/", "/orders/bulkorder/add/")
"""Pages that say what the columns of a Russian file are."""


@pytest.fixture
def sold(shop: Shop) -> Shop:
    """A shop that has sold, so that no list is empty."""
    offer = shop.offer(delivery="key", keys=3)
    shop.buy(offer, customer=shop.customer())
    return shop


def russian(client: Client, path: str, data: list[str]) -> Iterator[str]:
    """Russian texts of a page in English, each with its address."""
    yield from russian_in(client.get(path, follow=True, **ENGLISH), path, data)


def russian_in(answer: Any, path: str, data: list[str]) -> Iterator[str]:
    """The same of an answer that is here already."""
    assert answer.status_code in {200, 403, 404}, f"{path}: {answer.status_code}"
    led = answer.redirect_chain[-1][0] if answer.redirect_chain else ""
    assert "/login/" not in led, f"{path}: {led}"
    data = OF_A_BASE + data if path.endswith(SAY_COLUMNS) else data
    yield from (f"{path}: {text}" for text in leftovers(answer.content.decode(), data))


def russian_in_console(client: Client, site: console.Console, start: str, data: list[str]) -> Iterator[Any]:
    """Of the first page, and of each model the list, the first object and the form of a new one.

    Yields the Russian texts of each page, also where there are none.
    """
    for path in (f"{start}/admin/", f"{start}/admin/password_change/"):
        yield list(russian(client, path, data))
    for model in site._registry:
        path = f"{start}/admin/{model._meta.app_label}/{model._meta.model_name}/"
        answer = client.get(path, follow=True, **ENGLISH)
        yield list(russian_in(answer, path, data))
        found = re.findall(r'href="([^"]+/(?:change|add)/(?:\?[^"]*)?)"', answer.content.decode())
        links = [link.split("?")[0] for link in found if link.startswith(path)]
        for ending in ("/change/", "/add/"):
            for link in [link for link in links if link.endswith(ending)][:1]:
                yield list(russian(client, link, data))


@pytest.mark.parametrize("whose", ["operator", "partner", pytest.param("switched", marks=pytest.mark.soak)])
def test_console(sold: Shop, staff: Callable[..., Any], whose: str) -> None:
    data = stored()
    client = staff(sold.partner if whose == "partner" else None)
    site = console.operator_site if whose == "operator" else console.partner_site
    start = f"/p/{sold.partner.slug}" if whose == "switched" else ""
    with in_public():
        pages = list(russian_in_console(client, site, start, data))
    found = [text for page in pages for text in page]
    assert len(pages) > 20
    assert not found, "\n".join(found)


def test_pages_of_the_console_beside_its_lists(
    sold: Shop, staff: Callable[..., Any], client_for: Callable[..., Client]
) -> None:
    data = stored()
    client = staff(None)
    found = []
    with in_public():
        for path in (
            "/admin/catalog/tariff/import/",
            "/admin/partners/partner/migrations/",
            "/admin/reports/search/?q=nobody",
            "/admin/reports/search/calls/",
            "/admin/reports/sales/",
            f"/admin/demo/sandboxpartner/?partner={sold.partner.slug}",
            "/admin/nothing/",
        ):
            found += russian(client, path, data)
        found += russian(client_for(), "/admin/login/", data)
    assert not found, "\n".join(found)


def test_storefront_and_cabinet(sold: Shop, client_for: Callable[..., Client]) -> None:
    data = stored()
    browser = client_for(sold.partner)
    product = re.search(r'href="(/product/[^"]+)"', browser.get("/", **ENGLISH).content.decode())
    assert product
    page = browser.get(product[1], **ENGLISH).content.decode()
    checkout = re.findall(r'href="(/checkout/[^"]+|/buy/[^"]+)"', page)
    signed_in = client_for(sold.partner)
    signed_in.cookies[sign_in.COOKIE] = sign_in._open(Customer.objects.get())
    cabinet = signed_in.get("/cabinet/", **ENGLISH).content.decode()
    own = [link for link in re.findall(r'href="(/cabinet/[^"]+)"', cabinet) if not link.endswith(".pdf")]
    found = []
    for path in (
        "/",
        product[1],
        *checkout,
        "/legal/terms/",
        "/legal/privacy/",
        "/legal/recurring/",
        "/none/",
    ):
        found += russian(browser, path, data)
    for path in ("/cabinet/sign-in/", "/api/docs/"):
        found += russian(client_for(sold.partner), path, data)
    for path in ("/cabinet/", *dict.fromkeys(own)):
        found += russian(signed_in, path, data)
    assert checkout
    assert own
    assert not found, "\n".join(found)
