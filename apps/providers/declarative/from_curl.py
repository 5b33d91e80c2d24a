"""A request and the access in it, read from a pasted curl command."""

import base64
import binascii
import json
import re
import shlex
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.utils.translation import gettext as _

from apps.providers.declarative import guessing
from apps.providers.declarative.guessing import Guess, Kept
from apps.providers.declarative.templates import Broken

LONGEST = 50_000
_WITH_VALUE = {
    "-X": "method",
    "--request": "method",
    "-H": "header",
    "--header": "header",
    "-d": "data",
    "--data": "data",
    "--data-raw": "data",
    "--data-binary": "data",
    "--data-ascii": "data",
    "--data-urlencode": "urlencode",
    "--json": "json",
    "-F": "form",
    "--form": "form",
    "-u": "user",
    "--user": "user",
    "--url": "url",
    "-b": "cookie",
    "--cookie": "cookie",
    "-A": "agent",
    "--user-agent": "agent",
    "-e": "ignored",
    "--referer": "ignored",
    "-o": "ignored",
    "--output": "ignored",
    "-m": "ignored",
    "--max-time": "ignored",
    "--connect-timeout": "ignored",
    "-x": "ignored",
    "--proxy": "ignored",
    "--cacert": "ignored",
    "-w": "ignored",
}
_DROPPED = frozenset(
    {"content-length", "host", "connection", "accept-encoding", "user-agent", "accept", "cookie"}
)
_ESCAPE = re.compile(r"\$'((?:[^'\\]|\\.)*)'", re.DOTALL)


@dataclass(slots=True)
class Curl:
    """What a command says. Login and secret are for the connection, never for the document."""

    base_url: str = ""
    request: dict[str, Any] = field(default_factory=dict)
    auth: dict[str, Any] = field(default_factory=lambda: {"type": "none"})
    login: str = ""
    secret: str = ""
    guesses: list[Guess] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read(command: str, operation: str = "provision", kept: Kept = frozenset()) -> Curl:
    """Reads a command as a shell would, without running anything. Raises Broken."""
    given = _arguments(command)
    found = Curl()
    address = (given.get("url") or [""])[-1]
    if "://" not in address:
        address = f"https://{address}" if address else ""
    parts = urlsplit(address)
    if not parts.hostname:
        raise Broken(_("в команде нет адреса"))
    found.base_url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    headers = dict(_header(one) for one in given.get("header", []))
    data, kind = _data(given, headers)
    method = (given.get("method") or [""])[-1].upper() or ("POST" if data is not None else "GET")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if "get" in given and data is not None:
        query |= dict(parse_qsl(str(data), keep_blank_values=True))
        data, kind, method = None, "none", (given.get("method") or ["GET"])[-1]
    _access(found, given, headers, query)
    if given.get("form"):
        found.notes.append(_("multipart (-F) не поддерживается: поля взяты как обычная форма"))
    found.request = {
        "method": method,
        "path": _path(found, parts.path, operation, kept),
        "query": _guessed(found, query, operation, kept),
        "headers": {name: value for name, value in headers.items() if name.lower() not in _DROPPED},
        "body_kind": kind,
        **_body(found, kind, data, operation, kept),
    }
    return found


def _arguments(command: str) -> dict[str, list[str]]:
    if len(command) > LONGEST:
        raise Broken(_("команда слишком длинная"))
    plain = _ESCAPE.sub(lambda one: shlex.quote(_unescaped(one[1])), command)
    plain = re.sub(r"[\\^]\r?\n", " ", plain).strip()
    try:
        parts = shlex.split(plain)
    except ValueError as error:
        raise Broken(_("не закрыта кавычка в команде")) from error
    if not parts or parts[0].rpartition("/")[2] not in {"curl", "curl.exe"}:
        raise Broken(_("команда должна начинаться со слова curl"))
    found: dict[str, list[str]] = {}
    rest = iter(parts[1:])
    for one in rest:
        name, equals, value = one.partition("=") if one.startswith("--") else (one, "", "")
        if name in _WITH_VALUE:
            found.setdefault(_WITH_VALUE[name], []).append(value if equals else next(rest, ""))
        elif one[:2] in {"-X", "-H", "-d", "-u", "-F"} and len(one) > 2:
            found.setdefault(_WITH_VALUE[one[:2]], []).append(one[2:])
        elif one in {"-G", "--get"}:
            found["get"] = ["1"]
        elif not one.startswith("-"):
            found.setdefault("url", []).append(one)
    return found


def _unescaped(text: str) -> str:
    for written, sign in (("\\n", "\n"), ("\\r", "\r"), ("\\t", "\t"), ("\\'", "'"), ("\\\\", "\\")):
        text = text.replace(written, sign)
    return text


def _header(line: str) -> tuple[str, str]:
    name, _colon, value = line.partition(":")
    return name.strip(), value.strip()


def _data(given: dict[str, list[str]], headers: dict[str, str]) -> tuple[Any, str]:
    """The body of a request, and its kind."""
    if "json" in given:
        return _json(given["json"][-1]), "json"
    pieces = [*given.get("data", []), *given.get("urlencode", []), *given.get("form", [])]
    if not pieces:
        return None, "none"
    text = "&".join(pieces)
    if text.startswith("@"):
        raise Broken(_("тело берётся из файла (@…): вставьте его содержимое"))
    kind = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    for name in [name for name in headers if name.lower() == "content-type"]:
        if "json" in kind or "form" in kind:
            del headers[name]
    if text.lstrip().startswith("<"):
        return text, "xml"
    if "json" in kind or text.lstrip()[:1] in {"{", "["}:
        return _json(text), "json"
    return text, "form"


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Broken(_("тело запроса: это не JSON: %s") % error) from error


def _access(found: Curl, given: dict[str, list[str]], headers: dict[str, str], query: dict[str, str]) -> None:
    """Takes the access out of the request: it goes to the connection, encrypted."""
    if "user" in given:
        found.login, _colon, found.secret = given["user"][-1].partition(":")
        found.auth = {"type": "basic"}
    for name in list(headers):
        lower, value = name.lower(), headers[name]
        if lower == "authorization":
            del headers[name]
            scheme, _space, token = value.partition(" ")
            found.auth = {"type": "basic"} if scheme.lower() == "basic" else {"type": "bearer"}
            if scheme.lower() == "basic":
                found.login, found.secret = _basic(token)
            else:
                found.secret = token or scheme
        elif re.search(r"sign|hmac", lower):
            del headers[name]
            found.auth = {"type": "hmac", "name": name}
            found.notes.append(_("заголовок «%s» похож на подпись: опишите, что подписать") % name)
        elif re.search(r"api.?key|token|secret|auth", lower):
            del headers[name]
            found.auth, found.secret = {"type": "api_key", "name": name, "place": "header"}, value
    for name in [one for one in query if re.search(r"api.?key|token|secret", one.lower())]:
        found.auth = {"type": "api_key", "name": name, "place": "query"}
        found.secret = query.pop(name)


def _basic(token: str) -> tuple[str, str]:
    try:
        login, _colon, secret = base64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return login, secret


def _path(found: Curl, path: str, operation: str, kept: Kept) -> str:
    """The path; a part of it that is an id is ours, or the provider's."""
    made = []
    for part in path.split("/"):
        is_id = re.fullmatch(r"[0-9a-f-]{32,36}|\d{4,}|[A-Z]{1,4}-?\d{3,}", part, re.IGNORECASE)
        template = (
            guessing.value_of(
                "external id" if operation == "provision" else "id", part, where="path", operation=operation
            )
            if is_id
            else ""
        )
        if template:
            guess = Guess(_("адрес"), part, template, operation)
            found.guesses.append(guess)
            template = "" if guess.key in kept else template
        made.append(template or part)
    return "/".join(made)


def _guessed(found: Curl, pairs: dict[str, str], operation: str, kept: Kept) -> dict[str, str]:
    made = {}
    for name, value in pairs.items():
        template = guessing.value_of(name, value, operation=operation)
        if template:
            guess = Guess(name, value, template, operation)
            found.guesses.append(guess)
            template = "" if guess.key in kept else template
        made[name] = template or value
    return made


def _body(found: Curl, kind: str, data: Any, operation: str, kept: Kept) -> dict[str, Any]:
    if kind == "none":
        return {}
    if kind == "form":
        return {"body": _guessed(found, dict(parse_qsl(str(data), keep_blank_values=True)), operation, kept)}
    if kind == "xml":
        text, guesses = guessing.xml_replaced(str(data), operation, kept)
    else:
        text, guesses = guessing.replaced(data, operation, kept=kept)
    for one in guesses:
        # What the example held is the access, and stands in the connection from now on.
        if one.template == "{{ secret }}":
            found.secret = one.value
        if one.template == "{{ login }}":
            found.login = one.value
    found.guesses += guesses
    return {"body": text if kind == "xml" else json.dumps(text, ensure_ascii=False, indent=2)}
