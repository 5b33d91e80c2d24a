"""A live partner in an installation, with customers who bought a month ago: `-m tests.installed_shop SLUG SOLD NEW`.

Prints JSON: slug, schema, key of the API, `renewals` (subscription and sum of each that is to be renewed, each by a
sum of its own) and `offers` (id and price of each that nobody has bought yet).
"""

import itertools
import json
import os
import sys
from datetime import timedelta
from decimal import Decimal
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "armor.settings")
django.setup()

from django.conf import settings  # noqa: E402

from apps.accounts import customers  # noqa: E402
from apps.billing.models import Subscription  # noqa: E402
from apps.catalog.models import Category, Offer, Product, Tariff  # noqa: E402
from apps.channels.models import ApiKey, Channel  # noqa: E402
from apps.connectors.models import Connection  # noqa: E402
from apps.core import clock, due  # noqa: E402
from apps.core.tenancy import in_partner, in_public  # noqa: E402
from apps.demo.history import Past  # noqa: E402
from apps.orders.models import Order  # noqa: E402
from apps.orders.placing import place_order  # noqa: E402
from apps.partners.models import LegalEntity, Partner  # noqa: E402
from apps.partners.services import create_partner  # noqa: E402
from apps.payments import payments  # noqa: E402
from apps.providers import keys  # noqa: E402
from apps.providers.models import KeyPool, Provider  # noqa: E402
from apps.sandbox.control import Control  # noqa: E402

SCOPES = ("orders:read", "orders:write")
LONG_AGO = timedelta(days=35)


def main(slug: str, sold: int, new: int) -> dict[str, Any]:
    """Makes the partner and lives through its past, before any worker runs."""
    partner = new_partner(slug)
    connect(partner, gateway := Control(settings.SANDBOX_URLS["yookassa"]))
    with in_partner(partner):
        offers = [_offer(partner, number) for number in range(sold + new)]
        past = Past(partner, clock.wall() - LONG_AGO)
        subscriptions = [_sell(past, gateway, offer) for offer in offers[:sold]]
        _arrive(partner, subscriptions)
        _key, text = ApiKey.issue(Channel.objects.get(code="api"), SCOPES)
        return {
            "slug": slug,
            "schema": partner.schema_name,
            "key": text,
            "renewals": [[str(one.pk), str(one.offer.current_version().price)] for one in subscriptions],
            "offers": [[offer.pk, str(offer.current_version().price)] for offer in offers[sold:]],
        }


def new_partner(slug: str) -> Partner:
    """A live one; and the operator, where there is none yet."""
    with in_public():
        LegalEntity.objects.get_or_create(
            is_operator=True, defaults={"name": "ООО «Платформа»", "inn": "7707083893", "kpp": "770701001"}
        )
        return create_partner(slug=slug, name=f"Партнёр {slug}")


def connect(partner: Partner, gateway: Control) -> None:
    """Leads its payments and letters to the simulators."""

    def make(kind: str, connector: str, config: dict[str, Any]) -> Connection:
        return Connection.objects.create(
            kind=kind, connector=connector, name=f"{kind} {partner.slug}", config=config, partner=partner
        )

    shop = {"shop_id": partner.slug, "secret_key": "secret", "base_url": f"{gateway.base_url}/v3"}
    paid = make("payment", "apps.payments.yookassa.YooKassa", shop)
    gateway.add_shop(partner.slug, "secret", f"{settings.INTAKE_URL}/hooks/{paid.pk}/")
    mail = {"host": "127.0.0.1", "port": settings.SANDBOX_SMTP_PORT, "encryption": ""}
    make("email", "apps.notifications.smtp.Smtp", {**mail, "from_email": "noreply@example.ru"})


def _offer(partner: Partner, number: int) -> Offer:
    """A product of a price of its own, with keys enough."""
    code = f"{partner.slug}-{number}".upper()
    category, _is_new = Category.objects.get_or_create(code="kills", defaults={"name": {"ru": "Проверка"}})
    provider = Provider.objects.create(code=code.lower(), name=f"Ключи {code}")
    product = Product.objects.create(
        code=code,
        name={"ru": f"Облако {code}"},
        category=category,
        provider=provider,
        delivery="key",
        vat_code="standard",
    )
    tariff = Tariff.objects.create(product=product, code=code, name={"ru": "Базовый"})
    tariff.publish(price=Decimal(f"{100 + number}.{number:02d}"), period_count=1, period_unit="month")
    pool = KeyPool.objects.create(provider=provider, sku=code)
    keys.load(pool=pool, content="\n".join(f"{code}-KEY-{n}" for n in range(4)))
    return Offer.objects.create(partner=partner, tariff=tariff)


_numbers = itertools.count(1)


def _sell(past: Past, gateway: Control, offer: Offer) -> Subscription:
    number = next(_numbers)
    order = place_order(
        customer=customers.register(email=f"client-{number}@example.ru", name="Анна", verified=True),
        offer=offer,
        return_url="https://shop.example/{order}",
    )
    payment = order.payment()
    assert payment is not None
    payment = payments.send(payment.pk)
    gateway.pay(payment.confirmation_url)
    payments.settle(payment.pk)
    past.settle()
    subscription = Order.objects.get(pk=order.pk).item.subscription
    assert subscription is not None
    return subscription


def _arrive(partner: Partner, subscriptions: list[Subscription]) -> None:
    """Back in the present, with every renewal put off until the test brings its moment."""
    Partner.objects.filter(pk=partner.pk).update(clock_at=None)
    partner.clock_at = None
    for subscription in subscriptions:
        due.schedule("billing.renew", subscription.pk, clock.wall() + timedelta(days=1))
    due.models.Due.objects.filter(partner_id=partner.pk).update(is_sandbox=False)


if __name__ == "__main__":
    json.dump(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])), sys.stdout)
