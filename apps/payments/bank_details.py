"""Bank details as people write them, checked by their own check digits before money goes there. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from apps.accounts import requisites

FIELDS = ("name", "inn", "bik", "account", "bank", "bank_account")
_WEIGHTS = (7, 1, 3)
_OF_BANK_OF_RUSSIA = {"000", "001", "002"}


def fits(account: str, bik: str) -> bool:
    """Whether an account can be one at the bank of a BIK: its key, by the Bank of Russia's order (weights 7, 1, 3)."""
    if not (requisites.is_account(account) and requisites.is_bik(bik)):
        return False
    # Of a settlement centre of the Bank of Russia two other digits count.
    prefix = f"0{bik[4:6]}" if bik[6:] in _OF_BANK_OF_RUSSIA else bik[6:]
    return sum(int(digit) * _WEIGHTS[place % 3] for place, digit in enumerate(prefix + account)) % 10 == 0


def checked(given: Mapping[str, Any]) -> dict[str, str]:
    """{name, inn, bik, account, bank, bank_account}, tidied. Raises ValidationError by field, in words."""
    found = {name: re.sub(r"\s+", " ", str(given.get(name) or "")).strip() for name in FIELDS}
    for name in ("bik", "account", "inn", "bank_account"):
        found[name] = found[name].replace(" ", "")
    wrong: dict[str, Any] = {}
    if not 3 <= len(found["name"]) <= 160:
        wrong["name"] = _("Укажите получателя: фамилию, имя и отчество или название")
    if not requisites.is_bik(found["bik"]):
        wrong["bik"] = _("БИК — девять цифр, начинается с 0")
    elif not fits(found["account"], found["bik"]):
        wrong["account"] = _("Счёт не подходит к этому БИК: проверьте обе строки по реквизитам из банка")
    if found["inn"] and not requisites.is_inn(found["inn"]):
        wrong["inn"] = _("В ИНН ошибка: 12 цифр у человека, 10 у организации")
    if found["bank_account"] and not re.fullmatch(r"301\d{17}", found["bank_account"]):
        wrong["bank_account"] = _("Корреспондентский счёт — 20 цифр, начинается с 301")
    if wrong:
        raise ValidationError(wrong)
    return found
