"""A document from an OpenAPI file (3.0, 3.1; JSON or YAML): operations chosen, bodies and answers filled in."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from django.utils.translation import gettext as _

from apps.providers.declarative import document as documents
from apps.providers.declarative import guessing
from apps.providers.declarative.guessing import Guess, Kept
from apps.providers.declarative.templates import Broken

LARGEST = 2 * 1024 * 1024
MOST_OPERATIONS, DEEPEST = 500, 12
_METHODS = ("get", "post", "put", "patch", "delete")


class _Plain(yaml.SafeLoader):
    """YAML without aliases: a few lines of them would be walked through for ever."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases are not taken")
        return super().compose_node(parent, index)


@dataclass(frozen=True, slots=True)
class Described:
    """An operation of the file."""

    key: str
    method: str
    path: str
    summary: str
    guess: str
    """Which of ours it is likely to be."""


@dataclass(slots=True)
class OpenApi:
    """A file that was read."""

    title: str
    base_url: str
    operations: list[Described]
    tree: dict[str, Any] = field(repr=False, default_factory=dict)


def read(content: bytes) -> OpenApi:
    """Reads a file. Raises Broken."""
    if len(content) > LARGEST:
        raise Broken(_("файл больше 2 МБ"))
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        try:
            tree = yaml.load(content, Loader=_Plain)
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise Broken(_("это не JSON и не YAML")) from error
    if not isinstance(tree, dict) or not str(tree.get("openapi", "")).startswith("3."):
        raise Broken(_("это не OpenAPI 3"))
    operations = list(_operations(tree))
    if not operations:
        raise Broken(_("в файле нет ни одного запроса"))
    servers = tree.get("servers")
    url = (
        servers[0].get("url", "")
        if isinstance(servers, list) and servers and isinstance(servers[0], dict)
        else ""
    )
    info = tree.get("info")
    title = str(info.get("title", "")) if isinstance(info, dict) else ""
    return OpenApi(title[:120], str(url), _one_of_each(operations), tree)


def _operations(tree: dict[str, Any]) -> Iterator[Described]:
    paths = tree.get("paths")
    count = 0
    for path, item in paths.items() if isinstance(paths, dict) else ():
        for method in _METHODS:
            one = item.get(method) if isinstance(item, dict) else None
            if not isinstance(one, dict):
                continue
            count += 1
            if count > MOST_OPERATIONS:
                raise Broken(_("слишком много запросов в файле"))
            summary = str(one.get("summary") or one.get("operationId") or "")
            guess = _guess(method, str(path), str(one.get("operationId") or ""), summary)
            yield Described(f"{method} {path}", method.upper(), str(path), summary[:120], guess)


def _guess(method: str, path: str, name: str, summary: str) -> str:
    told = guessing.operation_of(name, summary) or guessing.operation_of(path)
    if told == "status" and method != "get":
        return ""
    if told in {"provision", ""} and method == "get":
        return "status" if "{" in path else ""
    if method == "delete":
        return "cancel"
    if told == "provision" and "{" in path:
        return ""
    return told


def _one_of_each(operations: list[Described]) -> list[Described]:
    """The first that looks like each of ours; the others are left for staff to choose."""
    taken: set[str] = set()
    made = []
    for one in operations:
        guess = "" if one.guess in taken else one.guess
        taken.add(guess)
        made.append(Described(one.key, one.method, one.path, one.summary, guess))
    return made


def document(
    found: OpenApi, chosen: dict[str, str], *, base_url: str = "", kept: Kept = frozenset()
) -> tuple[dict[str, Any], list[Guess]]:
    """The document for chosen operations ({ours: key of theirs}), and what was guessed on the way. Raises Broken."""
    made = documents.blank()
    guesses: list[Guess] = []
    url = base_url or found.base_url
    made["base_url"] = url if url.startswith("http") else ""
    made["auth"] = _auth(found.tree)
    for operation, key in chosen.items():
        method, _space, path = key.partition(" ")
        item = (found.tree.get("paths") or {}).get(path)
        if not isinstance(item, dict) or not isinstance(item.get(method), dict):
            raise Broken(_("в файле нет запроса «%s»") % key)
        request, told = _request(found.tree, operation, method, path, item, kept)
        made["operations"][operation] = request
        guesses += told
        if operation in {"provision", "status"}:
            _read_answers(found.tree, item[method], made["answer"])
    return made, guesses


def _request(
    tree: dict[str, Any], operation: str, method: str, path: str, item: dict[str, Any], kept: Kept
) -> tuple[dict[str, Any], list[Guess]]:
    described = item[method]
    guesses: list[Guess] = []
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    for given in [*(item.get("parameters") or []), *(described.get("parameters") or [])]:
        one = _resolved(tree, given)
        name, where = str(one.get("name", "")), one.get("in")
        example = _example(tree, one.get("schema") or {}, one)
        if where == "path":
            template = guessing.value_of(name, example, operation=operation, where="path")
            template = template or ("{{ request_id }}" if operation == "provision" else "{{ service_id }}")
            guesses.append(Guess(f"{{{name}}}", name, template, operation))
            path = path.replace(f"{{{name}}}", template)
        elif where == "query" and one.get("required"):
            query[name] = guessing.value_of(name, example, operation=operation) or str(example or "")
        elif (
            where == "header" and one.get("required") and not re.search(r"sign|auth|key|token", name.lower())
        ):
            headers[name] = guessing.value_of(name, example, operation=operation) or str(example or "")
    request: dict[str, Any] = {"method": method.upper(), "path": path, "query": query, "headers": headers}
    body = _resolved(tree, described.get("requestBody") or {})
    kind, media = _media(body)
    request["body_kind"] = kind if method != "get" else "none"
    if request["body_kind"] != "none":
        example = _example(tree, media.get("schema") or {}, media)
        if kind == "json":
            made, told = guessing.replaced(example, operation, kept=kept)
            request["body"] = json.dumps(made, ensure_ascii=False, indent=2)
        elif kind == "xml":
            request["body"], told = guessing.xml_replaced(
                str(example or "<request></request>"), operation, kept
            )
        else:
            pairs = example if isinstance(example, dict) else {}
            request["body"], told = guessing.replaced(
                {k: str(v) for k, v in pairs.items()}, operation, kept=kept
            )
        guesses += told
    return request, guesses


def _media(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    content = body.get("content")
    for name, media in content.items() if isinstance(content, dict) else ():
        if isinstance(media, dict):
            for sign, kind in (("json", "json"), ("xml", "xml"), ("form", "form")):
                if sign in str(name):
                    return kind, media
    return "none", {}


def _read_answers(tree: dict[str, Any], described: dict[str, Any], answer: dict[str, Any]) -> None:
    """Adds what the answers of an operation tell about how to read them."""
    responses = described.get("responses")
    codes: list[str] = []
    for status, given in responses.items() if isinstance(responses, dict) else ():
        one = _resolved(tree, given if isinstance(given, dict) else {})
        kind, media = _media(one)
        if kind not in {"json", "xml"}:
            continue
        schema = _resolved(tree, media.get("schema") or {})
        example = _example(tree, schema, media)
        good = str(status).startswith("2")
        if kind == "json":
            answer["form"] = "json"
            told = guessing.reading_of("json", example)
            for name, path in told["paths"].items():
                # An error is read where errors are described, all else where successes are.
                if (name in {"error", "message"}) != good:
                    answer["paths"].setdefault(name, path)
        words = list(_enums(tree, schema, ""))
        if good:
            for name, values in words:
                if guessing.answer_field(name) == "status":
                    _put(answer["states"], values)
        else:
            codes += [
                word for name, values in words if guessing.answer_field(name) == "error" for word in values
            ]
    for meaning, found in guessing.codes_of(codes).items():
        known = answer["codes"].setdefault(meaning, [])
        known += [one for one in found if one not in known]


def _put(states: dict[str, list[str]], values: list[str]) -> None:
    known = {word for words in states.values() for word in words}
    for word in values:
        if word not in known:
            states.setdefault(guessing.state_of(word), []).append(word)


def _auth(tree: dict[str, Any]) -> dict[str, Any]:
    schemes = (tree.get("components") or {}).get("securitySchemes")
    found: dict[str, Any] = {"type": "none"}
    for given in schemes.values() if isinstance(schemes, dict) else ():
        one = _resolved(tree, given if isinstance(given, dict) else {})
        kind, name = one.get("type"), str(one.get("name", ""))
        if kind == "http":
            return {"type": "basic" if str(one.get("scheme")).lower() == "basic" else "bearer"}
        if kind == "oauth2":
            flow = (one.get("flows") or {}).get("clientCredentials") or {}
            scopes = flow.get("scopes")
            told = " ".join(scopes) if isinstance(scopes, dict) else ""
            return {"type": "oauth2", "token_url": str(flow.get("tokenUrl", "")), "scope": told}
        if kind == "apiKey" and re.search(r"sign|hmac", name.lower()):
            return {"type": "hmac", "name": name, "message": "{{ body }}"}
        if kind == "apiKey" and one.get("in") in {"header", "query"} and found["type"] == "none":
            found = {"type": "api_key", "name": name, "place": one["in"]}
    return found


# -- schemas -----------------------------------------------------------------------------------------------


def _resolved(tree: dict[str, Any], given: Any, depth: int = 0) -> dict[str, Any]:
    """A part of the file; a reference to another part of it is followed. Nothing outside the file is."""
    if not isinstance(given, dict):
        return {}
    ref = given.get("$ref")
    if not isinstance(ref, str):
        return given
    if depth > DEEPEST or not ref.startswith("#/"):
        raise Broken(_("ссылка «%s» ведёт за пределы файла или по кругу") % ref[:100])
    found: Any = tree
    for part in ref[2:].split("/"):
        found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return _resolved(tree, found, depth + 1)


def _example(tree: dict[str, Any], schema: Any, media: dict[str, Any] | None = None, depth: int = 0) -> Any:
    """An example, as it is given, or made of the schema."""
    if media and "example" in media:
        return media["example"]
    examples = (media or {}).get("examples")
    if isinstance(examples, dict) and examples:
        first = _resolved(tree, next(iter(examples.values())))
        if "value" in first:
            return first["value"]
    if depth > DEEPEST:
        return None
    one = _resolved(tree, schema)
    for name in ("example", "default", "const"):
        if name in one:
            return one[name]
    for name in ("examples", "enum"):
        if isinstance(one.get(name), list) and one[name]:
            return one[name][0]
    return _made(tree, one, depth + 1)


def _made(tree: dict[str, Any], one: dict[str, Any], depth: int) -> Any:
    """A value of a schema that gives no example."""
    for name in ("oneOf", "anyOf"):
        if isinstance(one.get(name), list) and one[name]:
            return _example(tree, one[name][0], None, depth)
    if isinstance(one.get("allOf"), list):
        parts = [_example(tree, part, None, depth) for part in one["allOf"][:20]]
        return {key: value for part in parts if isinstance(part, dict) for key, value in part.items()}
    kind = one.get("type")
    kind = next((each for each in kind if each != "null"), "") if isinstance(kind, list) else kind
    if kind == "object" or isinstance(one.get("properties"), dict):
        properties = list((one.get("properties") or {}).items())[:100]
        return {name: _example(tree, value, None, depth) for name, value in properties}
    if kind == "array":
        return [_example(tree, one.get("items") or {}, None, depth)]
    return {"integer": 1, "number": 1, "boolean": True}.get(
        str(kind), _FORMATS.get(str(one.get("format")), "string")
    )


_FORMATS = {
    "date": "2027-01-31",
    "date-time": "2027-01-31T00:00:00Z",
    "uri": "https://provider.example/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def _enums(tree: dict[str, Any], schema: Any, name: str, depth: int = 0) -> Iterator[tuple[str, list[str]]]:
    """Names with the words that they may be."""
    if depth > DEEPEST:
        return
    one = _resolved(tree, schema)
    if isinstance(one.get("enum"), list):
        yield name, [str(word) for word in one["enum"][:100]]
    for key, value in list((one.get("properties") or {}).items())[:100]:
        yield from _enums(tree, value, f"{name}.{key}".lstrip("."), depth + 1)
    for part in ("allOf", "oneOf", "anyOf"):
        for value in (one.get(part) or [])[:20]:
            yield from _enums(tree, value, name, depth + 1)
    if isinstance(one.get("items"), dict):
        yield from _enums(tree, one["items"], name, depth + 1)
