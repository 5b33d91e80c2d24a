"""What a declarative connector says of a provider: its document, read; what is wrong is named with its place.

The document is JSON and holds no secret: those stand in the connection, encrypted.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.providers.declarative import answers, fields
from apps.providers.declarative.templates import Broken, Written, written

FORMAT = 1
OPERATIONS: dict[str, Any] = {
    "check": gettext_lazy("Проверка связи"),
    "provision": gettext_lazy("Подключить"),
    "status": gettext_lazy("Узнать состояние"),
    "extend": gettext_lazy("Продлить"),
    "suspend": gettext_lazy("Приостановить"),
    "resume": gettext_lazy("Возобновить"),
    "cancel": gettext_lazy("Отключить"),
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
AUTHS: dict[str, Any] = {
    "none": gettext_lazy("без входа"),
    "basic": gettext_lazy("логин и пароль (Basic)"),
    "bearer": gettext_lazy("токен (Bearer)"),
    "api_key": gettext_lazy("ключ API в заголовке или параметре"),
    "hmac": gettext_lazy("подпись HMAC"),
    "oauth2": gettext_lazy("OAuth 2.0, client credentials"),
}
BODIES = {"none": gettext_lazy("нет"), "json": "JSON", "xml": "XML", "form": gettext_lazy("форма")}
PATHS: dict[str, Any] = {
    "status": gettext_lazy("состояние"),
    "service_id": gettext_lazy("номер услуги у поставщика"),
    "key": gettext_lazy("ключ"),
    "url": gettext_lazy("ссылка"),
    "instructions": gettext_lazy("как пользоваться"),
    "until": gettext_lazy("действует до"),
    "question": gettext_lazy("вопрос поставщика"),
    "error": gettext_lazy("код ошибки"),
    "message": gettext_lazy("текст ошибки"),
}
CALLBACK_PATHS = {**PATHS, "request_id": gettext_lazy("наш номер запроса")}
STATES: dict[str, Any] = {
    "active": gettext_lazy("выдано"),
    "pending": gettext_lazy("ещё делается"),
    "inquiring": gettext_lazy("поставщик спрашивает"),
    "suspended": gettext_lazy("приостановлено"),
    "canceled": gettext_lazy("отключено"),
    "failed": gettext_lazy("отказано"),
    "not_found": gettext_lazy("такого запроса не было"),
}
NOTHING = "-"
"""Stands for a word that is not there at all: `not_found` of a search that finds nothing."""
CODES: dict[str, Any] = {
    "ok": gettext_lazy("это не ошибка"),
    "retry": gettext_lazy("не сделано, повторить позже"),
    "not_found": gettext_lazy("такого запроса не было"),
    "done": gettext_lazy("уже сделано раньше"),
}
DELIVERIES = {
    "at_once": gettext_lazy("сразу в ответе"),
    "polling": gettext_lazy("позже: спрашиваем состояние"),
    "callback": gettext_lazy("позже: поставщик присылает уведомление"),
}
VERIFIES = {
    "hmac": gettext_lazy("подпись HMAC тела"),
    "token": gettext_lazy("секрет в заголовке"),
    "basic": gettext_lazy("логин и секрет (Basic)"),
}
DIGESTS = ("sha256", "sha512", "sha1", "md5")
ENCODINGS = ("hex", "base64")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_OURS_ONLY = frozenset({"host", "content-length", "transfer-encoding", "connection"})
MOST_LEAVES, DEEPEST = 500, 20
# The header that tells a true message from a false one is a part of what tells two messages apart.
SIGNING_HEADERS = ("authorization", "x-*", "*sign*", "*token*", "*key*", "*hmac*", "*digest*")


@dataclass(frozen=True, slots=True)
class Problem:
    """What does not hold. `field`: its path in the document; `place` and `text`: for staff."""

    field: str
    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place else self.text


class Unsound(Exception):
    """A document that cannot be worked by."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(map(str, problems[:5])))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Answer:
    """How an answer is read."""

    form: str = "json"
    paths: Mapping[str, str] = field(default_factory=dict)
    states: Mapping[str, str] = field(default_factory=dict)
    """What each of the provider's words means, by the word."""
    codes: Mapping[str, str] = field(default_factory=dict)
    """What each of its error codes means: ok, retry, not_found, done."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call: everything but the body is text that may hold fields."""

    method: str
    path: Written
    query: tuple[tuple[str, Written], ...]
    headers: tuple[tuple[str, Written], ...]
    body_kind: str
    body: Any
    repeat_safe: bool
    """Whether the same call made twice does it once."""
    answer: Answer


@dataclass(frozen=True, slots=True)
class Auth:
    """How we name ourselves; login and secret stand in the connection."""

    type: str = "none"
    name: str = ""
    """Of the header or parameter of an API key, or of the header of a signature."""
    prefix: str = ""
    place: str = "header"
    algorithm: str = "sha256"
    encoding: str = "hex"
    message: Written | None = None
    headers: tuple[tuple[str, Written], ...] = ()
    token_url: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Callback:
    """How a message of the provider is believed and read."""

    verify: str
    header: str
    prefix: str
    algorithm: str
    encoding: str
    message: Written
    time_header: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class Document:
    """A document that holds."""

    base_url: str
    auth: Auth
    operations: Mapping[str, Request]
    delivery: str
    poll_seconds: int
    callback: Callback | None
    timeout: float
    in_flight: int | None
    per_second: float | None


def problems(given: Any) -> list[Problem]:
    """What is wrong with a document; nothing: it can be worked by."""
    try:
        read(given)
    except Unsound as error:
        return error.problems
    return []


def read(given: Any) -> Document:
    """The document that this JSON says. Raises Unsound."""
    reader = _Reader()
    found = reader.document(given if isinstance(given, dict) else {})
    if reader.problems:
        raise Unsound(reader.problems)
    return found


def blank() -> dict[str, Any]:
    """A document with nothing in it yet."""
    return {
        "format": FORMAT,
        "base_url": "",
        "auth": {"type": "none"},
        "operations": {},
        "answer": {"form": "json", "paths": {}, "states": {}, "codes": {}},
        "delivery": "at_once",
        "timeout": 20,
    }


class _Reader:
    """Reads and gathers what is wrong on the way."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def wrong(self, at: str, place: Any, text: str) -> None:
        self.problems.append(Problem(at, str(place), text))

    def document(self, given: dict[str, Any]) -> Document:
        access, deliver = _("Доступ"), _("Выдача")
        if given.get("format") != FORMAT:
            self.wrong("format", "", _("неизвестный формат описания"))
        answer = self.answer(given.get("answer"), "answer", _("Ответ"), PATHS, Answer())
        operations = {}
        described = _dict(given.get("operations"))
        for name in described:
            if name in OPERATIONS:
                operations[name] = self.request(name, _dict(described[name]), answer)
            else:
                self.wrong(f"operations.{name}", name, _("такого запроса нет"))
        if "provision" not in operations:
            self.wrong("operations.provision", OPERATIONS["provision"], _("запрос не описан"))
        callback = None
        delivery = self.choice(given, "delivery", DELIVERIES, "at_once", deliver)
        if delivery == "callback" or given.get("callback"):
            callback = self.callback(_dict(given.get("callback")), answer)
        if delivery == "polling" and "status" not in operations:
            self.wrong("operations.status", OPERATIONS["status"], _("без него состояние не узнать"))
        base = str(given.get("base_url") or "")
        if base and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", base):
            self.wrong("base_url", access, _("адрес должен быть вида https://api.provider.ru/v1"))
        return Document(
            base_url=base,
            auth=self.auth(_dict(given.get("auth"))),
            operations=operations,
            delivery=delivery,
            poll_seconds=int(self.number(given, "poll_seconds", 30, 5, 86400, deliver) or 30),
            callback=callback,
            timeout=self.number(given, "timeout", 20, 1, 120, access) or 20.0,
            in_flight=int(found)
            if (found := self.number(given, "in_flight", None, 1, 500, access))
            else None,
            per_second=self.number(given, "per_second", None, 0.1, 10000, access),
        )

    # -- parts ---------------------------------------------------------------------------------------

    def request(self, name: str, given: dict[str, Any], answer: Answer) -> Request:
        at, place = f"operations.{name}", OPERATIONS[name]
        method = self.choice(given, "method", METHODS, "POST", place, at)
        path = str(given.get("path") or "")
        if path and (not path.startswith("/") or "?" in path or "#" in path or "//" in path):
            self.wrong(f"{at}.path", place, _("путь начинается с «/», без параметров: они стоят отдельно"))
        kind = self.choice(given, "body_kind", BODIES, "none", place, at)
        if kind != "none" and method == "GET":
            self.wrong(f"{at}.body", place, _("у GET нет тела"))
        headers = self.pairs(given.get("headers"), f"{at}.headers", f"{place} → {_('заголовки')}")
        for header, _value in headers:
            if header.lower() in _OURS_ONLY or not _HEADER.fullmatch(header):
                self.wrong(f"{at}.headers", place, _("заголовок «%s» поставить нельзя") % header)
        return Request(
            method=method,
            path=self.template(path, f"{at}.path", f"{place} → {_('адрес')}", kind="address"),
            query=self.pairs(given.get("query"), f"{at}.query", f"{place} → {_('параметры')}"),
            headers=headers,
            body_kind=kind,
            body=self.body(kind, given.get("body"), f"{at}.body", f"{place} → {_('тело')}"),
            repeat_safe=bool(given.get("repeat_safe", method in {"GET", "PUT", "DELETE"})),
            answer=self.answer(given.get("answer"), f"{at}.answer", f"{place} → {_('ответ')}", PATHS, answer),
        )

    def body(self, kind: str, given: Any, at: str, place: str) -> Any:
        if kind == "none":
            return None
        if kind == "form":
            return self.pairs(given, at, place)
        if kind == "xml":
            text = given if isinstance(given, str) else ""
            if "<!" in text:
                self.wrong(at, place, _("DOCTYPE, комментарии и CDATA здесь нельзя"))
            if not text.strip():
                self.wrong(at, place, _("тело пусто"))
            return self.template(text, at, place, kind="xml")
        if isinstance(given, str):
            # As staff have typed it: PostgreSQL would put its names in another order.
            if said := not_json(given):
                self.wrong(at, place, said)
                return {}
            given = json.loads(given)
        leaves = [0]
        found = self.leaves(given, at, place, leaves, 0)
        if not isinstance(given, dict | list):
            self.wrong(at, place, _("тело JSON: объект или список"))
        if leaves[0] > MOST_LEAVES:
            self.wrong(at, place, _("слишком много полей: больше %d") % MOST_LEAVES)
        return found

    def leaves(self, given: Any, at: str, place: str, count: list[int], depth: int) -> Any:
        """The same JSON with templates for its texts."""
        count[0] += 1
        if depth > DEEPEST or count[0] > MOST_LEAVES:
            if depth == DEEPEST + 1:
                self.wrong(at, place, _("слишком глубоко"))
            return None
        if isinstance(given, str):
            return self.template(given, at, place)
        if isinstance(given, dict):
            return {
                str(name): self.leaves(value, f"{at}.{name}", f"{place}.{name}", count, depth + 1)
                for name, value in given.items()
            }
        if isinstance(given, list):
            return [
                self.leaves(value, f"{at}.{number}", f"{place}[{number}]", count, depth + 1)
                for number, value in enumerate(given)
            ]
        return given

    def answer(self, given: Any, at: str, place: str, known: Mapping[str, Any], usual: Answer) -> Answer:
        said = _dict(given)
        form = self.choice(said, "form", ("json", "xml"), usual.form, place, at)
        paths = {}
        for name, path in _dict(said.get("paths")).items():
            if name not in known or not isinstance(path, str):
                self.wrong(f"{at}.paths.{name}", place, _("неизвестное поле «%s»") % name)
            elif path.strip():
                try:
                    answers.check(form, path.strip())
                    paths[name] = path.strip()
                except Broken as error:
                    self.wrong(f"{at}.paths.{name}", f"{place} → {known[name]}", str(error))
        # Paths of another form are none of this one's.
        usual_paths = usual.paths if form == usual.form else {}
        return replace(
            usual,
            form=form,
            paths={**usual_paths, **paths},
            states={**usual.states, **self.words(said.get("states"), STATES, f"{at}.states", place)},
            codes={**usual.codes, **self.words(said.get("codes"), CODES, f"{at}.codes", place)},
        )

    def words(self, given: Any, known: Mapping[str, Any], at: str, place: str) -> dict[str, str]:
        """{meaning: [words]} the other way round, each word once."""
        found: dict[str, str] = {}
        for meaning, words in _dict(given).items():
            if meaning not in known or not isinstance(words, list):
                self.wrong(f"{at}.{meaning}", place, _("неизвестное значение «%s»") % meaning)
                continue
            for word in words:
                key = str(word).strip().lower()
                if not key:
                    continue
                key = "" if key == NOTHING else key
                if found.setdefault(key, meaning) != meaning:
                    self.wrong(f"{at}.{meaning}", place, _("слово «%s» стоит дважды") % word)
        return found

    def auth(self, given: dict[str, Any]) -> Auth:
        place = _("Доступ")
        kind = self.choice(given, "type", AUTHS, "none", place, "auth")
        name = str(given.get("name") or "")
        usual = {"api_key": "X-API-Key", "hmac": "X-Signature"}.get(kind, "")
        where = self.choice(given, "place", ("header", "query"), "header", place, "auth")
        if kind in {"api_key", "hmac"} and not _HEADER.fullmatch(name or usual):
            self.wrong("auth.name", place, _("это не имя заголовка или параметра"))
        token_url = str(given.get("token_url") or "")
        if kind == "oauth2" and not re.match(r"(https?://[^\s/?#@]+)?/", token_url):
            self.wrong("auth.token_url", place, _("укажите адрес, где выдают токен"))
        message = str(given.get("message") or "{{ body }}")
        return Auth(
            type=kind,
            name=name or usual,
            prefix=str(given.get("prefix") or ""),
            place=where,
            algorithm=self.choice(given, "algorithm", DIGESTS, "sha256", place, "auth"),
            encoding=self.choice(given, "encoding", ENCODINGS, "hex", place, "auth"),
            message=self.template(
                message, "auth.message", f"{place} → {_('что подписать')}", known=fields.SIGNING
            ),
            headers=self.pairs(
                given.get("headers"),
                "auth.headers",
                f"{place} → {_('заголовки')}",
                known=fields.SIGNATURE_HEADERS,
            ),
            token_url=token_url,
            scope=str(given.get("scope") or ""),
        )

    def callback(self, given: dict[str, Any], answer: Answer) -> Callback:
        place = _("Уведомления")
        verify = self.choice(given, "verify", VERIFIES, "hmac", place, "callback")
        header = str(given.get("header") or "X-Signature").lower()
        time_header = str(given.get("time_header") or "").lower()
        for name in filter(None, (header, time_header)):
            if not is_signing(name):
                said = _("заголовок «%s» не подходит: начните с X- или назовите Authorization")
                self.wrong("callback.header", place, said % name)
        read_by = self.answer(given.get("answer"), "callback.answer", place, CALLBACK_PATHS, answer)
        own = _dict(_dict(given.get("answer")).get("paths"))
        if not (own.get("request_id") or read_by.paths.get("service_id")):
            self.wrong(
                "callback.answer.paths.request_id", place, _("не сказано, где номер запроса или услуги")
            )
        message = str(given.get("message") or "{{ body }}")
        return Callback(
            verify=verify,
            header=header,
            prefix=str(given.get("prefix") or ""),
            algorithm=self.choice(given, "algorithm", DIGESTS, "sha256", place, "callback"),
            encoding=self.choice(given, "encoding", ENCODINGS, "hex", place, "callback"),
            message=self.template(message, "callback.message", place, known=fields.CALLBACK),
            time_header=time_header,
            answer=read_by,
        )

    # -- small things --------------------------------------------------------------------------------

    def template(
        self, text: str, at: str, place: str, *, kind: str = "text", known: frozenset[str] = fields.NAMES
    ) -> Written:
        try:
            return written(text, kind, frozenset(known))
        except Broken as error:
            self.wrong(at, place, str(error))
            return Written("", kind, frozenset())

    def pairs(
        self, given: Any, at: str, place: str, *, known: frozenset[str] = fields.NAMES
    ) -> tuple[tuple[str, Written], ...]:
        found = _dict(given)
        if len(found) > 100:
            self.wrong(at, place, _("слишком много строк"))
        return tuple(
            (str(name), self.template(str(value), f"{at}.{name}", f"{place} → {name}", known=known))
            for name, value in found.items()
        )

    def choice(
        self, given: Mapping[str, Any], name: str, known: Any, usual: str, place: Any, at: str = ""
    ) -> str:
        found = given.get(name) or usual
        if found not in known:
            self.wrong(f"{at}.{name}".lstrip("."), place, _("неизвестное значение «%s»") % found)
            return usual
        return str(found)

    def number(
        self, given: Mapping[str, Any], name: str, usual: float | None, least: float, most: float, place: str
    ) -> float | None:
        found = given.get(name)
        if found in (None, ""):
            return usual
        if isinstance(found, bool) or not isinstance(found, int | float) or not least <= found <= most:
            said = _("«%(name)s»: нужно число от %(least)s до %(most)s")
            self.wrong(name, place, said % {"name": name, "least": least, "most": most})
            return usual
        return float(found)


def not_json(text: str) -> str:
    """Where a text stops being an object or a list of JSON; empty: nowhere."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        said = _("это не JSON: строка %(line)d, знак %(column)d")
        return said % {"line": error.lineno, "column": error.colno}
    except (ValueError, RecursionError):
        return _("слишком глубоко")
    return "" if isinstance(found, dict | list) else _("тело JSON: объект или список")


def is_signing(header: str) -> bool:
    """Whether a header may carry the signature of a message."""
    return any(fnmatchcase(header, pattern) for pattern in SIGNING_HEADERS)


def _dict(given: Any) -> dict[str, Any]:
    return given if isinstance(given, dict) else {}


def texts(given: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a document with its path: what a secret might have got into."""
    if isinstance(given, str):
        yield at, given
    elif isinstance(given, dict):
        for name, value in given.items():
            yield from texts(value, f"{at}.{name}".lstrip("."))
    elif isinstance(given, list):
        for number, value in enumerate(given):
            yield from texts(value, f"{at}.{number}")
