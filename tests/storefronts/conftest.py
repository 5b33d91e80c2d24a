"""A partner that sells two products through its storefront: keys from a pool, paid at the YooKassa simulator."""

import itertools
from collections.abc import Callable, Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.db import connection
from django.test import Client
from django.test.testcases import LiveServerThread

from apps.catalog.models import Category, Delivery, Offer, Product
from apps.connectors.models import Connection
from apps.core.tenancy import in_public
from apps.partners.models import Partner
from apps.payments.yookassa import YooKassa
from apps.providers import keys
from apps.providers.models import KeyPool, Provider

_numbers = itertools.count(1)


class Browser(Client):
    """A test client in whose test the partner is still current after a request, which clears it."""

    def request(self, **request: Any) -> Any:
        before = connection.tenant
        try:
            return super().request(**request)
        finally:
            connection.set_tenant(before)


@pytest.fixture
def client_for() -> Callable[..., Browser]:
    """A browser on a partner's host, or on the public one."""

    def make(partner: Partner | None, **headers: str) -> Browser:
        host = partner.host if partner else "localhost"
        return Browser(SERVER_NAME=host, raise_request_exception=False, headers=headers)

    return make


@pytest.fixture
def shop(partner: Partner) -> SimpleNamespace:
    """`offer` (149 ₽ a month, key from a pool of five) and `trial` (1 990 ₽ a year after 30 days) on sale."""
    number = next(_numbers)
    with in_public():
        provider = Provider.objects.create(code=f"shield-{number}", name=f"Щит Лабс {number}")
        category = Category.objects.create(code=f"safety-{number}", name={"ru": f"Безопасность {number}"})
        product = Product.objects.create(
            code=f"AVIRUS{number}",
            name={"ru": "Антивирус Щит", "en": "Shield Antivirus"},
            description={"ru": "Защита телефона и компьютера", "en": "Protects phone and computer"},
            category=category,
            provider=provider,
            delivery=Delivery.KEY,
            vat_code="standard",
        )
        offers = []
        for code, name, price, count, trial in (
            ("M", "Помесячно", "149", 1, 0),
            ("Y", "На год", "1990", 12, 30),
        ):
            tariff = product.tariffs.create(code=f"AVIRUS{number}-{code}", name={"ru": name})
            tariff.publish(
                price=Decimal(price),
                period_count=count,
                period_unit="month",
                trial_days=trial,
                vat_code="standard",
            )
            pool = KeyPool.objects.create(provider=provider, sku=tariff.code, low_stock=0)
            keys.load(pool=pool, content="\n".join(f"SHIELD-{code}{number}-{one}" for one in range(5)))
            offers.append(Offer.objects.create(partner=partner, tariff=tariff))
    return SimpleNamespace(partner=partner, product=product, offer=offers[0], trial=offers[1], number=number)


@pytest.fixture
def gateway(shop: SimpleNamespace, yookassa_process: Any, yookassa: Any) -> Any:
    """The partner's connection to the simulator; gives its controls."""
    name = f"storefront-{shop.partner.pk}"
    yookassa.add_shop(name, "secret")
    with in_public():
        Connection.objects.create(
            kind="payment",
            connector=f"{YooKassa.__module__}.{YooKassa.__qualname__}",
            name="ЮKassa",
            config={"shop_id": name, "secret_key": "secret", "base_url": yookassa_process.url + "/v3"},
            partner=shop.partner,
            legal_entity=shop.partner.legal_entity,
        )
    return yookassa


@pytest.fixture
def form_of() -> Callable[..., dict[str, Any]]:
    """The hidden fields of a checkout page, with a buyer's answers added."""

    def make(page: Any, **answers: Any) -> dict[str, Any]:
        form = page.context["form"]
        hidden = {name: form[name].value() for name in ("request_key", "price", "currency")}
        agreed = {"email": "anna@example.com", "recurring": "on", "terms": "on"}
        return {name: value for name, value in {**hidden, **agreed, **answers}.items() if value is not None}

    return make


@pytest.fixture
def site() -> Iterator[Callable[[Partner], str]]:
    """The web served on a real port, over real threads; gives a partner's address there."""
    server = LiveServerThread("127.0.0.1", StaticFilesHandler)
    server.daemon = True
    server.start()
    server.is_ready.wait(60)
    assert not server.error, server.error
    yield lambda partner: f"http://{partner.host}:{server.port}"
    server.terminate()


@pytest.fixture
def desk(chromium: Any, staff_client: Callable[..., Client]) -> Iterator[Callable[..., Any]]:
    """desk(address, at=, role=, of=): a page of the console at an address, with a member of staff signed in."""
    opened = []

    def open_at(address: str, at: Partner | None, *, role: str, of: Partner | None = None) -> Any:
        staff = staff_client(at, role=role, of=of)
        session = staff.session
        # A session is of one host, port included.
        session["host"] = address.removeprefix("http://")
        session.save()
        context = chromium.new_context(locale="ru-RU")
        opened.append(context)
        context.set_default_timeout(60_000)
        name = settings.SESSION_COOKIE_NAME
        context.add_cookies([{"name": name, "value": session.session_key, "url": address}])
        return context.new_page()

    yield open_at
    for context in opened:
        context.close()
