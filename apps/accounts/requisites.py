"""INN and KPP as the tax service writes them, check digits included. Pure."""

import re

_TEN = (2, 4, 10, 3, 5, 9, 4, 6, 8)
_ELEVENTH = (7, 2, 4, 10, 3, 5, 9, 4, 6, 8)
_TWELFTH = (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)
_KPP = re.compile(r"[0-9]{4}[0-9A-Z]{2}[0-9]{3}")
_ACCOUNT = re.compile(r"[0-9]{20}")
_BIK = re.compile(r"0[0-9]{8}")


def is_inn(text: str) -> bool:
    """Whether these are 10 digits of a company or 12 of an entrepreneur, with right check digits."""
    if not (text.isascii() and text.isdigit()) or set(text) == {"0"}:
        return False
    if len(text) == 10:
        return _check(text, _TEN) == int(text[9])
    if len(text) == 12:
        return (_check(text, _ELEVENTH), _check(text, _TWELFTH)) == (int(text[10]), int(text[11]))
    return False


def is_kpp(text: str) -> bool:
    """Whether this is a KPP: four digits, two digits or Latin capitals, three digits."""
    return _KPP.fullmatch(text) is not None


def is_account(text: str) -> bool:
    """Whether this is a bank account of 20 digits."""
    return _ACCOUNT.fullmatch(text) is not None


def is_bik(text: str) -> bool:
    """Whether this is a bank's BIK: nine digits, of which the first is 0."""
    return _BIK.fullmatch(text) is not None


def _check(text: str, weights: tuple[int, ...]) -> int:
    return sum(weight * int(digit) for weight, digit in zip(weights, text, strict=False)) % 11 % 10
