"""Each rule of the connectors finds a corruption planted for it, and no other rule does."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection as db
from django.db import transaction

from apps.connectors import audits, webhooks
from apps.connectors.models import Connection, GatewayReference, InboundMessage, InboundState
from apps.core import audit, clock
from apps.core.models import Due
from apps.core.tenancy import in_public

RULES = {
    "connectors.connection-can-open": audits.connection_can_open,
    "connectors.test-connection-apart": audits.test_connection_apart,
    "connectors.message-processed": audits.message_processed,
    "connectors.message-dropped": audits.message_dropped,
}


def unlisted(connection):
    Connection.objects.filter(pk=connection.pk).update(connector="apps.gone.Gateway")


def of_another_kind(connection):
    Connection.objects.filter(pk=connection.pk).update(kind="fiscal")


def play_money_for_a_live_partner(connection):
    Connection.objects.filter(pk=connection.pk).update(is_test=True)


def unplanned(connection):
    Due.objects.filter(kind=webhooks.TASK).delete()


def kept_too_long(connection):
    old = clock.wall() - timedelta(days=200)
    InboundMessage.objects.update(received_at=old, state=InboundState.DONE)


CORRUPTIONS = [
    ("connectors.connection-can-open", unlisted),
    ("connectors.connection-can-open", of_another_kind),
    ("connectors.test-connection-apart", play_money_for_a_live_partner),
    ("connectors.message-processed", unplanned),
    ("connectors.message-dropped", kept_too_long),
]


@pytest.mark.parametrize(("rule", "corrupt"), [("", lambda connection: None), *CORRUPTIONS])
def test_planted_corruption_is_found(connection, rule, corrupt):
    assert set(RULES) <= set(audit.RULES)
    GatewayReference.allot(connection, "payment", uuid4())
    with in_public(), transaction.atomic():
        # Alone with what this test planted: others' messages may stand here unprocessed.
        Connection.objects.exclude(pk=connection.pk).filter(connector="tests.connectors.echo.Echo").update(
            kind="channel"
        )
        with db.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
        GatewayReference.objects.exclude(connection=connection).delete()
        InboundMessage.objects.exclude(connection=connection).delete()
        webhooks.store(connection, method="POST", query="", headers={}, body=b"{}")
        corrupt(connection)
        found = {name for name, check in RULES.items() if list(check())}
        transaction.set_rollback(True)
    assert found == ({rule} if rule else set())
