"""A line of the price list: read from cells with every mistake named, and made of a tariff again."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from apps.catalog import cells, parameters, periods
from apps.catalog.models import Delivery, Tariff

PRODUCT_CODE, PRODUCT, CATEGORY, PROVIDER = "Артикул продукта", "Продукт", "Категория", "Поставщик"
DELIVERY, VAT, TARIFF_CODE, TARIFF, PERIOD = "Выдача", "НДС", "Код тарифа", "Тариф", "Период"
TRIAL, PRICE, PARAMETERS, DESCRIPTION = "Пробный период, дней", "Цена, руб.", "Параметры", "Описание"
TRIAL_METHOD = "Пробный период с картой"
COLUMNS = (
    PRODUCT_CODE, PRODUCT, CATEGORY, PROVIDER, DELIVERY, VAT, TARIFF_CODE, TARIFF, PERIOD, TRIAL, PRICE,
    PARAMETERS, DESCRIPTION, TRIAL_METHOD,
)  # fmt: skip
OPTIONAL = (TRIAL_METHOD,)
"""Columns that a file may lack: what stands in the catalogue stays then, as with an empty cell."""
PARTS = "состав"
"""The parameter that lists the tariffs of a bundle: «состав=KINO-M+CLOUD-100»."""
_NOBODY = {"", "—", "–", "-"}
_YES, _NO = "да", "нет"
_OF_PRODUCT = (PRODUCT, CATEGORY, PROVIDER, DELIVERY, VAT)
_TERMS = (VAT, PERIOD, TRIAL, TRIAL_METHOD, PRICE, PARAMETERS)
_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class Line:
    """One tariff as the price list has it; `values` by column, typed: (count, unit), Decimal, dict, …"""

    values: Mapping[str, Any]
    parts: tuple[str, ...] = ()

    def __getitem__(self, column: str) -> Any:
        return self.values[column]

    def cell(self, column: str) -> Any:
        """What stands in the column: text, an int or None for the trial, a Decimal for the price."""
        value = self.values[column]
        if column == PERIOD:
            return periods.in_russian(*value)
        if column == TRIAL:
            return value or None
        if column == TRIAL_METHOD:
            # Without a trial it says nothing.
            return (_YES if value else _NO) if self.values[TRIAL] else ""
        if column == PARAMETERS:
            pairs = [*value.items(), *([(PARTS, "+".join(self.parts))] if self.parts else [])]
            return "; ".join(f"{name}={text}" for name, text in pairs)
        return value or "—" if column == PROVIDER else value

    def differs(self, other: "Line", column: str) -> bool:
        """Whether the two say different things in a column; the order of parameters says nothing."""
        return self.values[column] != other.values[column] or (
            column == PARAMETERS and self.parts != other.parts
        )

    def same_terms(self, other: "Line") -> bool:
        """Whether a customer of the one would get and pay the same by the other."""
        return not any(self.differs(other, column) for column in _TERMS)


@dataclass
class Reader:
    """Reads the rows of one file. What it must know beforehand is given; what it meets, it remembers."""

    providers: Mapping[str, int]
    vat: Mapping[str, str]
    tariffs: Mapping[str, Tariff]
    kinds: Mapping[tuple[str, str], tuple[str, list[str]]]
    """Kind and choices by product code and name of a parameter."""
    rules: Mapping[tuple[str, str], parameters.Rule] = field(default_factory=dict)
    """What values of declared parameters must be, by product code and name."""
    missing_providers: set[str] = field(default_factory=set)
    _lines: dict[str, tuple[int, Line]] = field(default_factory=dict)
    _products: dict[str, tuple[int, Line]] = field(default_factory=dict)

    def read(self, row: Mapping[str, Any], number: int) -> Line:
        """The line in row `number` of the file. Raises ValidationError with every reason, by column."""
        if not any(str(value or "").strip() for value in row.values()):
            raise ValidationError(_("пустая строка"))
        errors: dict[str, list[str]] = defaultdict(list)

        def cell(column: str, read: Callable[[Any], _Read], default: _Read) -> _Read:
            try:
                return read(row.get(column))
            except ValueError as error:
                errors[column].append(str(error))
                return default

        values: dict[str, Any] = {
            PRODUCT_CODE: cell(PRODUCT_CODE, _code, ""),
            PRODUCT: cell(PRODUCT, _name, ""),
            CATEGORY: cell(CATEGORY, _name, ""),
            DELIVERY: cell(DELIVERY, _delivery, ""),
            VAT: cell(VAT, self._vat, ""),
            TARIFF_CODE: cell(TARIFF_CODE, _code, ""),
            TARIFF: cell(TARIFF, _name, ""),
            PERIOD: cell(PERIOD, _period, (1, "month")),
            TRIAL: cell(TRIAL, cells.days, 0),
            PRICE: cell(PRICE, cells.price, Decimal(0)),
            DESCRIPTION: cell(DESCRIPTION, cells.text, ""),
        }
        asked = cell(TRIAL_METHOD, _yes_or_no, None)
        values[TRIAL_METHOD] = self._needs_method(values[TARIFF_CODE], asked if values[TRIAL] else None)
        is_bundle = values[DELIVERY] == Delivery.BUNDLE
        values[PROVIDER] = cell(PROVIDER, lambda value: self._provider(value, is_bundle), "")
        none: dict[str, str] = {}
        no_parts: tuple[str, ...] = ()
        pairs = cell(PARAMETERS, pairs_of, none)
        parts = cell(PARAMETERS, lambda _value: self._parts(pairs.pop(PARTS, ""), is_bundle), no_parts)
        values[PARAMETERS] = cell(PARAMETERS, lambda _value: self._typed(values[PRODUCT_CODE], pairs), none)
        line = Line({column: values[column] for column in COLUMNS}, parts)
        self._check_neighbours(line, number, errors)
        if errors:
            raise ValidationError({column: errors[column] for column in COLUMNS if column in errors})
        return line

    def _check_neighbours(self, line: Line, number: int, errors: dict[str, list[str]]) -> None:
        code, product = line[TARIFF_CODE], line[PRODUCT_CODE]
        if code and code in self._lines:
            errors[TARIFF_CODE].append(_("код «%s» уже есть в строке %d") % (code, self._lines[code][0]))
        elif code in self.tariffs and product and self.tariffs[code].product.code != product:
            errors[TARIFF_CODE].append(
                _("тариф «%s» есть у другого продукта, «%s»") % (code, self.tariffs[code].product.code)
            )
        self._lines.setdefault(code, (number, line))
        first, other = self._products.setdefault(product, (number, line))
        for column in _OF_PRODUCT:
            if product and column not in errors and line.differs(other, column) and other[column]:
                errors[column].append(
                    _("«%s», а в строке %d у этого же продукта «%s»")
                    % (line.cell(column), first, other.cell(column))
                )

    def _needs_method(self, code: str, asked: bool | None) -> bool:
        """Whether a trial wants a card: as the file says, else as it is; of a new tariff, it does."""
        if asked is not None:
            return asked
        known = self.tariffs.get(code)
        return known.current.trial_needs_method if known and known.current else True

    def _provider(self, value: Any, is_bundle: bool) -> str:
        name = "" if str(value or "").strip() in _NOBODY else cells.text(value)
        if is_bundle and name:
            raise ValueError(_("у пакета нет своего поставщика, поставьте «—»"))
        if not name and not is_bundle:
            raise ValueError(_("поставщик не указан"))
        if name and name not in self.providers:
            self.missing_providers.add(name)
            raise ValueError(
                _("поставщик «%s» неизвестен: сначала добавьте его в раздел «Поставщики»") % name
            )
        return name

    def _vat(self, value: Any) -> str:
        label = cells.text(value)
        if label not in self.vat:
            raise ValueError(
                _("ставки НДС «%s» нет, действуют: %s")
                % (label or "—", ", ".join(sorted(self.vat, reverse=True)))
            )
        return label

    def _parts(self, text: str, is_bundle: bool) -> tuple[str, ...]:
        codes = tuple(code.strip() for code in text.split("+")) if text else ()
        if bool(codes) != is_bundle:
            raise ValueError(_("состав бывает только у пакета") if codes else _("у пакета не указан состав"))
        if len(set(codes)) != len(codes):
            raise ValueError(_("в составе пакета тариф повторяется"))
        for code in codes:
            above = self._lines.get(code)
            known = self.tariffs.get(code)
            if above is None and known is None:
                raise ValueError(_("тарифа «%s» из состава нет ни в каталоге, ни в строках выше") % code)
            delivery = above[1][DELIVERY] if above else known.product.delivery if known else ""
            if delivery == Delivery.BUNDLE:
                raise ValueError(_("«%s» в составе — сам пакет") % code)
        return codes

    def _typed(self, product: str, pairs: Mapping[str, str]) -> dict[str, str]:
        typed = {}
        for name, text in pairs.items():
            kind, choices = self.kinds.get((product, name), (parameters.Kind.STRING, []))
            try:
                value = parameters.read(text, kind, choices)
                if rule := self.rules.get((product, name)):
                    parameters.check_by(rule, value)
                typed[name] = parameters.write(value)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        for (owner, name), rule in self.rules.items():
            if owner == product and rule.is_required and name not in typed:
                raise ValueError(_("%s: нужно заполнить") % name)
        return typed


def line_of(tariff: Tariff, vat_labels: Mapping[str, str]) -> Line:
    """The price list's line of a tariff that has a version; `vat_labels` by code."""
    version, product = tariff.current, tariff.product
    if version is None:
        raise ValueError(f"{tariff.code} has no version")
    declared = list(product.parameters.all())
    values = {
        PRODUCT_CODE: product.code,
        PRODUCT: product.name.get("ru", ""),
        CATEGORY: product.category.name.get("ru", ""),
        PROVIDER: product.provider.name if product.provider else "",
        DELIVERY: product.delivery,
        VAT: vat_labels.get(version.vat_code, version.vat_code),
        TARIFF_CODE: tariff.code,
        TARIFF: tariff.name.get("ru", ""),
        PERIOD: (version.period_count, version.period_unit),
        TRIAL: version.trial_days,
        TRIAL_METHOD: version.trial_needs_method,
        PRICE: version.price,
        PARAMETERS: {
            one.name["ru"]: parameters.write(version.parameters[one.code])
            for one in declared
            if one.code in version.parameters
        },
        DESCRIPTION: tariff.description.get("ru", ""),
    }
    parts = [part.code for part in version.parts()] if product.delivery == Delivery.BUNDLE else []
    return Line(values, tuple(parts))


def pairs_of(value: Any) -> dict[str, str]:
    """«экранов=2; качество=4K» by name. Raises ValueError where a pair is none or a name comes twice."""
    pairs: dict[str, str] = {}
    for piece in cells.text(value).split(";"):
        name, equals, text = (part.strip() for part in piece.partition("="))
        if not piece.strip():
            continue
        if not (name and equals and text):
            raise ValueError(_("«%s»: нужно «название=значение»") % piece.strip())
        if name in pairs:
            raise ValueError(_("параметр «%s» указан дважды") % name)
        pairs[name] = text
    return pairs


def _code(value: Any) -> str:
    code = cells.text(value)
    if not re.fullmatch(r"[\w.-]{1,60}", code):
        raise ValueError(
            _("«%s»: код состоит из букв, цифр, точки и дефиса") % code if code else _("код не указан")
        )
    return code


def _name(value: Any) -> str:
    name = cells.text(value)
    if not name or len(name) > 200:
        raise ValueError(_("длиннее 200 знаков") if name else _("не указано"))
    return name


def _delivery(value: Any) -> str:
    delivery = cells.text(value)
    if delivery not in Delivery.values:
        raise ValueError(
            _("выдача «%s» неизвестна, бывает: %s") % (delivery or "—", ", ".join(Delivery.values))
        )
    return delivery


def _yes_or_no(value: Any) -> bool | None:
    text = cells.text(value).lower()
    if text not in {"", _YES, _NO}:
        raise ValueError(_("«%s»: нужно «да» или «нет»") % text)
    return text == _YES if text else None


def _period(value: Any) -> tuple[int, str]:
    text = cells.text(value)
    try:
        return periods.parse(text)
    except ValueError:
        raise ValueError(
            _("период «%s» неизвестен, пишите «1 месяц», «2 недели», «1 год»") % (text or "—")
        ) from None
