"""A live partner with orders that are to be paid, of one provider for each mode: `-m tests.installed_orders SLUG EACH`.

Prints JSON: slug, schema, partner, and `pages` (where each order is paid).
"""

import json
import os
import sys
from decimal import Decimal
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "armor.settings")
django.setup()

from django.conf import settings  # noqa: E402

from apps.accounts import customers  # noqa: E402
from apps.catalog.models import Category, Offer, Product, Tariff  # noqa: E402
from apps.connectors.models import Connection  # noqa: E402
from apps.core.tenancy import in_partner  # noqa: E402
from apps.orders.placing import place_order  # noqa: E402
from apps.partners.models import Partner  # noqa: E402
from apps.payments import payments  # noqa: E402
from apps.providers.models import Provider  # noqa: E402
from apps.sandbox.control import Control  # noqa: E402
from tests.installed_shop import connect, new_partner  # noqa: E402

MODES: dict[str, dict[str, float]] = {
    "slow": {"seconds": 0.5},
    "losing": {"every": 2},
    "lying": {"every": 2},
    "duplicating": {},
    "flapping": {"up": 1.0, "down": 0.5},
    "asynchronous": {"seconds": 0.5},
}
"""How each of the providers is."""


def main(slug: str, each: int) -> dict[str, Any]:
    """Makes the partner, its providers and its orders; nobody has paid yet."""
    partner = new_partner(slug)
    connect(partner, Control(settings.SANDBOX_URLS["yookassa"]))
    provider = Control(settings.SANDBOX_URLS["provider"])
    with in_partner(partner):
        offers = [_offer(partner, provider, mode, number) for number, mode in enumerate(MODES)]
        pages = [_page(offer, number) for number in range(each) for offer in offers]
    return {"slug": slug, "schema": partner.schema_name, "partner": partner.pk, "pages": pages}


def account(slug: str, mode: str) -> str:
    """Of the provider that is so."""
    return f"{slug}-{mode}"


def _offer(partner: Partner, supplier: Control, mode: str, number: int) -> Offer:
    name = account(partner.slug, mode)
    supplier.mode(name, mode, **MODES[mode])
    line = Connection.objects.create(
        kind="provider",
        connector="apps.providers.http_provider.HttpProvider",
        name=name,
        config={"base_url": supplier.base_url, "token": name},
    )
    product = Product.objects.create(
        code=name.upper(),
        name={"ru": f"Облако {name}"},
        category=Category.objects.get_or_create(code="kills", defaults={"name": {"ru": "Проверка"}})[0],
        provider=Provider.objects.create(code=name, name=f"Поставщик {name}", connection=line),
        delivery="account",
        vat_code="standard",
    )
    tariff = Tariff.objects.create(product=product, code=name.upper(), name={"ru": "Базовый"})
    tariff.publish(price=Decimal(f"{200 + number}.00"), period_count=1, period_unit="month")
    return Offer.objects.create(partner=partner, tariff=tariff)


def _page(offer: Offer, number: int) -> str:
    email = f"{offer.tariff.code}-{number}@example.ru".lower()
    order = place_order(
        customer=customers.register(email=email, name="Анна", verified=True),
        offer=offer,
        return_url="https://shop.example/{order}",
    )
    payment = order.payment()
    assert payment is not None
    return payments.send(payment.pk).confirmation_url


if __name__ == "__main__":
    json.dump(main(sys.argv[1], int(sys.argv[2])), sys.stdout)
