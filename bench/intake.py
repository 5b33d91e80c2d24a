"""The bench of orders from a file: each row looked at and placed, beside the bare inserts of what it writes."""

import itertools
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django.db import connection, transaction

from apps.catalog.models import Category, Offer, Product, Tariff
from apps.core.tenancy import in_partner
from apps.orders import bulk_orders
from apps.orders.bulk_models import BulkRow
from apps.providers.models import Provider
from bench import orders
from bench.cases import new_partner
from bench.measure import in_turn

ROWS = 40
_numbers = itertools.count(1)
_inserts: list[tuple[str, Any]] = []


def order_intake() -> dict[str, float]:
    """Rows of a file whose orders the partner collects for; the floor inserts the same rows, a transaction of each."""
    partner = new_partner()
    with in_partner(partner):
        category = Category.objects.create(code="intake", name={"ru": "Замер"})
        product = Product.objects.create(
            code="INTAKE",
            name={"ru": "Облако"},
            category=category,
            provider=Provider.objects.create(code="intake", name="Поставщик"),
            delivery="manual",
            vat_code="standard",
        )
        tariff = Tariff.objects.create(product=product, code="INTAKE", name={"ru": "Базовый"})
        tariff.publish(price=Decimal("149.00"), trial_days=0, period_count=1, period_unit="month")
        Offer.objects.create(partner=partner, tariff=tariff, payer="partner_reports")
        _place(1)
        with connection.execute_wrapper(_record):
            _place(1)
        orders._own.update(orders._ids(params for _sql, params in _inserts))
        return in_turn(lambda: _place(ROWS), _floor, rounds=3, each=ROWS)


def _place(count: int) -> None:
    rows = "\n".join(f"bench-{next(_numbers)};INTAKE" for _ in range(count))
    made = bulk_orders.look(name="intake.csv", content=f"Номер клиента;Тариф\n{rows}".encode())
    while made.left:
        bulk_orders.place(made.pk)
        made.refresh_from_db()
    placed = BulkRow.objects.filter(bulk=made, state="placed").count()
    if placed != count:
        raise RuntimeError(made.lines.exclude(reason="").values_list("reason", flat=True).first())


def _record(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    if sql.startswith("INSERT"):
        _inserts.append((sql, tuple(params)))
    return execute(sql, params, many, context)


def _floor() -> None:
    for _ in range(ROWS):
        fresh: dict[UUID, UUID] = {}
        marker = f"bench-{next(_numbers)}-{uuid4().hex[:6]}"
        with transaction.atomic(), connection.cursor() as cursor:
            for sql, params in _inserts:
                cursor.execute(sql, [_anew(value, marker, fresh) for value in params])


def _anew(value: Any, marker: str, fresh: dict[UUID, UUID]) -> Any:
    is_key = isinstance(value, str) and value.startswith("bulk:")
    return f"bulk:{uuid4()}" if is_key else orders._anew(value, marker, fresh)
