"""Writes a line of the price list into the catalogue."""

from collections.abc import Mapping
from typing import Any

from django.db.models.fields.json import KT

from django.db.models.fields.json import KT

from apps.catalog import parameters, price_list
from apps.catalog.models import Category, Product, ProductParameter, Tariff
from apps.catalog.price_list import Line
from apps.core import clock
from apps.core.codes import code_for
from apps.core.fields import Translated

Kinds = Mapping[tuple[str, str], tuple[str, list[str]]]


def apply(
    line: Line, *, before: Line | None, provider_id: int | None, vat_code: str, kinds: Kinds, sort: int
) -> Tariff:
    """Brings category, product and tariff to what a checked line says; new terms are a new version.

    `before` is the line of the tariff as it stands, `sort` the place of what is new. Needs a transaction.
    """
    product = _product(line, provider_id=provider_id, vat_code=vat_code, sort=sort)
    tariff = Tariff.objects.filter(code=line[price_list.TARIFF_CODE]).first()
    tariff = tariff or Tariff(code=line[price_list.TARIFF_CODE], sort=sort)
    tariff.product, tariff.is_archived = product, False
    _translate(tariff, "name", line[price_list.TARIFF])
    _translate(tariff, "description", line[price_list.DESCRIPTION])
    tariff.save()
    if before is None or not line.same_terms(before):
        count, unit = line[price_list.PERIOD]
        by_code = {part.code: part for part in Tariff.objects.filter(code__in=line.parts)}
        tariff.publish(
            price=line[price_list.PRICE],
            period_count=count,
            period_unit=unit,
            trial_days=line[price_list.TRIAL],
            parameters=_typed(product, line[price_list.PARAMETERS], kinds),
            vat_code=vat_code,
            parts=[by_code[code] for code in line.parts],
            at=clock.wall(),
        )
    return tariff


def _product(line: Line, *, provider_id: int | None, vat_code: str, sort: int) -> Product:
    product = Product.objects.filter(code=line[price_list.PRODUCT_CODE]).first()
    product = product or Product(code=line[price_list.PRODUCT_CODE], sort=sort)
    product.category = _category(line[price_list.CATEGORY], sort=sort)
    product.provider_id, product.vat_code, product.is_archived = provider_id, vat_code, False
    product.delivery = line[price_list.DELIVERY]
    _translate(product, "name", line[price_list.PRODUCT])
    product.save()
    return product


def _category(name: str, *, sort: int) -> Category:
    # As text: a key of the JSON itself would be compared with a whole translated value.
    known = Category.objects.annotate(russian=KT("name__ru")).filter(russian=name).first()
    if known is not None:
        return known
    taken = set(Category.objects.values_list("code", flat=True))
    return Category.objects.create(code=code_for(name, taken), name={"ru": name}, sort=sort)


def _typed(product: Product, texts: Mapping[str, str], kinds: Kinds) -> dict[str, Any]:
    declared = {one.name.get("ru"): one for one in ProductParameter.objects.filter(product=product)}
    values = {}
    for name, text in texts.items():
        if name not in declared:
            kind, choices = kinds[product.code, name]
            code = code_for(name, {one.code for one in declared.values()})
            declared[name] = ProductParameter.objects.create(
                product=product, code=code, name={"ru": name}, kind=kind, choices=choices, sort=len(declared)
            )
        one = declared[name]
        values[one.code] = parameters.read(text, one.kind, one.choices)
    return values


def _translate(row: Product | Tariff, name: str, russian: str) -> None:
    """Sets the Russian text; the English one stays, for the price list does not know it."""
    setattr(row, name, Translated({**getattr(row, name), "ru": russian}))
