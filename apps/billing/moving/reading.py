"""Files of an old system: CSV and XLSX of subscriptions, and of what it charged. Cells become values or doubts."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import tablib
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.accounts import contacts
from apps.accounts.many import Person
from apps.billing.moving.doubts import Doubt
from apps.core.errors import Refused

LARGEST = 100_000
"""Rows of one file."""
_MOBILE = re.compile(r"\+79\d{9}")
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_RUSSIAN = re.compile(r"(\d\d?)\.(\d\d?)\.(\d{4})")
_KOPECK = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a file: its heading, what is made of a cell, and what to write there."""

    key: str
    heading: str
    read: Callable[[Any], Any]
    about: str | Promise
    is_required: bool = False


@dataclass(slots=True)
class Row:
    """A subscription as its file says. What was not read is None or empty, and stands among the doubts."""

    line: int
    external_id: str = ""
    parent_external_id: str = ""
    person: Person = field(default_factory=Person)
    tariff: str = ""
    quantity: int | None = None
    price: Decimal | None = None
    discount_percent: Decimal = Decimal(0)
    discount_amount: Decimal = Decimal("0.00")
    discount_until: date | None = None
    period_start: date | None = None
    next_charge_date: date | None = None
    cycle_day: int | None = None
    started_date: date | None = None
    end_date: date | None = None
    token: str = ""
    card: str = ""
    keys: list[str] = field(default_factory=list)
    provider_ids: list[str] = field(default_factory=list)
    url: str = ""


@dataclass(frozen=True, slots=True)
class OldCharge:
    """What the old system did on a day: took `amount`, or (`event`) something that explains why it did not."""

    line: int
    external_id: str
    day: date
    amount: Decimal
    event: str = ""


def text(value: Any) -> str:
    """The cell without spaces around it; whole numbers as Excel has them, without a point."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def code(value: Any) -> str:
    """Text of at most 100 characters. Raises ValueError."""
    found = text(value)
    if len(found) > 100:
        raise ValueError(_("длиннее 100 знаков"))
    return found


def day(value: Any) -> date | None:
    """«27.11.2026», «2026-11-27» or a date of Excel; None for an empty cell. Raises ValueError."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    found = text(value)
    if not found:
        return None
    try:
        if matched := _ISO.match(found):
            return date(*map(int, matched.groups()))
        if matched := _RUSSIAN.fullmatch(found):
            return date(int(matched[3]), int(matched[2]), int(matched[1]))
    except ValueError:
        pass
    raise ValueError(_("«%s» — не дата: нужно 27.11.2026") % found[:40])


def amount(value: Any) -> Decimal | None:
    """«1 299,00» or a number, in roubles; None for an empty cell. Raises ValueError."""
    found = re.sub(r"[\s₽]", "", text(value)).replace(",", ".")
    if not found:
        return None
    try:
        number = Decimal(found)
    except InvalidOperation:
        number = Decimal(-1)
    if not (number.is_finite() and 0 <= number < Decimal(10) ** 12):
        raise ValueError(_("«%s» — не сумма") % text(value)[:40])
    exact = number.quantize(_KOPECK)
    if exact != number:
        raise ValueError(_("«%s»: больше двух знаков после запятой") % text(value)[:40])
    return exact


def whole(value: Any) -> int | None:
    """A whole number; None for an empty cell. Raises ValueError."""
    found = text(value)
    if not found:
        return None
    if not re.fullmatch(r"\d{1,6}", found):
        raise ValueError(_("«%s» — не целое число") % found[:40])
    return int(found)


def phone(value: Any) -> str:
    """E.164. Raises ValueError."""
    found = text(value)
    # Most of a base: looking each up in the numbering plan would take longer than all the rest.
    if _MOBILE.fullmatch(found):
        return found
    return _refused(contacts.phone, found)


def email(value: Any) -> str:
    """In lower case. Raises ValueError."""
    return _refused(contacts.email, text(value))


def several(value: Any) -> list[str]:
    """Values with semicolons or on lines of their own."""
    return [part for part in (piece.strip() for piece in re.split(r"[;\n]", text(value))) if part]


def _refused(read: Callable[[str], str], found: str) -> str:
    try:
        return read(found)
    except Refused as refused:
        raise ValueError(str(refused.message)) from None


COLUMNS = (
    Column(
        "external_id", "Номер подписки", code, gettext_lazy("номер в прежней системе, у каждой свой"), True
    ),
    Column(
        "parent_external_id",
        "Дополнение к",
        code,
        gettext_lazy("номер основной подписки, если это дополнение"),
    ),
    Column("customer_id", "Номер клиента", code, gettext_lazy("номер клиента у партнёра")),
    Column("phone", "Телефон", phone, "+79161234567"),
    Column("email", "Почта", email, "anna@example.ru"),
    Column("name", "Имя", text, gettext_lazy("Анна Смирнова")),
    Column("language", "Язык", text, gettext_lazy("ru или en, пусто — ru")),
    Column("company", "Организация", text, gettext_lazy("юридическое название, если клиент — организация")),
    Column("inn", "ИНН", text, gettext_lazy("ИНН организации")),
    Column("kpp", "КПП", text, gettext_lazy("КПП организации")),
    Column("address", "Адрес", text, gettext_lazy("юридический адрес организации")),
    Column("documents_email", "Почта для документов", email, gettext_lazy("куда отправлять счета и акты")),
    Column("tariff", "Код тарифа", code, gettext_lazy("код тарифа в нашем каталоге"), True),
    Column("quantity", "Количество", whole, gettext_lazy("от 1 до 99, пусто — 1")),
    Column("price", "Цена", amount, gettext_lazy("цена одной штуки за период с НДС; пусто — по тарифу")),
    Column("discount_percent", "Скидка, %", amount, gettext_lazy("процент с каждого списания")),
    Column("discount_amount", "Скидка, ₽", amount, gettext_lazy("сумма с каждого списания")),
    Column("discount_until", "Скидка до", day, gettext_lazy("первый день без скидки, пусто — всегда")),
    Column("period_start", "Оплачено с", day, gettext_lazy("первый день оплаченного периода")),
    Column(
        "next_charge_date",
        "Следующее списание",
        day,
        gettext_lazy("первый день, который ещё не оплачен"),
        True,
    ),
    Column(
        "cycle_day",
        "День списания",
        whole,
        gettext_lazy("1–31, если не день следующего списания (31 января → 28)"),
    ),
    Column("started_date", "Началась", day, gettext_lazy("когда куплена")),
    Column("end_date", "Заканчивается", day, gettext_lazy("первый день без услуги, если срок назначен")),
    Column("token", "Токен", text, gettext_lazy("номер сохранённого способа у шлюза")),
    Column("card", "Карта", text, gettext_lazy("как показывать клиенту: •• 4477")),
    Column("keys", "Ключи", several, gettext_lazy("выданные ключи через точку с запятой")),
    Column(
        "provider_ids",
        "Номера у поставщика",
        several,
        gettext_lazy("UUID запросов у поставщика через точку с запятой"),
    ),
    Column("url", "Ссылка", text, gettext_lazy("где клиент пользуется услугой")),
)
EVENTS = {
    "отказ": "declined",
    "отмена": "cancelled",
    "пауза": "paused",
    "возврат": "refunded",
    "смена цены": "price_changed",
    "смена тарифа": "tariff_changed",
    "смена количества": "quantity_changed",
    "скидка": "discounted",
    "новая": "new_there",
    "разовая": "one_off",
}
"""What a Russian file calls what happened."""
OLD_CHARGES = (
    Column("external_id", "Номер подписки", code, gettext_lazy("номер в прежней системе"), True),
    Column("day", "Дата", day, gettext_lazy("день списания или события"), True),
    Column("amount", "Сумма", amount, gettext_lazy("сколько списано; пусто, если событие без денег")),
    Column(
        "event",
        "Событие",
        text,
        format_lazy("{}: {}", gettext_lazy("пусто — списание; иначе одно из слов"), ", ".join(EVENTS)),
    ),
)
_PERSON = ("customer_id", "phone", "email", "name", "language")
_COMPANY = ("company", "inn", "kpp", "address", "documents_email")


def dataset(name: str, content: bytes) -> tablib.Dataset:
    """The table of a file, by the ending of its name. Raises ValueError, in Russian."""
    # Here, because formats of files take a tenth of the time in which a process starts.
    from apps.catalog.formats import PriceListCSV, PriceListXLSX

    reader = PriceListXLSX() if name.lower().endswith(".xlsx") else PriceListCSV()
    found = reader.create_dataset(content)
    if len(found) > LARGEST:
        raise ValueError(_("В файле больше %d строк: разделите его") % LARGEST)
    return found


def subscriptions(table: tablib.Dataset) -> tuple[list[Row], list[Doubt]]:
    """Rows of a base, and what could not be read of them. Raises ValueError for a table that is no base."""
    columns = _columns(table, COLUMNS)
    rows: list[Row] = []
    doubts: list[Doubt] = []
    for line, cells in enumerate(table, start=2):
        if not any(text(cell) for cell in cells):
            continue
        values = _values(line, cells, columns, doubts)
        person = Person(
            external_id=values.pop("customer_id", "") or "",
            **{name: values.pop(name, "") or "" for name in _PERSON if name != "customer_id"},
            **{name: values.pop(name, "") or "" for name in _COMPANY},
        )
        known = {key: value for key, value in values.items() if value is not None}
        rows.append(Row(line, person=person, **known))
    return rows, doubts


def old_charges(table: tablib.Dataset) -> list[OldCharge]:
    """What the old system did. Raises ValueError with the line for the first one that cannot be read."""
    columns = _columns(table, OLD_CHARGES)
    found = []
    for line, cells in enumerate(table, start=2):
        doubts: list[Doubt] = []
        values = _values(line, cells, columns, doubts)
        event = str(values.get("event") or "").lower()
        if not doubts and not (values["external_id"] and values["day"]):
            doubts = [Doubt(line, "bad_cell", detail=_("нужны номер подписки и дата"))]
        if not doubts and values.get("amount") is None and not event:
            doubts = [Doubt(line, "bad_cell", detail=_("нет ни суммы, ни события"))]
        if doubts:
            raise ValueError(_("Строка %(line)d: %(what)s") % {"line": line, "what": doubts[0].detail})
        taken = values.get("amount") or Decimal("0.00")
        found.append(OldCharge(line, values["external_id"], values["day"], taken, event))
    return found


def _columns(table: tablib.Dataset, known: tuple[Column, ...]) -> list[Column | None]:
    by_heading = {column.heading.lower(): column for column in known}
    headings = [str(heading or "").strip().lower() for heading in table.headers or []]
    found = [by_heading.get(heading) for heading in headings]
    if strangers := [heading for heading, column in zip(headings, found, strict=True) if column is None]:
        raise ValueError(_("Непонятные столбцы: %s") % ", ".join(strangers[:10]))
    if len(set(headings)) < len(headings):
        raise ValueError(_("Столбец повторяется: %s") % ", ".join(headings))
    missing = [column.heading for column in known if column.is_required and column not in found]
    if missing:
        raise ValueError(_("Нет столбцов: %s") % ", ".join(missing))
    return found


def _values(line: int, cells: Any, columns: list[Column | None], doubts: list[Doubt]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for column, cell in zip(columns, cells, strict=True):
        if column is None:
            continue
        raw = cell[1:] if isinstance(cell, str) and cell[:2] in _GUARDED else cell
        try:
            values[column.key] = column.read(raw)
        except ValueError as error:
            detail = f"{column.heading}: {error}"
            doubts.append(Doubt(line, "bad_cell", text(values.get("external_id")), detail))
    return values


# As we write them ourselves, so that no spreadsheet runs them.
_GUARDED = ("'=", "'+", "'-", "'@")


def sample(columns: tuple[Column, ...]) -> list[Mapping[str, Any]]:
    """What a page or a guide says of a file: heading, what to write, whether it must be there."""
    return [
        {"heading": one.heading, "about": one.about, "required": _("да") if one.is_required else ""}
        for one in columns
    ]
