"""The bench of taking orders: a file of some thousands, and single calls of the API by several clients at once.

A file's rows are looked at, and placed by two workers as production has them; its floor is the bare inserts of what
they write, a transaction of each. ROWS and CALLS say how many, of each.
"""

import itertools
import json
import multiprocessing
import os
import statistics
import time
from contextlib import ExitStack
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django.db import connection, transaction

from apps.catalog.models import Category, Offer, Product, Tariff
from apps.channels.models import ApiKey, Channel
from apps.core.tenancy import in_partner
from apps.orders import bulk_orders
from apps.orders.bulk_models import BulkOrder, BulkRow, BulkState
from apps.orders.models import Order
from apps.partners.models import Partner
from apps.providers.models import Provider
from bench import orders, programs, spent, worker
from bench.cases import new_partner
from bench.measure import timed

ROWS, CALLS = (int(os.environ.get(name, usual)) for name, usual in (("ROWS", "4000"), ("CALLS", "2000")))
WORKERS, CLIENTS, ROUNDS, FEW = 2, 16, 3, 200
_numbers = itertools.count(1)
_inserts: list[tuple[str, Any]] = []


def order_intake() -> dict[str, float]:
    """Orders that the partner collects for. `seconds`, `per_second` and `ratio` are of a file's rows.

    `single_per_second` is of single calls, `single_p95_seconds` how long the 95th of a hundred waits.
    """
    partner = new_partner()
    with in_partner(partner):
        offer = _offer(partner)
        _place(1)
        with connection.execute_wrapper(_record):
            _place(1)
        orders._own.update(orders._ids(params for _sql, params in _inserts))
        return {**_by_file(), **_by_calls(partner, offer)}


def _offer(partner: Partner) -> Offer:
    product = Product.objects.create(
        code="INTAKE",
        name={"ru": "Облако"},
        category=Category.objects.get_or_create(code="bench", defaults={"name": {"ru": "Замер"}})[0],
        provider=Provider.objects.create(code="intake", name="Поставщик"),
        delivery="manual",
        vat_code="standard",
    )
    tariff = Tariff.objects.create(product=product, code="INTAKE", name={"ru": "Базовый"})
    tariff.publish(price=Decimal("149.00"), trial_days=0, period_count=1, period_unit="month")
    return Offer.objects.create(partner=partner, tariff=tariff, payer="partner_reports")


def _by_file() -> dict[str, float]:
    with ExitStack() as stack:
        pids = programs.workers(stack, *[worker.place_files] * WORKERS)
        _by_workers(FEW)
        ours, floor = [], []
        with spent.told(ROWS * ROUNDS, **{f"worker{place}": pid for place, pid in enumerate(pids)}):
            for _round in range(ROUNDS):
                ours.append(timed(lambda: _by_workers(ROWS)))
        for _round in range(ROUNDS):
            floor.append(timed(_floor) / FEW * ROWS)
    seconds, bare = statistics.median(ours), statistics.median(floor)
    return {
        "seconds": seconds,
        "per_second": ROWS / seconds,
        "floor_seconds": bare,
        "ratio": seconds / bare,
        "peak_mib": 0.0,
    }


def _by_workers(count: int) -> None:
    """A file of so many rows, read and started here and placed by the workers."""
    made = bulk_orders.start(_looked(count))
    until = time.monotonic() + programs.PATIENCE
    while BulkOrder.objects.get(pk=made.pk).state != BulkState.DONE:
        if time.monotonic() > until:
            raise RuntimeError("The file is not done")
        time.sleep(0.02)
    _check(made, count)


def _looked(count: int) -> BulkOrder:
    rows = "\n".join(f"bench-{next(_numbers)};INTAKE" for _ in range(count))
    return bulk_orders.look(name="intake.csv", content=f"Номер клиента;Тариф\n{rows}".encode())


def _place(count: int) -> None:
    """The same, all of it here."""
    made = _looked(count)
    while made.left:
        bulk_orders.place(made.pk)
        made.refresh_from_db()
    _check(made, count)


def _check(made: BulkOrder, count: int) -> None:
    placed = BulkRow.objects.filter(bulk=made, state="placed").count()
    if placed != count:
        raise RuntimeError(made.lines.exclude(reason="").values_list("reason", flat=True).first())


def _by_calls(partner: Partner, offer: Offer) -> dict[str, float]:
    """POST /api/v1/orders/ to the web server as production runs it, by clients that each wait for their answer."""
    _key, secret = ApiKey.issue(Channel.objects.get(code="api"), ["orders:write"])
    before = Order.objects.count()
    with ExitStack() as stack:
        port, web = programs.web(stack)
        head = f"Host: {partner.host}:{port}\r\nAuthorization: Bearer {secret}"
        url = f"http://localhost:{port}/api/v1/orders/"
        _call(url, head, offer, CLIENTS * 10)
        with spent.told(CALLS, web=web):
            seconds, waits = _call(url, head, offer, CALLS)
    if Order.objects.count() - before != CALLS + CLIENTS * 10:
        raise RuntimeError("Orders are missing")
    return {"single_per_second": CALLS / seconds, "single_p95_seconds": waits[int(len(waits) * 0.95)]}


def _call(url: str, head: str, offer: Offer, count: int) -> tuple[float, list[float]]:
    bodies = []
    for _ in range(count):
        marker = f"bench-{next(_numbers)}"
        person = {"external_id": marker, "email": f"{marker}@example.ru"}
        wanted = {"offer": offer.pk, "customer": person, "return_url": "https://shop.example/"}
        bodies.append(json.dumps(wanted).encode())
    context = multiprocessing.get_context("spawn")
    answered = context.Queue()
    caller = context.Process(target=worker.call, args=(url, head, bodies, CLIENTS, answered))
    caller.start()
    seconds, statuses, waits = answered.get(timeout=programs.PATIENCE)
    caller.join(20)
    if set(statuses) != {201}:
        raise RuntimeError(f"Answered by {statuses}")
    return seconds, sorted(waits)


def _record(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    if sql.startswith("INSERT"):
        _inserts.append((sql, tuple(params)))
    return execute(sql, params, many, context)


def _floor() -> None:
    for _ in range(FEW):
        fresh: dict[UUID, UUID] = {}
        marker = f"bench-{next(_numbers)}-{uuid4().hex[:6]}"
        with transaction.atomic(), connection.cursor() as cursor:
            for sql, params in _inserts:
                cursor.execute(sql, [_anew(value, marker, fresh) for value in params])


def _anew(value: Any, marker: str, fresh: dict[UUID, UUID]) -> Any:
    is_key = isinstance(value, str) and value.startswith("bulk:")
    return f"bulk:{uuid4()}" if is_key else orders._anew(value, marker, fresh)
