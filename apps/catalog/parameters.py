"""Typed parameters of products: how their values are read, checked and shown."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import models
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from apps.catalog.models import ProductParameter

UNLIMITED = "unlimited"
"""The value of a whole-number parameter without a limit: «безлимит»."""
_WORDS = {UNLIMITED: "безлимит", True: "да", False: "нет"}
_ON_SCREEN = {UNLIMITED: _("безлимит"), True: _("да"), False: _("нет")}


class Kind(models.TextChoices):
    """What the values of a parameter are."""

    STRING = "string", _("строка")
    INT = "int", _("целое число или «безлимит»")
    BOOL = "bool", _("да или нет")
    CHOICE = "choice", _("одно из списка")


class AskedAt(models.TextChoices):
    """Who gives the value, and when."""

    TARIFF = "tariff", _("в тарифе")
    ORDER = "order", _("клиенту при заказе")
    FULFILMENT = "fulfilment", _("сотруднику при выдаче")


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value must be. A number, or the length of a text, lies between `minimum` and `maximum`."""

    kind: str
    choices: tuple[str, ...] = ()
    is_required: bool = False
    minimum: int | None = None
    maximum: int | None = None
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A parameter with its value in a tariff; `value` is int, "unlimited", bool or str by `kind`."""

    code: str
    name: str
    kind: str
    value: Any
    text: str


def kind_of(texts: Iterable[str]) -> Kind:
    """The narrowest kind that holds all these values of a price list."""
    texts = {text.lower() for text in texts}
    if texts <= {"да", "нет"}:
        return Kind.BOOL
    if all(_is_whole(text) or text == _WORDS[UNLIMITED] for text in texts):
        return Kind.INT
    return Kind.STRING


def read(text: str, kind: str, choices: Iterable[str] = ()) -> Any:
    """The value that `text` means for a parameter of this kind. Raises ValueError with the reason."""
    lower = text.lower()
    if kind == Kind.BOOL:
        if lower not in {"да", "нет"}:
            raise ValueError(_("«%s»: нужно «да» или «нет»") % text)
        return lower == "да"
    if kind == Kind.INT:
        if lower == _WORDS[UNLIMITED]:
            return UNLIMITED
        if not _is_whole(text):
            raise ValueError(_("«%s»: нужно целое число или «безлимит»") % text)
        return int(text)
    if kind == Kind.CHOICE and text not in set(choices):
        raise ValueError(
            _("«%(text)s»: нужно одно из: %(choices)s") % {"text": text, "choices": ", ".join(choices)}
        )
    return text


def check(value: Any, kind: str, choices: Iterable[str] = ()) -> None:
    """Raises ValueError, with a reason in Russian, where a stored value is not of its kind."""
    if kind == Kind.BOOL and not isinstance(value, bool):
        raise ValueError(_("«%s»: нужно «да» или «нет»") % value)
    if kind == Kind.INT and (isinstance(value, bool) or not (isinstance(value, int) or value == UNLIMITED)):
        raise ValueError(_("«%s»: нужно целое число или «безлимит»") % value)
    if kind in {Kind.STRING, Kind.CHOICE}:
        read(str(value), kind, choices)


def check_rule(rule: Rule) -> None:
    """Raises ValueError where nothing could meet the rule, or nobody could read it."""
    if rule.minimum is not None and rule.maximum is not None and rule.minimum > rule.maximum:
        raise ValueError(_("Наименьшее значение больше наибольшего"))
    if rule.kind == Kind.CHOICE and not rule.choices:
        raise ValueError(_("Перечислите варианты"))
    if rule.pattern and rule.kind != Kind.STRING:
        raise ValueError(_("Шаблон бывает только у строки"))
    try:
        re.compile(rule.pattern)
    except re.error:
        raise ValueError(_("Шаблон не читается: это не регулярное выражение")) from None


def check_by(rule: Rule, value: Any) -> None:
    """`check` and the bounds of the rule. Raises ValueError with a reason in the reader's language."""
    check(value, rule.kind, rule.choices)
    size = len(value) if rule.kind == Kind.STRING else value if rule.kind == Kind.INT else None
    if isinstance(size, int) and not isinstance(size, bool):
        bounds = {"min": rule.minimum, "max": rule.maximum}
        if rule.minimum is not None and size < rule.minimum:
            raise ValueError(
                (_("не короче %(min)d знаков") if rule.kind == Kind.STRING else _("не меньше %(min)d"))
                % bounds
            )
        if rule.maximum is not None and size > rule.maximum:
            raise ValueError(
                (_("не длиннее %(max)d знаков") if rule.kind == Kind.STRING else _("не больше %(max)d"))
                % bounds
            )
    if rule.pattern and not re.fullmatch(rule.pattern, str(value)):
        raise ValueError(_("не подходит по виду"))


def answers(declared: Iterable["ProductParameter"], given: Mapping[str, Any]) -> dict[str, Any]:
    """What a customer answered at order, checked. Raises BadAnswers with a reason for each wrong one."""
    found: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    by_code = {one.code: one for one in declared}
    for code in given.keys() - by_code.keys():
        wrong[code] = str(_("нет такого параметра"))
    for code, one in by_code.items():
        value = given.get(code)
        if value is None or value == "":
            if one.is_required:
                wrong[code] = str(_("нужно заполнить"))
            continue
        try:
            check_by(one.rule, value)
            found[code] = value
        except ValueError as error:
            wrong[code] = str(error)
    if wrong:
        raise BadAnswers(wrong)
    return found


class BadAnswers(ValueError):
    """Answers that do not meet their rules: the reasons by code."""

    def __init__(self, reasons: dict[str, str]) -> None:
        super().__init__("; ".join(f"{code}: {reason}" for code, reason in reasons.items()))
        self.reasons = reasons


def write(value: Any) -> str:
    """A value as the price list writes it: «безлимит», «да», «2»."""
    return str(_WORDS.get(value, value)) if isinstance(value, bool | str) else str(value)


def in_words(value: Any) -> str:
    """A value as a page shows it, in the active language."""
    return str(_ON_SCREEN.get(value, value)) if isinstance(value, bool | str) else str(value)


def shown(declared: Iterable["ProductParameter"], values: Mapping[str, Any]) -> list[Shown]:
    """The given values in the order of their declarations."""
    return [
        Shown(one.code, str(one.name), one.kind, values[one.code], in_words(values[one.code]))
        for one in declared
        if one.code in values
    ]


def _is_whole(text: str) -> bool:
    return bool(re.fullmatch(r"\d{1,9}", text))
