"""Import and export of the price list by django-import-export: all rows or none, a preview first."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tablib
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from import_export.fields import Field
from import_export.resources import ModelResource
from import_export.results import Result, RowResult

from apps.catalog import cells, parameters, price_list, pricing, vat
from apps.catalog.lifecycle import ARCHIVED
from apps.catalog.models import Product, ProductParameter, Tariff
from apps.catalog.price_list import COLUMNS, Line
from apps.core import clock
from apps.core.money import Money

# Two imports at once would both find a tariff absent; the second waits and sees the first one's.
_LOCK = 0x70_72_69_63_65


@dataclass(frozen=True, slots=True)
class Change:
    """What an import does to one column of a tariff, as text; `old` is empty for a new tariff."""

    column: str
    old: str
    new: str


class PriceListRow(RowResult):
    """A row with what it changes."""

    changes: list[Change] = []
    code = title = price = period = ""

    def show(self, line: Line, changes: list[Change]) -> None:
        """What the preview says of the row."""
        self.changes, self.code = changes, line[price_list.TARIFF_CODE]
        self.title = f"{line[price_list.PRODUCT]}, {line[price_list.TARIFF]}"
        self.price, self.period = str(Money(line[price_list.PRICE])), line.cell(price_list.PERIOD)


class PriceListResult(Result):
    """Rows are numbered as Excel numbers them: the heading is row 1."""

    missing_providers: list[str] = []

    def append_invalid_row(self, number: int, row: Any, validation_error: ValidationError) -> None:
        super().append_invalid_row(number + 1, row, validation_error)

    def append_error_row(self, number: int, row: Any, errors: Any) -> None:
        super().append_error_row(number + 1, row, errors)

    def problems(self) -> list[str]:
        """Every reason why nothing is imported, a line each: «Строка 3: Период: …»."""
        found = [str(error.error) for error in self.base_errors]
        for row in self.error_rows:
            found += [
                _("Строка %(row)d: %(text)s") % {"row": row.number, "text": e.error} for e in row.errors
            ]
        for invalid in self.invalid_rows:
            reasons = [
                *invalid.non_field_specific_errors,
                *(f"{c}: {text}" for c, texts in invalid.field_specific_errors.items() for text in texts),
            ]
            found += [
                _("Строка %(row)d: %(text)s") % {"row": invalid.number, "text": text} for text in reasons
            ]
        return found


class TariffResource(ModelResource):
    """The price list: a row is a tariff with its product. Changed terms are a new version of the tariff."""

    product_code = Field(column_name=price_list.PRODUCT_CODE)
    product_name = Field(column_name=price_list.PRODUCT)
    category = Field(column_name=price_list.CATEGORY)
    provider = Field(column_name=price_list.PROVIDER)
    delivery = Field(column_name=price_list.DELIVERY)
    vat = Field(column_name=price_list.VAT)
    code = Field(column_name=price_list.TARIFF_CODE, attribute="code")
    name = Field(column_name=price_list.TARIFF)
    period = Field(column_name=price_list.PERIOD)
    trial = Field(column_name=price_list.TRIAL)
    price = Field(column_name=price_list.PRICE)
    terms = Field(column_name=price_list.PARAMETERS)
    description = Field(column_name=price_list.DESCRIPTION)
    trial_method = Field(column_name=price_list.TRIAL_METHOD)

    class Meta:
        model = Tariff
        name = _("Прайс-лист")
        fields = (
            "product_code", "product_name", "category", "provider", "delivery", "vat", "code", "name",
            "period", "trial", "price", "terms", "description", "trial_method",
        )  # fmt: skip
        import_id_fields = ("code",)
        use_transactions = True
        report_skipped = True
        skip_diff = True
        store_row_values = True

    @classmethod
    def get_result_class(cls) -> type[Result]:
        return PriceListResult

    @classmethod
    def get_row_result_class(cls) -> type[RowResult]:
        return PriceListRow

    # -- import --------------------------------------------------------------------------------------

    def import_data(self, dataset: tablib.Dataset, dry_run: bool = False, **options: Any) -> Result:
        """Imports all rows, or none where one is wrong: its reasons are in `result.problems()`."""
        options["use_transactions"] = options["rollback_on_validation_errors"] = True
        return super().import_data(dataset, dry_run=dry_run, **options)

    def before_import(self, dataset: tablib.Dataset, **options: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        headers = {*(dataset.headers or []), *price_list.OPTIONAL}
        if missing := [column for column in COLUMNS if column not in headers]:
            while dataset.height:
                dataset.rpop()
            raise ValidationError(_("В файле нет столбцов: %s") % ", ".join(missing))
        self._reader = price_list.Reader(
            providers=dict(_providers().values_list("name", "pk")),
            vat=self._vat,
            tariffs=_tariffs(),
            kinds=_kinds(dataset),
            rules=_rules(),
        )
        self._writer = pricing.Writer(self._reader.kinds)

    def before_import_row(self, row: Any, **options: Any) -> None:
        self._number = options["row_number"] + 1
        self._line = self._reader.read(row, self._number)

    def get_or_init_instance(self, instance_loader: Any, row: Any) -> tuple[Tariff, bool]:
        known = self._reader.tariffs.get(self._line[price_list.TARIFF_CODE])
        self._before = price_list.line_of(known, self._labels) if known and known.current else None
        return known or Tariff(code=self._line[price_list.TARIFF_CODE]), known is None

    def skip_row(self, instance: Any, original: Any, row: Any, import_validation_errors: Any = None) -> bool:
        return not self._changes()

    def import_instance(self, instance: Any, row: Any, **options: Any) -> None:
        """Nothing: the line has been read already, and is written as a whole."""

    def validate_instance(self, instance: Any, *args: Any, **options: Any) -> None:
        """Nothing: the line has been checked already."""

    def save_instance(self, instance: Any, is_create: bool, row: Any, **options: Any) -> None:
        saved = self._writer.write(
            self._line,
            before=self._before,
            provider_id=self._reader.providers.get(self._line[price_list.PROVIDER]),
            vat_code=self._vat[self._line[price_list.VAT]],
            sort=self._number * 10,
        )
        instance.pk, instance.product, instance.name = saved.pk, saved.product, saved.name

    def after_import_row(self, row: Any, row_result: Any, **options: Any) -> None:
        row_result.show(self._line, self._changes())

    def after_import(self, dataset: tablib.Dataset, result: Any, **options: Any) -> None:
        if hasattr(self, "_reader"):
            result.missing_providers = sorted(self._reader.missing_providers)

    def _changes(self) -> list[Change]:
        line, before = self._line, self._before
        known = self._reader.tariffs.get(line[price_list.TARIFF_CODE])
        archived = [Change(_("Тариф"), _("в архиве"), _("в продаже"))]
        returns = known is not None and ARCHIVED in {known.state, known.product.state}
        return (archived if returns else []) + [
            Change(column, _shown(before.cell(column)) if before else "", _shown(line.cell(column)))
            for column in COLUMNS
            if (line.differs(before, column) if before else line.cell(column))
        ]

    # -- export --------------------------------------------------------------------------------------

    def get_queryset(self) -> models.QuerySet[Tariff]:
        return Tariff.objects.all()

    def filter_export(self, queryset: models.QuerySet[Tariff], **options: Any) -> models.QuerySet[Tariff]:
        # A bundle after its parts, as the import wants it.
        bundles_last = models.Case(models.When(product__delivery="bundle", then=1), default=0)
        return (
            queryset.filter(current__isnull=False)
            .exclude(state=ARCHIVED)
            .select_related("current", "product__category", "product__provider")
            .prefetch_related("product__parameters")
            .order_by(bundles_last, "product__sort", "product__code", "sort", "id")
        )

    def export_resource(self, instance: Tariff, selected_fields: Any = None, **options: Any) -> list[Any]:
        line = price_list.line_of(instance, self._labels)
        values = [line.cell(field.column_name) for field in self.get_export_fields(selected_fields)]
        return [cells.guarded(value) if isinstance(value, str) else value for value in values]

    @cached_property
    def _vat(self) -> dict[str, str]:
        return vat.labels(clock.today())

    @cached_property
    def _labels(self) -> dict[str, str]:
        return {code: label for label, code in self._vat.items()}


def _shown(value: Any) -> str:
    if value is None:
        return "—"
    return str(Money(value)) if not isinstance(value, str | int) else str(value) or "—"


def _providers() -> models.QuerySet[Any]:
    # Neighbour apps do not import each other; the foreign key knows the model.
    provider: type[models.Model] = Product._meta.get_field("provider").related_model
    return provider._default_manager.filter(is_archived=False)


def _tariffs() -> dict[str, Tariff]:
    rows = Tariff.objects.select_related("current", "product__category", "product__provider")
    return {tariff.code: tariff for tariff in rows.prefetch_related("product__parameters")}


def _kinds(dataset: tablib.Dataset) -> dict[tuple[str, str], tuple[str, list[str]]]:
    """Kinds of parameters: declared ones, and for new ones what holds all their values in this file."""
    texts: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in dataset.dict:
        product = _or_none(cells.text, row[price_list.PRODUCT_CODE])
        pairs = _or_none(price_list.pairs_of, row[price_list.PARAMETERS])
        for name, text in (pairs or {}).items():
            texts[str(product), name].append(text)
    kinds: dict[tuple[str, str], tuple[str, list[str]]] = {
        key: (parameters.kind_of(values), []) for key, values in texts.items() if key[1] != price_list.PARTS
    }
    for declared in ProductParameter.objects.select_related("product"):
        kinds[declared.product.code, declared.name.get("ru", "")] = (declared.kind, declared.choices)
    return kinds


def _rules() -> dict[tuple[str, str], parameters.Rule]:
    declared = ProductParameter.objects.filter(asked_at=parameters.AskedAt.TARIFF).select_related("product")
    return {(one.product.code, one.name.get("ru", "")): one.rule for one in declared}


def _or_none(read: Callable[[Any], Any], value: Any) -> Any:
    try:
        return read(value)
    except ValueError:
        return None
