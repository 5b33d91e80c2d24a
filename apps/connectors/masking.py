"""What of a call may be kept: no secrets, no cards, no contacts.

Hidden by name, and by value: what a connection knows of its own secrets is found wherever the other side repeats it.
Every step is linear, and no more than the first 20,000 characters are looked at.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit, urlunsplit

HIDDEN = "•••"
# Parts of names whose values are hidden, in any spelling: access_token, apiKey, customerPhone, card_number.
_SECRET = re.compile(
    r"pass|secret|token|rebill|(^|[_-])key|apikey|opkey|sign|auth|cookie|card|cryptogram|pan$|cvc|cvv|csc$|"
    r"security_?code|credential|private|payment_?method_?id|phone|e?mail|(^|_)to$|recipient|"
    r"first_?name|last_?name|full_?name|middle_?name|birth|address|text|value",
    re.IGNORECASE,
)
# The same in running text, where many a word is no name: only what is surely a secret.
_SAID = re.compile(
    r"((?:pass(?:word|wd)?|secret|token|rebill_?id|api_?key|signature|cvc|cvv|card_?number)[\w-]{0,30}"
    r"""\\?["']?\s{0,3}[=:]\s{0,3}\\?["']?)(?!•)[^\s"'&,;<>{}\\]+""",
    re.IGNORECASE,
)
_WORDS = ("pass", "secret", "token", "rebill", "api", "signature", "cvc", "cvv", "card")
_SCHEME = re.compile(r"\b(Basic|Bearer)\s+[\w.~+/=-]{6,}", re.IGNORECASE)
_JWT = re.compile(r"\b(eyJ[\w-]+\.[\w-]+)\.[\w-]+")
_XML = re.compile(r"<([\w:.-]{1,60})(\s[^<>]{0,500})?>([^<]+)</")
_PAIR = re.compile(r'"([^"\\]{1,60})"(\s*:\s*)("(?:[^"\\]|\\.)*"?|[-\d.eE+]+)')
_FORM = re.compile(r"[\w.%+-]+=\S*")
# Both begin with a digit and look back from it: so places without one are passed over at once.
_PHONE_OR_CARD = re.compile(r"[+\d](?<![\w-].)(?:(?<=\d)|\d)[\d \-]{8,17}\d(?![\w-])")
# A card wherever it stands: in groups as it is printed, or as digits that hold by Luhn's rule. A sign before it may be
# written as its code, whose digits are none of the card's.
_CARD = re.compile(
    r"\d(?<!%.)(?<!%[0-9A-F].)(?:(?<!\d.)|(?<=%[0-9A-F]{2}.))(?:\d{12,18}|"
    r"\d{3}([ +-]|%20)\d{4}\1\d{4}\1\d{1,7}(?:\1\d{1,3})?|\d{3}([ +-]|%20)\d{6}\2\d{4,5})(?!\d)"
)
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,100}(?:@|%40)[\w-]{1,100}\.[\w.-]{1,100}")
LONGEST = 4000
WINDOW = 20_000
"""So many characters of a body are looked at; where it goes on, what its end may have cut in two is not kept."""
SHORTEST_SECRET = 6
"""What is shorter is a word: hidden by its name only."""
DEEPEST = 50

_known: ContextVar[tuple[str, ...]] = ContextVar("known_secrets", default=())
_also: ContextVar[tuple[str, ...]] = ContextVar("secrets_of_the_call", default=())


def guard(secrets: Iterable[str], names: Iterable[str] = ()) -> None:
    """From now on hides these values in this thread, wherever they stand, until it is called for others.

    `names`: what they may be joined to, as `login:password`. Not a context: an error tells of a call after its end.
    """
    _known.set(_forms(tuple(secrets), tuple(names)))


@contextmanager
def also(*secrets: str) -> Iterator[None]:
    """Within it these are hidden as well: what one call carries besides its connection's own."""
    kept = _also.set(_forms(secrets, ()))
    try:
        yield
    finally:
        _also.reset(kept)


@lru_cache(maxsize=2000)
def _forms(secrets: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    """All that a secret may look like, the longest first."""
    forms = {form for one in secrets if len(one) >= SHORTEST_SECRET for form in _looks(one, names)}
    return tuple(sorted(forms, key=len, reverse=True))


def _looks(secret: str, names: tuple[str, ...]) -> Iterator[str]:
    quoted = quote(secret, safe="")
    yield from (secret, quote(secret), quoted, quoted.lower(), quote_plus(secret), quote(quoted, safe=""))
    once = json.dumps(secret)[1:-1]
    plain = json.dumps(secret, ensure_ascii=False)[1:-1]
    yield from (once, json.dumps(once)[1:-1], plain, json.dumps(plain, ensure_ascii=False)[1:-1])
    for whole in (secret, *(f"{name}:{secret}" for name in names)):
        for coded in (base64.b64encode(whole.encode()), base64.urlsafe_b64encode(whole.encode())):
            yield coded.rstrip(b"=").decode()


def known(found: str) -> str:
    """Text without the secrets of the connection and of the call."""
    for one in _also.get() + _known.get():
        if one in found:
            found = found.replace(one, HIDDEN)
    return found


def url(address: str) -> str:
    """The address without the values of telling parameters and without a password."""
    parts = urlsplit(known(address))
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, _cards(parts.path), _form(parts.query), ""))


def _form(pairs: str) -> str:
    kept = [(k, HIDDEN if _is_secret(k) else _text(v)) for k, v in parse_qsl(known(pairs))]
    # Once more: what stood there in some other code can be seen now.
    return known(urlencode(kept, safe=HIDDEN))


def body(content: bytes) -> str:
    """A body as text, at most 4,000 characters, without secrets, cards and contacts."""
    raw, is_cut = _beginning(content)
    try:
        masked = known(json.dumps(value(json.loads(raw)), ensure_ascii=False))[:LONGEST]
        # An escaped half of a sign is JSON, and no text that the database takes.
        return masked.encode("utf-8", "replace").decode()
    except (ValueError, RecursionError):
        pass
    masked = known(_form(raw) if _FORM.fullmatch(raw) else _text(raw))
    return (masked[:-100] if is_cut else masked)[:LONGEST]


def _beginning(content: bytes) -> tuple[str, bool]:
    """What is looked at, without known secrets, and whether there is more."""
    raw = content[: WINDOW * 4].decode("utf-8", "replace")
    if len(raw) <= WINDOW:
        return known(raw), False
    # The end may hold the beginning of one: it would not be known as such.
    longest = max(map(len, _also.get() + _known.get()), default=0)
    return known(raw[:WINDOW])[: -longest or None], True


def value(found: Any, name: str = "", depth: int = 0) -> Any:
    """A JSON value with what is telling hidden, at any depth. Amounts stay: their object has a currency."""
    if found and not isinstance(found, bool) and _is_secret(name):
        return HIDDEN
    if isinstance(found, str):
        return _inner(found, depth) if found[:1] in {"{", "["} else _text(found)
    if isinstance(found, int):
        # A moment in milliseconds has as many digits, and begins with 1.
        return HIDDEN if found >= 2 * 10**12 and str(found)[0] != "1" and _is_card(str(found)) else found
    if depth > DEEPEST:
        return HIDDEN
    if isinstance(found, dict):
        # The number of a saved method is what charges are made by.
        open_name = "value" if "currency" in found else ""
        closed = "id" if name in {"payment_method", "paymentMethod"} else ""
        return {
            k if len(k) < 10 else _text(k): v
            if k == open_name
            else HIDDEN
            if k == closed
            else value(v, k, depth + 1)
            for k, v in found.items()
        }
    return [value(item, "", depth + 1) for item in found] if isinstance(found, list) else found


def _inner(found: str, depth: int) -> str:
    """Text that may be JSON in itself, as a service that repeats our request has it."""
    try:
        return json.dumps(value(json.loads(found), "", depth + 1), ensure_ascii=False)
    except (ValueError, RecursionError):
        return _text(found)


@lru_cache(maxsize=10_000)
def _is_secret(name: str) -> bool:
    """Names come again with every call."""
    return _SECRET.search(name) is not None


def text(found: str) -> str:
    """Text without e-mail addresses, phones, card numbers, and what is surely a secret."""
    return known(_text(known(found)))


def _text(found: str) -> str:
    # The shortest that there is to hide has some characters.
    if len(found) < 6:
        return found
    if found[0] in "{[":
        found = _PAIR.sub(_pair, found)
    if "<" in found:
        found = _XML.sub(_element, found)
    found = _told(found)
    if "@" in found or "%40" in found:
        found = _EMAIL.sub(HIDDEN, found)
    return _PHONE_OR_CARD.sub(HIDDEN, _cards(found)) if len(found) >= 10 else found


def line(found: str) -> str:
    """A line of the log without secrets and card numbers; all other numbers in it stay."""
    return known(_cards(_told(known(found))))


def _told(found: str) -> str:
    if ("=" in found or ":" in found) and _says(found.lower()):
        found = _SAID.sub(rf"\1{HIDDEN}", found)
    if "asic" in found or "earer" in found:
        found = _SCHEME.sub(rf"\1 {HIDDEN}", found)
    return _JWT.sub(rf"\1.{HIDDEN}", found) if "eyJ" in found else found


def _says(lower: str) -> bool:
    return any(word in lower for word in _WORDS)


def _pair(one: re.Match[str]) -> str:
    return f'"{one[1]}"{one[2]}"{HIDDEN}"' if _is_secret(one[1]) else one[0]


def _element(one: re.Match[str]) -> str:
    if not _is_secret(one[1].rpartition(":")[2]):
        return one[0]
    return f"<{one[1]}{one[2] or ''}>{HIDDEN}</"


def _cards(found: str) -> str:
    return _CARD.sub(lambda one: HIDDEN if one[1] or one[2] or _is_card(one[0]) else one[0], found)


def _is_card(digits: str) -> bool:
    """Whether 13 to 19 digits hold by Luhn's rule."""
    twice = (sum(divmod(2 * int(one), 10)) for one in digits[-2::-2])
    return 13 <= len(digits) <= 19 and (sum(map(int, digits[::-2])) + sum(twice)) % 10 == 0
