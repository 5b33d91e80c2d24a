"""A table as a spreadsheet: typed cells, a frozen heading, a filter, totals; no text is ever a formula."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from django.http import HttpResponse

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PDF = "application/pdf"


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet: what it says above, its columns and rows. Cells are dates, Decimals, ints or text."""

    title: str
    headings: Sequence[Any]
    rows: Sequence[Sequence[Any]]
    above: Sequence[Any] = ()
    totals: Sequence[Any] = ()
    widths: Sequence[int] = field(default=())


def xlsx(sheets: Iterable[Sheet]) -> bytes:
    """A workbook of these sheets."""
    # Here, because few processes ever write a workbook.
    import xlsxwriter

    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        formats = {
            "bold": book.add_format({"bold": True, "bottom": 1}),
            "title": book.add_format({"bold": True, "font_size": 13}),
            date: book.add_format({"num_format": "dd.mm.yyyy"}),
            Decimal: book.add_format({"num_format": "#,##0.00"}),
            "total": book.add_format({"bold": True, "top": 1, "num_format": "#,##0.00"}),
        }
        for sheet in sheets:
            _write(book, sheet, formats)
    return out.getvalue()


def _write(book: Any, sheet: Sheet, formats: dict[Any, Any]) -> None:
    page = book.add_worksheet(_name(sheet.title))
    for number, text in enumerate(sheet.above):
        page.write_string(number, 0, str(text), formats["title"] if number == 0 else None)
    top = len(sheet.above) + 1 if sheet.above else 0
    for column, heading in enumerate(sheet.headings):
        page.write_string(top, column, str(heading), formats["bold"])
        page.set_column(column, column, sheet.widths[column] if column < len(sheet.widths) else 16)
    page.freeze_panes(top + 1, 0)
    for number, row in enumerate(sheet.rows, start=top + 1):
        for column, cell in enumerate(row):
            _cell(page, number, column, cell, formats)
    if sheet.rows:
        page.autofilter(top, 0, top + len(sheet.rows), len(sheet.headings) - 1)
    for column, cell in enumerate(sheet.totals):
        if isinstance(cell, Decimal):
            page.write_number(top + 1 + len(sheet.rows), column, cell, formats["total"])
        else:
            page.write_string(top + 1 + len(sheet.rows), column, str(cell), formats["total"])


def _cell(page: Any, row: int, column: int, cell: Any, formats: dict[Any, Any]) -> None:
    if isinstance(cell, date):
        page.write_datetime(row, column, cell, formats[date])
    elif isinstance(cell, Decimal):
        page.write_number(row, column, cell, formats[Decimal])
    elif isinstance(cell, int):
        page.write_number(row, column, cell)
    else:
        page.write_string(row, column, "" if cell is None else str(cell))


def _name(title: str) -> str:
    """A sheet's name as Excel allows it."""
    return "".join(char for char in title if char not in "[]:*?/\\")[:31]


def file(content: bytes, name: str, kind: str = XLSX) -> HttpResponse:
    """An answer that a browser saves under `name`."""
    return HttpResponse(
        content,
        content_type=kind,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "private, no-store",
        },
    )
