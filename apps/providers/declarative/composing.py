"""The HTTP request of an operation: filled in, then signed. Nothing is sent here, so a preview is what will be sent."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from django.utils.translation import gettext as _

from apps.providers.declarative import answers
from apps.providers.declarative.document import OPERATIONS, Auth, Document, Request
from apps.providers.declarative.templates import OMITTED, Broken, Written

_TYPES = {
    "json": "application/json",
    "xml": "application/xml; charset=utf-8",
    "form": "application/x-www-form-urlencoded",
}


@dataclass(slots=True)
class Composed:
    """A request, ready to be sent."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""


def compose(
    document: Document, operation: str, values: Mapping[str, Any], *, base_url: str = "", token: str = ""
) -> Composed:
    """The request of an operation. `token`: what OAuth2 gave. Raises Broken with the place."""
    request = document.operations.get(operation)
    if request is None:
        raise Broken(_("запрос «%s» не описан") % OPERATIONS.get(operation, operation))
    place = str(OPERATIONS[operation])
    base = (base_url or document.base_url).rstrip("/")
    if not base:
        raise Broken(_("не задан адрес API"))
    query = _pairs(request.query, values, f"{place} → {_('параметры')}")
    headers = dict(_pairs(request.headers, values, f"{place} → {_('заголовки')}"))
    content = _content(request, values, f"{place} → {_('тело')}")
    if request.body_kind != "none" and "content-type" not in {name.lower() for name in headers}:
        headers["Content-Type"] = _TYPES[request.body_kind]
    path = _at(f"{place} → {_('адрес')}", request.path.text, values)
    composed = Composed(request.method, base + path, headers, content)
    _authenticate(composed, document.auth, values, query, token)
    for name, value in composed.headers.items():
        if any(sign in value for sign in "\r\n\0"):
            raise Broken(_("перенос строки в заголовке «%s»") % name)
    return composed


def _at(place: str, fill: Any, values: Mapping[str, Any]) -> Any:
    try:
        return fill(values)
    except Broken as error:
        raise Broken(f"{place}: {error}") from error


def _pairs(
    pairs: tuple[tuple[str, Written], ...], values: Mapping[str, Any], place: str
) -> list[tuple[str, str]]:
    found = [(name, _at(f"{place} → {name}", one.value, values)) for name, one in pairs]
    return [(name, answers.text(value)) for name, value in found if value is not OMITTED]


def _content(request: Request, values: Mapping[str, Any], place: str) -> bytes:
    if request.body_kind == "none":
        return b""
    if request.body_kind == "form":
        return urlencode(_pairs(request.body, values, place)).encode()
    if request.body_kind == "xml":
        text: str = _at(place, request.body.text, values).strip()
        content = text.encode()
        try:
            answers.parse_xml(content)
        except Broken as error:
            raise Broken(f"{place}: {error}") from error
        return content
    filled = _filled(request.body, values, place)
    return json.dumps({} if filled is OMITTED else filled, ensure_ascii=False, separators=(",", ":")).encode()


def _filled(body: Any, values: Mapping[str, Any], place: str) -> Any:
    """JSON with its texts filled in: whatever a value holds, it stays a value."""
    if isinstance(body, Written):
        return _at(place, body.value, values)
    if isinstance(body, dict):
        found = {name: _filled(value, values, f"{place}.{name}") for name, value in body.items()}
        return {name: value for name, value in found.items() if value is not OMITTED}
    if isinstance(body, list):
        rows = [_filled(value, values, f"{place}[{number}]") for number, value in enumerate(body)]
        return [value for value in rows if value is not OMITTED]
    return body


def _authenticate(
    composed: Composed, auth: Auth, values: Mapping[str, Any], query: list[tuple[str, str]], token: str
) -> None:
    login, secret = str(values.get("login") or ""), str(values.get("secret") or "")
    if auth.type == "api_key" and auth.place == "query":
        query = [*query, (auth.name, secret)]
    if query:
        composed.url += "?" + urlencode(query, quote_via=quote)
    if auth.type == "basic":
        given = base64.b64encode(f"{login}:{secret}".encode()).decode()
        composed.headers["Authorization"] = f"Basic {given}"
    elif auth.type == "bearer":
        composed.headers["Authorization"] = f"{auth.prefix or 'Bearer'} {secret}"
    elif auth.type == "oauth2":
        composed.headers["Authorization"] = f"Bearer {token}"
    elif auth.type == "api_key" and auth.place == "header":
        composed.headers[auth.name] = auth.prefix + secret
    elif auth.type == "hmac":
        _sign(composed, auth, values, secret)


def _sign(composed: Composed, auth: Auth, values: Mapping[str, Any], secret: str) -> None:
    parts = urlsplit(composed.url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    told = {
        **values,
        "method": composed.method,
        "url": composed.url,
        "path": path,
        "body": composed.content.decode(),
        "body_sha256": hashlib.sha256(composed.content).hexdigest(),
        "body_md5": base64.b64encode(hashlib.md5(composed.content, usedforsecurity=False).digest()).decode(),
    }
    place = _("Доступ → подпись")
    assert auth.message is not None
    told["signature"] = signature(secret, _at(place, auth.message.text, told), auth.algorithm, auth.encoding)
    composed.headers[auth.name] = auth.prefix + told["signature"]
    for name, one in auth.headers:
        composed.headers[name] = answers.text(_at(place, one.value, told))


def signature(secret: str, message: str, algorithm: str, encoding: str) -> str:
    """HMAC of a text as the other side writes it."""
    digest = hmac.digest(secret.encode(), message.encode(), algorithm)
    return digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
