"""The bench of isolation: one of ten providers is off, and the other nine are to deliver as fast as before.

Ten customers a second who have paid, of ten providers in turn: for a while with all of them there, then as long with
one off, then as long with it back. DOWN_SECONDS says how long it is off; in a long outage fewer come in a second, and
the whiles before and after it are five minutes each. It is held against the while before it; the one after says whether
the machine became slower by itself. Each part is a process of its own. With CPU set it says what an order costs of the
processor in each while.
"""

import multiprocessing
import os
import tempfile
from collections import Counter
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

from apps.catalog.models import Category, Offer, Product, Tariff
from apps.connectors.models import Connection
from apps.core import audit
from apps.core.tenancy import in_partner, in_public
from apps.orders.models import Service
from apps.partners.models import Partner
from apps.providers.models import Provider
from apps.sandbox.control import Control
from apps.sandbox.process import Simulator
from bench import programs, spent, worker
from bench.cases import new_partner
from bench.fulfilment import _paid, _shop, _until_delivered

TEN, PER_SECOND = 10, 10
ORDERS_AT_MOST = 6_000
"""During the outage: each is placed and paid for beforehand, one by one."""
WARM_SECONDS, FLOOR_SECONDS = 5.0, 300.0
LEAST = 40
"""Of a tenth of the outage, for its 95th wait to say something."""
DEAD = 3
"""Which of the ten is off."""
Told = list[tuple[bytes, Any]]
"""Messages of the gateway, each with the subscription that it pays."""


def provider_outage() -> dict[str, float]:
    """`seconds` is the nine's 95th wait from paid to key during the outage, `floor_seconds` before it.

    `ratio` may be 1.25 at most. Raises RuntimeError where anything is lost, doubled, or sold of the one that is off.
    """
    seconds = float(os.environ.get("DOWN_SECONDS", "30"))
    pace = min(PER_SECOND, ORDERS_AT_MOST / seconds)
    floor = min(seconds, FLOOR_SECONDS)
    spans = (WARM_SECONDS, floor, seconds, floor)
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="armor-bench-"))
        simulators = [stack.enter_context(Simulator(name, state=folder)) for name in ("yookassa", "provider")]
        gateway, supplier = (Control(one.url) for one in simulators)
        partner = new_partner()
        with in_partner(partner):
            connection, _offer = _shop(partner, gateway, supplier)
            offers = [_offer_of(partner, supplier, number) for number in range(TEN)]
            phases = [_waiting(partner, gateway, offers, round(span * pace / TEN)) for span in spans]
        port, intake = programs.intake(stack)
        general, lanes = programs.workers(stack, worker.work_off, worker.keep_lanes)
        url = f"http://localhost:{port}/hooks/{connection.pk}/"

        def told(phase: Told) -> float:
            with spent.told(len(phase), intake=intake, worker=general, lanes=lanes):
                return _tell(url, phase, pace)

        began = [told(phase) for phase in phases[:2]]
        supplier.switch(on=False, account=_account(partner, DEAD))
        began.append(told(phases[2]))
        with in_partner(partner):
            nine = sum(place % TEN != DEAD for phase in phases[:3] for place in range(len(phase)))
            _until_delivered(nine)
            sold = Offer.objects.on_sale(partner.pk).filter(pk=offers[DEAD].pk)
            if sold.exists():
                raise RuntimeError("What cannot be delivered is sold")
        supplier.switch(on=True, account=_account(partner, DEAD))
        with in_partner(partner):
            _until_delivered(sum(map(len, phases[:3])))
            if not sold.exists():
                raise RuntimeError("What can be delivered again is not sold")
        began.append(told(phases[3]))
        with in_partner(partner):
            _until_delivered(sum(map(len, phases)))
            waits = [_waits(phase, at, pace) for phase, at in zip(phases, began, strict=True)]
        _nothing_lost_or_doubled(partner, supplier)
    _warm, before, during, after = waits
    tenth = len(during) // 10
    if tenth >= LEAST:
        # A rise along the outage is ours, a single high one is the machine's.
        parts = [_late(during[place * tenth : (place + 1) * tenth]) for place in range(10)]
        print("  by tenths of the outage:", *(f"{one:.3f}" for one in parts), flush=True)
    print(f"  after it {_late(after):.3f}", flush=True)
    return {
        "seconds": _late(during),
        "per_second": pace,
        "floor_seconds": _late(before),
        "ratio": _late(during) / _late(before),
        "peak_mib": 0.0,
    }


def _account(partner: Partner, number: int) -> str:
    return f"{partner.slug}-{number}"


def _offer_of(partner: Partner, supplier: Control, number: int) -> Offer:
    account = _account(partner, number)
    line = Connection.objects.create(
        kind="provider",
        connector="apps.providers.http_provider.HttpProvider",
        name=account,
        config={"base_url": supplier.base_url, "token": account},
        legal_entity=partner.legal_entity,
    )
    product = Product.objects.create(
        code=account.upper(),
        name={"ru": f"Облако {number}"},
        category=Category.objects.get(code="bench"),
        provider=Provider.objects.create(code=account, name=f"Поставщик {account}", connection=line),
        delivery="account",
        vat_code="standard",
    )
    tariff = Tariff.objects.create(product=product, code=account.upper(), name={"ru": "Базовый"})
    tariff.publish(price=Decimal("149.00"), period_count=1, period_unit="month")
    return Offer.objects.create(partner=partner, tariff=tariff)


def _waiting(partner: Partner, gateway: Control, offers: list[Offer], each: int) -> Told:
    """So many messages of each offer, of one after the other; one at least."""
    each = max(each, 1)
    by_offer = [list(_paid(partner, gateway, offer, each).items()) for offer in offers]
    return [row[place] for place in range(each) for row in by_offer]


def _tell(url: str, told: Told, pace: float) -> float:
    """Posts so many of them a second; gives when it began."""
    context = multiprocessing.get_context("spawn")
    answered = context.Queue()
    bodies = [body for body, _subscription in told]
    poster = context.Process(target=worker.tell, args=(url, bodies, pace, answered))
    poster.start()
    began, _ended, accepted, _wait = answered.get(timeout=programs.PATIENCE + len(told) / pace)
    poster.join(20)
    if accepted != len(told):
        raise RuntimeError(f"{accepted} of {len(told)} were accepted")
    return float(began)


def _waits(told: Told, began: float, pace: float) -> list[float]:
    """From paid to key, in seconds, of those whose provider was there, in the order in which they came."""
    given = dict(Service.objects.values_list("subscription_id", "activated_at"))
    return [
        given[subscription].timestamp() - (began + place / pace)  # type: ignore[union-attr]
        for place, (_body, subscription) in enumerate(told)
        if place % TEN != DEAD
    ]


def _late(waits: list[float]) -> float:
    """The 95th of a hundred."""
    return sorted(waits)[int(len(waits) * 0.95)]


def _nothing_lost_or_doubled(partner: Partner, supplier: Control) -> None:
    with in_partner(partner):
        wanted = Counter(str(one) for one in Service.objects.values_list("request_id", flat=True))
    there = Counter(
        one["request_id"]
        for number in range(TEN)
        for one in supplier.register(account=_account(partner, number))["activations"]
    )
    if there != wanted:
        raise RuntimeError(f"{len(there - wanted)} too many at the providers, {len(wanted - there)} missing")
    with in_public():
        found = [str(one) for one in audit.run([partner.pk]) if one.partner == partner.slug]
    if found:
        raise RuntimeError(f"The auditor finds {len(found)}: {found[:3]}")
