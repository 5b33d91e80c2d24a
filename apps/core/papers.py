"""A table as a PDF: data in JSON, set by typst with the fonts of its own wheel."""

import json
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import typst

from apps.core.sheets import Sheet

TEMPLATE = Path(__file__).with_name("table.typ")


def pdf(sheets: Iterable[Sheet]) -> bytes:
    """The tables one after another, on as many A4 pages as they need; sums are aligned to the right."""
    data = json.dumps([_data(sheet) for sheet in sheets], ensure_ascii=False)
    compiler = typst.Compiler(font_paths=_fonts(), ignore_system_fonts=True)
    made = compiler.compile(input=TEMPLATE.read_bytes(), format="pdf", sys_inputs={"tables": data})
    if not isinstance(made, bytes):
        raise TypeError("Only pictures come one a page")
    return made


@cache
def _fonts() -> Any:
    return typst.Fonts(include_system_fonts=False)


def _data(sheet: Sheet) -> dict[str, Any]:
    sample = sheet.rows[0] if sheet.rows else [""] * len(sheet.headings)
    return {
        "title": sheet.above[0] if sheet.above else sheet.title,
        "above": [str(text) for text in sheet.above[1:]],
        "headings": [str(text) for text in sheet.headings],
        "numbers": [isinstance(cell, Decimal | int) for cell in sample],
        "rows": [[_text(cell) for cell in row] for row in sheet.rows],
        "totals": [_text(cell) for cell in sheet.totals],
    }


def _text(cell: Any) -> str:
    if isinstance(cell, Decimal):
        return f"{cell:,.2f}".replace(",", "\N{NO-BREAK SPACE}").replace(".", ",")
    if isinstance(cell, date):
        return f"{cell:%d.%m.%Y}"
    return "" if cell is None else str(cell)
