"""The report as files: CSV as a Russian Excel opens it, XLSX with typed cells."""

import csv
import io
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import xlsxwriter
from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _

from apps.catalog.cells import guarded
from apps.reports.sales import DIMENSIONS, MEASURES, Question, Row

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CURRENCY = _("Валюта")


def headings(by: Sequence[str]) -> list[str]:
    """The first line."""
    return (
        [str(DIMENSIONS[name]) for name in by] + [str(text) for text in MEASURES.values()] + [str(CURRENCY)]
    )


def as_csv(question: Question, rows: Sequence[Row]) -> HttpResponse:
    """UTF-8 with BOM, `;`, decimal comma, 27.11.2026; no cell is a formula."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=";")
    writer.writerow(headings(question.by))
    writer.writerows([_text(cell) for cell in _cells(row)] for row in rows)
    return _file(out.getvalue().encode("utf-8-sig"), "text/csv; charset=utf-8", question, "csv")


def as_xlsx(question: Question, rows: Sequence[Row]) -> HttpResponse:
    """Dates are dates, sums are numbers, text is never a formula."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"constant_memory": True, "in_memory": False}) as book:
        sheet = book.add_worksheet(str(_("Продажи")))
        bold = book.add_format({"bold": True, "bottom": 1})
        formats = {
            date: book.add_format({"num_format": "dd.mm.yyyy"}),
            Decimal: book.add_format({"num_format": "#,##0.00"}),
        }
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, len(question.by) - 1, 24)
        sheet.set_column(len(question.by), len(question.by) + len(MEASURES), 16)
        for column, heading in enumerate(headings(question.by)):
            sheet.write_string(0, column, heading, bold)
        for number, row in enumerate(rows, start=1):
            for column, cell in enumerate(_cells(row)):
                _write(sheet, number, column, cell, formats)
    return _file(out.getvalue(), XLSX, question, "xlsx")


def _write(sheet: Any, row: int, column: int, cell: Any, formats: dict[type, Any]) -> None:
    if isinstance(cell, date):
        sheet.write_datetime(row, column, cell, formats[date])
    elif isinstance(cell, Decimal):
        sheet.write_number(row, column, cell, formats[Decimal])
    elif isinstance(cell, int):
        sheet.write_number(row, column, cell)
    else:
        sheet.write_string(row, column, str(cell))


def _cells(row: Row) -> list[Any]:
    return [*row.names, *row.values(), row.currency]


def _text(cell: Any) -> str:
    if isinstance(cell, date):
        return f"{cell:%d.%m.%Y}"
    if isinstance(cell, Decimal):
        return str(cell).replace(".", ",")
    return guarded(str(cell))


def _file(content: bytes, kind: str, question: Question, ending: str) -> HttpResponse:
    name = f"sales-{question.since:%Y-%m-%d}-{question.until:%Y-%m-%d}.{ending}"
    return HttpResponse(
        content,
        content_type=kind,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "private, no-store",
        },
    )
