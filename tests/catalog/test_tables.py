"""Everything of the catalogue comes in and goes out as a table, in both languages, all rows or none."""

from datetime import date
from typing import Any

import pytest
import tablib
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from apps.catalog import documents, offers, tables
from apps.catalog.formats import PriceListCSV, PriceListXLSX
from apps.catalog.models import (
    Category,
    Feature,
    Offer,
    PriceChange,
    Product,
    ProductDocument,
    ProductParameter,
    Tariff,
    TariffRelation,
)
from apps.core import clock
from apps.partners.models import Partner
from tests.catalog.conftest import read, run


@pytest.fixture
def filled(partner: Partner, catalogue: None, operator: Any) -> None:
    """Something in every table."""
    run(read("price-list.csv"))
    offers.put_on_sale(partner_id=partner.pk, tariffs=Tariff.objects.filter(code__startswith="KINO"))
    kino = Tariff.objects.get(code="KINO-M")
    Offer.objects.filter(tariff=kino).update(price="349.50", on_sale_until=date(2027, 1, 31), hold_first=True)
    Product.objects.filter(code="KINO").update(
        min_age=18, regions=["77", "50"], short={"ru": "Кино", "en": "Films"}
    )
    Feature.objects.create(code="screens", name={"ru": "Экраны", "en": "Screens"}, has_quantity=True)
    TariffRelation.objects.create(tariff=kino, kind="excludes", other=Tariff.objects.get(code="KINO-Y"))
    documents.add(
        kino.product, kind="offer", valid_from=date(2026, 1, 1), text={"ru": "Раз\nдва", "en": "One"}
    )
    PriceChange.objects.create(
        tariff=kino,
        price="449",
        policy="at_renewal",
        effective_date=date(2099, 1, 1),
        created_at=clock.wall(),
    )


TABLES = [
    (tables.CategoryTable, Category),
    (tables.ProductTable, Product),
    (tables.ParameterTable, ProductParameter),
    (tables.FeatureTable, Feature),
    (tables.RelationTable, TariffRelation),
    (tables.OfferTable, Offer),
    (tables.PriceChangeTable, PriceChange),
    (tables.DocumentTable, ProductDocument),
]


@pytest.mark.crossed("format")
@pytest.mark.parametrize("format", [PriceListCSV, PriceListXLSX])
@pytest.mark.parametrize(("table", "model"), TABLES)
def test_what_goes_out_comes_back_without_change(filled: None, table: Any, model: Any, format: Any) -> None:
    kept = {
        Product: Product.objects.filter(code="KINO"),
        ProductParameter: ProductParameter.objects.filter(product__code="KINO"),
        Category: Category.objects.filter(products__code="KINO"),
        Offer: Offer.objects.filter(
            tariff__code__startswith="KINO", partner=Offer.objects.latest("pk").partner
        ),
    }
    rows = kept.get(model, model.objects.all())
    before = list(rows.order_by("pk").values())
    assert before
    dataset = format().create_dataset(format().export_data(table().export(rows)))
    result = table().import_data(dataset)
    assert not result.has_errors(), [str(error.error) for row in result.error_rows for error in row.errors]
    assert not result.has_validation_errors(), [row.error for row in result.invalid_rows]
    assert result.totals["skip"] == len(before)
    assert list(rows.order_by("pk").values()) == before


def test_a_day_with_two_price_changes_comes_back_as_it_was(filled: None) -> None:
    kino = Tariff.objects.get(code="KINO-M")
    first = PriceChange.objects.filter(tariff=kino).latest("id")
    PriceChange.objects.create(
        tariff=kino,
        price="459",
        policy="grandfather",
        effective_date=first.effective_date,
        created_at=clock.wall(),
    )
    rows = PriceChange.objects.filter(tariff=kino, effective_date=first.effective_date, price__in=(449, 459))
    before = list(rows.order_by("pk").values())
    result = tables.PriceChangeTable().import_data(tables.PriceChangeTable().export(rows))
    assert not result.has_errors()
    assert list(rows.order_by("pk").values()) == before


def test_rows_change_and_a_wrong_one_stops_all(filled: None) -> None:
    dataset = tables.OfferTable().export(Offer.objects.filter(tariff__code="KINO-M").order_by("-pk")[:1])
    good = tablib.Dataset(*[list(row) for row in dataset], headers=dataset.headers)
    price, payer = (dataset.headers.index(name) for name in ("Своя цена", "Кто платит"))
    line = list(good[0])
    line[price], line[payer] = "299,00", "партнёр платит за клиентов"
    changed = tablib.Dataset(line, headers=dataset.headers)
    assert tables.OfferTable().import_data(changed).totals["update"] == 1
    offer = Offer.objects.filter(tariff__code="KINO-M").latest("pk")
    assert (str(offer.price), offer.payer, offer.revision) == ("299.00", "partner_pays", 2)
    wrong = list(line)
    line[price], wrong[price] = "1,00", "=cmd()"
    result = tables.OfferTable().import_data(tablib.Dataset(line, wrong, headers=dataset.headers))
    assert result.has_errors() or result.has_validation_errors()
    offer.refresh_from_db()
    assert str(offer.price) == "299.00"


@pytest.mark.parametrize(
    "name",
    [
        "category",
        "product",
        "productparameter",
        "feature",
        "tariffrelation",
        "offer",
        "pricechange",
        "productdocument",
    ],
)
def test_the_console_previews_before_it_writes(filled: None, staff_client: Any, name: str) -> None:
    client = staff_client()

    def address(what: str) -> str:
        return reverse(f"admin:catalog_{name}_{what}", urlconf="armor.urls_public")

    exported = client.post(address("export"), {"format": "0", "resource": "0"})
    assert exported.status_code == 200, exported.content.decode()[:500]
    file = SimpleUploadedFile("table.csv", exported.content)
    preview = client.post(address("import"), {"format": "0", "import_file": file, "resource": "0"})
    assert preview.status_code == 200
    assert preview.context["confirm_form"] is not None
    done = client.post(address("process_import"), preview.context["confirm_form"].initial)
    assert done.status_code == 302
    assert client.get(address("changelist")).status_code == 200
