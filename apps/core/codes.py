"""Codes made from Russian names: «объём ГБ» → `obem-gb`."""

import re
from collections.abc import Container

_LATIN = "a b v g d e e zh z i y k l m n o p r s t u f h c ch sh sch _ y _ e yu ya"
_LETTERS = dict(zip("абвгдеёжзийклмнопрстуфхцчшщъыьэюя", re.split(" ", _LATIN), strict=True))


def code_for(name: str, taken: Container[str] = ()) -> str:
    """A code of Latin letters, digits and hyphens, at most 60 characters, not among `taken`."""
    latin = "".join(_LETTERS.get(letter, letter) for letter in name.lower()).replace("_", "")
    code = re.sub(r"[^a-z0-9]+", "-", latin).strip("-")[:50] or "x"
    number, unique = 1, code
    while unique in taken:
        number += 1
        unique = f"{code}-{number}"
    return unique
