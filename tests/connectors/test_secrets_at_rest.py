"""Of every connector that can be plugged in: its secrets stand in the database encrypted, and on no page."""

from dataclasses import MISSING, fields
from typing import Any, get_type_hints

import pytest
from django.conf import settings
from django.db import connection as database
from django.test import Client

from apps.connectors import secrets
from apps.connectors.base import connector_class
from apps.connectors.models import Connection
from apps.core.tenancy import in_public
from tests.connectors.test_admin import address, staff

__all__ = ["staff"]
WITH_SECRETS = [path for path in settings.CONNECTORS if secrets.names(connector_class(path))]


def form_of(path: str, mark: str) -> dict[str, Any]:
    """A filled-in form: every secret of it can be told from all other text."""
    config = connector_class(path).Config
    types = get_type_hints(config)
    filled = {"name": f"Подключение {mark}", "is_enabled": "on", "partner": "", "legal_entity": ""}
    for item in fields(config):
        if item.metadata.get("secret"):
            filled[f"config_{item.name}"] = f"planted-{mark}-{item.name}-w0rd"
        elif item.default is MISSING:
            filled[f"config_{item.name}"] = "7" if types[item.name] is int else "https://plain.example"
        elif types[item.name] is not bool:
            filled[f"config_{item.name}"] = str(item.default)
    return filled


def planted(form: dict[str, Any]) -> list[str]:
    return [value for value in form.values() if "planted-" in value]


def everything() -> str:
    """Every row of the public schema that may tell of a connection, as the database has it."""
    told = []
    with in_public(), database.cursor() as cursor:
        for table in ("connectors_connection", "journal_entry", "journal_exchange", "core_event"):
            cursor.execute("SELECT to_regclass(%s)", [f"public.{table}"])
            if cursor.fetchone()[0]:
                cursor.execute(f"SELECT t::text FROM public.{table} t")
                told += [row for [row] in cursor.fetchall()]
        cursor.execute("SELECT t::text FROM public.django_admin_log t")
        told += [row for [row] in cursor.fetchall()]
    return "\n".join(told)


def test_there_is_something_to_hide() -> None:
    assert len(WITH_SECRETS) >= 8


@pytest.mark.parametrize("path", WITH_SECRETS)
def test_secrets_are_encrypted_in_the_database_and_on_no_page(staff: Client, partner: Any, path: str) -> None:
    with in_public():
        first, second = form_of(path, "first"), form_of(path, "second")
        answer = staff.post(f"{address('connectors_connection_add')}?connector={path}", first)
        assert answer.status_code == 302, answer.context["errors"]
        made = Connection.objects.latest("pk")
        change = address("connectors_connection_change", made.pk)
        assert staff.post(change, second).status_code == 302
        # What is refused is shown again, without the secrets that were typed in.
        refused = staff.post(change, {**second, "name": ""})
        assert refused.status_code == 200
        made.refresh_from_db()
        words = planted(first) + planted(second)
        assert len(words) == 2 * len(secrets.names(made.connector_class))
        # It is all there, for those who can decrypt it.
        assert all(word in str(made.config) for word in words)
        assert Connection.objects.latest("pk").pk == made.pk
        pages = [
            refused.content.decode(),
            staff.get(change).content.decode(),
            staff.get(address("connectors_connection_changelist")).content.decode(),
            staff.get(f"{address('connectors_connection_changelist')}?q=planted").content.decode(),
            staff.get(address("connectors_connection_history", made.pk)).content.decode(),
        ]
    assert "Подключение second" in pages[1]
    stored = everything()
    assert str(made.pk) in stored
    assert [word for word in words if word in stored] == []
    assert [word for word in words for page in pages if word in page] == []
    config = made.reader().config
    assert [word for word in words if word in repr(config)] == []
