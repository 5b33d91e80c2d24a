"""Messages that a gateway never sent, or never sent so: true ones, changed, signed by whoever may have a key."""

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode

from hypothesis import strategies as st

FORM, JSON = "application/x-www-form-urlencoded", "application/json"


@dataclass(frozen=True)
class Letter:
    """One message on its way: whose shop it is of, what it says, and how it goes."""

    connection: int
    service: str
    secret: str
    """Of the shop: what a true message is signed with."""
    fields: Mapping[str, Any]
    is_form: bool = False
    body: bytes | None = None
    """What goes instead of the fields."""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON
    method: str = "POST"
    copies: int = 1

    def content(self) -> bytes:
        """The bytes that go."""
        if self.body is not None:
            return self.body
        if self.is_form:
            pairs = {k: v if isinstance(v, str) else json.dumps(v) for k, v in self.fields.items()}
            return urlencode(pairs, errors="replace").encode()
        return _dumped(self.fields)


class Raw(str):
    """JSON as it stands, which Python's own types cannot say."""


def _dumped(fields: Any) -> bytes:
    marked: list[str] = []

    def mark(value: Any) -> Any:
        if isinstance(value, Raw):
            marked.append(value)
            return f"@@raw{len(marked) - 1}@@"
        if isinstance(value, Mapping):
            return {name: mark(one) for name, one in value.items()}
        return [mark(one) for one in value] if isinstance(value, list) else value

    text = json.dumps(mark(fields))
    return re.sub(r'"@@raw(\d+)@@"', lambda found: marked[int(found[1])], text).encode()


# -- signatures, as the descriptions of the protocols have them; nothing of ours is used ------------------


def _tbank(letter: Letter) -> Letter:
    parts = {**letter.fields, "Password": letter.secret}
    kept = {
        k: v for k, v in parts.items() if k != "Token" and not isinstance(v, dict | list) and v is not None
    }
    said = "".join(str(v).lower() if isinstance(v, bool) else str(v) for _k, v in sorted(kept.items()))
    token = hashlib.sha256(said.encode(errors="replace")).hexdigest()
    return replace(letter, fields={**letter.fields, "Token": token})


def _robokassa(letter: Letter) -> Letter:
    told = {name: str(value) for name, value in letter.fields.items()}
    shop = sorted(f"{name}={value}" for name, value in told.items() if name.startswith("Shp_"))
    said = ":".join([told.get("OutSum", ""), told.get("InvId", ""), f"{letter.secret}2", *shop])
    signed = hashlib.md5(said.encode(errors="replace"), usedforsecurity=False).hexdigest()
    return replace(letter, fields={**letter.fields, "SignatureValue": signed.upper()})


def _cloudpayments(letter: Letter) -> Letter:
    def code(body: bytes) -> str:
        return base64.b64encode(hmac.digest(letter.secret.encode(), body, hashlib.sha256)).decode()

    content = letter.content()
    plain = unquote_plus(content.decode("utf-8", "replace")).encode()
    return replace(
        letter, headers={**letter.headers, "Content-HMAC": code(content), "X-Content-HMAC": code(plain)}
    )


def armor_signature(secret: str, content: bytes, at: int) -> str:
    """`X-Armor-Signature` of a body at a moment."""
    code = hmac.new(secret.encode(), f"{at}.".encode() + content, hashlib.sha256).hexdigest()
    return f"t={at},v1={code}"


def _partner(letter: Letter) -> Letter:
    signed = armor_signature(letter.secret, letter.content(), int(time.time()))
    return replace(letter, headers={**letter.headers, "X-Armor-Signature": signed})


SIGN: dict[str, Callable[[Letter], Letter]] = {
    "tbank": _tbank,
    "robokassa": _robokassa,
    "cloudpayments": _cloudpayments,
    "partner": _partner,
}
"""YooKassa and ATOL sign nothing."""


def read(row: Mapping[str, Any], *, connection: int, service: str, secret: str) -> Letter:
    """A letter of what a simulator has made."""
    headers = dict(row.get("headers") or {})
    content_type = headers.pop("Content-Type", JSON)
    if "content" not in row:
        return Letter(connection, service, secret, row["body"])
    content, is_form = row["content"], content_type == FORM
    fields = dict(parse_qsl(content, keep_blank_values=True)) if is_form else json.loads(content)
    return Letter(
        connection, service, secret, fields, is_form, headers=headers, content_type=content_type,
        body=content.encode(),
    )  # fmt: skip


# -- what may be done to them ------------------------------------------------------------------------------

ODD = [
    None, True, [], {}, [{}], "", "0", 0, -1, 1, 10**30, "9" * 5000, "-0", "NaN", "\0", "a\0b", "\ud800", "x" * 5000,
    "٣٩٩", "１２", "²", "1_0", " 1 ", "1e3", Raw("NaN"), Raw("Infinity"), Raw("1e999"), Raw("1e9999999999999999999"),
    Raw("9" * 5000), Raw("[" * 3000 + "]" * 3000), "../1", "'; DROP TABLE payments_payment; --", "<b>1</b>",
]  # fmt: skip
SAID = [
    "399.00", "0.01", "1000000.00", 39900, 1, 399.0, "RUB", "USD", "rub", "succeeded", "canceled", "pending",
    "waiting_for_capture", "CONFIRMED", "REFUNDED", "PARTIAL_REFUNDED", "REJECTED", "AUTHORIZED", "Completed",
    "Declined", "payment.succeeded", "payment.canceled", "refund.succeeded", "charged", "refused", "done", "fail",
]  # fmt: skip
BODIES: list[bytes] = [
    b"", b"null", b"[]", b"{}", b"1", b'"x"', b"\0", b"\xff\xfe\0", b"%", b"=", b"&" * 2000, b"a=1&" * 3000,
    b"[" * 100_000, b'{"a":' * 50_000, b'{"event":"payment.succeeded","object":' + b'{"metadata":' * 50_000,
    b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'b'>]><a>&b;</a>", b"x" * 300_000, b"--", b"\r\n\r\n",
]  # fmt: skip
TYPES = [JSON, FORM, "text/plain", "application/xml", "multipart/form-data; boundary=x", "multipart/form-data", "",
         "application/json; charset=utf-16", "text/html; charset=nothing"]  # fmt: skip
ENCODINGS = ["utf-16", "utf-32", "cp1251", "utf-8-sig", "utf-7"]
HEADERS = [
    ("Content-HMAC", "AAAA"), ("X-Content-HMAC", ""), ("X-Armor-Signature", "t=,v1="), ("X-Armor-Signature", "é"),
    ("X-Armor-Signature", "t=99999999999999999999,v1=00"), ("Content-HMAC", "\xff"), ("Content-Encoding", "gzip"),
    ("X-Forwarded-For", "127.0.0.1"), ("X-Request-Id", "1"), ("User-Agent", "gateway"), ("Accept", "\xa0"),
]  # fmt: skip


def _paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = (
        value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    )
    found = [at] if at else []
    return found + [path for name, one in inner for path in _paths(one, (*at, name))]


def _set(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copied = dict(value) if isinstance(value, Mapping) else list(value)
    copied[path[0]] = _set(copied[path[0]], path[1:], new)
    return copied


def _get(value: Any, path: tuple[Any, ...]) -> Any:
    for name in path:
        value = value[name]
    return value


@st.composite
def letters(draw: Any, true: list[Letter], names: list[Any]) -> Letter:
    """A true letter and what was done to it. `names`: every number and id that anybody may know."""
    letter: Letter = draw(st.sampled_from(true))
    own = letter
    for change in draw(st.lists(st.sampled_from(CHANGES), max_size=3)):
        letter = change(draw, letter, true, names)
    key = draw(st.sampled_from(["as it is", "own", "own", "another's"]))
    if letter.service in SIGN and (letter.fields is not own.fields or letter.body is not own.body):
        # A gateway's own word that is not true, or one with the key of a shop of somebody else.
        other = draw(st.sampled_from(true)).secret
        signed = replace(letter, secret=own.secret if key == "own" else other)
        letter = letter if key == "as it is" else SIGN[letter.service](signed)
    return replace(letter, copies=draw(st.sampled_from([1, 1, 2, 3])))


def _field(draw: Any, letter: Letter, true: list[Letter], names: list[Any]) -> Letter:
    paths = _paths(letter.fields)
    if not paths:
        return letter
    new = draw(st.one_of(st.sampled_from(names), st.sampled_from(SAID), st.sampled_from(ODD)))
    return replace(letter, fields=_set(letter.fields, draw(st.sampled_from(paths)), new), body=None)


def _swap(draw: Any, letter: Letter, true: list[Letter], names: list[Any]) -> Letter:
    paths = [path for path in _paths(letter.fields) if len(path) == 1]
    if len(paths) < 2:
        return letter
    one, two = draw(st.sampled_from(paths)), draw(st.sampled_from(paths))
    fields = _set(letter.fields, one, _get(letter.fields, two))
    return replace(letter, fields=_set(fields, two, _get(letter.fields, one)), body=None)


def _drop(draw: Any, letter: Letter, true: list[Letter], names: list[Any]) -> Letter:
    if not letter.fields:
        return letter
    gone = draw(st.sampled_from(sorted(letter.fields)))
    return replace(letter, fields={k: v for k, v in letter.fields.items() if k != gone}, body=None)


def _elsewhere(draw: Any, letter: Letter, true: list[Letter], names: list[Any]) -> Letter:
    return replace(letter, connection=draw(st.sampled_from(true)).connection)


def _cut(draw: Any, letter: Letter, true: list[Letter], names: list[Any]) -> Letter:
    content = letter.content()
    return replace(letter, body=content[: draw(st.integers(0, len(content)))])


def _flip(draw: Any, letter: Letter, true: list[Letter], names: list[Any]) -> Letter:
    content = bytearray(letter.content() or b"x")
    content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return replace(letter, body=bytes(content))


def _other_body(draw: Any, letter: Letter, true: list[Letter], names: list[Any]) -> Letter:
    return replace(letter, body=draw(st.sampled_from([*BODIES, draw(st.sampled_from(true)).content()])))


def _encoded(draw: Any, letter: Letter, true: list[Letter], names: list[Any]) -> Letter:
    text = letter.content().decode("utf-8", "replace")
    return replace(letter, body=text.encode(draw(st.sampled_from(ENCODINGS)), "replace"))


def _form(draw: Any, letter: Letter, true: list[Letter], names: list[Any]) -> Letter:
    return replace(letter, is_form=not letter.is_form, body=None)


def _type(draw: Any, letter: Letter, true: list[Letter], names: list[Any]) -> Letter:
    return replace(letter, content_type=draw(st.sampled_from(TYPES)))


def _header(draw: Any, letter: Letter, true: list[Letter], names: list[Any]) -> Letter:
    name, value = draw(st.sampled_from([*HEADERS, *draw(st.sampled_from(true)).headers.items()]))
    return replace(letter, headers={**letter.headers, name: value})


def _method(draw: Any, letter: Letter, true: list[Letter], names: list[Any]) -> Letter:
    return replace(letter, method=draw(st.sampled_from(["GET", "PUT", "POST"])))


CHANGES = [_field, _field, _field, _swap, _drop, _elsewhere, _elsewhere, _cut, _flip, _other_body, _encoded, _form,
           _type, _header, _method]  # fmt: skip
