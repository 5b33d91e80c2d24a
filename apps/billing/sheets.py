"""A table as an XLSX file: dates are dates, sums are numbers, text is never a formula."""

import io
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import xlsxwriter
from django.http import HttpResponse

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def answer(name: str, headings: Sequence[Any], rows: Iterable[Sequence[Any]]) -> HttpResponse:
    """The file, to be downloaded as `name`.xlsx; kept by nobody on the way."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"constant_memory": True, "in_memory": False}) as book:
        sheet = book.add_worksheet()
        bold = book.add_format({"bold": True, "bottom": 1})
        formats = {
            date: book.add_format({"num_format": "dd.mm.yyyy"}),
            Decimal: book.add_format({"num_format": "#,##0.00"}),
        }
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, max(len(headings) - 1, 0), 22)
        for column, heading in enumerate(headings):
            sheet.write_string(0, column, str(heading), bold)
        for number, row in enumerate(rows, start=1):
            for column, cell in enumerate(row):
                _write(sheet, number, column, cell, formats)
    return HttpResponse(
        out.getvalue(),
        content_type=XLSX,
        headers={
            "Content-Disposition": f'attachment; filename="{name}.xlsx"',
            "Cache-Control": "private, no-store",
        },
    )


def _write(sheet: Any, row: int, column: int, cell: Any, formats: dict[type, Any]) -> None:
    if isinstance(cell, date):
        sheet.write_datetime(row, column, cell, formats[date])
    elif isinstance(cell, Decimal):
        sheet.write_number(row, column, cell, formats[Decimal])
    elif isinstance(cell, int) and not isinstance(cell, bool):
        sheet.write_number(row, column, cell)
    elif cell is not None:
        sheet.write_string(row, column, str(cell))
