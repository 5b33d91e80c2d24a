"""Cells of a price list: what Excel makes of numbers, spaces and formulas."""

import re
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

# A spreadsheet runs what starts so; a leading apostrophe says that it is text.
_RUNS = ("=", "+", "-", "@", "\t", "\r")
_LONGEST = Decimal(10) ** 12


def text(value: Any) -> str:
    """The cell's text without spaces around it and doubled ones. Raises ValueError for a formula."""
    raw = "" if value is None else str(value)
    if raw.startswith(_RUNS):
        raise ValueError(
            _("ячейка начинается с «%s», как формула: уберите знак или поставьте перед ним апостроф")
            % raw[0].strip()
        )
    if raw.startswith("'") and raw[1:].startswith((*_RUNS, "'")):
        raw = raw[1:]
    return re.sub(r"\s+", " ", raw).strip()


def guarded(value: str) -> str:
    """Text that no spreadsheet runs; `text` reads it back as it was."""
    return f"'{value}" if value.startswith((*_RUNS, "'")) else value


def price(value: Any) -> Decimal:
    """A price in roubles: «2 990,00» or a number. Raises ValueError with the reason."""
    raw = str("" if value is None else value).strip()
    digits = re.sub(r"\s", "", raw).replace(",", ".").replace("\N{MINUS SIGN}", "-")
    if not digits:
        raise ValueError(_("цена не указана"))
    if not re.fullmatch(r"-?\d+(\.\d+)?", digits):
        raise ValueError(_("«%s» — не цена") % raw)
    amount = Decimal(digits)
    if amount < 0:
        raise ValueError(_("цена «%s» отрицательная") % raw)
    if amount != amount.quantize(Decimal("0.01")):
        raise ValueError(_("«%s»: в цене больше двух знаков после запятой") % raw)
    if amount == 0:
        raise ValueError(_("цена равна нулю"))
    if amount >= _LONGEST:
        raise ValueError(_("«%s»: слишком большая цена") % raw)
    return amount.quantize(Decimal("0.01"))


def days(value: Any) -> int:
    """A whole number of days, 0 for an empty cell. Raises ValueError with the reason."""
    raw = str("" if value is None else value).strip()
    if not raw:
        return 0
    whole = raw.removesuffix(".0")
    if not re.fullmatch(r"\d{1,6}", whole):
        raise ValueError(_("«%s» — не целое число дней") % raw)
    if int(whole) > 366:
        raise ValueError(_("«%s»: пробный период длиннее года") % raw)
    return int(whole)
