"""What goes live was described without faults, tried at the provider and tested as it stands; a file brings it over."""

import copy
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from apps.core.errors import Refused
from apps.core.tenancy import in_public
from apps.providers import definitions, trying
from apps.providers.models import DefinitionVersion
from apps.sandbox.control import Control
from tests.providers import declared

_numbers = itertools.count(1)


@pytest.fixture
def draft(foreign: Control) -> Iterator[DefinitionVersion]:
    """A draft, with a test connection that reaches the provider. The public schema is current."""
    with in_public():
        version = definitions.create(name=f"Проверяемый {next(_numbers)}", document=declared.REST)
        access = {"base_url": f"{foreign.base_url}/rest/v2", "login": declared.LOGIN}
        there = trying.test_connection(version.definition)
        trying.set_access(there, {**access, "secret": declared.SECRET}, actor="olga")
        yield version


def tried(version: DefinitionVersion, operation: str, **given: str) -> trying.Attempt:
    made = trying.attempt(version, operation, given, actor="olga")
    assert (made.problem, made.is_recorded) == ("", True)
    version.refresh_from_db()
    return made


def refusal(act: Callable[[], Any]) -> str:
    with pytest.raises(Refused) as caught:
        act()
    return caught.value.code


def state(version: DefinitionVersion) -> str:
    version.refresh_from_db()
    return version.state


def test_only_what_was_tried_and_tested_goes_live(draft: DefinitionVersion) -> None:
    assert refusal(lambda: definitions.publish(draft)) == "not_tested"
    assert refusal(lambda: definitions.verify(draft)) == "not_tried"
    tried(draft, "check")
    assert refusal(lambda: definitions.verify(draft)) == "not_tried"
    tried(draft, "provision")
    assert refusal(lambda: definitions.publish(draft)) == "not_tested"
    assert not any(one.problem for one in definitions.verify(draft))
    assert state(draft) == "tested"
    # Tested as it stood: neither another document nor another answer is.
    definitions.save(draft, draft.document)
    assert (state(draft), refusal(lambda: definitions.publish(draft))) == ("draft", "not_tested")
    definitions.verify(draft)
    tried(draft, "provision")
    assert (state(draft), refusal(lambda: definitions.publish(draft))) == ("draft", "not_tested")
    definitions.verify(draft)
    definitions.publish(draft)
    assert state(draft) == "live"
    assert refusal(lambda: definitions.save(draft, draft.document)) == "closed"


def test_an_answer_that_is_read_wrongly_keeps_it_a_draft(draft: DefinitionVersion) -> None:
    told = tried(draft, "provision")
    tried(draft, "cancel", service_id=told.service_id)
    definitions.verify(draft)
    document = copy.deepcopy(draft.document)
    document["answer"]["states"]["canceled"] = ["GONE"]
    definitions.save(draft, document)
    wrong = [one.operation for one in definitions.verify(draft) if one.problem]
    assert (wrong, state(draft)) == (["cancel"], "draft")


def test_what_was_never_tried_is_named(draft: DefinitionVersion) -> None:
    def named() -> str:
        return next((one for one in trying.warnings(draft) if "Ни разу не опробовано" in one), "")

    request_id = str(uuid4())
    told = tried(draft, "provision", request_id=request_id)
    assert [title in named() for title in ("«Продлить»", "«Отключить»", "«Подключить»")] == [
        True,
        True,
        False,
    ]
    for operation in ("check", "status", "extend", "suspend", "resume", "cancel"):
        tried(draft, operation, service_id=told.service_id, request_id=request_id)
    assert named() == ""


def elsewhere(act: Callable[[], Any]) -> None:
    """Done by somebody else, in a transaction of its own that is committed."""

    def run() -> None:
        try:
            with in_public():
                act()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


@pytest.mark.parametrize("is_compared", [True, False])
def test_a_draft_that_is_written_while_it_is_tested_is_not_tested(
    draft: DefinitionVersion, monkeypatch: pytest.MonkeyPatch, is_compared: bool
) -> None:
    tried(draft, "provision")
    other = copy.deepcopy(draft.document)
    # Of its own answer it understands nothing.
    other["answer"]["paths"]["status"] = "$.nowhere"
    read = definitions.tried

    def overtaken(version: DefinitionVersion) -> Iterator[definitions.Tried]:
        yield from read(version)
        elsewhere(lambda: definitions.save(version, other))

    monkeypatch.setattr(definitions, "tried", overtaken)
    if is_compared:
        assert refusal(lambda: definitions.verify(draft)) == "changed_meanwhile"
        assert state(draft) == "draft"
        return
    monkeypatch.setattr(definitions, "_is_same", lambda one, two: True)
    definitions.verify(draft)
    assert (state(draft), draft.document["answer"]["paths"]["status"]) == ("tested", "$.nowhere")


def test_a_file_brings_all_of_it_over(draft: DefinitionVersion) -> None:
    tried(draft, "provision")
    definitions.verify(draft)
    content = json.dumps(definitions.exported(draft)).encode()
    assert declared.SECRET.encode() not in content
    given = definitions.imported(content)
    assert given == {
        "name": draft.definition.name,
        "document": draft.document,
        "exchange": draft.exchange,
    }
    assert refusal(lambda: definitions.create(**given)) == "taken"
    brought = definitions.create(**{**given, "name": f"{given['name']} с другой установки"})
    # Nothing is believed of another installation: it is tested here, on the exchange that came along.
    assert refusal(lambda: definitions.publish(brought)) == "not_tested"
    definitions.verify(brought)
    definitions.publish(brought)
    again = definitions.exported(brought)
    first = json.loads(content)
    assert (again["document"], again["exchange"]) == (first["document"], first["exchange"])


@pytest.mark.parametrize(
    "change",
    [
        {"armor_connector": 99},
        {"document": []},
        {"name": None},
    ],
)
def test_another_file_is_refused(draft: DefinitionVersion, change: dict[str, Any]) -> None:
    told = definitions.exported(draft) | change
    assert refusal(lambda: definitions.imported(json.dumps(told).encode())) == "bad_file"
    assert refusal(lambda: definitions.imported(b"{")) == "bad_file"
    assert refusal(lambda: definitions.imported(b" " * (definitions.LARGEST_FILE + 1))) == "bad_file"


def test_of_a_file_only_exchanges_are_taken(draft: DefinitionVersion) -> None:
    tried(draft, "provision")
    told = definitions.exported(draft)
    others: list[Any] = [{"operation": "rob", "status": 200, "content": ""}, "x", {"operation": "cancel"}]
    told["exchange"] = told["exchange"] + others
    assert definitions.imported(json.dumps(told).encode())["exchange"] == draft.exchange
