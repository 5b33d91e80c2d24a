"""Registers that a gateway gives as a file: CSV or XLSX into entries, by a small declared dialect. Pure.

A dialect says what the columns may be called and what the words in them mean. Names differ between cabinets and
change: those of a real file are set on the connection's terms («поле = название колонки») and go before the declared.
Columns of T-Bank and Robokassa are [M] of reference/payments.md: check them against the shop's own file.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zipfile import BadZipFile
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from apps.core.money import Money
from apps.payments.gateway import EntryKind, RegisterEntry

LARGEST = 200_000
"""Rows of one file."""
FIELDS = ("gateway_id", "reference", "refund_id", "kind", "amount", "fee", "at", "state")
_SUM = re.compile(r"[-+]?\d{1,12}([.,]\d+)?")
_NOISE = re.compile(r"[\s\u00a0\u202f]|₽|руб\.?")
_MOMENTS = (
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y",
)


class BadRegister(Exception):
    """The file is no register, or cannot be trusted; its text says in which row and column and why, for people."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one gateway writes its register. Names and words are compared without regard to case and spaces."""

    columns: Mapping[str, tuple[str, ...]]
    """Of each field: what its column may be called."""
    refunds: tuple[str, ...] = ("возврат", "refund", "отмена")
    """How the kind of a refund begins; without a column of kinds, a negative sum is one."""
    chargebacks: tuple[str, ...] = ("чарджб", "chargeback", "оспарив", "опротест")
    """How the kind of a chargeback begins. [M]: check against the shop's own file."""
    done: tuple[str, ...] = ()
    """How states of lines begin that count; empty: all do."""
    zone: str = "Europe/Moscow"
    """Of moments that tell no zone."""
    required: tuple[str, ...] = ("amount", "at")
    one_of: tuple[str, ...] = ("gateway_id", "reference")


TBANK = Dialect(
    columns={
        "gateway_id": ("Идентификатор платежа", "PaymentId", "Номер платежа", "ID платежа"),
        "reference": ("Номер заказа", "OrderId", "Идентификатор заказа"),
        "refund_id": ("Идентификатор возврата", "ExternalRequestId"),
        "kind": ("Тип операции", "Операция"),
        "amount": ("Сумма операции", "Сумма"),
        "fee": ("Комиссия", "Сумма комиссии"),
        "at": ("Дата и время операции", "Дата операции", "Дата"),
        "state": ("Статус",),
    }
)
ROBOKASSA = Dialect(
    columns={
        "gateway_id": ("InvId", "Номер счёта", "Номер заказа"),
        "refund_id": ("Номер возврата", "RequestId"),
        "kind": ("Тип операции", "Операция"),
        "amount": ("Сумма", "OutSum", "Сумма оплаты"),
        "fee": ("Комиссия", "Fee"),
        "at": ("Дата оплаты", "Дата и время", "Дата"),
        "state": ("Статус", "Состояние"),
    },
    done=("исполнен", "оплачен", "завершен", "возвращен", "100"),
)


@dataclass(slots=True)
class _Table:
    heading: list[str]
    rows: list[tuple[int, list[Any]]] = field(default_factory=list)


def columns_of(text: str) -> dict[str, str]:
    """«поле = название» by line. Raises BadRegister for a field that there is none of."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, _mark, value = (part.strip() for part in line.partition("="))
        if name not in FIELDS or not value:
            told = {"line": number, "fields": ", ".join(FIELDS)}
            raise BadRegister(_("Колонки, строка %(line)d: нужно «поле = название», поля: %(fields)s") % told)
        found[name] = value
    return found


def read(
    content: bytes, dialect: Dialect, *, columns: Mapping[str, str] | None = None, currency: str = "RUB"
) -> list[RegisterEntry]:
    """The entries of a file, in its order; `columns` overrides the dialect's names. Raises BadRegister."""
    table = _xlsx(content) if content.startswith(b"PK") else _csv(content)
    places = _places(table, dialect, columns or {})
    found = []
    for number, cells in table.rows:
        row = _Row(number, table.heading, places, cells)
        if not any(str(cell or "").strip() for cell in cells) or row.is_total(dialect):
            continue
        if dialect.done and "state" in places and not _begins(row.text("state"), dialect.done):
            continue
        found.append(_entry(row, dialect, currency))
    return found


def days_of(entries: Iterable[RegisterEntry], zone: ZoneInfo) -> dict[date, list[RegisterEntry]]:
    """Entries by their day in a zone."""
    days: dict[date, list[RegisterEntry]] = {}
    for one in entries:
        if one.at is not None:
            days.setdefault(one.at.astimezone(zone).date(), []).append(one)
    return days


# -- tables ------------------------------------------------------------------------------------------


def _csv(content: bytes) -> _Table:
    if b"\x00" in content[:4000]:
        raise BadRegister(_("Это не CSV и не XLSX"))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1251", errors="replace")
    # A title above the table has none: the line with most of them is a heading or a row.
    lines = [line for line in text.splitlines()[:20] if line.strip()]
    delimiter = max(";\t,", key=lambda one: max((line.count(one) for line in lines), default=0))
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        return _table((rows.line_num, list(row)) for row in rows)
    except csv.Error as error:
        raise BadRegister(_("Строка %d: не CSV") % rows.line_num) from error


def _xlsx(content: bytes) -> _Table:
    # Here, because it takes a tenth of the time in which a process starts, and few ever read a file.
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        rows = [(number, list(row)) for number, row in enumerate(sheet.iter_rows(values_only=True), 1)]
    except (BadZipFile, InvalidFileException, KeyError, ValueError, IndexError, OSError) as error:
        raise BadRegister(_("Файл XLSX не читается")) from error
    return _table(rows)


def _table(rows: Iterable[tuple[int, list[Any]]]) -> _Table:
    """The heading is the first row of three cells and more: titles stand above it."""
    table: _Table | None = None
    for number, cells in rows:
        if table is None:
            if sum(bool(str(cell or "").strip()) for cell in cells) >= 3:
                table = _Table([str(cell or "").strip() for cell in cells])
            continue
        table.rows.append((number, cells))
        if len(table.rows) > LARGEST:
            raise BadRegister(_("В файле больше %d строк") % LARGEST)
    if table is None:
        raise BadRegister(_("В файле нет заголовка таблицы"))
    return table


def _places(table: _Table, dialect: Dialect, columns: Mapping[str, str]) -> dict[str, int]:
    known = {_plain(name): place for place, name in reversed(list(enumerate(table.heading))) if name}
    places: dict[str, int] = {}
    for name in FIELDS:
        if name in columns and _plain(columns[name]) not in known:
            raise BadRegister(_("Нет колонки «%s», названной в условиях шлюза") % columns[name])
        titles = [columns[name]] if name in columns else dialect.columns.get(name, ())
        place = next((known[_plain(one)] for one in titles if _plain(one) in known), None)
        if place is not None:
            places[name] = place
    missing = [name for name in dialect.required if name not in places]
    if not any(name in places for name in dialect.one_of):
        missing.insert(0, dialect.one_of[0])
    if missing:
        names = ", ".join(f"«{dialect.columns[name][0]}»" for name in missing)
        heading = ", ".join(name for name in table.heading if name)
        raise BadRegister(
            _("Нет колонки %(names)s; в файле: %(heading)s") % {"names": names, "heading": heading}
        )
    return places


# -- rows --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Row:
    number: int
    heading: list[str]
    places: Mapping[str, int]
    cells: list[Any]

    def cell(self, name: str) -> Any:
        place = self.places.get(name)
        return self.cells[place] if place is not None and place < len(self.cells) else None

    def text(self, name: str) -> str:
        value = self.cell(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        # So that Excel keeps a long number whole, some write ="123".
        return str("" if value is None else value).strip().removeprefix("=").strip('"')

    def is_total(self, dialect: Dialect) -> bool:
        """«Итого» below the table: it names no payment."""
        words = ("итого", "всего", "total")
        numbers = [self.text(name) for name in dialect.one_of]
        unnamed = all(not one or _begins(one, words) for one in numbers)
        return unnamed and any(_begins(str(cell or ""), words) for cell in self.cells)

    def bad(self, name: str, why: str) -> BadRegister:
        column = self.heading[self.places[name]]
        told = {"row": self.number, "column": column, "why": why, "value": self.text(name)[:60]}
        return BadRegister(_("Строка %(row)d, колонка «%(column)s»: %(why)s: «%(value)s»") % told)

    def amount(self, name: str) -> Decimal:
        plain = _NOISE.sub("", self.text(name))
        if not _SUM.fullmatch(plain) or not plain.isascii():
            raise self.bad(name, _("не сумма"))
        found = Decimal(plain.replace(",", "."))
        kopecks = found.quantize(Decimal("0.01"))
        # A number of Excel is a float.
        if abs(kopecks - found) > Decimal("0.000001"):
            raise self.bad(name, _("не целые копейки"))
        return kopecks

    def moment(self, name: str, zone: ZoneInfo) -> datetime:
        value = self.cell(name)
        if not isinstance(value, datetime):
            value = _moment(self.text(name))
        if value is None:
            raise self.bad(name, _("не дата вида 31.12.2026 23:59:00"))
        return value if value.tzinfo else value.replace(tzinfo=zone)


def _moment(text: str) -> datetime | None:
    for form in _MOMENTS:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007 - the zone is the dialect's
        except ValueError:
            continue
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _entry(row: _Row, dialect: Dialect, currency: str) -> RegisterEntry:
    amount = row.amount("amount")
    number, reference = row.text("gateway_id"), row.text("reference")
    if not number and not reference:
        name = next(one for one in dialect.one_of if one in row.places)
        raise row.bad(name, _("нет номера платежа"))
    if not amount:
        raise row.bad("amount", _("сумма ноль"))
    kind = EntryKind.REFUND if amount < 0 else EntryKind.PAYMENT
    if told := row.text("kind"):
        goes_back = EntryKind.DISPUTE if _begins(told, dialect.chargebacks) else EntryKind.REFUND
        is_back = _begins(told, (*dialect.refunds, *dialect.chargebacks))
        kind = goes_back if is_back else EntryKind.PAYMENT
    return RegisterEntry(
        kind=kind,
        gateway_id=number[:100] if kind == EntryKind.PAYMENT else row.text("refund_id")[:100],
        payment_gateway_id=number[:100],
        amount=Money(abs(amount), currency),
        fee=abs(row.amount("fee")) if row.text("fee") else None,
        at=row.moment("at", ZoneInfo(dialect.zone)),
        reference=reference[:40],
    )


def _plain(text: str) -> str:
    return re.sub(r"[\s_]+", " ", text).strip().lower().replace("ё", "е")


def _begins(text: str, words: Iterable[str]) -> bool:
    return _plain(text).startswith(tuple(_plain(one) for one in words))
