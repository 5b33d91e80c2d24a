"""Scene «Пятница, вечер»: a crowd buys of ten providers while one is off and a worker dies; in the end all agrees."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from queue import Empty, PriorityQueue
from uuid import uuid4

import httpx
from django.db import connection, transaction

from apps.accounts import customers
from apps.catalog.models import Category, Offer, Product, Tariff
from apps.catalog.offers import put_on_sale
from apps.connectors.models import Connection
from apps.core.errors import Refused
from apps.core.tenancy import in_partner, in_public
from apps.demo.connect import Addresses
from apps.orders.models import Order
from apps.orders.placing import open_payment_page, place_order
from apps.partners.models import LegalEntity, Partner
from apps.providers.models import Provider
from apps.sandbox.control import Control

ORDERS, MOST = 300, 1000
BUYERS = 6
"""Of the crowd, at a time."""
PATIENCE, AGAIN_SECONDS = 1200.0, 2.0
"""Seconds for which buyers who were told that sales are closed come back, and after which they do."""
PREFIX = "friday-"


@dataclass(frozen=True, slots=True)
class Stand:
    """One of the ten: a provider with one product of one tariff, an account of its own at the simulator."""

    number: int
    provider: str
    product: str
    price: Decimal

    @property
    def account(self) -> str:
        """Its token at the simulator."""
        return f"{PREFIX}{self.number}"

    @property
    def sku(self) -> str:
        return f"FRIDAY-{self.number:02}"


_WHO = (
    ("Кинозал на диване", "Кинозал: новинки", "399.00"),
    ("Волна", "Музыка без рекламы", "169.00"),
    ("Строка", "Книги и аудиокниги", "249.00"),
    ("Щит и меч", "Антивирус на три устройства", "149.00"),
    ("Врач онлайн", "Терапевт по видео", "590.00"),
    ("Полка", "Облако на 200 ГБ", "139.00"),
    ("Юрист рядом", "Юрист на связи", "299.00"),
    ("Разминка", "Фитнес дома", "349.00"),
    ("Полиглот", "Английский каждый день", "690.00"),
    ("Ёжик", "Детские игры и мультфильмы", "199.00"),
)
STANDS = tuple(Stand(n, who, what, Decimal(price)) for n, (who, what, price) in enumerate(_WHO, start=1))
OFF = STANDS[3]
"""The one that is switched off."""


@dataclass(frozen=True, slots=True)
class Run:
    """One evening of a partner: so many orders, each with a key of its own, so that none is placed twice."""

    name: str
    orders: int

    def key(self, number: int) -> str:
        """The request key of an order: where a page begins again, it goes on from there."""
        return f"{PREFIX}{self.name}-{self.orders}-{number:04}"

    @property
    def prefix(self) -> str:
        return f"{PREFIX}{self.name}-{self.orders}-"


_running: dict[int, Run] = {}
"""By partner, what this process has begun."""


def last(partner: Partner) -> Run | None:
    """The evening that goes on or has been; in the partner's schema."""
    keys = Order.objects.filter(request_key__startswith=PREFIX).order_by("-pk")
    found = keys.values_list("request_key", flat=True).first()
    if found is None:
        return _running.get(partner.pk)
    _friday, name, orders, _number = found.split("-")
    return Run(name, int(orders))


def begin(partner: Partner, orders: int) -> Run:
    """Sets up what is sold and lets the crowd in; it buys in threads of this process, as visitors would."""
    offers = set_up(partner)
    run = Run(uuid4().hex[:8], min(max(orders, 1), MOST))
    with in_partner(partner):
        shop = Connection.objects.for_partner(partner, "payment")
    gateway = Control(shop.config["base_url"].removesuffix("/v3"))
    _running[partner.pk] = run
    threading.Thread(target=_crowd, args=(partner, run, offers, gateway), daemon=True).start()
    return run


def set_up(partner: Partner) -> list[int]:
    """The ten providers and what the partner sells of them; gives the offers' numbers. Safe to repeat."""
    url = Addresses().control("provider").base_url
    with in_public(), transaction.atomic():
        shelf, _new = Category.objects.get_or_create(
            code="friday", defaults={"name": {"ru": "Вечер пятницы", "en": "Friday night"}, "sort": 900}
        )
        tariffs = [_tariff(stand, shelf, _line(stand, url)) for stand in STANDS]
        put_on_sale(partner_id=partner.pk, tariffs=tariffs)
    offers = Offer.objects.filter(partner=partner, tariff__in=tariffs, channel_code="")
    numbers = dict(offers.values_list("tariff_id", "pk"))
    return [numbers[tariff.pk] for tariff in tariffs]


def _line(stand: Stand, url: str) -> Connection:
    config = {"base_url": url, "token": stand.account, "timeout": 10}
    operator = LegalEntity.objects.filter(is_operator=True).first()
    line, _new = Connection.objects.get_or_create(
        kind="provider",
        connector="apps.providers.http_provider.HttpProvider",
        name=f"{stand.provider} (песочница)",
        is_test=True,
        defaults={"config": config, "legal_entity": operator},
    )
    if line.config != config:
        # Simulators have other addresses after a new start.
        Connection.objects.filter(pk=line.pk).update(config=config)
    return line


def _tariff(stand: Stand, shelf: Category, line: Connection) -> Tariff:
    provider, _new = Provider.objects.get_or_create(code=stand.account, defaults={"name": stand.provider})
    Provider.objects.filter(pk=provider.pk).update(test_connection=line)
    product, _new = Product.objects.get_or_create(
        code=stand.sku,
        defaults={
            "name": {"ru": stand.product},
            "category": shelf,
            "provider": provider,
            "delivery": "account",
            "vat_code": "standard",
        },
    )
    tariff, is_new = Tariff.objects.get_or_create(
        code=stand.sku, defaults={"product": product, "name": {"ru": "Месяц", "en": "Month"}}
    )
    if is_new:
        tariff.publish(price=stand.price, period_count=1, period_unit="month")
    return tariff


# -- the crowd -------------------------------------------------------------------------------------------


def _crowd(partner: Partner, run: Run, offers: list[int], gateway: Control) -> None:
    """Each orders and pays; whoever is turned away lets the others go first, and comes back."""
    until = time.monotonic() + PATIENCE
    line: PriorityQueue[tuple[float, int]] = PriorityQueue()
    for number in range(run.orders):
        line.put((0.0, number))

    def take_turns(_buyer: int) -> None:
        while time.monotonic() < until:
            try:
                moment, number = line.get_nowait()
            except Empty:
                return
            time.sleep(max(moment - time.monotonic(), 0.0))
            try:
                with _visit(partner):
                    _buy_once(partner, run, number, offers[number % len(offers)], gateway)
            except (Refused, httpx.HTTPError, OSError):
                line.put((time.monotonic() + AGAIN_SECONDS, number))

    with ThreadPoolExecutor(BUYERS, thread_name_prefix="friday") as pool:
        list(pool.map(take_turns, range(BUYERS)))
    gateway.close()


def _buy_once(partner: Partner, run: Run, number: int, offer: int, gateway: Control) -> None:
    email = f"{run.name}-{number:04}@friday.example"
    order = place_order(
        customer=customers.register(email=email, name="Гость пятницы", verified=True),
        offer=offer,
        request_key=run.key(number),
        return_url=partner.url("/thanks/{order}/"),
        actor="demo",
    )
    payment = open_payment_page(order)
    if payment is None or payment.state in ("succeeded", "failed"):
        return
    if not payment.confirmation_url:
        raise OSError("no page yet")
    gateway.pay(payment.confirmation_url)


@contextmanager
def _visit(partner: Partner) -> Iterator[None]:
    try:
        with in_partner(partner):
            yield
    finally:
        connection.close()


# -- what is switched ------------------------------------------------------------------------------------


def switch(*, on: bool) -> None:
    """The provider that fails this evening."""
    Addresses().control("provider").switch(on=on, account=OFF.account)


def is_off() -> bool:
    return not Addresses().control("provider").health(account=OFF.account)["on"]
