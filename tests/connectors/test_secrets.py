"""Secrets change without a stop: masked on the page; the old one reads what comes in for a day, calls take the new."""

import json
from datetime import timedelta

from django.db import connection as database

from apps.connectors import breaker, secrets, webhooks
from apps.connectors.models import Connection, InboundMessage
from apps.core import clock
from apps.core.tenancy import in_public
from apps.journal.models import Entry
from tests.connectors.test_admin import address, staff

__all__ = ["staff"]
OLD_WORD, NEW_WORD = "sesame-of-yesterday", "sesame-of-tomorrow"


def rotate(staff, connection, server, word):
    form = {"name": "Эхо", "is_enabled": "on", "config_url": server.url, "config_password": word}
    form |= {"config_limit": "3", "partner": connection.partner_id, "legal_entity": ""}
    answer = staff.post(address("connectors_connection_change", connection.pk), form)
    assert answer.status_code == 302, answer.context["errors"]
    return Connection.objects.get(pk=connection.pk)


def read(connection, word, number):
    body = json.dumps({"type": "told", "id": str(number)}).encode()
    message_id = webhooks.store(connection, method="POST", query="", headers={"x-word": word}, body=body)
    webhooks.process(message_id)
    return InboundMessage.objects.get(pk=message_id).state


def test_a_secret_changes_without_a_stop(staff, connection, server):
    with in_public():
        rotate(staff, connection, server, OLD_WORD)
        in_flight = Connection.objects.get(pk=connection.pk).open()
        changed = rotate(staff, connection, server, NEW_WORD)
        # A call under way ends with what it began with; the next one takes the new secret.
        assert (in_flight.config.password, changed.open().config.password) == (OLD_WORD, NEW_WORD)
        # Unmatched: it is believed, and about nobody here.
        assert [read(changed, word, n) for n, word in enumerate((OLD_WORD, NEW_WORD, "forged"))] == [
            "unmatched",
            "unmatched",
            "rejected",
        ]
        page = staff.get(address("connectors_connection_change", connection.pk)).content.decode()
        assert "…rrow" in page
        assert "Прежний ещё принимается" in page
        assert not [word for word in (OLD_WORD, NEW_WORD) if word in page]
        told = str(list(Entry.objects.filter(object_id=str(connection.pk)).values_list("data", flat=True)))
        assert "config_password" in told
        assert not [word for word in (OLD_WORD, NEW_WORD) if word in told]


def test_after_a_day_the_old_secret_is_none_any_more(staff, connection, server):
    with in_public():
        rotate(staff, connection, server, OLD_WORD)
        changed = rotate(staff, connection, server, NEW_WORD)
        gone = (clock.wall() - timedelta(seconds=1)).isoformat()
        changed.config[secrets.OLD]["until"] = gone
        changed.save(update_fields=["config"])
        assert read(changed, OLD_WORD, 1) == "rejected"
        assert read(changed, NEW_WORD, 2) == "unmatched"
        assert secrets.old_until(changed.config) is None


def test_secrets_are_encrypted_at_rest(staff, connection, server):
    with in_public():
        rotate(staff, connection, server, OLD_WORD)
        rotate(staff, connection, server, NEW_WORD)
        with database.cursor() as cursor:
            cursor.execute("SELECT config FROM connectors_connection WHERE id = %s", [connection.pk])
            [stored] = cursor.fetchone()
    assert not [word for word in (OLD_WORD, NEW_WORD, server.url) if word in stored]


def test_saving_the_page_keeps_what_calls_have_written(staff, connection, server):
    """The form was opened before the breaker did."""
    with in_public():
        now = clock.wall()
        Connection.objects.filter(pk=connection.pk).update(opened_at=now, next_try_at=now, last_error="503")
        assert rotate(staff, connection, server, NEW_WORD).opened_at == now
        page = staff.get(address("connectors_connection_change", connection.pk)).content.decode()
        assert "Не отвечает, вызовы остановлены" in page
        staff.get(address("connectors_connection_close_breaker", connection.pk))
        assert Connection.objects.get(pk=connection.pk).opened_at is None


def test_the_button_asks_though_the_breaker_is_open_and_closes_it(staff, connection, server):
    with in_public():
        later = clock.wall() + timedelta(hours=1)
        Connection.objects.filter(pk=connection.pk).update(opened_at=clock.wall(), next_try_at=later)
        breaker.forget()
        answer = staff.get(address("connectors_connection_check_now", connection.pk), follow=True)
        assert "Отвечает" in answer.content.decode()
        assert Connection.objects.get(pk=connection.pk).is_well
