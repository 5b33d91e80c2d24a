"""Definitions of provider connectors: drafts are changed, tried, tested, go live; a live version never changes."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from apps import journal
from apps.connectors import masking
from apps.connectors.base import ConnectorError
from apps.connectors.models import Connection
from apps.core import clock
from apps.core.codes import code_for
from apps.core.errors import Refused
from apps.providers.declarative import document as documents
from apps.providers.declarative import fields, reading
from apps.providers.declarative.composing import compose
from apps.providers.declarative.document import OPERATIONS, Document, Problem, Unsound
from apps.providers.declarative.templates import Broken
from apps.providers.models import ConnectorDefinition, DefinitionVersion

CONNECTOR = "apps.providers.declarative.connector.DeclarativeProvider"
FRESH_SECONDS = 1.0
"""For which a process does not look again which version is live."""
LARGEST_FILE = 1024 * 1024
_State = DefinitionVersion.State
_live: dict[str, tuple[float, int]] = {}
_documents: dict[int, Document] = {}


# -- what calls are made by ------------------------------------------------------------------------------


def live_id(code: str) -> int:
    """The id of the live version of a definition; 0 where there is none."""
    at, found = _live.get(code, (float("-inf"), 0))
    if time.monotonic() - at > FRESH_SECONDS:
        rows = DefinitionVersion.objects.filter(definition__code=code, state=_State.LIVE)
        found = rows.values_list("pk", flat=True).first() or 0
        _live[code] = time.monotonic(), found
    return found


def document_of(version_id: int) -> Document:
    """What a version that has been live says: it never changes, so it is read once. Raises Unsound, DoesNotExist."""
    if version_id not in _documents:
        version = DefinitionVersion.objects.get(pk=version_id)
        if version.is_open:
            return documents.read(version.document)
        _documents[version_id] = documents.read(version.document)
    return _documents[version_id]


# -- drafts ----------------------------------------------------------------------------------------------


def create(
    *, name: str, document: Mapping[str, Any], exchange: list[dict[str, Any]] | None = None, actor: str = ""
) -> DefinitionVersion:
    """A new definition with its first draft. Raises Refused `taken`."""
    with transaction.atomic():
        if ConnectorDefinition.objects.filter(name=name).exists():
            raise Refused("taken", _("Конструктор с таким названием уже есть"))
        code = code_for(name, set(ConnectorDefinition.objects.values_list("code", flat=True)))
        definition = ConnectorDefinition.objects.create(code=code, name=name, created_at=clock.now())
        version = _new_version(definition, dict(document), exchange or [], actor)
    _journal("created", version, actor)
    return version


def open_draft(definition: ConnectorDefinition, *, actor: str = "") -> DefinitionVersion:
    """The version that may be changed: the one that is open, else a copy of the last."""
    with transaction.atomic():
        definition = ConnectorDefinition.objects.select_for_update(no_key=True).get(pk=definition.pk)
        found = definition.versions.filter(state__in=[_State.DRAFT, _State.TESTED]).first()
        if found is None:
            last = definition.live or definition.versions.first()
            document = last.document if last else documents.blank()
            found = _new_version(definition, document, last.exchange if last else [], actor)
    return found


def _new_version(
    definition: ConnectorDefinition, document: dict[str, Any], exchange: list[dict[str, Any]], actor: str
) -> DefinitionVersion:
    last = definition.versions.aggregate(last=Max("number"))["last"] or 0
    return DefinitionVersion.objects.create(
        definition=definition,
        number=last + 1,
        document=document,
        exchange=exchange,
        author=actor,
        created_at=clock.now(),
    )


def save(
    version: DefinitionVersion, document: Mapping[str, Any], *, actor: str = "", exchange: Any = None
) -> DefinitionVersion:
    """Writes a draft, sound or not; what was tested is to be tested again. Raises Refused: `closed`, `secret`."""
    if found := secret_in(version.definition.code, document):
        raise Refused("secret", _("В описании стоит секрет подключения (%s): впишите {{ secret }}") % found)
    with transaction.atomic():
        version = _lock(version)
        version.document = dict(document)
        if exchange is not None:
            version.exchange = exchange
        version.state, version.tested_at, version.author = _State.DRAFT, None, actor or version.author
        version.save(update_fields=["document", "exchange", "state", "tested_at", "author"])
    return version


def _lock(version: DefinitionVersion) -> DefinitionVersion:
    found = DefinitionVersion.objects.select_for_update(no_key=True, of=("self",)).get(pk=version.pk)
    if not found.is_open:
        raise Refused("closed", _("Эта версия уже действовала: её не меняют, меняют её копию"))
    return found


def record(
    version: DefinitionVersion, operation: str, *, request: str, status: int, content: str, source: str
) -> None:
    """Keeps an exchange, which is masked already, for the test of the version: the last of each operation.

    What was tested on another one is to be tested again. Raises Refused.
    """
    line = {
        "operation": operation,
        "request": request[: masking.LONGEST],
        "status": status,
        "content": content,
        "source": source,
        "at": clock.wall().isoformat(timespec="seconds"),
    }
    with transaction.atomic():
        version = _lock(version)
        others = [one for one in version.exchange if one.get("operation") != operation]
        version.exchange = [*others, line]
        version.state, version.tested_at = _State.DRAFT, None
        version.save(update_fields=["exchange", "state", "tested_at"])


# -- tested, live, retired -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of one recorded exchange, read by the document as it is now."""

    operation: str
    title: str
    state: str
    found: Mapping[str, str]
    problem: str


def tried(version: DefinitionVersion) -> Iterator[Tried]:
    """Reads every recorded exchange and fills in every request. Raises Unsound."""
    found = documents.read(version.document)
    for operation, request in found.operations.items():
        title = str(OPERATIONS[operation])
        try:
            values = dict(fields.EXAMPLES)
            compose(found, operation, values, base_url=found.base_url or "https://api.example")
        except Broken as error:
            yield Tried(operation, title, "", {}, str(error))
            continue
        for line in version.of(operation):
            try:
                read = reading.read(operation, request.answer, line["status"], line["content"].encode())
            except (ConnectorError, Broken) as error:
                yield Tried(operation, title, "", {}, str(error))
                continue
            given = read.state != "not_found"
            problem = "" if given else _("ответ понят как «такого запроса не было»")
            if operation == "provision" and read.state == "active":
                problem = (
                    "" if reading.deliverable(read.found, request.answer) else _("нет ни ключа, ни ссылки")
                )
            yield Tried(operation, title, read.state, read.found, problem)


def verify(version: DefinitionVersion, *, actor: str = "") -> list[Tried]:
    """Tries the version on its recorded exchange; where all holds it is tested.

    Raises Refused: `closed`, `unsound`, `not_tried`, `changed_meanwhile` (somebody wrote it while it was being read).
    """
    version = DefinitionVersion.objects.select_related("definition").get(pk=version.pk)
    try:
        told = list(tried(version))
    except Unsound as error:
        raise Refused("unsound", "; ".join(map(str, error.problems[:3])), status=400) from error
    if not any(one.operation == "provision" and one.state for one in told):
        raise Refused("not_tried", _("Нет записанного обмена «Подключить»: попробуйте его"), status=400)
    with transaction.atomic():
        was, version = version, _lock(version)
        if not _is_same(was, version):
            raise Refused("changed_meanwhile", _("Черновик изменили, пока он проверялся: проверьте ещё раз"))
        holds = not any(one.problem for one in told)
        version.state = _State.TESTED if holds else _State.DRAFT
        version.tested_at = clock.now() if holds else None
        version.save(update_fields=["state", "tested_at"])
    _journal("tested" if holds else "test-failed", version, actor)
    return told


def _is_same(one: DefinitionVersion, other: DefinitionVersion) -> bool:
    """Whether what was tried on one holds of the other."""
    return (one.document, one.exchange) == (other.document, other.exchange)


def untried(version: DefinitionVersion) -> list[str]:
    """Described operations of which no exchange was ever recorded."""
    described = version.document.get("operations") or {}
    return [name for name in OPERATIONS if name in described and not version.of(name)]


def publish(version: DefinitionVersion, *, actor: str = "") -> DefinitionVersion:
    """From now on new calls are made by this version. Raises Refused `not_tested`."""
    with transaction.atomic():
        ConnectorDefinition.objects.select_for_update(no_key=True).get(pk=version.definition_id)
        version = DefinitionVersion.objects.select_for_update(no_key=True, of=("self",)).get(pk=version.pk)
        if version.state not in {_State.TESTED, _State.RETIRED}:
            raise Refused("not_tested", _("Действующей становится только проверенная версия"))
        now = clock.now()
        old = DefinitionVersion.objects.filter(definition=version.definition_id, state=_State.LIVE)
        old.update(state=_State.RETIRED, retired_at=now)
        version.state, version.live_at, version.retired_at = _State.LIVE, now, None
        version.save(update_fields=["state", "live_at", "retired_at"])
        _journal("published", version, actor)
    _live.pop(version.definition.code, None)
    return version


def _journal(done: str, version: DefinitionVersion, actor: str) -> None:
    journal.record(
        f"definition.{done}",
        "providers.ConnectorDefinition",
        version.definition_id,
        actor=actor,
        data={"version": version.number},
    )


# -- secrets, export, import -----------------------------------------------------------------------------


def connections_of(code: str) -> list[Connection]:
    """Connections that speak by a definition."""
    rows = Connection.objects.filter(connector=CONNECTOR)
    return [one for one in rows if one.config.get("definition") == code]


def secret_in(code: str, *given: Any) -> str:
    """Where in a document a secret of one of its connections stands; empty: nowhere."""
    secrets = {
        str(one.config.get(name))
        for one in connections_of(code)
        for name in ("secret", "callback_secret")
        if len(str(one.config.get(name) or "")) >= masking.SHORTEST_SECRET
    }
    for one in given:
        for place, text in documents.texts(one):
            if any(secret in text for secret in secrets):
                return place
    return ""


def exported(version: DefinitionVersion) -> dict[str, Any]:
    """A version as a file for another installation: no secret is in it, for none is in a document."""
    return {
        "armor_connector": documents.FORMAT,
        "name": version.definition.name,
        "version": version.number,
        "document": version.document,
        "exchange": version.exchange,
    }


def imported(content: bytes) -> dict[str, Any]:
    """A file of `exported`, looked through. Raises Refused `bad_file`."""
    try:
        if len(content) > LARGEST_FILE:
            raise ValueError(_("файл больше 1 МБ"))
        given = json.loads(content)
        if not isinstance(given, dict) or given.get("armor_connector") != documents.FORMAT:
            raise ValueError(_("это не выгрузка конструктора подключений"))
        if not isinstance(given.get("document"), dict) or not isinstance(given.get("name"), str):
            raise ValueError(_("в файле нет описания"))
    except (ValueError, RecursionError) as error:
        raise Refused("bad_file", _("Файл не прочитать: %s") % error, status=400) from error
    lines = given.get("exchange")
    kept = [one for one in lines if _is_line(one)] if isinstance(lines, list) else []
    return {"name": given["name"][:120], "document": given["document"], "exchange": kept[:50]}


def _is_line(one: Any) -> bool:
    return (
        isinstance(one, dict)
        and one.get("operation") in OPERATIONS
        and isinstance(one.get("status"), int)
        and isinstance(one.get("content"), str)
        and len(one["content"]) <= masking.LONGEST
    )


def problems(version: DefinitionVersion) -> list[Problem]:
    """What is wrong with its document."""
    return documents.problems(version.document)
