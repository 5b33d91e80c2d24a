"""A draft of a connector is tried on the provider, and goes live: with its connections, which alone hold secrets."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.utils.translation import gettext as _

from apps import journal
from apps.connectors import breaker, masking, secrets
from apps.connectors.base import ConnectorError, Kind
from apps.connectors.models import Connection
from apps.core.errors import Refused
from apps.providers import definitions, services
from apps.providers.base import Known, ProvisionRequest
from apps.providers.declarative import document as documents
from apps.providers.declarative import reading
from apps.providers.declarative.composing import Composed, compose
from apps.providers.declarative.document import PATHS, STATES, Unsound
from apps.providers.declarative.templates import Broken
from apps.providers.models import ConnectorDefinition, DefinitionVersion, Provider

ACCESS = ("base_url", "login", "secret", "account", "callback_secret")
_SECRET = ("secret", "callback_secret")


def test_connection(definition: ConnectorDefinition) -> Connection:
    """The connection that drafts are tried through, made where there is none. Sandbox partners are served by it."""
    found = [one for one in definitions.connections_of(definition.code) if one.is_test]
    return found[0] if found else _made(definition, is_test=True)


def _made(definition: ConnectorDefinition, *, is_test: bool, **given: Any) -> Connection:
    name = _("%s: проверка") % definition.name if is_test else definition.name
    return Connection.objects.create(
        kind=Kind.PROVIDER,
        connector=definitions.CONNECTOR,
        name=name,
        is_test=is_test,
        config={"definition": definition.code, **dict.fromkeys(ACCESS, "")},
        **given,
    )


def set_access(connection: Connection, given: Mapping[str, str], *, actor: str) -> Connection:
    """Writes the access of a connection; an empty secret leaves the one that is there."""
    with transaction.atomic():
        connection = Connection.objects.select_for_update(no_key=True).get(pk=connection.pk)
        plain = {name: given[name].strip() for name in ACCESS if name in given and name not in _SECRET}
        hidden = {name: given[name] for name in _SECRET if given.get(name)}
        connection.config = secrets.replaced({**connection.config, **plain}, hidden)
        connection.save(update_fields=["config"])
        journal.record(
            "connection.changed",
            "connectors.Connection",
            connection.pk,
            actor=actor,
            # Names only: values may be secrets.
            data={"changed": sorted([*plain, *hidden])},
        )
    return connection


@dataclass(slots=True)
class Attempt:
    """What a try came to, for the page: masked."""

    operation: str
    request: str = ""
    status: int | None = None
    answer: str = ""
    state: str = ""
    state_title: str = ""
    found: list[tuple[str, str, str]] = field(default_factory=list)
    """Name, what it is, value."""
    problem: str = ""
    is_recorded: bool = False
    service_id: str = ""


_DAY = re.compile(r"\b(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])(?!\d)")
_HIDDEN_DIGITS = {ord(str(digit)): chr(0xE000 + digit) for digit in range(10)}
_DIGITS = {0xE000 + digit: str(digit) for digit in range(10)}


def masked(content: bytes) -> str:
    """An answer without what is telling. A day stays: it has as many digits as a phone, and tells nobody's."""
    text = _DAY.sub(lambda found: found[0].translate(_HIDDEN_DIGITS), content.decode("utf-8", "replace"))
    return masking.body(text.encode()).translate(_DIGITS)


def shown(composed: Composed) -> str:
    """A request as text, without what is secret."""
    hidden = ("authorization", "cookie")
    lines = [f"{composed.method} {masking.url(composed.url)}"]
    for name, value in composed.headers.items():
        lines.append(f"{name}: {masking.HIDDEN if name.lower() in hidden else masking.known(value)}")
    text = masking.known(composed.content.decode())
    try:
        text = json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except ValueError:
        pass
    return "\n".join(lines) + (f"\n\n{text}" if text else "")


def preview(
    version: DefinitionVersion, document: Mapping[str, Any], operation: str, given: Mapping[str, str]
) -> str:
    """The request that would be sent, masked. Raises Broken, Unsound."""
    problems = [
        one for one in documents.problems(document) if one.field.startswith(f"operations.{operation}")
    ]
    if problems:
        raise Broken(str(problems[0]))
    # What else is not described yet hinders no preview.
    read = documents.read(_only(document, operation))
    connection = test_connection(version.definition)
    connection.guard()
    connector = connection.reader().by(read).knowing(_known(given))
    values = {**connector.values(_own(given)), "service_id": given.get("service_id") or "SRV-104857"}
    return shown(compose(read, operation, values, base_url=connection.config.get("base_url", ""), token="…"))


def _only(document: Mapping[str, Any], operation: str) -> dict[str, Any]:
    """The document with one request, told as the one that every document has."""
    described = document.get("operations", {}).get(operation, {})
    return {
        **document,
        "operations": {operation: described, "provision": described},
        "delivery": "at_once",
        "callback": None,
    }


def attempt(version: DefinitionVersion, operation: str, given: Mapping[str, str], *, actor: str) -> Attempt:
    """Makes one call of a draft through the test connection, and records it. Never in a transaction."""
    told = Attempt(operation)
    try:
        found = documents.read(version.document)
    except Unsound as error:
        told.problem = "; ".join(map(str, error.problems[:3]))
        return told
    if operation not in found.operations:
        told.problem = _("Этот запрос не описан")
        return told
    connection = test_connection(version.definition)
    journal.record(
        "definition.tried",
        "providers.ConnectorDefinition",
        version.definition_id,
        actor=actor,
        data={"version": version.number, "operation": operation},
    )
    try:
        with breaker.by_hand():
            connector = connection.open().by(found).knowing(_known(given))
            composed, answer = connector.exchanged(operation, _own(given))
    except ConnectorError as error:
        told.problem = str(error)
        if error.answer is not None:
            told.status, told.answer = error.answer.status_code, masked(error.answer.content)
        return told
    told.request, told.status = shown(composed), answer.status_code
    told.answer = masked(answer.content)
    _read(told, found, operation, answer)
    try:
        definitions.record(
            version,
            operation,
            request=told.request,
            status=answer.status_code,
            content=told.answer,
            source="try",
        )
        told.is_recorded = not told.problem
    except Refused as refused:
        told.problem = str(refused.message)
    return told


def _read(told: Attempt, found: documents.Document, operation: str, answer: Any) -> None:
    described = found.operations[operation].answer
    try:
        values = reading.values(described, answer.content) if answer.content.strip() else {}
        told.found = [
            (name, str(PATHS[name]), masked(value.encode())) for name, value in values.items() if value
        ]
        told.service_id = values.get("service_id", "")
    except Broken as error:
        told.problem = str(error)
    try:
        read = reading.read(operation, described, answer.status_code, answer.content)
    except ConnectorError as error:
        told.problem = str(error)
        return
    told.state, told.state_title = read.state, str(STATES[read.state])
    if operation == "provision" and read.state == "active" and not reading.deliverable(read.found, described):
        told.problem = _("Поставщик не прислал ни ключа, ни ссылки")


def _known(given: Mapping[str, str]) -> Known:
    parameters = json.loads(given.get("parameters") or "{}")
    if not isinstance(parameters, dict):
        raise Broken(_("параметры: нужен объект JSON"))
    request = ProvisionRequest(
        request_id=UUID(given["request_id"]) if given.get("request_id") else uuid4(),
        sku=given.get("sku") or "ANTIVIRUS-1Y",
        customer_ref=given.get("customer_ref") or str(uuid4()),
        period_end=date.fromisoformat(given.get("period_end") or "2027-01-31"),
        parameters=parameters,
    )
    return Known(request, reference=1, service_id=given.get("service_id", ""))


def _own(given: Mapping[str, str]) -> dict[str, str]:
    return {"extension_id": given.get("extension_id") or str(uuid4())}


# -- going live --------------------------------------------------------------------------------------------


def warnings(version: DefinitionVersion) -> list[str]:
    """What works, but costs staff's work or money when something goes wrong."""
    try:
        found = documents.read(version.document)
    except Unsound:
        return []
    told = []
    provision, status = found.operations["provision"], found.operations.get("status")
    if status is None and not provision.repeat_safe and found.callback is None:
        told.append(_("Состояние не узнать и повторить нельзя: при потере ответа заказ уйдёт сотруднику"))
    if status and not provision.repeat_safe and "service_id" in status.path.names:
        told.append(
            _("Состояние узнаётся по номеру поставщика: если потерян первый ответ, заказ уйдёт сотруднику")
        )
    if "extend" not in found.operations:
        told.append(_("Продление не описано: продлевать будут сотрудники"))
    if "cancel" not in found.operations:
        told.append(_("Отключение не описано: отключать будут сотрудники"))
    if names := definitions.untried(version):
        titles = ", ".join(f"«{documents.OPERATIONS[name]}»" for name in names)
        told.append(_("Ни разу не опробовано: %s. Ошибку в описании покажет первый заказ") % titles)
    if found.delivery == "callback" and status is None:
        told.append(_("Запроса состояния нет: потерянное уведомление никто не восполнит"))
    return told


def launch(
    version: DefinitionVersion,
    *,
    provider: Provider | None,
    provider_name: str,
    access: Mapping[str, str],
    in_flight: int | None,
    per_second: float | None,
    actor: str,
) -> Connection:
    """The version goes live, with a connection through which the provider is reached. Raises Refused."""
    with transaction.atomic():
        if version.state != DefinitionVersion.State.LIVE:
            version = definitions.publish(version, actor=actor)
        definition = version.definition
        tried = test_connection(definition)
        live = next((one for one in definitions.connections_of(definition.code) if not one.is_test), None)
        if live is None:
            live = _made(definition, is_test=False)
        # What is not said anew is as it was tried.
        usual = live.config if live.config.get("secret") or live.config.get("login") else tried.config
        told = {name: access.get(name) or str(usual.get(name) or "") for name in ACCESS}
        live = set_access(live, told, actor=actor)
        live.in_flight, live.per_second = in_flight, per_second
        live.save(update_fields=["in_flight", "per_second"])
        if provider is None:
            if not provider_name.strip():
                raise Refused("no_provider", _("Выберите поставщика или назовите нового"), status=400)
            provider = services.ensure(provider_name.strip())
        provider.connection, provider.test_connection = live, tried
        provider.save(update_fields=["connection", "test_connection"])
        journal.record(
            "definition.launched",
            "providers.Provider",
            provider.pk,
            actor=actor,
            data={"definition": definition.code, "version": version.number, "connection": live.pk},
        )
    return live
