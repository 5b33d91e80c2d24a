"""What of a call may be kept: no secrets, no cards, no contacts."""

import json
import re
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

HIDDEN = "•••"
# Parts of names whose values are hidden, in any spelling: access_token, apiKey, customerPhone, card_number.
_SECRET = re.compile(
    r"pass|secret|token|rebill|(^|[_-])key|apikey|sign|auth|cookie|card|pan$|cvc|cvv|phone|e?mail|(^|_)to$|recipient|"
    r"first_?name|last_?name|full_?name|middle_?name|birth|address|text|value",
    re.IGNORECASE,
)
_PHONE_OR_CARD = re.compile(r"(?<![\w-])\+?\d(?:[\d \-]{8,17})\d(?![\w-])")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
LONGEST = 4000


def url(address: str) -> str:
    """The address without the values of telling parameters and without a password."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    query = urlencode(
        [(k, HIDDEN if _SECRET.search(k) else text(v)) for k, v in parse_qsl(parts.query)], safe=HIDDEN
    )
    return urlunsplit((parts.scheme, host, parts.path, query, ""))


def body(content: bytes) -> str:
    """A body as text, at most 4,000 characters, without secrets, cards and contacts."""
    raw = content.decode("utf-8", "replace")
    try:
        return json.dumps(value(json.loads(raw)), ensure_ascii=False)[:LONGEST]
    except ValueError:
        pass
    if re.fullmatch(r"[\w.%+-]+=[^\s]*", raw):
        return url("?" + raw)[1:LONGEST]
    return text(raw)[:LONGEST]


def value(found: Any, name: str = "") -> Any:
    """A JSON value with what is telling hidden, at any depth. Amounts stay: their object has a currency."""
    if found and not isinstance(found, bool) and _is_secret(name):
        return HIDDEN
    if isinstance(found, dict):
        money = "currency" in found
        return {k: v if money and k == "value" else value(v, k) for k, v in found.items()}
    if isinstance(found, list):
        return [value(item) for item in found]
    return text(found) if isinstance(found, str) else found


@lru_cache(maxsize=10_000)
def _is_secret(name: str) -> bool:
    """Names come again with every call."""
    return _SECRET.search(name) is not None


def text(found: str) -> str:
    """Text without e-mail addresses, phones and card numbers."""
    if "@" in found:
        found = _EMAIL.sub(HIDDEN, found)
    # The shortest has ten characters.
    return _PHONE_OR_CARD.sub(HIDDEN, found) if len(found) >= 10 else found
