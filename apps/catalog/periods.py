"""Billing periods in words, as the price list and the screens write them: «1 месяц», «12 месяцев»."""

import re

from django.utils.translation import get_language

# Forms for 1, 2–4 and 5 and more; the first two and the last also stand for what people type.
_RUSSIAN = {
    "day": ("день", "дня", "дней"),
    "week": ("неделя", "недели", "недель"),
    "month": ("месяц", "месяца", "месяцев"),
    "year": ("год", "года", "лет"),
}
_UNITS = {form: unit for unit, forms in _RUSSIAN.items() for form in forms}
_TEXT = re.compile(r"(\d{1,3})\s+([а-яё]+)")


def parse(text: str) -> tuple[int, str]:
    """Count and unit of «3 месяца». Raises ValueError for anything else."""
    found = _TEXT.fullmatch(text.strip().lower())
    if found is None or found[2] not in _UNITS or int(found[1]) == 0:
        raise ValueError(f"{text} is not a period")
    return int(found[1]), _UNITS[found[2]]


def in_russian(count: int, unit: str) -> str:
    """«1 неделя», «3 месяца», «12 месяцев»."""
    one, few, many = _RUSSIAN[unit]
    tens, units = count % 100, count % 10
    if units == 1 and tens != 11:
        return f"{count} {one}"
    return f"{count} {few if 2 <= units <= 4 and not 12 <= tens <= 14 else many}"


def in_words(count: int, unit: str) -> str:
    """The period in the active language."""
    if (get_language() or "ru").startswith("ru"):
        return in_russian(count, unit)
    return f"{count} {unit}{'' if count == 1 else 's'}"
