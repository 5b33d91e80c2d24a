"""Writes lines of the price list into the catalogue."""

from collections.abc import Mapping
from typing import Any

from apps.catalog import parameters, price_list
from apps.catalog.lifecycle import ARCHIVED, ON_SALE
from apps.catalog.models import Category, Product, ProductParameter, Tariff
from apps.catalog.price_list import Line
from apps.core import clock
from apps.core.codes import code_for
from apps.core.fields import Translated


class Writer:
    """One import: knows what it has written, so that a product of many tariffs is written once.

    `kinds` are kind and choices of parameters by product code and name. Needs a transaction.
    """

    def __init__(self, kinds: Mapping[tuple[str, str], tuple[str, list[str]]]) -> None:
        self.kinds = kinds
        self.tariffs = {tariff.code: tariff for tariff in Tariff.objects.select_related("current")}
        self._products = {product.code: product for product in Product.objects.all()}
        self._categories = {category.name.get("ru"): category for category in Category.objects.all()}
        self._parameters = {
            (one.product_id, one.name.get("ru", "")): one for one in ProductParameter.objects.all()
        }
        self._written: set[str] = set()

    def write(
        self, line: Line, *, before: Line | None, provider_id: int | None, vat_code: str, sort: int
    ) -> Tariff:
        """Brings category, product and tariff to what a checked line says; new terms are a new version.

        `before` is the line of the tariff as it stands, `sort` the place of what is new.
        """
        code = line[price_list.TARIFF_CODE]
        tariff = self.tariffs.get(code) or Tariff(code=code, sort=sort)
        tariff.product = self._product(line, provider_id=provider_id, vat_code=vat_code, sort=sort)
        tariff.state = _back(tariff.state)
        _translate(tariff, "name", line[price_list.TARIFF])
        _translate(tariff, "description", line[price_list.DESCRIPTION])
        tariff.save()
        self.tariffs[code] = tariff
        if before is None or not line.same_terms(before):
            count, unit = line[price_list.PERIOD]
            tariff.publish(
                price=line[price_list.PRICE],
                period_count=count,
                period_unit=unit,
                trial_days=line[price_list.TRIAL],
                trial_needs_method=line[price_list.TRIAL_METHOD],
                parameters=self._typed(tariff.product, line[price_list.PARAMETERS]),
                vat_code=vat_code,
                parts=[self.tariffs[part] for part in line.parts],
                at=clock.wall(),
            )
        return tariff

    def _product(self, line: Line, *, provider_id: int | None, vat_code: str, sort: int) -> Product:
        code = line[price_list.PRODUCT_CODE]
        product = self._products.get(code) or Product(code=code, sort=sort)
        if code in self._written:
            return product
        product.category = self._category(line[price_list.CATEGORY], sort=sort)
        product.provider_id, product.vat_code = provider_id, vat_code
        product.state = _back(product.state)
        product.delivery = line[price_list.DELIVERY]
        _translate(product, "name", line[price_list.PRODUCT])
        product.save()
        self._products[code] = product
        self._written.add(code)
        return product

    def _category(self, name: str, *, sort: int) -> Category:
        if name not in self._categories:
            code = code_for(name, {category.code for category in self._categories.values()})
            self._categories[name] = Category.objects.create(code=code, name={"ru": name}, sort=sort)
        return self._categories[name]

    def _typed(self, product: Product, texts: Mapping[str, str]) -> dict[str, Any]:
        values = {}
        for name, text in texts.items():
            one = self._parameters.get((product.pk, name)) or self._declare(product, name)
            values[one.code] = parameters.read(text, one.kind, one.choices)
        return values

    def _declare(self, product: Product, name: str) -> ProductParameter:
        kind, choices = self.kinds[product.code, name]
        taken = {one.code for (owner, _name), one in self._parameters.items() if owner == product.pk}
        one = ProductParameter.objects.create(
            product=product,
            code=code_for(name, taken),
            name={"ru": name},
            kind=kind,
            choices=choices,
            sort=len(taken),
        )
        self._parameters[product.pk, name] = one
        return one


def _back(state: str) -> str:
    """What is archived comes back; what staff have not approved or have closed is not put on sale by a file."""
    return ON_SALE if state == ARCHIVED else state


def _translate(row: Product | Tariff, name: str, russian: str) -> None:
    """Sets the Russian text; the English one stays, for the price list does not know it."""
    setattr(row, name, Translated({**getattr(row, name), "ru": russian}))
