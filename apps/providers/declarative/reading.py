"""What an answer of a provider means: a state to rest on, a refusal, or «nobody knows yet»."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from apps.connectors.base import ConnectorError
from apps.providers.declarative import answers
from apps.providers.declarative.document import Answer
from apps.providers.declarative.templates import Broken

ASKS = frozenset({"status", "check"})
"""Operations that change nothing there: what is not understood of their answer may simply be asked again."""
_USUAL = {
    "provision": "active",
    "extend": "active",
    "resume": "active",
    "suspend": "suspended",
    "cancel": "canceled",
    "check": "active",
}


@dataclass(frozen=True, slots=True)
class Read:
    """What stands in an answer: raw texts by name, and the state that they come to."""

    state: str
    """active, pending, inquiring, suspended, canceled, or not_found."""
    found: dict[str, str]


def values(answer: Answer, content: bytes) -> dict[str, str]:
    """What stands at each path. Raises Broken where it cannot be read."""
    tree = answers.parse(answer.form, content)
    return {name: answers.text(answers.find(answer.form, tree, path)) for name, path in answer.paths.items()}


def read(operation: str, answer: Answer, status: int, content: bytes) -> Read:
    """Reads an answer. Raises ConnectorError: a success with an error inside, or without sense, is not believed."""
    try:
        found, wrong = values(answer, content) if content.strip() else {}, ""
    except Broken as error:
        found, wrong = {}, str(error)
    return judge(operation, answer, status, found, wrong)


def judge(operation: str, answer: Answer, status: int, found: dict[str, str], wrong: str = "") -> Read:
    """What values come to; `wrong`: why the answer could not be read. Raises ConnectorError."""
    is_good = 200 <= status < 300
    code = found.get("error", "")
    meaning = _meaning(answer, code) if code else _meaning(answer, str(status)) if not is_good else "ok"
    message = found.get("message") or (_("Поставщик ответил ошибкой %s") % (code or status))
    if meaning == "not_found":
        return Read("not_found", found)
    if meaning == "done":
        return Read(_USUAL.get(operation, "active"), found)
    # Not let in: nothing was done, and goes on once staff have mended the access.
    if meaning == "retry" or status == 401 or (status == 403 and not code):
        raise ConnectorError(message, retry=True, code=code or str(status))
    if meaning != "ok":
        # A refusal that is described is one, whatever its code.
        if is_good and answer.states.get(found.get("status", "").strip().lower()) != "failed":
            # Nobody has said what this error means, and a success was told: it may have been done.
            raise _unclear(operation, _("В ответе ошибка «%s», смысл которой не описан") % code, code)
        if status == 404 and operation == "status" and not code:
            return Read("not_found", found)
        raise ConnectorError(message, code=code or str(status))
    if wrong and answer.paths:
        raise _unclear(operation, _("Ответ не прочитать: %s") % wrong)
    return Read(_state(operation, answer, status, found), found)


def question(read: Read) -> str:
    """What the provider wants to know before it goes on; empty where it asks nothing."""
    if read.state != "inquiring":
        return ""
    told = read.found.get("question") or read.found.get("message")
    return (told or _("что именно, смотрите у поставщика"))[:500]


def _meaning(answer: Answer, code: str) -> str:
    return answer.codes.get(code.strip().lower(), "refused")


def _state(operation: str, answer: Answer, status: int, found: dict[str, str]) -> str:
    if "status" not in answer.paths:
        return "pending" if status == 202 else _USUAL.get(operation, "active")
    said = found.get("status", "")
    state = answer.states.get(said.strip().lower())
    if state is None and operation == "check":
        return "active"
    if state is None:
        raise _unclear(operation, _("Состояние «%s» не описано") % said)
    if state == "failed":
        why = found.get("message") or found.get("error") or said
        raise ConnectorError(_("Поставщик отказал: %s") % why, code=found.get("error") or said)
    return state


def _unclear(operation: str, why: str, code: str = "") -> ConnectorError:
    asks = operation in ASKS
    return ConnectorError(why, retry=asks, unknown=not asks, code=code)


def deliverable(found: dict[str, Any], answer: Answer) -> bool:
    """Whether there is what a customer can use, where the document says that there is to be something."""
    wanted = [name for name in ("key", "url", "instructions") if name in answer.paths]
    return not wanted or any(found.get(name) for name in wanted)
