"""Incoming messages: stored raw, once, found their partner, can be processed again."""

import json
import secrets
import threading
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.conf import settings as django_settings
from django.db import connection as database
from django.db import transaction
from django.test import Client
from psycopg import sql

from apps.connectors import hooks, partitions, webhooks
from apps.connectors.models import Connection, GatewayReference, InboundMessage, InboundState
from apps.core import due, work
from apps.core.models import Due, WorkItem
from apps.core.tenancy import current_partner_id, in_public


@pytest.fixture
def taken(monkeypatch):
    """What the receiver of this kind was handed, and in whose schema."""
    found = []

    def take(told):
        found.extend((current_partner_id(), one.object_id, received.type) for one, received in told)

    monkeypatch.setitem(webhooks._receivers, "channel", take)
    return found


def arrive(connection, said, word="sesame"):
    client = Client(headers={"host": django_settings.PUBLIC_HOST, "x-word": word})
    with in_public():
        return client.post(f"/hooks/{connection.pk}/", json.dumps(said), content_type="application/json")


def work_off(connection):
    """Does the due work of this connection's messages, as a worker would."""
    with in_public():
        ids = list(InboundMessage.objects.filter(connection=connection).values_list("pk", flat=True))
        for row in Due.objects.filter(kind=webhooks.TASK, object_id__in=ids):
            # Those before it may have had it in their batch.
            assert due.run(row) or not Due.objects.filter(pk=row.pk).exists()
        return list(InboundMessage.objects.filter(connection=connection).order_by("received_at"))


def test_message_is_stored_encrypted_answered_and_reaches_its_partner(connection, partner, taken):
    reference = GatewayReference.allot(connection, "payment", uuid4())
    assert GatewayReference.allot(connection, "payment", reference.object_id) == reference
    assert arrive(connection, {"type": "paid", "reference": reference.pk}).status_code == 200
    assert taken == []
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT body || headers FROM connectors_inboundmessage WHERE connection_id = %s", [connection.pk]
        )
        assert "paid" not in cursor.fetchone()[0]
    [message] = work_off(connection)
    assert taken == [(partner.pk, reference.object_id, "paid")]
    assert (message.state, message.reference) == (InboundState.DONE, reference.pk)
    assert json.loads(message.raw().body) == {"type": "paid", "reference": reference.pk}
    assert arrive(connection, {"type": "paid", "reference": reference.pk}).status_code == 200
    [message] = work_off(connection)
    assert (message.copies, len(taken)) == (1, 1)
    webhooks.replay(message)
    work_off(connection)
    assert len(taken) == 2


def test_forged_is_rejected_and_unknown_waits_for_staff_until_it_is_known(connection, taken):
    arrive(connection, {"type": "paid", "id": "gw-1"}, word="open")
    assert [message.state for message in work_off(connection)] == [InboundState.REJECTED]
    InboundMessage.objects.filter(connection=connection).delete()
    arrive(connection, {"type": "paid", "id": "gw-1"})
    [message] = work_off(connection)
    assert message.state == InboundState.UNMATCHED
    assert WorkItem.objects.filter(kind=webhooks.TASK, object_id=message.pk).exists()
    GatewayReference.allot(connection, "payment", uuid4()).learn("gw-1")
    arrive(connection, {"type": "paid", "id": "gw-1"})  # their second attempt
    [message] = work_off(connection)
    assert (message.state, len(taken)) == (InboundState.DONE, 1)
    assert not WorkItem.objects.filter(kind=webhooks.TASK, object_id=message.pk).exists()


def test_no_hook_for_an_unknown_connection_or_on_a_partners_host(connection, partner):
    assert arrive(Connection(pk=999_999_999), {}).status_code == 404
    client = Client(headers={"host": partner.host})
    with in_public():
        assert (
            client.post(f"/hooks/{connection.pk}/", "{}", content_type="application/json").status_code == 404
        )
    assert not InboundMessage.objects.filter(connection=connection).exists()


def somebody_waits():
    """For an advisory lock of this database."""
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT FROM pg_locks JOIN pg_database found ON found.oid = database "
            "WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
        )
        return cursor.fetchone() is not None


def racing_copies(connection):
    """A copy that comes while the first one is not committed yet; how many are stored in the end."""

    def send():
        try:
            webhooks.store(connection, method="POST", query="", headers={}, body=b"same")
        finally:
            database.close()

    second = threading.Thread(target=send)
    with transaction.atomic():
        webhooks.store(connection, method="POST", query="", headers={}, body=b"same")
        second.start()
        while second.is_alive() and not somebody_waits():
            second.join(0.01)
    second.join(60)
    return InboundMessage.objects.filter(connection=connection).count()


def test_copies_that_race_are_stored_once_because_of_the_lock(connection, monkeypatch):
    assert racing_copies(connection) == 1
    assert InboundMessage.objects.get(connection=connection).copies == 1
    InboundMessage.objects.filter(connection=connection).delete()
    # Without the lock neither sees the other.
    monkeypatch.setattr(webhooks, "_lock_of", lambda *_: secrets.randbits(62))
    assert racing_copies(connection) == 2


def test_months_are_made_ahead_take_over_the_default_and_are_dropped(connection, monkeypatch):
    day = datetime(2091, 5, 17, tzinfo=UTC)

    def stored_in(message):
        with database.cursor() as cursor:
            cursor.execute(
                "SELECT tableoid::regclass::text FROM connectors_inboundmessage WHERE id = %s", [message.pk]
            )
            return [row[0].removeprefix(f"{partitions.TABLE}_") for row in cursor.fetchall()]

    def message(at):
        return InboundMessage.objects.create(connection=connection, received_at=at, fingerprint=b"")

    with in_public():
        monkeypatch.setattr(partitions.clock, "wall", lambda: day)
        first, second = message(day), message(day + timedelta(days=31))
        assert stored_in(first) == ["default"]
        partitions.maintain()
        assert (stored_in(first), stored_in(second)) == (["209105"], ["209106"])
        assert stored_in(message(day + timedelta(days=60))) == ["209107"]
        for one in (first, second):
            work.open_for(None, webhooks.TASK, one.pk, "?")
        monkeypatch.setattr(partitions.clock, "wall", lambda: day + timedelta(days=95))
        partitions.maintain()
        waiting = WorkItem.objects.filter(object_id__in=[first.pk, second.pk])
        assert list(waiting.values_list("object_id", flat=True)) == [second.pk]
        assert (stored_in(first), stored_in(second)) == ([], ["209106"])
        monkeypatch.setattr(partitions.clock, "wall", lambda: day + timedelta(days=400))
        partitions.maintain()
        with database.cursor() as cursor:  # back to where other tests are
            for name in partitions._existing().values():
                cursor.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
        Due.objects.filter(kind=partitions.TASK).update(due_at=datetime.now(UTC) + timedelta(days=1))


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"type": "paid", "id": "a\\u0000b"}',
        b'{"type": "paid", "id": "\\ud800"}',
        b'{"type": 1, "id": 1e999}',
        b'{"type": "paid", "reference": 1e999}',
        b'{"type": "paid", "reference": [1]}',
        b'{"type": "paid", "reference": 99999999999999999999999999}',
        b"\xff\xfe\x00",
        b"null",
    ],
)
def test_what_cannot_be_read_is_settled_at_once_and_not_tried_for_ever(connection, taken, body):
    client = Client(headers={"host": django_settings.PUBLIC_HOST, "x-word": "sesame"})
    many = "&".join(f"field{n}=1" for n in range(3000))
    with in_public():
        address = f"/hooks/{connection.pk}/?{many}"
        assert client.post(address, body, content_type="application/json").status_code == 200
    [message] = work_off(connection)
    assert message.state in {InboundState.REJECTED, InboundState.UNMATCHED}
    assert message.error
    assert message.raw().body == body
    assert message.raw().query["field2999"] == "1"
    assert taken == []


def test_a_forger_who_was_first_does_not_stand_in_the_way_of_the_true_one(connection, taken):
    reference = GatewayReference.allot(connection, "payment", uuid4())
    said = {"type": "paid", "reference": reference.pk}
    # Neither is read yet when the other comes: which of the two is true is told by the connector alone.
    arrive(connection, said, word="open")
    arrive(connection, said)
    arrive(connection, said, word="guess")
    states = sorted(message.state for message in work_off(connection))
    assert states == [InboundState.DONE, InboundState.REJECTED, InboundState.REJECTED]
    assert len(taken) == 1


def test_a_body_too_large_is_refused_in_words(connection):
    client = Client(headers={"host": django_settings.PUBLIC_HOST})
    with in_public():
        big = b"x" * (hooks.MAX_BYTES + 1)
        answer = client.post(f"/hooks/{connection.pk}/", big, content_type="text/plain")
        assert answer.status_code == 413
        largest = client.post(f"/hooks/{connection.pk}/", big[1:], content_type="text/plain")
        assert largest.status_code == 200
    assert InboundMessage.objects.filter(connection=connection).count() == 1


def test_a_flood_of_one_message_is_one_message(connection):
    """Eight threads through the web: all are answered, one row is kept, and the rest are counted."""
    together = threading.Barrier(8)
    answered = []

    def send():
        try:
            client = Client(headers={"host": django_settings.PUBLIC_HOST})
            together.wait(60)
            for _time in range(5):
                with in_public():
                    answer = client.post(f"/hooks/{connection.pk}/", b"{}", content_type="application/json")
                answered.append(answer.status_code)
        finally:
            database.close()

    threads = [threading.Thread(target=send) for _one in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answered == [200] * 40
    assert InboundMessage.objects.get(connection=connection).copies == 39
