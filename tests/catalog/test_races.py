"""Races of the catalogue: right with the lock; with it taken away the same two workers do harm.

Two who move one product stand in test_lifecycle.py, two who publish one tariff or price in tests/core/test_locks.py
and tests/billing/test_price_changes.py; the table of all is docs/races.md.
"""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError

from apps.catalog import documents, matrix, price_list, pricing, resources
from apps.catalog.models import Offer, Product, ProductDocument, Tariff
from apps.core import clock
from apps.core.errors import Refused
from apps.core.tenancy import in_public
from apps.providers import services
from tests.catalog.conftest import read
from tests.catalog.conftest import run as imported
from tests.orders.races import Both, Runner, race, run
from tests.orders.shop import Shop

__all__ = ["run"]


@Both
def test_two_texts_of_one_document(shop: Shop, run: Runner, locked: bool) -> None:
    product = shop.offer().tariff.product

    def add() -> Any:
        return documents.add(product, kind="offer", valid_from=date(2026, 12, 1), text={"ru": "Текст"})

    done = run(add, (ProductDocument.objects, "create"), add, Product)
    # Without the lock both are version 1: the database takes one, and somebody's text is lost.
    assert isinstance(done.first, IntegrityError) is not locked
    assert list(product.documents.values_list("number", flat=True).order_by("number")) == (
        [1, 2] if locked else [1]
    )


@Both
def test_two_who_save_one_cell_of_the_matrix(shop: Shop, run: Runner, locked: bool) -> None:
    offer = shop.offer()
    cell = matrix.Edit(
        shop.partner.pk, offer.tariff_id, "", offer.revision, True, Decimal(100), None, None, "charge"
    )

    def save(price: int) -> Any:
        with in_public():
            return matrix.save([replace(cell, price=Decimal(price))])

    done = run(lambda: save(100), (matrix, "_write"), lambda: save(200), Offer)
    assert isinstance(done.second, Refused) is locked
    offer.refresh_from_db()
    # Without the lock what the second has saved, and was told is saved, is gone.
    assert (offer.price, offer.revision) == (Decimal(100), 2)


@pytest.mark.parametrize("locked", [True, False])
def test_one_price_list_loaded_by_two(shop: Shop, monkeypatch: pytest.MonkeyPatch, locked: bool) -> None:
    """The advisory lock; NULL instead of its number locks nothing."""
    code = f"RACE-{clock.wall():%H%M%S%f}"
    rows = _only(read("price-list.csv"), {price_list.PRODUCT_CODE: code, price_list.TARIFF_CODE: code})
    services.ensure("Доктор рядом")
    if not locked:
        monkeypatch.setattr(resources, "_LOCK", None)

    def load() -> Any:
        with in_public():
            return imported(rows)

    done = race(monkeypatch, shop.partner, load, (pricing, "Writer"), load)
    assert done.overtook is not locked
    assert not done.second.problems()
    assert not done.first.problems()
    # Without the lock one price of one file is two versions, and nobody knows which of them was meant.
    assert Tariff.objects.get(code=code).versions.count() == (1 if locked else 2)


def _only(rows: Any, columns: dict[str, str]) -> Any:
    """The first row of a file, with other values in some columns."""
    made = type(rows)(headers=rows.headers)
    made.append([columns.get(name, value) for name, value in zip(rows.headers, rows[0], strict=True)])
    return made
