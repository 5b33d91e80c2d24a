"""The bench of an invoice run: due subscriptions of many partners through claim and `renew_many`, by two processes.

Beside it the floor: one hand-made SQL statement per partner that writes the same rows onto the same tables, on as
many connections. RENEWALS says how many are due (100,000 where it is not set), of how many PARTNERS (100). With ALONE
set the floor is left out: how long a million takes is then known in half the time.
"""

import multiprocessing
import os
import threading
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from apps.billing.models import Subscription
from apps.billing.proration import add_months
from apps.catalog.models import Category, Offer, Product, Tariff
from apps.connectors.models import Connection
from apps.core import audit, clock, events, models
from apps.core.tenancy import in_partner, in_public
from apps.partners.models import Partner
from apps.providers.models import Provider
from bench.cases import new_partner, operator
from bench.worker import work

DUE = int(os.environ.get("RENEWALS", "100000"))
PARTNERS = int(os.environ.get("PARTNERS", "100"))
IS_ALONE = "ALONE" in os.environ
ROUNDS, WORKERS = 4, 2
SQL = {path.stem: path.read_text() for path in (Path(__file__).parent / "sql").glob("renewal_*.sql")}
KIND = "billing.renew"
FILLED = (
    "accounts_customer, payments_paymentmethod, billing_subscription, billing_subscriptionphase,"
    " billing_subscriptiondiscount"
)
"""What `renewal_fill` fills in a partner's schema."""


@dataclass
class Goods:
    """What is sold: a tariff, its dearer successor and an add-on."""

    main: Offer
    dear: Offer
    extra: Offer


def renewal_run() -> dict[str, float]:
    """Rounds of partners, the floor's and ours in turn; both sides must have written the same."""
    ours, floors = _partners("ours"), [] if IS_ALONE else _partners("floor")
    each = max(DUE // PARTNERS, 1)
    for partner in [*ours, *floors]:
        _fill(partner, each)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) core_due")
    before = _violations(ours[0])
    with Workers() as workers, Floor() as floor:
        rounds = [(ours[n::ROUNDS], floors[n::ROUNDS]) for n in range(ROUNDS)]
        seconds = [(_timed(workers, mine, each), _timed(floor, theirs, each)) for mine, theirs in rounds]
        memory = workers.memory
    if floors:
        _compare(ours, floors)
    if new := _violations(ours[0]) - before:
        raise RuntimeError(f"The auditor finds {len(new)}: {sorted(new)[:3]}")
    took, least = (sum(one[side] for one in seconds) for side in (0, 1))
    return {
        "seconds": took,
        "per_second": each * PARTNERS / took,
        "floor_seconds": least,
        "ratio": took / least if floors else 0.0,
        "peak_mib": memory[-1],
        "first_round_mib": memory[0],
        # As much to do in each: more than 1 would mean that what is there already slows what comes.
        "last_round_to_first": seconds[-1][0] / seconds[0][0],
    }


def _timed(side: "Workers | Floor", partners: list[Partner], each: int) -> float:
    """Seconds in which one side bills what becomes due of these partners."""
    _make_due(partners)
    began = time.perf_counter()
    side.bill(partners)
    took = time.perf_counter() - began
    left = models.Due.objects.filter(kind=KIND, partner_id__in=[one.pk for one in partners])
    if left.exists():
        raise RuntimeError(f"{left.count()} of {each * len(partners)} are still due: {left[0].error}")
    return took


class Workers:
    """Two processes that claim and do what is due, as Celery's would, until nothing is left."""

    def __enter__(self) -> "Workers":
        context = multiprocessing.get_context("spawn")
        self.memory: list[float] = []
        self._go, self._done = context.Queue(), context.Queue()
        self._all = [context.Process(target=work, args=(self._go, self._done)) for _ in range(WORKERS)]
        for one in self._all:
            one.start()
        for _ in self._all:
            self._done.get()
        return self

    def bill(self, partners: list[Partner]) -> None:
        for _ in self._all:
            self._go.put("go")
        self.memory.append(max(self._done.get() for _ in self._all))

    def __exit__(self, *_error: object) -> None:
        for _ in self._all:
            self._go.put(None)
        for one in self._all:
            one.join(10)


class Floor:
    """As many connections, each with a statement per partner."""

    def __enter__(self) -> "Floor":
        return self

    def bill(self, partners: list[Partner]) -> None:
        threads = [
            threading.Thread(target=self._bill, args=(partners[number::WORKERS],))
            for number in range(WORKERS)
        ]
        for one in threads:
            one.start()
        for one in threads:
            one.join()

    def _bill(self, partners: list[Partner]) -> None:
        try:
            for partner in partners:
                with in_partner(partner), connection.cursor() as cursor:
                    cursor.execute(SQL["renewal_floor"], _values(partner))
        finally:
            connection.close()

    def __exit__(self, *_error: object) -> None:
        pass


def _values(partner: Partner) -> dict[str, Any]:
    today = clock.today()
    return {
        "partner": partner.pk,
        "today": today,
        "next_date": add_months(today, 1, today.day),
        "prefix": f"I{today.year % 100:02d}-{partner.legal_entity_id}-{partner.pk}-",
        "year": today.year,
        "entity": partner.legal_entity_id,
        "handlers": list(events._handlers.get("billing.InvoiceIssued", {})),
        "terms": _terms(partner),
    }


def _terms(partner: Partner) -> str:
    from apps.billing import terms
    from apps.core import bulk

    with in_partner(partner):
        product, version = Subscription.objects.values_list("product_id", "tariff_version_id")[0]
        agreed = terms.of_sale(product_id=product, tariff_version_id=version, day=clock.today())
        return bulk.json_text(agreed)


def _partners(side: str) -> list[Partner]:
    partners = [new_partner() for _ in range(PARTNERS)]
    for one in partners:
        one.name = f"{side} {one.name}"
    return partners


def _fill(partner: Partner, count: int) -> None:
    """`count` subscriptions in the mix of the bench, due today, with their customers, cards, terms and add-ons."""
    goods = _goods()
    today = clock.today()
    with in_partner(partner), transaction.atomic(), connection.cursor() as cursor:
        template = _template(partner, goods)
        cursor.execute(
            SQL["renewal_fill"],
            {
                **template,
                "count": count,
                "partner": partner.pk,
                "today": today,
                "anchor": add_months(today, -1, today.day),
                "extra": _columns(goods.extra),
                "dear": _columns(goods.dear),
            },
        )
    # The whole database would take minutes, most of it on empty tables.
    with in_partner(partner), connection.cursor() as cursor:
        cursor.execute(f"VACUUM (ANALYZE) {FILLED}")


def _columns(offer: Offer) -> str:
    from apps.core import bulk

    version = offer.current_version()
    row = {"offer_id": offer.pk, "tariff_version_id": version.pk, "price": str(version.price)}
    return bulk.json_text(row)


def _template(partner: Partner, goods: Goods) -> dict[str, Any]:
    """A customer, card, subscription and terms that have ended; all others are copies of their rows."""
    from apps.accounts import customers
    from apps.billing import phases, subscriptions
    from apps.payments.models import PaymentMethod

    now = clock.now()
    customer = customers.register(email=f"bench@{partner.slug}.example", name="Анна")
    payment = Connection.objects.get(name="bench renewals")
    method = PaymentMethod.objects.create(
        customer=customer, connection=payment, token="bench", title="•• 4477", created_at=now
    )
    version = goods.main.current_version()
    one = subscriptions.create(customer=customer, offer=goods.main, version=version, name="Облако, Базовый")
    phase = phases.add(one, kind="regular", start_date=clock.today(), anchor_date=clock.today())
    subscriptions.end(one, "ended", "bench")
    return {"customer": customer.pk, "method": method.pk, "subscription": one.pk, "phase": phase.pk}


def _goods() -> Goods:
    with in_public():
        found = {one.tariff.code: one for one in Offer.objects.filter(tariff__code__startswith="RENEW-")}
        if not found:
            Connection.objects.create(
                kind="payment",
                connector="apps.payments.yookassa.YooKassa",
                name="bench renewals",
                config={"shop_id": "bench", "secret_key": "secret", "base_url": "http://127.0.0.1:9/v3"},
                legal_entity=operator(),
            )
            provider = Provider.objects.create(code="renewals", name="Поставщик продлений")
            category = Category.objects.create(code="renewals", name={"ru": "Замер продлений"})
            for code, price in (("MAIN", "149.00"), ("DEAR", "199.00"), ("EXTRA", "49.00")):
                found[f"RENEW-{code}"] = _offer(category, provider, f"RENEW-{code}", price)
        return Goods(found["RENEW-MAIN"], found["RENEW-DEAR"], found["RENEW-EXTRA"])


def _offer(category: Category, provider: Provider, code: str, price: str) -> Offer:
    product = Product.objects.create(
        code=code,
        name={"ru": code},
        category=category,
        provider=provider,
        delivery="manual",
        vat_code="standard",
    )
    tariff = Tariff.objects.create(product=product, code=code, name={"ru": "Базовый"})
    tariff.publish(price=Decimal(price), trial_days=0, period_count=1, period_unit="month")
    return Offer.objects.create(partner=Partner.objects.order_by("pk")[0], tariff=tariff)


def _make_due(partners: list[Partner]) -> None:
    models.Due.objects.filter(kind=KIND, partner_id__in=[one.pk for one in partners]).update(
        due_at=clock.wall()
    )


def _violations(partner: Partner) -> set[str]:
    """Of a sample partner; that its base has no invoices of earlier periods is known, and no matter of the run's."""
    return {str(one) for one in audit.run([partner.pk]) if one.rule != "billing.live-is-planned"}


def _compare(ours: list[Partner], floors: list[Partner]) -> None:
    """Raises RuntimeError unless both sides have written as many rows, of the same sums."""
    mine, theirs = (_written(side) for side in (ours, floors))
    if mine != theirs:
        raise RuntimeError(f"Ours wrote {mine}, the floor {theirs}")


def _written(partners: list[Partner]) -> dict[str, tuple[Any, ...]]:
    found: dict[str, tuple[Any, ...]] = {}
    for partner in partners:
        with in_partner(partner), connection.cursor() as cursor:
            cursor.execute(SQL["renewal_written"], {"partner": partner.pk})
            for name, *sums in cursor.fetchall():
                had = found.get(name, (0,) * len(sums))
                found[name] = tuple(a + (b or 0) for a, b in zip(had, sums, strict=True))
    return found
