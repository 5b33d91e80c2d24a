"""What was live is kept by the database; the auditor finds what is planted past it."""

import copy
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from apps.connectors.models import Connection, GatewayReference
from apps.core.errors import Refused
from apps.core.tenancy import in_public
from apps.partners.models import Partner
from apps.providers import definitions, remembering
from apps.providers.models import DefinitionVersion, Provider, ProviderCall
from apps.sandbox.control import Control
from tests.planted import found
from tests.providers import declared
from tests.providers.test_declarative import asked


@pytest.fixture
def connection(partner: Partner, foreign: Control) -> Connection:
    """A provider that is reached by a live version, and a call of it that was made."""
    version = declared.live(declared.REST)
    made = declared.connect(version, foreign, "rest")
    with in_public():
        Provider.objects.create(code=f"d-{uuid4()}", name=f"Описанный {uuid4()}", connection=made)
    request = asked()
    with transaction.atomic():
        remembering.prepare(made, {request.request_id: request})
    return made


def version_of(connection: Connection) -> Any:
    return DefinitionVersion.objects.filter(definition__code=connection.config["definition"])


def nothing_live(connection: Connection) -> None:
    version_of(connection).update(state="retired")


def unsound(connection: Connection) -> None:
    version_of(connection).update(document={"format": 1})


def untested(connection: Connection) -> None:
    version_of(connection).update(live_at=None)


def with_a_secret(connection: Connection) -> None:
    document = copy.deepcopy(declared.REST)
    document["operations"]["provision"]["headers"] = {"X-Key": declared.SECRET}
    version_of(connection).update(document=document)


def of_a_connector_without_memory(connection: Connection) -> None:
    other = Connection.objects.create(
        kind="provider", connector="apps.providers.manual.Manual", name="Вручную", config={}
    )
    call = ProviderCall.objects.get(reference__connection=connection)
    GatewayReference.objects.filter(pk=call.reference_id).update(connection=other)


CORRUPTIONS: list[tuple[str, Callable[[Connection], None]]] = [
    ("providers.connection-has-live-version", nothing_live),
    ("providers.live-version-holds", unsound),
    ("providers.live-version-holds", untested),
    ("providers.no-secret-described", with_a_secret),
    ("providers.call-has-its-service", of_a_connector_without_memory),
]


@pytest.mark.parametrize(("rule", "corrupt"), CORRUPTIONS)
def test_the_auditor_finds_what_is_planted(
    connection: Connection, rule: str, corrupt: Callable[[Connection], None]
) -> None:
    with in_public():
        assert found(rule, lambda: corrupt(connection))


def test_what_was_live_is_kept_by_the_database(connection: Connection) -> None:
    version = version_of(connection).get()
    for change in ({"document": {}}, {"state": "draft"}, {"exchange": [{}]}, {"number": 7}):
        with pytest.raises(IntegrityError), transaction.atomic():
            version_of(connection).update(**change)
    for refuse in (version.delete, ProviderCall.objects.filter(version=version).delete):
        with pytest.raises(IntegrityError), transaction.atomic():
            refuse()
    with pytest.raises(Refused, match="closed"):
        definitions.save(version, {})
    with pytest.raises(IntegrityError), transaction.atomic():
        # Two live ones: nobody could say by which a call is made.
        DefinitionVersion.objects.create(
            definition=version.definition,
            number=9,
            state="live",
            tested_at=version.created_at,
            live_at=version.created_at,
            created_at=version.created_at,
        )


def test_a_secret_is_not_written_into_a_draft(connection: Connection) -> None:
    draft = definitions.open_draft(version_of(connection).get().definition)
    document = copy.deepcopy(draft.document)
    document["auth"]["headers"]["X-Client"] = declared.SECRET
    with pytest.raises(Refused) as refused:
        definitions.save(draft, document)
    assert "auth.headers.X-Client" in str(refused.value.message)
    assert declared.SECRET not in str(definitions.exported(draft))
