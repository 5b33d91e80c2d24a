"""The benches of charging: saved cards charged at a gateway that takes 200 ms, so many at a time, until all is settled.

The ideal is that gateway's own: its time divided by the calls in flight, for each charge. The gateway is a simulator in
a process of its own, and so is who charges: a lane's runner, as production runs it. What follows from a payment, as an
invoice that is paid, is other workers' business, and not measured here. CHARGES says how many there are.
"""

import itertools
import multiprocessing
import os
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from django.db import transaction

from apps.accounts import customers
from apps.accounts.models import Customer
from apps.connectors.models import Connection
from apps.core import audit, bulk, clock, models, search
from apps.core.money import Money
from apps.core.tenancy import in_partner, in_public
from apps.partners.models import Partner
from apps.payments import charging, payments
from apps.payments.models import Payment, PaymentMethod
from apps.sandbox.control import Control
from apps.sandbox.process import Simulator
from bench import spent
from bench.cases import new_partner
from bench.worker import run_lanes

LATENCY = 0.2
"""Seconds that the gateway takes for a charge."""
PARTNERS, CUSTOMERS = 4, 200
WARM = 200
PRICE = Decimal("149.00")
_shops = itertools.count(1)


def charging_30() -> dict[str, float]:
    """30 calls in flight."""
    return _charging(30, int(os.environ.get("CHARGES", "3000")))


def charging_200() -> dict[str, float]:
    """200 calls in flight, on two cores together with the simulator and the database."""
    return _charging(200, int(os.environ.get("CHARGES", "8000")))


def _charging(in_flight: int, count: int) -> dict[str, float]:
    folder = Path(tempfile.mkdtemp(prefix="armor-bench-"))
    with Simulator("yookassa", state=folder) as simulator, Charger() as charger:
        tills = tills_at(Control(simulator.url), in_flight)
        seconds = {}
        for name, each in (("warm", WARM // PARTNERS), ("measured", count // PARTNERS)):
            for till in tills:
                till.write(each)
            with spent.told(each * PARTNERS, lanes=charger.pid, simulator=simulator.pid):
                seconds[name] = charger.charge()
            check(tills)
        took, least = seconds["measured"], LATENCY / in_flight * (count // PARTNERS * PARTNERS)
        return {
            "seconds": took,
            "per_second": count / took,
            "floor_seconds": least,
            "ratio": took / least,
            "peak_mib": charger.memory,
        }


class Charger:
    """A process that holds lanes and does their work until nothing is left."""

    def __enter__(self) -> "Charger":
        context = multiprocessing.get_context("spawn")
        self.memory = 0.0
        self._go, self._done = context.Queue(), context.Queue()
        self._process = context.Process(target=run_lanes, args=(self._go, self._done))
        self._process.start()
        self._done.get()
        return self

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def charge(self) -> float:
        """Seconds until nothing is left to be charged."""
        began = time.perf_counter()
        self._go.put("go")
        self.memory = self._done.get()
        return time.perf_counter() - began

    def __exit__(self, *_error: object) -> None:
        self._go.put(None)
        self._process.join(10)


class Till:
    """A partner, its customers with a card each, and its charges."""

    def __init__(self, partner: Partner, connection: Connection, gateway: Control) -> None:
        self.partner, self.connection, self.gateway = partner, connection, gateway
        with in_partner(partner):
            token = self._token()
            now = clock.now()
            owners = [
                Customer(external_id=f"charged-{number}", created_at=now) for number in range(CUSTOMERS)
            ]
            self.methods = [
                PaymentMethod(
                    customer=one, connection=connection, token=token, title="•• 4477", created_at=now
                )
                for one in owners
            ]
            with transaction.atomic():
                bulk.copy_objects(Customer, owners)
                bulk.copy_objects(PaymentMethod, self.methods)
                search.index_new(customers.KIND, [(one.pk, one.external_id) for one in owners])

    def _token(self) -> str:
        """A card that a customer has saved there."""
        first = customers.register(external_id="first", verified=True)
        with transaction.atomic():
            payment = payments.start(
                customer=first,
                amount=Money(PRICE),
                description="Первый месяц",
                save_method=True,
                return_url="https://shop.example/",
            )
        payment = payments.send(payment.pk)
        self.gateway.pay(payment.confirmation_url)
        found = payments.settle(payment.pk).method
        assert found is not None
        return found.token

    def write(self, count: int) -> None:
        """So many charges, as a renewal run writes them."""
        with in_partner(self.partner), transaction.atomic():
            charging.start_many(
                [
                    charging.Charge(
                        method=self.methods[number % CUSTOMERS],
                        amount=PRICE + number % 100,
                        currency="RUB",
                        description="Продление на месяц",
                        channel_id=None,
                        subscription_id=None,
                        product_id=None,
                        tariff_version_id=None,
                    )
                    for number in range(count)
                ]
            )


def tills_at(gateway: Control, in_flight: int, *, latency: float = LATENCY) -> list[Till]:
    """Partners that share one connection to a gateway, which takes `latency` seconds for a charge from now on."""
    shop = f"charging-{next(_shops)}"
    gateway.add_shop(shop, "secret")
    partners = [new_partner() for _ in range(PARTNERS)]
    with in_public():
        Connection.objects.filter(kind="payment", partner=None).update(is_enabled=False)
        connection = Connection.objects.create(
            kind="payment",
            connector="apps.payments.yookassa.YooKassa",
            name=shop,
            config={"shop_id": shop, "secret_key": "secret", "base_url": f"{gateway.base_url}/v3"},
            legal_entity=partners[0].legal_entity,
            in_flight=in_flight,
        )
    tills = [Till(one, connection, gateway) for one in partners]
    if latency:
        gateway.fault("delay", times=10**9, match={"operation": "create_payment"}, seconds=latency)
    return tills


def check(tills: list[Till]) -> None:
    """Raises RuntimeError unless all is settled, both registers agree, and the auditor finds nothing."""
    ours: set[tuple[str, str]] = set()
    for till in tills:
        with in_partner(till.partner):
            states = dict(Payment.objects.values_list("pk", "state"))
            if set(states.values()) != {"succeeded"}:
                raise RuntimeError(
                    f"Not settled: {[(key, states[key]) for key in states if states[key] != 'succeeded'][:3]}"
                )
            ours |= {
                (str(key), f"{amount:.2f}") for key, amount in Payment.objects.values_list("pk", "amount")
            }
    shop = tills[0].connection.config["shop_id"]
    rows = tills[0].gateway.register(shop=shop)["payments"]
    theirs = [(row["metadata"]["payment"], row["amount"]) for row in rows if row["status"] == "succeeded"]
    if sorted(theirs) != sorted(ours):
        raise RuntimeError(f"The gateway has {len(theirs)} payments, we {len(ours)}")
    # What is told of them is delivered by other workers.
    models.Delivery.objects.filter(partner_id__in=[till.partner.pk for till in tills]).delete()
    found = [str(one) for one in audit.run([tills[0].partner.pk]) if one.partner == tills[0].partner.slug]
    if found:
        raise RuntimeError(f"The auditor finds {len(found)}: {found[:3]}")
