"""What stands at a path of an answer: JSONPath (RFC 9535) in JSON, XPath 1.0 in XML, each cut to what is bounded."""

import json
import re
from functools import cache, lru_cache
from typing import Any

from django.utils.translation import gettext as _
from jsonpath import JSONPathEnvironment
from jsonpath.exceptions import JSONPathError
from lxml import etree

from apps.providers.declarative.templates import Broken

LARGEST = 256 * 1024
"""Bytes of an answer that are read."""
LONGEST = 300
DEEPEST = 60
_FUNCTIONS = frozenset(
    {"text", "string", "normalize-space", "local-name", "name", "contains", "starts-with", "not", "count"}
    | {"position", "last", "node", "concat", "true", "false", "number", "boolean", "and", "or"}
)
_STRING = re.compile(r"\"[^\"]*\"|'[^']*'")
_CALL = re.compile(r"([A-Za-z][\w.-]*)\s*\(")


def parse(form: str, content: bytes) -> Any:
    """An answer as a tree of its form (`json`, `xml`). Raises Broken."""
    if len(content) > LARGEST:
        raise Broken(_("ответ длиннее %d КБ") % (LARGEST // 1024))
    if form == "json":
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise Broken(_("это не JSON: %s") % error) from error
    return parse_xml(content)


def parse_xml(content: bytes) -> Any:
    """XML without entities, without anything from outside; names lose their namespaces. Raises Broken."""
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise Broken(_("XML с DOCTYPE не принимается"))
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        said = str(getattr(error, "msg", error))
        raise Broken(_("это не XML, строка %(line)d: %(why)s") % {"line": line, "why": said}) from error
    if root.getroottree().docinfo.doctype:
        # In another encoding the words above look otherwise.
        raise Broken(_("XML с DOCTYPE не принимается"))
    for one in root.iter():
        if isinstance(one.tag, str) and one.tag.startswith("{"):
            one.tag = one.tag.rpartition("}")[2]
    return root


def check(form: str, path: str) -> None:
    """Raises Broken where a path is none, or is dearer than an answer is worth."""
    if len(path) > LONGEST:
        raise Broken(_("путь длиннее %d знаков") % LONGEST)
    if form == "json":
        _json_path(path)
    else:
        _xpath(path)


def find(form: str, tree: Any, path: str) -> Any:
    """The first of what stands at a path; None where nothing does. Text of an element without the spaces around it."""
    if form == "json":
        found = next((match.obj for match in _json_path(path).finditer(tree)), None)
        return found
    try:
        result = _xpath(path)(tree)
    except etree.XPathError as error:
        raise Broken(_("путь не вычислить: %s") % error) from error
    if isinstance(result, list):
        if not result:
            return None
        result = result[0]
    if isinstance(result, etree._Element):
        return "".join(result.itertext()).strip()
    return result.strip() if isinstance(result, str) else result


def text(value: Any) -> str:
    """A value of an answer as text; what is no single value is told as JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, str | int | float) else json.dumps(value, ensure_ascii=False)


@cache
def _json_paths() -> JSONPathEnvironment:
    # Strict: without the extensions, among them regular expressions, whose cost nobody can tell.
    made = JSONPathEnvironment(strict=True)
    for name in ("match", "search"):
        made.function_extensions.pop(name)
    return made


@lru_cache(maxsize=1000)
def _json_path(path: str) -> Any:
    plain = _STRING.sub("", path)
    if plain.count("..") > 1 or ("?" in plain and (".." in plain or plain.count("?") > 1)):
        raise Broken(_("слишком сложный путь: «..» и «?» не больше одного и не вместе"))
    try:
        return _json_paths().compile(path)
    except (JSONPathError, RecursionError, ValueError) as error:
        place = getattr(getattr(error, "token", None), "index", None)
        near = _(" около знака %d") % (place + 1) if isinstance(place, int) and place >= 0 else ""
        raise Broken(_("это не JSONPath%s: нужен путь вида $.data.id") % near) from error


@lru_cache(maxsize=1000)
def _xpath(path: str) -> Any:
    plain = _STRING.sub("''", path)
    inside = "".join(re.findall(r"\[([^\]]*)\]", plain))
    if plain.count("//") + plain.count("::") > 1 or "//" in inside or ".." in plain or "::" in inside:
        raise Broken(_("слишком сложный путь: «//» не больше одного раза, и не в скобках"))
    if plain.count("[") > 3 or "$" in plain:
        raise Broken(_("слишком сложный путь"))
    for name in _CALL.findall(plain):
        if name not in _FUNCTIONS:
            raise Broken(_("функции «%s» здесь нет") % name)
    try:
        return etree.XPath(path, regexp=False, smart_strings=False)
    except etree.XPathError as error:
        raise Broken(_("это не XPath: нужен путь вида //Response/Id")) from error
