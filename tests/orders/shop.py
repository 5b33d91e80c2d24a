"""A partner that sells for real: its own gateway shop, provider and mail at the simulators."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from apps.accounts import customers
from apps.accounts.models import Customer
from apps.billing.models import Invoice, Subscription
from apps.catalog.models import Category, Offer, Product, Tariff
from apps.connectors.models import Connection
from apps.core import clock
from apps.core.models import Due
from apps.orders.models import Order, Service
from apps.orders.placing import open_payment_page, place_order
from apps.partners.models import Partner
from apps.payments import payments
from apps.payments.models import Payment
from apps.providers import keys
from apps.providers.models import KeyPool, Provider
from apps.sandbox.control import Control
from apps.sandbox.process import Simulator
from tests.notifications.connections import connect_mail
from tests.payments.gateways import YOOKASSA, GatewayKind

_numbers = itertools.count(1)
GOOD, BROKE_LATER = "5555555555554477", "4000000000000341"


@dataclass
class Shop:
    """What a test says in one word: sell, pay, let a month pass."""

    partner: Partner
    gateway: Control
    provider: Provider
    deliver: Callable[[], int]
    move: Callable[[Partner, datetime], None]

    def offer(
        self, *, delivery: str = "account", price: str = "149.00", trial_days: int = 0, **terms: Any
    ) -> Offer:
        """A new product of one tariff, on sale; `keys` of them in a pool where it is delivered by key."""
        code = f"{self.partner.slug}-{next(_numbers)}".upper()
        category, _is_new = Category.objects.get_or_create(
            code="shop-test", defaults={"name": {"ru": "Товары проверки"}}
        )
        stock = terms.pop("keys", 0)
        # A provider without a connection delivers from our own pools.
        own = Provider.objects.create(code=code.lower(), name=f"Ключи {code}") if stock else self.provider
        product = Product.objects.create(
            code=code,
            name={"ru": f"Облако {code}"},
            category=category,
            provider=None if delivery == "bundle" else own,
            delivery=delivery,
            vat_code="standard",
        )
        tariff = Tariff.objects.create(product=product, code=code, name={"ru": "Базовый"})
        terms = {"period_count": 1, "period_unit": "month", **terms}
        tariff.publish(price=Decimal(price), trial_days=trial_days, **terms)
        if stock:
            pool = KeyPool.objects.create(provider=own, sku=code, is_test=True)
            keys.load(pool=pool, content="\n".join(f"{code}-KEY-{n}" for n in range(stock)))
        return Offer.objects.create(partner=self.partner, tariff=tariff)

    def customer(self, name: str = "anna") -> Customer:
        return customers.register(email=f"{name}-{next(_numbers)}@example.ru", name="Анна")

    def order(self, offer: Offer, **options: Any) -> Order:
        """An order whose payment page is open."""
        options.setdefault("customer", options.get("customer") or self.customer())
        order = place_order(offer=offer, return_url="https://shop.example/thanks/{order}", **options)
        open_payment_page(order)
        return order

    def pay(self, order: Order, card: str = GOOD) -> Payment:
        """The customer pays on the gateway's page; a webhook would have us read the payment, as here."""
        payment = order.payment()
        assert payment is not None
        payment.refresh_from_db()
        self.gateway.pay(payment.confirmation_url, card=card)
        payments.settle(payment.pk)
        self.deliver()
        order.refresh_from_db()
        payment.refresh_from_db()
        return payment

    def buy(self, offer: Offer, card: str = GOOD, **options: Any) -> Subscription:
        """An order, paid."""
        order = self.order(offer, **options)
        self.pay(order, card)
        assert order.item.subscription is not None
        order.item.subscription.refresh_from_db()
        return order.item.subscription

    def until(self, day: date, hour: int = 23) -> None:
        """Lets time pass to an hour of a day in the partner's zone, everything due on the way done."""
        moment = datetime.combine(day, time(hour), tzinfo=clock.zone())
        self.gateway.set_clock(moment)
        self.move(self.partner, moment)

    def hurry(self) -> None:
        """Backoffs of the wall clock are over, leases of dead workers too."""
        rows = Due.objects.filter(partner_id=self.partner.pk, is_sandbox=False)
        rows.update(due_at=clock.wall(), leased_until=None, lease=None)
        self.deliver()

    def charges(self) -> list[dict[str, Any]]:
        """Payments that succeeded in the gateway's own register."""
        rows = self.gateway.register(shop=self.partner.slug)["payments"]
        return [row for row in rows if row["status"] == "succeeded"]

    def service(self, subscription: Subscription) -> Service:
        return Service.objects.get(subscription=subscription)

    def invoices(self, subscription: Subscription) -> list[Invoice]:
        return list(Invoice.objects.filter(subscription=subscription).order_by("pk"))


def open_shop(
    partner: Partner,
    gateway: Control,
    provider: Control,
    mailbox: Simulator,
    deliver: Callable[[], int],
    move: Callable[[Partner, datetime], None],
    kind: GatewayKind = YOOKASSA,
) -> Shop:
    """Connects a sandbox partner to the simulators; `gateway` is the one of that kind."""
    gateway.add_shop(partner.slug, "secret")
    _connect(partner, "payment", kind.path, dict(kind.config(partner.slug, gateway)))
    supplies = _connect(
        partner,
        "provider",
        "apps.providers.http_provider.HttpProvider",
        {"base_url": provider.base_url, "token": "test"},
    )
    connect_mail(partner, mailbox)
    supplier = Provider.objects.create(
        code=partner.slug, name=f"Поставщик {partner.slug}", test_connection=supplies
    )
    return Shop(partner, gateway, supplier, deliver, move)


def _connect(partner: Partner, kind: str, path: str, config: dict[str, Any]) -> Connection:
    return Connection.objects.create(
        kind=kind,
        connector=path,
        name=f"{kind} {partner.slug}",
        config=config,
        partner=partner,
        is_test=True,
        legal_entity=partner.legal_entity,
    )
