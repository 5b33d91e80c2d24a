"""File formats of the price list: CSV as a Russian Excel saves it, and XLSX with typed cells."""

import csv
import io
import zipfile
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import tablib
from django.utils.translation import gettext as _
from import_export.formats import base_formats


class PriceListCSV(base_formats.CSV):
    """Reads UTF-8, UTF-16, Windows-1251 with any usual separator; writes UTF-8, BOM, `;`, decimal comma."""

    CONTENT_TYPE = "text/csv; charset=utf-8"

    def is_binary(self) -> bool:
        """Bytes: which encoding it is shows in the content."""
        return True

    def get_read_mode(self) -> str:
        return "rb"

    def create_dataset(self, in_stream: bytes, **options: Any) -> tablib.Dataset:
        """Raises ValueError, in Russian, for what is not such a file."""
        text = decoded(in_stream)
        heading = text.split("\n", 1)[0]
        separator = max(";,\t", key=heading.count)
        return dataset_of(list(csv.reader(io.StringIO(text, newline=""), delimiter=separator)))

    def export_data(self, dataset: tablib.Dataset, **options: Any) -> bytes:
        """The file."""
        out = io.StringIO(newline="")
        writer = csv.writer(out, delimiter=";")
        writer.writerow(dataset.headers)
        writer.writerows([_comma(cell) for cell in row] for row in dataset)
        return out.getvalue().encode("utf-8-sig")


class PriceListXLSX(base_formats.XLSX):
    """Reads the formula itself, so that one is seen and refused, not the value that it had last."""

    def create_dataset(self, in_stream: bytes, **options: Any) -> tablib.Dataset:
        """Raises ValueError, in Russian, for what is not such a file."""
        # Here, because it takes a tenth of the time in which a process starts.
        import openpyxl
        from openpyxl.utils.exceptions import InvalidFileException

        try:
            book = openpyxl.load_workbook(io.BytesIO(in_stream), read_only=True)
            sheet = book.active
            return dataset_of([list(row) for row in sheet.iter_rows(values_only=True)] if sheet else [])
        except (KeyError, OSError, TypeError, zipfile.BadZipFile, InvalidFileException) as error:
            raise ValueError(_("Это не файл XLSX")) from error


def decoded(content: bytes) -> str:
    """The text of a file of unknown encoding. Raises ValueError, in Russian, where it is none."""
    encoding = "utf-16" if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    for attempt in (encoding, "cp1251"):
        try:
            text = content.decode(attempt)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise ValueError(_("Не удалось прочитать файл: нужен CSV в Windows-1251 или UTF-8"))


def dataset_of(rows: Sequence[Sequence[Any]]) -> tablib.Dataset:
    """Rows under their heading; empty rows at the end, which Excel likes to leave, are cut off."""
    kept = list(rows)
    while kept and not any(_filled(kept[-1])):
        kept.pop()
    if len(kept) < 2:
        raise ValueError(_("В файле нет строк"))
    headers = [str(cell if cell is not None else "").strip() for cell in kept[0]]
    while headers and not headers[-1]:
        headers.pop()
    width = len(headers)
    dataset = tablib.Dataset(headers=headers)
    for number, row in enumerate(kept[1:], start=2):
        if any(_filled(row[width:])):
            raise ValueError(_("Строка %d: значений больше, чем столбцов в заголовке") % number)
        dataset.append([*row[:width], *[""] * (width - len(row))])
    return dataset


def _filled(cells: Iterable[Any]) -> Iterable[bool]:
    return (str(cell if cell is not None else "").strip() != "" for cell in cells)


def _comma(cell: Any) -> Any:
    return str(cell).replace(".", ",") if isinstance(cell, Decimal) else cell
