"""What values and names of an example are likely to mean: guesses, each to be confirmed by staff."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from apps.providers.declarative import answers
from apps.providers.declarative.document import OPERATIONS

_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}(T[\d:.+Z-]*)?")
_DOTTED = re.compile(r"(\d{2})\.(\d{2})\.(\d{4})")
_PLAIN = re.compile(r"\d{8}")
# By the name of a field; the first that fits. Names come as words: externalId is «external id».
_NAMES: tuple[tuple[str, str], ...] = (
    (r"(callback|webhook|notify|notification).*(url|uri)|\b(callback|webhook)\b", "callback_url"),
    (r"(prolong|extension|renew\w*|extend).*\bid\b", "extension_id"),
    (
        r"(external|ext|request|idempot\w*|partner order|merchant|correlation|client ref|our|transaction)"
        r".*(id|ref|key|number)?",
        "request_id",
    ),
    (r"\b(sku|product|tariff|plan|offer|item|package|service code|article)\b", "sku"),
    (r"\b(customer|client|subscriber|user|buyer|account)\b", "customer_ref"),
    (r"(valid|end|expir\w*|until|till|finish|period|date to|paid)", "period_end"),
    (r"\b(login|partner|merchant)\b", "login"),
    (r"\b(password|secret|token|api key)\b", "secret"),
    (r"\b(options|parameters|params|attributes|extra)\b", "parameters"),
)
_PERSONAL: tuple[tuple[str, str], ...] = ((r"phone|msisdn|mobile", "phone"), (r"e?mail", "email"))
_ANSWERS: tuple[tuple[str, str], ...] = (
    (r"\berror code\b|\berr code\b|\bfault code\b|^fault$|^errcode$|^error$|^code$|^result code$", "error"),
    (r"^(error )?(message|text|description|detail|msg|reason)$", "message"),
    (r"status|state", "status"),
    (
        r"(activation|license|licence|serial|product|voucher|pin|access).*(code|key|number)?$|^key$|^serial$",
        "key",
    ),
    (r"\b(url|link|href|page|deeplink)\b", "url"),
    (r"instruction|how to", "instructions"),
    (r"\bquestion\b", "question"),
    (r"valid|expir|until|till|end date", "until"),
    (r"^(order |subscription |service |activation |job |license |request )?id$|^number$", "service_id"),
)
# license.code is the key, where a code that stands alone is an error's.
_KEY_WITHIN = re.compile(r"\b(activation|licen[cs]e|serial|voucher|pin) (code|key|number|value)$")
_STATES: tuple[tuple[str, str], ...] = (
    (r"not.?found|unknown", "not_found"),
    (r"^(in.?)?active$|activated|ready|done|success|issued|complet|^ok$|provisioned|delivered", "active"),
    (r"inquir|question|clarif|info.?(need|requir|request)|need.?info", "inquiring"),
    (r"pending|process|progress|new|created|accepted|queue|wait|started|running", "pending"),
    (r"pause|suspend|frozen|hold|blocked", "suspended"),
    (r"cancel|terminat|closed|revoked|deleted|disabled|expired|stopped", "canceled"),
    (r"fail|reject|declin|refus|error|denied", "failed"),
)
_CODES: tuple[tuple[str, str], ...] = (
    (r"not.?found|no.?such|unknown.?(order|id|request)", "not_found"),
    (r"out.?of.?stock|busy|try.?later|temporar|limit|unavailable|locked|timeout", "retry"),
    (r"already|duplicate", "done"),
)
_SAID: tuple[tuple[str, str], ...] = (
    ("check", r"ping|health|echo|связ"),
    ("suspend", r"pause|suspend|freeze|block|приостан"),
    ("resume", r"resume|unfreeze|unblock|restore|возобнов"),
    ("extend", r"prolong|extend|renew|term|продл"),
    ("cancel", r"cancel|terminat|revoke|close|deactivat|delete|отключ|прекра|отмен"),
    ("status", r"status|state|^get|состоян|статус"),
    ("provision", r"create|activat|provision|issue|subscribe|order|создат|подключ|выда"),
)


HIDDEN = "•••"
Kept = frozenset[str]


@dataclass(frozen=True, slots=True)
class Guess:
    """A value of an example that looks like one of ours: where, what it was, what to put in its place."""

    place: str
    value: str
    template: str
    operation: str = ""

    @property
    def key(self) -> str:
        """Names it in a form that asks staff."""
        return f"{self.operation}|{self.place}|{self.template}"

    @property
    def title(self) -> str:
        """The request that it stands in."""
        return str(OPERATIONS.get(self.operation, ""))

    @property
    def shown(self) -> str:
        """What it was; a secret is not shown again."""
        return HIDDEN if self.template == "{{ secret }}" else self.value


def words(name: str) -> str:
    """`externalId`, `EXTERNAL_ID` and `external-id` are «external id»."""
    parted = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", str(name))
    return re.sub(r"[_\-.\s\[\]]+", " ", parted).strip().lower()


def value_of(name: str, value: Any, *, operation: str = "provision", where: str = "body") -> str:
    """The template to put in the place of a value; empty: it stays."""
    told, text = words(name), "" if value is None else str(value)
    for pattern, field in _PERSONAL:
        if re.search(pattern, told):
            return f"{{{{ parameters.{field} }}}}"
    day = _day(text)
    field = next((field for pattern, field in _NAMES if re.search(pattern, told)), "")
    if field == "parameters" and not isinstance(value, dict):
        field = ""
    if isinstance(value, dict | list) and field != "parameters":
        return ""
    if day and field in {"", "period_end"}:
        return day
    if field == "period_end":
        return ""
    if where == "path" or (not field and _UUID.fullmatch(text)):
        if field == "request_id" or (operation == "provision" and not field):
            return "{{ request_id }}"
        return "{{ service_id }}" if told.endswith(("id", "number", "ref", "code")) else ""
    if (
        field == "request_id"
        and operation == "extend"
        and _UUID.fullmatch(text)
        and told.startswith("request")
    ):
        field = "extension_id"
    if not field and told == "id" and operation != "provision":
        field = "service_id"
    return f"{{{{ {field} }}}}" if field else ""


def _day(text: str) -> str:
    if _ISO.fullmatch(text):
        return "{{ period_end }}" if "T" not in text else "{{ period_end }}T00:00:00Z"
    if _DOTTED.fullmatch(text):
        return '{{ period_end | date("dd.MM.yyyy") }}'
    if _PLAIN.fullmatch(text):
        try:
            date(int(text[:4]), int(text[4:6]), int(text[6:]))
        except ValueError:
            return ""
        return '{{ period_end | date("yyyyMMdd") }}' if 2000 <= int(text[:4]) <= 2100 else ""
    return ""


def replaced(
    value: Any, operation: str, place: str = "", name: str = "", kept: Kept = frozenset()
) -> tuple[Any, list[Guess]]:
    """JSON with what was recognised in it replaced, and what that was; `kept`: keys of guesses that are wrong."""
    if name and (template := value_of(name, value, operation=operation)):
        guess = Guess(place, answers.text(value), template, operation)
        return (value if guess.key in kept else template), [guess]
    found: list[Guess] = []
    if isinstance(value, dict):
        made: dict[str, Any] = {}
        for key, one in value.items():
            made[key], told = replaced(one, operation, f"{place}.{key}".lstrip("."), key, kept)
            found += told
        return made, found
    if isinstance(value, list):
        rows = [replaced(one, operation, f"{place}[{n}]", kept=kept) for n, one in enumerate(value)]
        return [one for one, _told in rows], [guess for _one, told in rows for guess in told]
    return value, found


def xml_replaced(text: str, operation: str, kept: Kept = frozenset()) -> tuple[str, list[Guess]]:
    """The same for XML: texts between tags."""
    found: list[Guess] = []

    def one(match: re.Match[str]) -> str:
        name, inside = match[1].rpartition(":")[2], match[3].strip()
        template = value_of(name, inside, operation=operation) if inside else ""
        if not template:
            return match[0]
        guess = Guess(name, inside, template, operation)
        found.append(guess)
        return match[0] if guess.key in kept else f"<{match[1]}{match[2] or ''}>{template}</"

    return re.sub(r"<([\w:.-]{1,60})(\s[^<>]{0,300})?>([^<>{}]{1,300})</", one, text), found


def operation_of(*told: str) -> str:
    """Which of our operations a name, a summary and a path speak of."""
    text = " ".join(words(one) for one in told)
    return next((name for name, pattern in _SAID if re.search(pattern, text)), "")


def reading_of(form: str, tree: Any) -> dict[str, Any]:
    """`paths`, `states` and `codes` for an answer like this one."""
    paths: dict[str, str] = {}
    states: dict[str, list[str]] = {}
    for path, name, value in leaves(form, tree):
        field = answer_field(name)
        if field and field not in paths:
            paths[field] = path
            if field == "status" and value not in (None, ""):
                states.setdefault(state_of(str(value)), []).append(str(value))
    # It was a success: what stands where errors stand is none.
    code = answers.text(answers.find(form, tree, paths["error"])) if "error" in paths else ""
    return {"paths": paths, "states": states, "codes": {"ok": [code]} if code else {}}


def answer_field(name: str) -> str:
    """What a field of an answer is likely to be; `name` with the names above it."""
    told, last = words(name), words(name.rpartition(".")[2])
    if _KEY_WITHIN.search(told):
        return "key"
    for pattern, field in _ANSWERS:
        if re.search(pattern, last) or (field == "error" and re.search(pattern, told)):
            return field
    return ""


def state_of(word: str) -> str:
    """What a provider's word for a state is likely to mean."""
    return next((state for pattern, state in _STATES if re.search(pattern, words(word))), "active")


def codes_of(codes: list[str]) -> dict[str, list[str]]:
    """What error codes are likely to mean, as the document has it."""
    found: dict[str, list[str]] = {}
    for code in codes:
        if meaning := next((meaning for pattern, meaning in _CODES if re.search(pattern, words(code))), ""):
            known = found.setdefault(meaning, [])
            known += [] if code in known else [code]
    return found


def leaves(form: str, tree: Any) -> Iterator[tuple[str, str, Any]]:
    """Path, name with those above it, and value of each single value of an answer."""
    if form == "json":
        yield from _json_leaves(tree, "$", "", 0)
    else:
        yield from _xml_leaves(tree, f"/{tree.tag}", "")


def _json_leaves(tree: Any, path: str, name: str, depth: int) -> Iterator[tuple[str, str, Any]]:
    if depth > 8:
        return
    if isinstance(tree, Mapping):
        for key, one in tree.items():
            step = f".{key}" if re.fullmatch(r"[A-Za-z_]\w*", str(key)) else f"['{key}']"
            yield from _json_leaves(one, path + step, f"{name}.{key}".lstrip("."), depth + 1)
    elif isinstance(tree, list):
        for one in tree[:1]:
            yield from _json_leaves(one, f"{path}[0]", name, depth + 1)
    else:
        yield path, name, tree


def _xml_leaves(tree: Any, path: str, name: str) -> Iterator[tuple[str, str, Any]]:
    for one in tree:
        if not isinstance(one.tag, str):
            continue
        inside = f"{name}.{one.tag}".lstrip(".")
        if len(one):
            yield from _xml_leaves(one, f"{path}/{one.tag}", inside)
        else:
            yield f"{path}/{one.tag}", inside, (one.text or "").strip()


def form_of(content: str) -> str:
    """json or xml, by how an answer begins. Raises Broken where it is neither."""
    form = "xml" if content.lstrip().startswith("<") else "json"
    answers.parse(form, content.encode())
    return form
