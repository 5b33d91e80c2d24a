"""What staff type in the editor of a connector, put into its document and taken out of it."""

import json
from collections.abc import Mapping
from typing import Any

from apps.providers.declarative.document import CALLBACK_PATHS, CODES, PATHS, STATES


def access(document: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """The document with the step «Доступ» in it."""
    made = _copied(document)
    made["base_url"] = given.get("base_url", "").strip().rstrip("/")
    auth: dict[str, Any] = {"type": given.get("auth_type") or "none"}
    for name in ("name", "prefix", "place", "algorithm", "encoding", "token_url", "scope"):
        if value := given.get(f"auth_{name}", "").strip(" "):
            auth[name] = value
    if message := given.get("auth_message", "").replace("\r\n", "\n"):
        auth["message"] = message
    auth["headers"] = pairs(given.get("auth_headers", ""), ":")
    made["auth"] = auth
    for name in ("timeout", "in_flight", "per_second"):
        made[name] = _number(given.get(name, ""))
    return made


def request(document: Mapping[str, Any], operation: str, given: Mapping[str, str]) -> dict[str, Any]:
    """The document with one request of the step «Запросы» in it."""
    made = _copied(document)
    operations = made.setdefault("operations", {})
    kind = given.get("body_kind") or "none"
    described: dict[str, Any] = {
        "method": given.get("method") or "POST",
        "path": given.get("path", "").strip(),
        "query": pairs(given.get("query", ""), "="),
        "headers": pairs(given.get("headers", ""), ":"),
        "body_kind": kind,
        "repeat_safe": bool(given.get("repeat_safe")),
    }
    if kind != "none":
        described["body"] = _body(kind, given.get("body", "").replace("\r\n", "\n"))
    if own := operations.get(operation, {}).get("answer"):
        described["answer"] = own
    operations[operation] = described
    return made


def removed(document: Mapping[str, Any], operation: str) -> dict[str, Any]:
    """The document without a request."""
    made = _copied(document)
    made.get("operations", {}).pop(operation, None)
    return made


def answer(document: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """The document with the step «Ответ» in it."""
    made = _copied(document)
    made["answer"] = {
        "form": given.get("form") or "json",
        "paths": {name: path for name in PATHS if (path := given.get(f"path_{name}", "").strip())},
        "states": {name: found for name in STATES if (found := words(given.get(f"state_{name}", "")))},
        "codes": {name: found for name in CODES if (found := words(given.get(f"code_{name}", "")))},
    }
    made["delivery"] = given.get("delivery") or "at_once"
    made["poll_seconds"] = _number(given.get("poll_seconds", ""))
    made.pop("callback", None)
    if made["delivery"] == "callback":
        told = {name: given.get(f"callback_{name}", "").strip() for name in _CALLBACK}
        paths = {name: path for name in CALLBACK_PATHS if (path := given.get(f"told_{name}", "").strip())}
        made["callback"] = {name: value for name, value in told.items() if value} | {
            "answer": {"paths": paths}
        }
    return made


_CALLBACK = ("verify", "header", "prefix", "algorithm", "encoding", "message", "time_header")


def merged(document: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """The document with what an example has told of answers, where nobody has described it yet."""
    made = _copied(document)
    known = made.setdefault("answer", {})
    if told["form"] != known.get("form", "json"):
        known.update(form=told["form"], paths={})
    known["paths"] = {**told["paths"], **known.get("paths", {})}
    for name in ("states", "codes"):
        described = known.setdefault(name, {})
        taken = {str(word).lower() for found in described.values() for word in found}
        for meaning, found in told[name].items():
            described.setdefault(meaning, []).extend(word for word in found if word.lower() not in taken)
    return made


def pairs(text: str, sign: str) -> dict[str, str]:
    """Lines of `name: value` (or `name = value`)."""
    found = {}
    for line in text.replace("\r\n", "\n").split("\n"):
        if line.strip():
            name, _sign, value = line.partition(sign)
            found[name.strip()] = value.strip()
    return found


def lines(found: Mapping[str, Any] | None, sign: str) -> str:
    """`pairs` the other way round."""
    gap = ": " if sign == ":" else " = "
    return "\n".join(f"{name}{gap}{value}" for name, value in (found or {}).items())


def words(text: str) -> list[str]:
    """Words between commas."""
    return [one.strip() for one in text.split(",") if one.strip()]


def body_text(described: Mapping[str, Any]) -> str:
    """A body as it is edited."""
    kind, body = described.get("body_kind"), described.get("body")
    if body is None:
        return ""
    if kind == "form" and isinstance(body, dict):
        return lines(body, "=")
    return body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, indent=2)


def _body(kind: str, text: str) -> Any:
    if kind == "form":
        return pairs(text, "=")
    # Kept as it was typed; what is wrong in it the editor says with its place.
    return text


def _number(text: str) -> float | int | str | None:
    if not text.strip():
        return None
    try:
        found = float(text.replace(",", "."))
    except ValueError:
        return text
    return int(found) if found.is_integer() else found


def _copied(document: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(document))
    return made
