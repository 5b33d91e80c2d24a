"""Sandboxed templates over documented fields: what staff write in the requests of a declarative connector.

Jinja2's sandbox, and of its language only what its tree is allowed to hold: fields, filters from a short list, `if` and
one level of `for`. There is no call, no arithmetic and no attribute of a Python object, so what a template costs is
bounded by its length and by what it is given.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache, lru_cache
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.utils.translation import gettext as _
from jinja2 import Environment, StrictUndefined, TemplateSyntaxError, Undefined, UndefinedError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

LONGEST = 20_000
"""Characters of one template."""
LARGEST = 256 * 1024
"""Characters that it may come to."""
DEEPEST = 30


class Broken(Exception):
    """A template, a path or a document that does not hold; says why, in words for staff."""


class _Omitted:
    """Stands where an optional value is not there: the leaf of JSON, header or parameter is left out."""


OMITTED = _Omitted()


class _Missing(StrictUndefined):
    """A field that is not there: to be named, never to be passed over."""

    @property
    def missing_name(self) -> str:
        return str(self._undefined_name)


class _Sandbox(ImmutableSandboxedEnvironment):
    """`a.b` is the entry `b` of a dictionary, and nothing else."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Mapping) and isinstance(argument, str) and argument in obj:
            return obj[argument]
        return self.undefined(obj=obj, name=argument)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _date(value: Any, pattern: str = "yyyy-MM-dd") -> str:
    """A day as the other side writes it: dd.MM.yyyy, yyyyMMdd and so on."""
    day = value if isinstance(value, date) else date.fromisoformat(str(value)[:10])
    for sign, number in (("yyyy", f"{day.year:04}"), ("MM", f"{day.month:02}"), ("dd", f"{day.day:02}")):
        pattern = pattern.replace(sign, number)
    return pattern


def _number(value: Any) -> int | float:
    found = float(str(value))
    return int(found) if found.is_integer() and abs(found) < 2**53 else found


def _optional(value: Any) -> Any:
    return OMITTED if isinstance(value, Undefined) or value is None or value == "" else value


def _default(value: Any, other: Any = "") -> Any:
    return other if _optional(value) is OMITTED else value


FILTERS: dict[str, Callable[..., Any]] = {
    "upper": lambda value: _text(value).upper(),
    "lower": lambda value: _text(value).lower(),
    "trim": lambda value: _text(value).strip(),
    "digits": lambda value: "".join(one for one in _text(value) if one in "0123456789"),
    "hex": lambda value: UUID(_text(value)).hex,
    "date": _date,
    "number": _number,
    "text": _text,
    "base64": lambda value: base64.b64encode(_text(value).encode()).decode(),
    "optional": _optional,
    "default": _default,
    "items": lambda value: list(value.items()) if isinstance(value, Mapping) else [],
}
_ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.Filter,
    nodes.Getattr,
    nodes.Getitem,
    nodes.CondExpr,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.If,
    nodes.For,
    nodes.Tuple,
)


def _in_address(value: Any) -> str:
    """A value in the path of an address: it cannot end the path, nor climb out of it."""
    found = quote(_text(value), safe="")
    if found in {"", ".", ".."}:
        raise Broken(_("пустое значение в адресе"))
    return found


@cache
def _sandbox(kind: str) -> Environment:
    finalize = _in_address if kind == "address" else lambda value: "" if value is None else value
    made = _Sandbox(
        undefined=_Missing,
        autoescape=kind == "xml",
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    made.filters.clear()
    made.filters |= FILTERS
    made.tests.clear()
    made.globals.clear()
    return made


@dataclass(frozen=True, slots=True)
class Written:
    """A template that was read and holds. `names`: the fields that it uses."""

    source: str
    kind: str
    names: frozenset[str]

    def text(self, values: Mapping[str, Any]) -> str:
        """Filled in. Raises Broken where a field is not there, or too much comes of it."""
        parts, size = [], 0
        try:
            for part in _compiled(self.source, self.kind).generate(values):
                size += len(part)
                if size > LARGEST:
                    raise Broken(_("слишком длинно: больше %d знаков") % LARGEST)
                parts.append(part)
        except (UndefinedError, *_WRONG) as error:
            raise _broken(error) from error
        return "".join(parts)

    def value(self, values: Mapping[str, Any]) -> Any:
        """As `text`; but what is one field and nothing else keeps its type: a number, a list, OMITTED."""
        inner = _single(self.source, self.kind)
        if inner is None:
            return self.text(values)
        try:
            found = _expression(inner, self.kind)(**values)
        except (UndefinedError, *_WRONG) as error:
            raise _broken(error) from error
        if isinstance(found, Undefined):
            raise _broken(UndefinedError(found._undefined_message))
        return found if not isinstance(found, UUID | date | datetime) else str(found)


_WRONG = (TypeError, ValueError, ArithmeticError, AttributeError, KeyError, IndexError, RecursionError)


def _broken(error: Exception) -> Broken:
    if isinstance(error, UndefinedError):
        name = str(error.message or "").rpartition("'")[0].rpartition("'")[2]
        return Broken(_("значения «%s» здесь нет") % name)
    return Broken(_("не получилось подставить: %s") % error)


@lru_cache(maxsize=2000)
def _compiled(source: str, kind: str) -> Any:
    return _sandbox(kind).from_string(source)


@lru_cache(maxsize=2000)
def _expression(source: str, kind: str) -> Any:
    return _sandbox(kind).compile_expression(source, undefined_to_none=False)


@lru_cache(maxsize=2000)
def _single(source: str, kind: str) -> str | None:
    """The expression within, where there is nothing beside it."""
    whole = source.strip()
    if not (whole.startswith("{{") and whole.endswith("}}")):
        return None
    body = _sandbox(kind).parse(whole).body
    if len(body) != 1 or not isinstance(body[0], nodes.Output) or len(body[0].nodes) != 1:
        return None
    return None if isinstance(body[0].nodes[0], nodes.TemplateData) else whole[2:-2].strip("-+ ")


@lru_cache(maxsize=2000)
def written(source: str, kind: str = "text", known: frozenset[str] = frozenset()) -> Written:
    """Reads a template; `kind`: text, xml or address; `known`: its fields. Raises Broken with the line."""
    if len(source) > LONGEST:
        raise Broken(_("слишком длинный шаблон: больше %d знаков") % LONGEST)
    try:
        tree = _sandbox(kind).parse(source)
        names = _looked_through(tree, known)
        _compiled(source, kind)
        if (inner := _single(source, kind)) is not None:
            _expression(inner, kind)
    except TemplateSyntaxError as error:
        raise Broken(_("строка %(line)d: %(why)s") % {"line": error.lineno, "why": _why(error)}) from error
    except (RecursionError, MemoryError, SyntaxError, *_WRONG) as error:
        raise Broken(_("шаблон не разобрать: слишком сложно")) from error
    return Written(source, kind, names)


def _why(error: TemplateSyntaxError) -> str:
    said = str(error.message or "")
    if said.startswith("No filter named"):
        name = said.split("'")[1]
        return _("нет преобразования «%(name)s»; есть: %(all)s") % {"name": name, "all": ", ".join(FILTERS)}
    if (
        "unexpected end" in said.lower()
        or "end of template" in said.lower()
        or "end of print" in said.lower()
    ):
        return _("не закрыта скобка {{ … }} или {% … %}")
    return _("не разобрать выражение (%s)") % said


def _looked_through(tree: nodes.Template, known: frozenset[str]) -> frozenset[str]:
    """Refuses what the language of requests does not have; gives the names of the fields used."""
    names: set[str] = set()
    waiting: list[tuple[nodes.Node, int, frozenset[str]]] = [(tree, 0, frozenset())]
    while waiting:
        node, depth, own = waiting.pop()
        where = _("строка %d: ") % getattr(node, "lineno", 1)
        if not isinstance(node, _ALLOWED) or depth > DEEPEST:
            raise Broken(where + _("так здесь нельзя: только поля, преобразования, if и for"))
        if isinstance(node, nodes.Getitem) and not _is_text(node.arg):
            raise Broken(where + _("в квадратных скобках может стоять только имя в кавычках"))
        if isinstance(node, nodes.Filter) and (node.kwargs or node.dyn_args or node.dyn_kwargs):
            raise Broken(where + _("у преобразования только простые значения"))
        if isinstance(node, nodes.For):
            if own or node.recursive or node.test is not None or node.else_:
                raise Broken(where + _("for внутри for нельзя"))
            own = frozenset(one.name for one in node.target.find_all(nodes.Name)) | _names_of(node.target)
        if isinstance(node, nodes.Name) and node.name not in own:
            if known and node.name not in known:
                said = _("поля «%(name)s» нет; есть: %(all)s")
                raise Broken(where + said % {"name": node.name, "all": ", ".join(sorted(known))})
            names.add(node.name)
        waiting += [(child, depth + 1, own) for child in node.iter_child_nodes()]
    return frozenset(names)


def _names_of(node: nodes.Node) -> frozenset[str]:
    return frozenset({node.name}) if isinstance(node, nodes.Name) else frozenset()


def _is_text(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Const) and isinstance(node.value, str)
