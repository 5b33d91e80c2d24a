"""A catalogue of one's own: what a test writes is rolled back, what others left has other codes meanwhile."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, models, transaction
from django.db.models.functions import Cast, Concat

from apps.catalog.formats import PriceListCSV, PriceListXLSX
from apps.catalog.models import Category, Product, Tariff
from apps.catalog.resources import TariffResource
from apps.providers import services
from apps.providers.models import Provider

DATA = Path(__file__).parent / "data"
PROVIDERS = ("Доктор рядом", "Щит Лабс", "Премьера Медиа", "Слово", "Правовед", "Облако плюс", "Гарант")


@pytest.fixture
def catalogue() -> Iterator[None]:
    """No tariff, product or category has a known code, and the seven providers are there."""
    connection.set_schema_to_public()
    with transaction.atomic():
        old = Concat("code", models.Value("-old-"), Cast("pk", models.CharField()))
        for model in (Tariff, Product, Category):
            model.objects.update(code=old)
        for category in Category.objects.all():
            Category.objects.filter(pk=category.pk).update(name={"ru": f"Прежняя {category.pk}"})
        for name in PROVIDERS:
            services.ensure(name)
        Provider.objects.filter(name="Нет такого").update(name="Прежний")
        yield
        transaction.set_rollback(True)


def read(name: str | Path) -> Any:
    """A file as the console reads it."""
    path = DATA / name
    format_class = PriceListXLSX if path.suffix == ".xlsx" else PriceListCSV
    return format_class().create_dataset(path.read_bytes())


def run(dataset: Any, *, dry_run: bool = False) -> Any:
    """The import of a dataset."""
    return TariffResource().import_data(dataset, dry_run=dry_run)
